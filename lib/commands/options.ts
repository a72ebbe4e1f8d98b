import { Argument, InvalidArgumentError, Option } from 'commander'
import { canonical, isIP, isThisHost } from '../address.ts'
import type { ResolveOptions } from '../resolution.ts'
import { badName } from '../errors.ts'
import { isScoped, ofPackage, parseURI, type Name, type Rest } from '../name.ts'
import { NAMESPACE, defaultNamespace, givenNamespace } from '../namespace.ts'
import { connectCall } from '../options/connect.ts'
import { PORT_RANGE, toPortRange } from '../ports.ts'
import { MAX_WAIT } from '../wire/protocol.ts'
import { tell } from './terminal.ts'

/** A host on the command line, and the designated port of its daemon if that is given. */
export interface HostAndPort {
  readonly host: string
  readonly daemonPort?: number
}

/** A name on the command line, and the daemon to ask for it. */
export interface CommandTarget {
  readonly name: Name
  readonly at: Pick<ResolveOptions, 'host' | 'daemonPort' | 'also'>
  /** The user and the path of a URI. */
  readonly rest?: Rest
}

export interface TargetOptions {
  daemonPort?: number | undefined
  /**
   * The namespace of a name that gives none. Default that of the process on this host, and the host's own elsewhere.
   */
  namespace?: string | undefined
}

/** `[host]`, the host to ask; a `HostAndPort`. */
export function hostArgument(): Argument {
  return new Argument(
    '[host]',
    'theforce.net, or theforce.net:6664 (default: this host)',
  ).argParser(toHostAndPort)
}

/**
 * The name that is meant by the name of a package, such as `acme:web` by `@acme/web`: it is `web` where `namespace`, or
 * on this host that of the process, is given. Says so. Any other text stays as it is.
 */
export function meant(text: string, host = '', namespace = ''): string {
  if (!isScoped(text)) return text
  const home = namespace || (isThisHost(host) ? defaultNamespace() : '')
  const name = ofPackage(text, { isScopeKept: home === '' })
  const where = home && `, in the namespace ${home}`
  tell(`${text} is ${name}${where}`)
  return name
}

/** Reads a host, and a port after it; throws what commander shows as wrong usage. */
export function toHostAndPort(text: string): HostAndPort {
  if (isIP(text)) return { host: text }
  try {
    const { host, daemonPort, path, userinfo } = parseURI(`any://${text}`)
    // A number is an address in a URI; here it is a port in the wrong position.
    const isHost = host && !path && !userinfo && !/^\d+$/.test(text)
    if (isHost) return { host, ...(daemonPort && { daemonPort }) }
  } catch {
    // The message below says what is expected.
  }
  throw new InvalidArgumentError(
    'Expected a host such as theforce.net, theforce.net:6664 or [::1].',
  )
}

/** Reads what `connect` reads, except ports and paths. Throws `ERR_MONIKER_NAME` on those. */
export function targetOf(
  text: string,
  host?: string,
  { daemonPort, namespace = '' }: TargetOptions = {},
): CommandTarget {
  const call = connectCall([meant(text, host, namespace), host])
  if (!call) {
    throw badName(text, 'a name such as starwars or starwars://theforce.net')
  }
  const { name, net, rest } = call
  const { also } = net
  const at = { host: host ?? net.host ?? '', daemonPort: net.daemonPort ?? daemonPort }
  return {
    name: { ...name, namespace: name.namespace || namespace },
    at: { ...at, ...(also && { also }) },
    ...(rest && { rest }),
  }
}

/** Reports the user and the path of a URI, where the command does nothing with them. */
export function tellUnused({ rest: { userinfo, path } = NO_REST }: CommandTarget): void {
  const parts = [userinfo && `user ${userinfo}`, path && `path ${path}`].filter(Boolean)
  if (parts.length > 0) tell(`not used: ${parts.join(', ')}; they are for the program`)
}

/** The rest of what is no URI. */
export const NO_REST: Rest = { userinfo: '', path: '' }

/** `--daemon-port`, the designated port of the daemon to ask. */
export function daemonPortOption(): Option {
  return new Option('--daemon-port <number>', 'the designated port of the daemon')
    .env('MONIKER_PORT')
    .argParser(toPort)
}

/** `--policy`, the file of rules on publishing, resolving, listing and connecting. */
export function policyOption(): Option {
  return new Option(
    '--policy <file>',
    'the file that says who may do what; see `moniker policy check --help`',
  ).env('MONIKER_POLICY')
}

/** `--json`, output for programs. */
export function jsonOption(): Option {
  return new Option('--json', 'as JSON, for programs')
}

/** `--names`, the names without a dot by which a gateway goes, whoever holds them. */
export function namesOption(): Option {
  return new Option('--names <list>', 'names without a dot that go by name, whoever holds them')
    .env('MONIKER_NAMES')
    .argParser(toList)
}

