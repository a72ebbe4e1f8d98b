import { Command } from 'commander'
import { printable } from '../errors.ts'
import { Resolver } from '../client/resolver.ts'
import type { Resolution } from '../resolution.ts'
import {
  daemonPortOption,
  hostArgument,
  jsonOption,
  namespaceOption,
  type HostAndPort,
  targetOf,
  tellUnused,
  toScheme,
  useNamespace,
} from './options.ts'
import { urlOf } from './env.ts'
import { printJSON } from './terminal.ts'

interface Options {
  daemonPort?: number
  namespace?: string
  url?: string
  json?: boolean
}

export const resolveCommand = new Command('resolve')
  .description('Says where a service is: address, port, transport and version, best first.')
  .argument('<name>', 'starwars, ns:starwars@^1, or a URI such as starwars://theforce.net')
  .addArgument(hostArgument())
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .option('--url <scheme>', 'print the best as a URL with this scheme, such as http', toScheme)
  .addOption(jsonOption())
  .addHelpText('after', '\nTo ask a web server:\n  curl "$(moniker resolve web --url http)/hello"')
  .action(resolve)

async function resolve(
  name: string,
  at: HostAndPort | undefined,
  { json, url, ...options }: Options,
): Promise<void> {
  useNamespace(options.namespace)
  const target = targetOf(name, at?.host, { ...options, ...at })
  const resolution = await new Resolver().resolve(target.name, {
    ...target.at,
    transports: ['tcp', 'udp'],
  })
  const { rest } = target
  if (url !== undefined) return console.log(urlOf(resolution.endpoints[0]!, url, rest))
  if (json) return printJSON({ ...resolution, ...rest })
  tellUnused(target)
  console.log(lines(resolution))
}

function lines({ endpoints }: Resolution): string {
  return endpoints
    .map(
      ({ address, port, transport, version }) =>
        `${address} ${port} ${transport} ${printable(version)}`,
    )
    .join('\n')
}
