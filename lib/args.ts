import type { ListenOptions, LookupFunction, SocketConnectOpts } from 'node:net'
import { isLoopback, isThisHost } from './address.ts'
import type { Select } from './choice.ts'
import { MonikerError } from './errors.ts'
import { exactVersion, isRange, isWord, parse, parseURI, type Name } from './name.ts'
import { FALLBACKS, type Fallback } from './fallback.ts'
import { defaultNamespace } from './namespace.ts'
import {
  MAX_ALSO,
  MAX_GROUP,
  MAX_METADATA,
  MAX_WAIT,
  ROADS,
  type Metadata,
  type Road,
} from './protocol.ts'
import type { Resolver } from './resolver.ts'

/** What `connect` takes to go to a name, beside every option of `net.connect`. */
export interface ConnectNameOptions {
  /** A service, or a whole name such as `ns:starwars@^1`. */
  service: string
  /** Default that in `service`, else `MONIKER_NAMESPACE` on this host, else the host's own. */
  namespace?: string | undefined
  /**
   * Namespaces to look in if there is none in `namespace`, at most 4; `''` is the host's own. Default
   * that one, if the namespace is that of `MONIKER_NAMESPACE`.
   */
  also?: readonly string[] | undefined
  /** A semver range. Default that in `service`, else any. */
  version?: string | undefined
  /** Default this host. */
  host?: string | undefined
  /** The designated port of that host's daemon. Default `MONIKER_PORT`, else 6664. */
  daemonPort?: number | undefined
  /**
   * What will do. Default `['unix', 'tcp']`: to a service on this host the faster road is taken, as
   * long as no particular address is asked for; `['tcp']` is TCP alone.
   */
  transports?: readonly Road[] | undefined
  /**
   * Where to look, in this order, if the host has no daemon: `'srv'`, in the DNS, or `'well-known'`, in
   * this system's table of services. Default nowhere.
   */
  fallback?: readonly Fallback[] | undefined
  /** Says which of several endpoints to go to. Default the first: the least loaded, else whose turn it is. */
  select?: Select | undefined
  /** How long to wait for a name that is not there yet, in ms. Default 0, at most an hour. */
  wait?: number | undefined
  /** Who resolves. Default the process's own resolver. */
  resolver?: Pick<Resolver, 'resolve'> | undefined
  timeout?: number | undefined
  signal?: AbortSignal | undefined
  lookup?: LookupFunction | undefined
  family?: number | undefined
  hints?: number | undefined
}

/** What `listen` takes to be known by a name, beside every option of `net`'s. */
export interface ListenNameOptions extends ListenOptions {
  /** A service, or a whole name such as `ns:starwars@1.2.0`. */
  service: string
  /** Default that in `service`, else `MONIKER_NAMESPACE`, else the host's own. */
  namespace?: string | undefined
  /** An exact version. Default that in `service`, else `0.0.0`. */
  version?: string | undefined
  /**
   * Whether other programs may share the name; all of them must say so. A string is a group, and
   * shares with those who say the same. Default false; between the workers of one cluster, and the
   * worker threads of one process, their own group.
   */
  shared?: boolean | string | undefined
  /**
   * Whether only those peers are let in to whom the daemon has just told the port, so that whoever may
   * not resolve the name cannot find the port by trying either. For servers alone. Default false.
   */
  guarded?: boolean | undefined
  /**
   * Whether to tell how many connections there are, so that of several servers that share the name
   * clients go to the one with the fewest. Default false.
   */
  load?: boolean | undefined
  /** Told with the endpoint; at most 1,024 bytes of JSON. */
  metadata?: Metadata | undefined
  /** The designated port of this host's daemon. Default `MONIKER_PORT`, else 6664. */
  daemonPort?: number | undefined
  /** `['tcp']` makes no abstract Unix socket beside the TCP port. Default `['unix', 'tcp']`. */
  transports?: readonly Road[] | undefined
}

/** A call to go to a name, normalised. */
export interface ConnectCall {
  readonly name: Name
  readonly options: ConnectNameOptions
  readonly callback: (() => void) | undefined
}

/** A call to be known by a name, normalised; `options` are `net`'s. */
export interface ListenCall {
  readonly name: Name
  readonly shared: boolean | string
  readonly guarded: boolean
  readonly metadata: Metadata | undefined
  readonly load: boolean
  readonly daemonPort: number | undefined
  readonly transports: readonly Road[]
  readonly options: ListenOptions
  readonly callback: (() => void) | undefined
}

