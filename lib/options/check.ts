import { MonikerError } from '../errors.ts'
import { isWord, parse, type Name } from '../name.ts'
import { isRange } from '../version.ts'
import { defaultNamespace } from '../namespace.ts'
import { ROADS } from '../wire/protocol.ts'

/** The name in options, in parts or in one. */
export interface NameOptions {
  /** A service, or a whole name such as `ns:starwars@^1`. */
  service: string
  /** Default that in `service`. */
  namespace?: string | undefined
  /** A semver range. Default that in `service`. */
  version?: string | undefined
}

/** Whether `value` is options that have a name in them. */
export function hasService(value: unknown): boolean {
  return (
    typeof value === 'object' && value !== null && 'service' in value && value.service !== undefined
  )
}

/** Whether `text` says where to look for a name, as well. */
export function isURI(text: string): boolean {
  return text.includes('://')
}

/** Whether `text` may be a name: what `net` takes for a port, or for the path of a pipe, it keeps. */
export function isName(text: string): boolean {
  return !(Number(text) >= 0) && !/[/\\\0]/.test(text)
}

/** The name in `options`; throws `ERR_MONIKER_NAME`, or `ERR_INVALID_ARG_VALUE` on a wrong part of it. */
export function nameIn({ service, namespace, version }: NameOptions): Name {
  if (typeof service !== 'string') throw bad('service', 'a string', service)
  const name = parse(service)
  if (namespace === undefined && version === undefined) return name
  const whole = {
    namespace: namespace ?? name.namespace,
    service: name.service,
    version: version ?? name.version,
  }
  if (whole.namespace !== '' && !isWord(whole.namespace))
    throw bad('namespace', 'a word such as reynolds', namespace)
  if (!isRange(whole.version)) throw bad('version', 'a version or a range such as ^1', version)
  whole.namespace = whole.namespace.toLowerCase()
  return whole
}

/** A name that gives no namespace, in that of this process. */
export function homed(name: Name): Name {
  const namespace = name.namespace || defaultNamespace()
  return namespace === name.namespace ? name : { ...name, namespace }
}

/** The listener that ends `args`, if one does. */
export function callbackIn(args: readonly unknown[]): (() => void) | undefined {
  const last = args.at(-1)
  return typeof last === 'function' ? (last as () => void) : undefined
}

/** Those of `keys` that `object` has, and has defined. */
export function pick<T extends object, K extends keyof T>(
  object: T,
  keys: readonly K[],
): { [P in K]?: NonNullable<T[P]> } {
  const entries = keys.map(key => [key, object[key]]).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [P in K]?: NonNullable<T[P]> }
}

/** Throws `ERR_INVALID_ARG_VALUE` on what is not some of the ways to a service. */
export function checkTransports(transports: unknown): void {
  if (transports === undefined) return
  const known: readonly unknown[] = ROADS
  if (
    Array.isArray(transports) &&
    transports.length > 0 &&
    transports.every(one => known.includes(one))
  )
    return
  throw bad('transports', `some of ${ROADS.join(', ')}`, transports)
}

/** Throws `ERR_INVALID_ARG_VALUE` on what is no designated port. */
export function checkPort(port: unknown): void {
  if (port === undefined || (Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536))
    return
  throw bad('daemonPort', 'a port from 1 to 65535', port)
}

/** What is wrong with an option: what was expected of it, and what came. */
export function bad(option: string, expected: string, value: unknown): MonikerError {
  const shown = (JSON.stringify(value) ?? String(value)).slice(0, 80)
  return new MonikerError('EARGUMENT', {
    text: `options.${option} to be ${expected}, got ${shown}`,
  })
}
