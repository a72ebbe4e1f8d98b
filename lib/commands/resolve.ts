import { Command } from 'commander'
import { printable } from '../errors.ts'
import { Resolver } from '../client/resolver.ts'
import type { Resolution } from '../resolution.ts'
import {
  daemonPortOption,
  hostArgument,
  isScheme,
  jsonOption,
  namespaceOption,
  type HostAndPort,
  targetOf,
  tellUnused,
  useNamespace,
} from './options.ts'
import { urlOf } from './env.ts'
import { printJSON } from './terminal.ts'
import { findWebURL } from './weburl.ts'

interface Options {
  daemonPort?: number
  namespace?: string
  url?: string | true
  json?: boolean
}

export const resolveCommand = new Command('resolve')
  .description('Says where a service is: address, port, transport and version, best first.')
  .usage('[options] <name> [host]')
  .argument('[name]', 'starwars, ns:starwars@^1, or a URI such as starwars://theforce.net')
  .addArgument(hostArgument())
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .option(
    '--url [scheme]',
    'print the best as a URL with this scheme, such as http; without one that by the gateway',
  )
  .addOption(jsonOption())
  .addHelpText(
    'after',
    `
To ask a web server:
  curl "$(moniker resolve web --url http)/hello"
By a gateway (see moniker gateway), at an address that stays the same:
  curl "$(moniker resolve web --url)"`,
  )
  .action(resolve)

async function resolve(
  first: string | undefined,
  at: HostAndPort | undefined,
  { json, ...options }: Options,
  command: Command,
): Promise<void> {
  const { name, url } = wordsOf(command, first, options.url)
  useNamespace(options.namespace)
  const target = targetOf(name, at?.host, { ...options, ...at })
  if (url === true) return console.log(await findWebURL(target))
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

/** The name and the scheme: a single word beside `--url`, which commander takes for the scheme, is the name. */
function wordsOf(
  command: Command,
  name: string | undefined,
  url: string | true | undefined,
): { name: string; url: string | true | undefined } {
  if (name === undefined && typeof url === 'string') return { name: url, url: true }
  if (name === undefined) command.error("error: missing required argument 'name'")
  if (typeof url === 'string' && !isScheme(url)) {
    command.error(`error: expected a scheme such as http, got ${JSON.stringify(url)}`)
  }
  return { name, url }
}

function lines({ endpoints }: Resolution): string {
  return endpoints
    .map(
      ({ address, port, transport, version }) =>
        `${address} ${port} ${transport} ${printable(version)}`,
    )
    .join('\n')
}