/**
 * What `connect(...args)` asks for, if it is a name; `undefined` leaves the call to `net`. Where we
 * differ from `net`: a string that is neither a number nor has a `/`, `\` or NUL in it is a name, not
 * the path of a pipe.
 */
export function connectCall(args: readonly unknown[]): ConnectCall | undefined {
  const [first, ...rest] = args
  const callback = callbackIn(rest)
  if (first instanceof URL || (typeof first === 'string' && isURI(first))) {
    const { host, daemonPort, path: _, userinfo: __, ...name } = parseURI(first)
    return { ...placed(name, { service: name.service, host, daemonPort }), callback }
  }
  if (typeof first === 'string' && isName(first)) {
    const name = parse(first)
    const host = typeof rest[0] === 'string' ? rest[0] : undefined
    return { ...placed(name, { service: name.service, host }), callback }
  }
  if (!hasService(first)) return undefined
  const options = first as ConnectNameOptions
  checkTransports(options.transports)
  checkPort(options.daemonPort)
  checkWait(options.wait)
  checkFallback(options.fallback)
  checkSelect(options.select)
  checkAlso(options.also)
  return Object.assign(placed(nameIn(options), options), { callback })
}

/** The same of what must be a name; throws `ERR_MONIKER_NAME` if it is not. */
export function namedCall(target: string | URL | ConnectNameOptions, host?: string): ConnectCall {
  const call = connectCall([target, host])
  if (call) return call
  // What is a port or a path to `connect` is no name, and is said to be none.
  return {
    name: parse(typeof target === 'string' ? target : JSON.stringify(target)),
    options: { service: '' },
    callback: undefined,
  }
}

/** What a socket that is made for a name keeps of its options. */
const TARGET = [
  'service',
  'namespace',
  'also',
  'version',
  'host',
  'daemonPort',
  'transports',
  'fallback',
  'select',
  'wait',
  'resolver',
] as const

/** The name in the options of a socket, if there is one; throws as `connectCall` does. */
export function targetIn(options: unknown): ConnectNameOptions | undefined {
  if (!hasService(options)) return undefined
  const target = pick(options as ConnectNameOptions, TARGET) as ConnectNameOptions
  connectCall([target])
  return target
}

/**
 * What `connect(...args)` asks for on a socket that was made for `target`: that name, at the host
 * in `args` if `target` has none, whatever the port.
 */
export function detour(target: ConnectNameOptions, args: readonly unknown[]): ConnectCall {
  const [first, ...rest] = args
  const {
    port: _,
    path: __,
    ...options
  } = (
    typeof first === 'object' ? first : { host: typeof rest[0] === 'string' ? rest[0] : undefined }
  ) as SocketConnectOpts & Record<string, unknown>
  return connectCall([{ ...options, ...target }, ...rest])!
}

/**
 * What `listen(...args)` asks for, if it is a name; `undefined` leaves the call to `net`. A name with
 * no `port` means any free one. Throws `ERR_MONIKER_NAME` on a version that is not exact.
 */
export function listenCall(args: readonly unknown[]): ListenCall | undefined {
  const [first, ...rest] = args
  const callback = callbackIn(rest)
  if (typeof first === 'string' && (isName(first) || isURI(first))) {
    const backlog = typeof rest[0] === 'number' ? { backlog: rest[0] } : {}
    const options = { port: 0, ...backlog }
    return {
      name: exact(homed(parse(first))),
      shared: false,
      guarded: false,
      metadata: undefined,
      load: false,
      daemonPort: undefined,
      transports: ROADS,
      options,
      callback,
    }
  }
  if (!hasService(first)) return undefined
  const {
    service,
    namespace,
    version,
    shared = false,
    guarded = false,
    metadata,
    load = false,
    daemonPort,
    transports = ROADS,
    ...others
  } = first as ListenNameOptions
  checkPort(daemonPort)
  checkTransports(transports)
  checkMetadata(metadata)
  if (others.path !== undefined)
    throw bad('path', 'left out, as a name goes with a port', others.path)
  checkShared(shared)
  if (typeof load !== 'boolean') throw bad('load', 'true or false', load)
  if (typeof guarded !== 'boolean') throw bad('guarded', 'true or false', guarded)
  const named = nameIn({ service, namespace, version })
  const name = exact(namespace === undefined ? homed(named) : named)
  // What is bound already has its port.
  const options = 'fd' in others || '_handle' in others ? others : { port: 0, ...others }
  return { name, shared, guarded, metadata, load, daemonPort, transports, options, callback }
}

