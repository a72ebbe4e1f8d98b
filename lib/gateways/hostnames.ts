import { isIPv6, isThisHost, plain } from '../address.ts'
import { isWord, type Name } from '../name.ts'

/** The domain of the names on all hosts, if no other is given: `.internal` is reserved for private use. */
export const DOMAIN = 'moniker.internal'

/** The domain of the names on this host, which programs that follow RFC 6761 take for the loopback address. */
const LOCAL = 'localhost'

/** The first label under `localhost` that is no service: it is kept for a page of our own. */
const RESERVED = 'moniker'

/** The label between a name and the host that has it. */
const AT = '.at.'

/** An address of IPv6 as a host name, such as `2001-db8--1.ip6`. */
const IP6 = /^(?<address>[\da-f-]+)\.ip6$/

/** The service that a host name means. */
export interface Meaning {
  readonly name: Name
  /** The host that is asked for it; `''` is this one. */
  readonly host: string
  /** The kind of host name: under `localhost`, under the domain, or a name without a dot, which may be another's too. */
  readonly kind: 'localhost' | 'domain' | 'bare'
}

/**
 * The service that a host name means, if it means one: `web.localhost`, `web.luke.localhost` (the first label is the
 * service, the others are the namespace), the same under `domain`, there also of another host, as in
 * `web.at.theforce.net.moniker.internal`, and `web`. `localhost` never means one.
 */
export function meaningOf(hostname: string, domain = DOMAIN): Meaning | undefined {
  const text = hostname.toLowerCase().replace(/\.$/, '')
  if (isThisHost(text) || text.split('.').includes('')) return undefined
  const local = within(text, LOCAL)
  if (local !== undefined) return local === RESERVED ? undefined : named(local, '', 'localhost')
  const inside = within(text, domain)
  if (inside !== undefined) return atHost(inside)
  return text.includes('.') ? undefined : named(text, '', 'bare')
}

/** True of a host name that belongs to the names, whether it means a service or not: it is never looked up elsewhere. */
export function isOurs(hostname: string, domain = DOMAIN): boolean {
  const text = hostname.toLowerCase().replace(/\.$/, '')
  return [LOCAL, domain].some(one => text === one || within(text, one) !== undefined)
}

/** The host name that means a service of this host; `undefined` of one with a dot, which only a URI can mean. */
export function hostnameOf({ namespace, service }: Name): string | undefined {
  const text = `${service}${namespace && `.${namespace}`}.${LOCAL}`
  const found = meaningOf(text)?.name
  return found?.service === service && found.namespace === namespace ? text : undefined
}

/**
 * The host name under `domain` that means a service of a host, `''` being this one; `undefined` of what only a URI can
 * mean, such as a service with a dot.
 */
export function domainNameOf(
  { namespace, service }: Name,
  host: string,
  domain = DOMAIN,
): string | undefined {
  const at = isThisHost(host) ? '' : plain(host).replace(/\.$/, '')
  const where = isIPv6(at) ? `${at.replaceAll(':', '-')}.ip6` : at
  const text = `${service}${namespace && `.${namespace}`}${where && `${AT}${where}`}.${domain}`
  const { name, host: found } = meaningOf(text, domain) ?? {}
  const isMeant = name?.service === service && name.namespace === namespace && found === at
  return isMeant ? text : undefined
}

/** The labels of a host name before those of a domain. */
function within(text: string, domain: string): string | undefined {
  return text.endsWith(`.${domain}`) ? text.slice(0, -domain.length - 1) : undefined
}

/** The meaning of the labels before the domain, where the first `at` separates the name and its host. */
function atHost(text: string): Meaning | undefined {
  const at = text.indexOf(AT)
  if (at === -1) return named(text, '', 'domain')
  const host = hostIn(text.slice(at + AT.length))
  return host === undefined ? undefined : named(text.slice(0, at), host, 'domain')
}

function hostIn(text: string): string | undefined {
  const groups = IP6.exec(text)?.groups
  if (!groups) return isThisHost(text) ? '' : text
  const address = groups.address!.replaceAll('-', ':')
  return isIPv6(address) ? address : undefined
}

function named(text: string, host: string, kind: Meaning['kind']): Meaning | undefined {
  const [service = '', ...labels] = text.split('.')
  const namespace = labels.join('.')
  if (!isWord(service) || (namespace !== '' && !isWord(namespace))) return undefined
  return { name: { namespace, service, version: '' }, host, kind }
}
