import { isIP } from 'node:net'
import { Argument, InvalidArgumentError, Option } from 'commander'
import { parseURI } from '../name.ts'
import { NAMESPACE, givenNamespace } from '../namespace.ts'
import { MAX_WAIT } from '../wire/protocol.ts'

/** A host on the command line, and the designated port of its daemon, if it is told. */
export interface Place {
  readonly host: string
  readonly daemonPort?: number
}

/** `[host]`, the host that is meant; a `Place`. */
export function hostArgument(): Argument {
  return new Argument(
    '[host]',
    'theforce.net, or theforce.net:6664 (default: this host)',
  ).argParser(toPlace)
}

/** Reads a host, and a port after it; throws what commander shows as wrong usage. */
export function toPlace(text: string): Place {
  if (isIP(text)) return { host: text }
  try {
    const { host, daemonPort, path, userinfo } = parseURI(`any://${text}`)
    // A number is an address to a URI; here it is a port that has gone astray.
    const isHost = host && !path && !userinfo && !/^\d+$/.test(text)
    if (isHost) return { host, ...(daemonPort && { daemonPort }) }
  } catch {
    // What it is not is all there is to say.
  }
  throw new InvalidArgumentError(
    'Expected a host such as theforce.net, theforce.net:6664 or [::1].',
  )
}

/** `--daemon-port`, the designated port of the daemon that is meant. */
export function daemonPortOption(): Option {
  return new Option('--daemon-port <number>', 'the designated port of the daemon')
    .env('MONIKER_PORT')
    .argParser(toPort)
}

/** `--policy`, the file that says who may publish, resolve and list what. */
export function policyOption(): Option {
  return new Option('--policy <file>', 'who may do what; see `moniker policy check --help`').env(
    'MONIKER_POLICY',
  )
}

export function jsonOption(): Option {
  return new Option('--json', 'as JSON, for programs')
}

/** `--metadata`, what a service says of itself. */
export function metadataOption(): Option {
  const about = 'what is told with where it is, such as scheme=http or path=/api; may be repeated'
  return new Option('--metadata <name=value>', about).argParser(toMetadata)
}

/** `--shared`, for a name that several hold. */
export function sharedOption(): Option {
  return new Option('--shared', 'let others have the name who share it too; clients take turns')
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

/** `--wait`, how long to wait for a name that is not there yet, in ms. */
export function waitOption(): Option {
  return new Option(
    '--wait <time>',
    'how long to wait for what is not there yet, such as 90s or 5m',
  ).argParser(toDuration)
}

/** `--namespace`, that of names which give none. */
export function namespaceOption(): Option {
  const about =
    'that of names which give none: auto is the git work tree, auto:branch its branch (default: MONIKER_NAMESPACE)'
  return new Option('--namespace <name>', about).argParser(toNamespace)
}

/** Reads a namespace as `MONIKER_NAMESPACE` is read. */
export function toNamespace(text: string): string {
  const namespace = givenNamespace(text)
  if (namespace !== undefined) return namespace
  throw new InvalidArgumentError(`Expected ${NAMESPACE}.`)
}

/** Makes `namespace`, if there is one, that of names which give none, here and in what we start. */
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

/** Reads the scheme of a URL; throws what commander shows as wrong usage. */
export function toScheme(text: string): string {
  if (isScheme(text)) return text
  throw new InvalidArgumentError('Expected a scheme such as http.')
}

/** Whether `text` may be the scheme of a URL. */
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
