import { canonical, isLoopback } from '../address.ts'
import { parseURI, type Name } from '../name.ts'
import { isOurs, meaningOf, type Meaning } from './hostnames.ts'
import { Refusal } from './pages.ts'

/** A name of a host; `''` is this one. A bare one may be the name of a host as well. */
export interface Named {
  readonly to: 'name'
  readonly name: Name
  readonly host: string
  /** The designated port of the daemon there; `undefined` is the usual one. */
  readonly daemonPort?: number | undefined
  readonly isBare: boolean
}

/** A host and port that are no name of ours. */
export interface Elsewhere {
  readonly to: 'elsewhere'
  readonly host: string
  readonly port: number
}

/** The aim of a request; `here` is the gateway itself. */
export type Aim = Named | Elsewhere | { readonly to: 'here' }

export interface AimOptions {
  /** The domain of the names on all hosts. */
  readonly domain: string
  /** The address of ours that the request has come to, if requests to it by that are accepted. */
  readonly at: string | undefined
}

/** The ports of the schemes that are proxied. */
const PORTS: Readonly<Record<string, number>> = { http: 80, https: 443, ws: 80, wss: 443 }

/** A host, and a port after it. */
const AUTHORITY = /^(?:\[(?<ipv6>[^\]]*)\]|(?<host>[^\s:/?#@[\]\\]*))(?::(?<port>\d{1,5}))?$/

/**
 * The aim of a request that was sent to the gateway itself, by its `Host`. A page of any host may have its name lead
 * here (DNS rebinding): only names that no other can have, and addresses, are accepted. Others are refused with 421.
 */
export function aimOfHost(host: string, { domain, at }: AimOptions): Aim {
  const { hostname } = partsOf(host)
  const meaning = meaningOf(hostname, domain)
  if (meaning?.kind === 'localhost') return nameOf(meaning)
  const address = canonical(hostname)
  const isHere =
    address === undefined ? isOurs(hostname) && !meaning : isLoopback(address) || address === at
  if (isHere && !isWithin(hostname, domain)) return { to: 'here' }
  throw new Refusal(421, 'This host name does not lead here.')
}

/** The aim of a host and port that a program asks its proxy for, as by CONNECT or SOCKS. */
export function aimOfAuthority(authority: string, { domain }: AimOptions, usual?: number): Aim {
  const { hostname, port = usual } = partsOf(authority)
  const meaning = meaningOf(hostname, domain)
  if (meaning) return nameOf(meaning)
  if (isOurs(hostname, domain) && hostname.toLowerCase() !== 'localhost') {
    throw new Refusal(404, `${hostname} means no name.`)
  }
  if (hostname === '' || !port || port > 65_535) {
    throw new Refusal(400, 'A proxy is asked for a host and a port, such as web:80.')
  }
  return { to: 'elsewhere', host: hostname, port }
}

/** The aim of an absolute URI, and its path. A scheme that is not of the web is the name of a service. */
export function aimOfURI(
  uri: string,
  options: AimOptions,
): { aim: Aim; path: string; authority: string } {
  const [, scheme = '', authority = '', rest = ''] =
    /^([a-z]+):\/\/(?:[^/?#@]*@)?([^/?#]*)(.*)$/is.exec(uri) ?? []
  const usual = PORTS[scheme.toLowerCase()]
  if (usual !== undefined) {
    const aim = aimOfAuthority(authority, options, usual)
    if (aim.to === 'elsewhere' && usual !== PORTS.http) {
      throw new Refusal(400, `A proxy is asked for ${scheme} by CONNECT.`)
    }
    return { aim, path: rooted(rest), authority }
  }
  try {
    const { host, path, daemonPort, namespace, service, version } = parseURI(uri)
    const name = { namespace, service, version }
    const aim = { to: 'name', name, host, daemonPort, isBare: false } as const
    return { aim, path: rooted(path), authority: host }
  } catch (error) {
    throw new Refusal(400, (error as Error).message)
  }
}

function nameOf({ name, host, kind }: Meaning): Named {
  return { to: 'name', name, host, isBare: kind === 'bare' }
}

/** The path of a request, which begins with a slash and has no fragment. */
function rooted(text: string): string {
  const path = text.replace(/#.*$/s, '')
  return path.startsWith('/') ? path : `/${path}`
}

function isWithin(hostname: string, domain: string): boolean {
  return isOurs(hostname, domain) && !isOurs(hostname, 'localhost')
}

function partsOf(authority: string): { hostname: string; port: number | undefined } {
  const { ipv6, host, port } = AUTHORITY.exec(authority)?.groups ?? {}
  const hostname = ipv6 ?? host ?? ''
  return { hostname, port: port === undefined ? undefined : Number(port) }
}