/** Those of `keys` that `object` has, and has defined. */
export function pick<T extends object, K extends keyof T>(
  object: T,
  keys: readonly K[],
): { [P in K]?: NonNullable<T[P]> } {
  const entries = keys.map(key => [key, object[key]]).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [P in K]?: NonNullable<T[P]> }
}

function hasService(value: unknown): boolean {
  return (
    typeof value === 'object' && value !== null && 'service' in value && value.service !== undefined
  )
}

function isURI(text: string): boolean {
  return text.includes('://')
}

/** What `net` takes for a port, or for the path of a pipe, it keeps. */
function isName(text: string): boolean {
  return !(Number(text) >= 0) && !/[/\\\0]/.test(text)
}

function nameIn({
  service,
  namespace,
  version,
}: Pick<ConnectNameOptions, 'service' | 'namespace' | 'version'>): Name {
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

/** On this host a name that gives no namespace is looked for in this process's own first. */
function placed(name: Name, options: ConnectNameOptions): Pick<ConnectCall, 'name' | 'options'> {
  const { host = '', namespace } = options
  const isHere = isThisHost(host) || isLoopback(host)
  const here = isHere && namespace === undefined ? homed(name) : name
  if (here.namespace === name.namespace) return { name, options }
  return { name: here, options: { also: [''], ...options } }
}

/** A name that gives no namespace, in that of this process. */
function homed(name: Name): Name {
  const namespace = name.namespace || defaultNamespace()
  return namespace === name.namespace ? name : { ...name, namespace }
}

function exact(name: Name): Name {
  return { ...name, version: exactVersion(name.version) }
}

function callbackIn(args: readonly unknown[]): (() => void) | undefined {
  const last = args.at(-1)
  return typeof last === 'function' ? (last as () => void) : undefined
}

function checkTransports(transports: unknown): void {
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

function checkPort(port: unknown): void {
  if (port === undefined || (Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536))
    return
  throw bad('daemonPort', 'a port from 1 to 65535', port)
}

function checkWait(wait: unknown): void {
  if (
    wait === undefined ||
    (Number.isFinite(wait) && Number(wait) >= 0 && Number(wait) <= MAX_WAIT)
  )
    return
  throw bad('wait', `a number of ms from 0 to ${MAX_WAIT}`, wait)
}

function checkFallback(fallback: unknown): void {
  if (fallback === undefined) return
  const known: readonly unknown[] = FALLBACKS
  if (Array.isArray(fallback) && fallback.every(one => known.includes(one))) return
  throw bad('fallback', `some of ${FALLBACKS.join(', ')}`, fallback)
}

function checkSelect(select: unknown): void {
  if (select !== undefined && typeof select !== 'function')
    throw bad('select', 'a function', select)
}

function checkAlso(also: unknown): void {
  if (also === undefined) return
  const isNamespace = (one: unknown) => one === '' || isWord(one)
  if (Array.isArray(also) && also.length <= MAX_ALSO && also.every(isNamespace)) return
  throw bad('also', `at most ${MAX_ALSO} namespaces`, also)
}

function checkShared(shared: unknown): void {
  if (typeof shared === 'boolean') return
  if (typeof shared === 'string' && shared.length > 0 && shared.length <= MAX_GROUP) return
  throw bad('shared', `true, false or a group of at most ${MAX_GROUP} characters`, shared)
}

function checkMetadata(metadata: unknown): void {
  if (metadata === undefined) return
  const isObject = typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)
  if (isObject && Buffer.byteLength(JSON.stringify(metadata)) <= MAX_METADATA) return
  throw bad('metadata', `an object of at most ${MAX_METADATA} bytes of JSON`, metadata)
}

function bad(option: string, expected: string, value: unknown): MonikerError {
  const shown = (JSON.stringify(value) ?? String(value)).slice(0, 80)
  return new MonikerError('EARGUMENT', {
    text: `options.${option} to be ${expected}, got ${shown}`,
  })
}
