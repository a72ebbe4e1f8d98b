import { isHere } from '../address.ts'
import { Resolver } from '../client/resolver.ts'
import { hostnameOf } from '../gateways/hostnames.ts'
import { findGateway, type Location } from '../gateways/location.ts'
import { format, type Name, type Rest } from '../name.ts'
import { designatedPort } from '../settings.ts'
import type { Metadata } from '../wire/protocol.ts'
import { urlOf } from './env.ts'
import type { CommandTarget } from './options.ts'

/** The parts of a URL beside the host. */
export interface UrlOptions {
  /** The metadata of the service, whose path is taken where the URI has none. */
  metadata?: Metadata | undefined
  /** The user and the path of a URI. */
  rest?: Rest | undefined
}

/** The URL of a name of this host by a gateway; `undefined` where a host name cannot say it, or leads elsewhere. */
export function webURL(
  { host, port }: Location,
  name: Name,
  { metadata = {}, rest }: UrlOptions = {},
): string | undefined {
  const address = isHere(host) ? hostnameOf(name) : undefined
  if (address === undefined) return undefined
  return new URL(urlOf({ transport: 'tcp', address, port, metadata }, 'http', rest)).href
}

/**
 * The URL by a gateway of a name that is there. Fails as `Resolver.resolve` does, and in words where there is no gateway
 * or no such URL.
 */
export async function findWebURL({ name, at, rest }: CommandTarget): Promise<string> {
  const { host = '', daemonPort = designatedPort() } = at
  const text = format(name)
  const instead = `moniker resolve ${text} --url http prints the address of the server itself`
  if (!isHere(host)) {
    throw new Error(
      `a gateway leads to the names of ${host} as a proxy alone; give a scheme, as in --url http`,
    )
  }
  if (name.version !== '') {
    throw new Error(`the URL of a gateway has no version, so ${text} has none; ${instead}`)
  }
  const found = await new Resolver().resolve(name, { ...at, transports: ['unix', 'tcp'] })
  const gateway = await findGateway(daemonPort)
  if (!gateway) {
    throw new Error(
      `there is no gateway of this user or of root; run moniker gateway, or ${instead}`,
    )
  }
  const { metadata } = found.endpoints[0]!
  const url = webURL(gateway, found.name, { metadata, rest })
  if (url !== undefined) return url
  const why = isHere(gateway.host)
    ? `no host name says ${format(found.name)}`
    : `the gateway at ${gateway.host} is no program of this host, and leads to names as a proxy alone`
  throw new Error(`${why}; ${instead}`)
}
