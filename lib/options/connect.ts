import type { LookupFunction, SocketConnectOpts } from 'node:net'
import { isLoopback, isThisHost } from '../address.ts'
import {
  bad,
  callbackIn,
  checkPort,
  checkTransports,
  hasService,
  homed,
  isName,
  isURI,
  nameIn,
  pick,
} from './check.ts'
import type { Select } from '../resolution.ts'
import { FALLBACKS, type Fallback } from '../directories/directories.ts'
import { isWord, parse, parseURI, type Name } from '../name.ts'
import { MAX_ALSO, MAX_WAIT, type Road } from '../wire/protocol.ts'
import type { Resolving } from '../client/resolver.ts'

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
  resolver?: Resolving | undefined
  timeout?: number | undefined
  signal?: AbortSignal | undefined
  lookup?: LookupFunction | undefined
  family?: number | undefined
  hints?: number | undefined
}

/** A call to go to a name, normalised. */
export interface ConnectCall {
  readonly name: Name
  readonly options: ConnectNameOptions
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

/** On this host a name that gives no namespace is looked for in this process's own first. */
export function placed<O extends Pick<Partial<ConnectNameOptions>, 'host' | 'namespace' | 'also'>>(
  name: Name,
  options: O,
): { name: Name; options: O } {
  const { host = '', namespace } = options
  const isHere = isThisHost(host) || isLoopback(host)
  const here = isHere && namespace === undefined ? homed(name) : name
  if (here.namespace === name.namespace) return { name, options }
  return { name: here, options: { also: [''], ...options } }
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