/** `--ask`, by which a gateway asks the daemons of other hosts for what has a usual port. */
export function askOption(): Option {
  const about = 'ask the daemons of other hosts for http and the like, before their usual ports'
  return new Option('--ask', about)
}

/** `--metadata`, a description that clients get with the address. */
export function metadataOption(): Option {
  const about = 'a description for clients, such as scheme=http or path=/api; may be repeated'
  return new Option('--metadata <name=value>', about).argParser(toMetadata)
}

/** `--shared`, for a name that several programs hold. */
export function sharedOption(): Option {
  return new Option(
    '--shared',
    'share the name with other programs that say --shared; clients take turns',
  )
}

/** Reads `name=value`, beside those that came before; throws what commander shows as wrong usage. */
export function toMetadata(
  text: string,
  before: Record<string, string> = {},
): Record<string, string> {
  const [, name, value] = /^([^=]+)=(.*)$/s.exec(text) ?? []
  if (name === undefined) throw new InvalidArgumentError('Expected name=value.')
  return { ...before, [name]: value! }
}

/** `--wait`, the longest wait for a name that is not registered yet, in ms. */
export function waitOption(): Option {
  return new Option(
    '--wait <time>',
    'how long to wait for a name that is not registered yet, such as 90s or 5m',
  ).argParser(toDuration)
}

/** `--namespace`, the namespace of names that give none. */
export function namespaceOption(): Option {
  const about =
    'for names that give none: a word, auto (the git work tree) or auto:branch (its branch) (default: MONIKER_NAMESPACE)'
  return new Option('--namespace <name>', about).argParser(toNamespace)
}

/** Reads a namespace as `MONIKER_NAMESPACE` is read. */
export function toNamespace(text: string): string {
  const namespace = givenNamespace(text)
  if (namespace !== undefined) return namespace
  throw new InvalidArgumentError(`Expected ${NAMESPACE}.`)
}

/** `--ports`, the range of ports to choose from. */
export function portsOption(): Option {
  const about = 'the range that a port is chosen from, such as 20000-20999 (default: MONIKER_PORTS)'
  return new Option('--ports <range>', about).argParser(toPorts)
}

/** Reads a range of ports; throws what commander shows as wrong usage. */
export function toPorts(text: string): string {
  if (toPortRange(text)) return text
  throw new InvalidArgumentError(`Expected ${PORT_RANGE}.`)
}

/** Makes `ports`, if given, the range of this process and of those it starts. */
export function usePorts(ports: string | undefined): void {
  if (ports !== undefined) process.env.MONIKER_PORTS = ports
}

/** Makes `namespace`, if given, that of names that give none, in this process and in those it starts. */
export function useNamespace(namespace: string | undefined): void {
  if (namespace !== undefined) process.env.MONIKER_NAMESPACE = namespace
}

/** Reads a duration such as `500ms`, `30s`, `5m` or `1h`, or seconds; in ms, at most an hour. */
export function toDuration(text: string): number {
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text) ?? []
  const ms = Math.round(Number(number) * UNITS[unit as keyof typeof UNITS])
  if (ms <= MAX_WAIT) return ms
  throw new InvalidArgumentError('Expected a time such as 500ms, 30s or 5m, at most 1h.')
}

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** Reads a port; throws what commander shows as wrong usage. */
export function toPort(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new InvalidArgumentError('Expected a port from 1 to 65535.')
}

/** Reads a number of things; throws what commander shows as wrong usage. */
export function toCount(text: string): number {
  const count = Number(text)
  if (Number.isSafeInteger(count) && count > 0) return count
  throw new InvalidArgumentError('Expected a whole number from 1.')
}

/** Reads an IP address; throws what commander shows as wrong usage. */
export function toAddress(text: string): string {
  const address = canonical(text)
  if (address !== undefined) return address
  throw new InvalidArgumentError('Expected an IP address.')
}

/** True if `text` may be the scheme of a URL. */
export function isScheme(text: unknown): text is string {
  return typeof text === 'string' && /^[a-z][a-z0-9+.-]{0,62}$/i.test(text)
}

/** Reads a list with commas, beside those that came before. */
export function toList(text: string, before: string[] = []): string[] {
  return [...before, ...text.split(',')]
}

/** Reads `NAME` or `NAME=value`, beside those that came before; throws what commander shows as wrong usage. */
export function toVariables(text: string, before: [string, string][] = []): [string, string][] {
  const [, name, value = '{port}'] = /^([a-z_]\w*)(?:=(.*))?$/is.exec(text) ?? []
  if (name === undefined) throw new InvalidArgumentError('Expected NAME or NAME=value.')
  return [...before, [name, value]]
}
