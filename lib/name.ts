import { isIPv6 } from 'node:net'
import semver from 'semver'
import { MonikerError } from './errors.ts'

/** A service, the namespace it lives in, and a version: exact for a server, a range for a client. */
export interface Name {
  /** `''` is the host's own namespace. */
  readonly namespace: string
  readonly service: string
  /** As written; `''` means 0.0.0 to a server and any version to a client. */
  readonly version: string
}

/** A name, where to ask for it, and a path that is the application's business. */
export interface Target extends Name {
  /** `''` is this host. An IPv6 address stands without brackets. */
  readonly host: string
  /** The designated port of that host's daemon; `undefined` is the usual one. */
  readonly daemonPort: number | undefined
  /** From the first `/`, `?` or `#` on, or `''`. */
  readonly path: string
}

const WORD = '[a-z][a-z0-9._+-]{0,62}'
const RANGE = '[^@/:\\\\\\x00-\\x1f\\x7f]{1,128}'
const NAME = `(?:(?<namespace>${WORD}):)?(?<service>${WORD})(?:@(?<version>${RANGE}))?`
const HOST = '\\[(?<ipv6>[0-9a-f:.%_a-z]{2,100})\\]|(?<host>[^\\s/?#@:[\\]\\\\\\0]{1,255})'

const word = new RegExp(`^${WORD}$`, 'i')
const name = new RegExp(`^${NAME}$`, 'i')
const uri = new RegExp(`^${NAME}://(?:(?:${HOST})?(?::(?<port>\\d{1,5}))?)(?<path>[/?#].*)?$`, 'is')

const EXPECTED_NAME =
  'a name such as starwars, starwars@1.2.0 or ns:starwars (letters, digits, . _ + -, a letter first, at most 63)'
const EXPECTED_URI =
  'a URI such as starwars://theforce.net or ns:starwars@^1://theforce.net:6664/path'

/** Reads `[namespace:]service[@version]`; throws `ERR_MONIKER_NAME` on anything else. */
export function parse(text: string): Name {
  const groups = name.exec(text)?.groups
  if (!groups) throw new MonikerError('ENAME', { service: text, text: EXPECTED_NAME })
  return fromGroups(groups, text)
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
 * Reads `[namespace:]service[@range]://[host[:daemon-port]][/path]`; throws `ERR_MONIKER_NAME` on
 * anything else.
 */
export function parseURI(text: string | URL): Target {
  const written = String(text)
  const groups = uri.exec(written)?.groups
  const host = groups?.ipv6 ?? groups?.host?.toLowerCase() ?? ''
  const daemonPort = groups?.port === undefined ? undefined : Number(groups.port)
  const bad = groups?.ipv6 !== undefined && !isIPv6(groups.ipv6)
  if (!groups || bad || (daemonPort !== undefined && !isPort(daemonPort))) {
    throw new MonikerError('ENAME', { service: written, text: EXPECTED_URI })
  }
  return { ...fromGroups(groups, written), host, daemonPort, path: groups.path ?? '' }
}

/** Writes a URI so that `parseURI` reads it back the same. */
export function formatURI(target: Partial<Target> & Pick<Target, 'service'>): string {
  const { host = '', daemonPort, path = '' } = target
  const shown = host.includes(':') ? `[${host}]` : host
  return `${format(target)}://${shown}${daemonPort === undefined ? '' : `:${daemonPort}`}${path}`
}

/** Whether `text` may stand as a service or a namespace. */
export function isWord(text: unknown): text is string {
  return typeof text === 'string' && word.test(text)
}

/** The exact version a server registers: `''` is `0.0.0`; throws `ERR_MONIKER_NAME` on a range. */
export function exactVersion(version: string): string {
  const exact = version === '' ? '0.0.0' : semver.valid(version)
  if (exact) return exact
  const text = 'a server to give an exact version such as 1.2.0'
  throw new MonikerError('ENAME', { service: version, text })
}

/** Whether `text` is a version range (or nothing, which is any version). */
export function isRange(text: unknown): text is string {
  return (
    typeof text === 'string' &&
    text.length <= 128 &&
    (text === '' || semver.validRange(text) !== null)
  )
}

function fromGroups(groups: Record<string, string | undefined>, text: string): Name {
  const { namespace = '', service = '', version = '' } = groups
  if (!isRange(version)) {
    throw new MonikerError('ENAME', {
      service: text,
      text: 'a version such as 1.2.0 or a range such as ^1 after the @',
    })
  }
  return { namespace: namespace.toLowerCase(), service: service.toLowerCase(), version }
}

function isPort(port: number): boolean {
  return port > 0 && port < 65_536
}
