import { Command } from 'commander'
import { Resolver, type Resolution } from '../resolver.ts'
import { targetOf } from './target.ts'
import { daemonPortOption, jsonOption, namespaceOption, useNamespace } from './options.ts'
import { printable } from './table.ts'

interface Options {
  daemonPort?: number
  namespace?: string
  json?: boolean
}

export const resolveCommand = new Command('resolve')
  .description('Says where a name leads: address, port, transport and version, best first.')
  .argument('<name>', 'starwars, ns:starwars@^1, or a URI such as starwars://theforce.net')
  .argument('[host]', 'default: this host')
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addOption(jsonOption())
  .action(resolve)

async function resolve(
  name: string,
  host: string | undefined,
  { json, ...options }: Options,
): Promise<void> {
  useNamespace(options.namespace)
  const target = targetOf(name, host, options)
  const resolution = await new Resolver().resolve(target.name, {
    ...target.at,
    transports: ['tcp', 'udp'],
  })
  console.log(json ? JSON.stringify(resolution, undefined, 2) : lines(resolution))
}

function lines({ endpoints }: Resolution): string {
  return endpoints
    .map(
      ({ address, port, transport, version }) =>
        `${address} ${port} ${transport} ${printable(version)}`,
    )
    .join('\n')
}
