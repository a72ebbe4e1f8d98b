import { domainToASCII } from 'node:url'
import { isIPv6 } from './address.ts'
import { badName } from './errors.ts'
import { isRange } from './version.ts'

/** A service, the namespace it lives in, and a version: exact for a server, a range for a client. */
export interface Name {
  /** `''` is the host's own namespace. */
  readonly namespace: string
  readonly service: string
  /** As written; `''` means 0.0.0 to a server and any version to a client. */
  readonly version: string
}

/** A name, where to ask for it, and what is the application's business: a user and a path. */
export interface Target extends Name {
  /** The user before the `@`, such as `luke:secret`, as written, or `''`. */
  readonly userinfo: string
  /** `''` is this host. In ASCII and lower case; an IPv6 address stands without brackets. */
  readonly host: string
  /** The designated port of that host's daemon; `undefined` is the usual one. */
  readonly daemonPort: number | undefined
  /** From the first `/`, `?` or `#` on, or `''`. */
  readonly path: string
}

/** The parts of a URI that are the application's business. */
export type Rest = Pick<Target, 'userinfo' | 'path'>

const WORD = '[a-z][a-z0-9._+-]{0,62}'
const RANGE = '[^@/:\\\\\\x00-\\x1f\\x7f]{1,128}'
const NAME = `(?:(?<namespace>${WORD}):)?(?<service>${WORD})(?:@(?<version>${RANGE}))?`
const USERINFO = '(?<userinfo>[^\\s/?#@[\\]\\\\\\0]*)@'
const HOST = '\\[(?<ipv6>[^\\]]*)\\]|(?<host>[^\\s/?#@:[\\]\\\\\\0]+)'
const PORT = ':(?<port>\\d{1,5})'

const word = new RegExp(`^${WORD}$`, 'i')
const name = new RegExp(`^${NAME}$`, 'i')
const uri = new RegExp(
  `^${NAME}://(?:${USERINFO})?(?:${HOST})?(?:${PORT})?(?<path>[/?#].*)?$`,
  'is',
)

/** The name of a package with a scope, and what follows it. */
const scoped = /^@([^@:/\\\s\0]+)\/([^@:/\\\s\0]+)(@[^/\\\s\0]*)?$/

/** The longest URI that is read, in characters. */
const MAX_URI = 8_192

const EXPECTED_NAME =
  'a name such as starwars, starwars@1.2.0 or ns:starwars (letters, digits, . _ + -, a letter first, at most 63)'
const EXPECTED_URI =
  'a URI such as starwars://theforce.net or ns:starwars@^1://theforce.net:6664/path'
const EXPECTED_HOST = 'a host such as theforce.net, or an address, after the ://'
const EXPECTED_IPV6 = 'an IPv6 address, such as ::1 or fe80::1%25eth0, in the brackets'
const EXPECTED_PORT = 'a port from 1 to 65535 after the host, of the daemon there'

/** The name that was read last: a program mostly goes to one name again and again. */
let last: { text: string; name: Name } | undefined

/** Reads `[namespace:]service[@version]`; throws `ERR_MONIKER_NAME` on anything else. */
export function parse(text: string): Name {
  if (last?.text === text) return last.name
  const groups = name.exec(text)?.groups
  if (!groups) throw badName(text, expectedFor(text))
  last = { text, name: fromGroups(groups, text) }
  return last.name
}

/** True of the name of a package that has a scope, such as `@acme/web`. A version may follow. */
export function isScoped(text: string): boolean {
  return scoped.test(text)
}

/** The name for a package, such as `acme:web` for `@acme/web`, or `web` without its scope. */
export function ofPackage(text: string, { isScopeKept = true } = {}): string {
  return text.replace(scoped, isScopeKept ? '$1:$2$3' : '$2$3')
}

/** The text on what was expected instead of `text`, which is no name. */
function expectedFor(text: string): string {
  const [one] = [ofPackage(text)].filter(other => other !== text && name.test(other))
  return one ? `a name such as ${one} (${text} is that of a package)` : EXPECTED_NAME
}

/** Writes a name so that `parse` reads it back the same. */
export function format({
  namespace = '',
  service,
  version = '',
}: Partial<Name> & Pick<Name, 'service'>): string {
  return `${namespace && `${namespace}:`}${service}${version && `@${version}`}`
}

/**
 * Reads `[namespace:]service[@range]://[userinfo@][host[:daemon-port]][/path]`; throws
 * `ERR_MONIKER_NAME` on anything else. What may stand in no URI (of a range, a host or a zone) may be
 * percent-encoded; a host in any script is read as its ASCII form. Of a `URL` object with one of the
 * schemes that browsers know (`http://h:80`) the usual port of that scheme is not seen.
 */
export function parseURI(text: string | URL): Target {
  const written = String(text)
  const refuse = (expected: string) => badName(written, expected)
  const groups = written.length <= MAX_URI && uri.exec(written)?.groups
  if (!groups) throw refuse(EXPECTED_URI)
  const { version = '', userinfo = '', ipv6, host = '', port, path = '' } = groups
  const name = fromGroups({ ...groups, version: decoded(version) }, written)
  const address = ipv6 === undefined ? asciiHost(host) : ipv6Host(ipv6)
  if (address === undefined) throw refuse(ipv6 === undefined ? EXPECTED_HOST : EXPECTED_IPV6)
  const daemonPort = port === undefined ? undefined : Number(port)
  if (daemonPort !== undefined && !isPort(daemonPort)) throw refuse(EXPECTED_PORT)
  return { ...name, userinfo, host: address, daemonPort, path }
}

/** Writes a URI so that `parseURI` reads it back the same. */
export function formatURI(target: Partial<Target> & Pick<Target, 'service'>): string {
  const { userinfo = '', host = '', daemonPort, path = '' } = target
  const user = userinfo && `${userinfo}@`
  const shown = host.includes(':') ? `[${host.replace('%', '%25')}]` : host
  const port = daemonPort === undefined ? '' : `:${daemonPort}`
  return `${format(target)}://${user}${shown}${port}${path}`
}

/** True if `text` may stand as a service or a namespace. */
export function isWord(text: unknown): text is string {
  return typeof text === 'string' && word.test(text)
}

function fromGroups(groups: Record<string, string | undefined>, text: string): Name {
  const { namespace = '', service = '', version = '' } = groups
  if (!isRange(version)) {
    throw badName(text, 'a version such as 1.2.0 or a range such as ^1 after the @')
  }
  return { namespace: namespace.toLowerCase(), service: service.toLowerCase(), version }
}

/** `text` as what its percent-encoding stands for; as it is, if that is none. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function asciiHost(host: string): string | undefined {
  const ascii = domainToASCII(host)
  return (ascii !== '' || host === '') && ascii.length <= 255 ? ascii : undefined
}

/** The case of a zone matters: it is the name of an interface. */
function ipv6Host(text: string): string | undefined {
  const [address = '', ...zone] = decoded(text).split('%')
  const host = [address.toLowerCase(), ...zone].join('%')
  return isIPv6(host) ? host : undefined
}

function isPort(port: number): boolean {
  return port > 0 && port < 65_536
}
