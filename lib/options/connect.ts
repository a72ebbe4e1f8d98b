import type { NetConnectOpts, SocketConnectOpts } from 'node:net'
import { isLoopback, isThisHost } from '../address.ts'
import { parse, parseURI, type Name, type Target } from '../name.ts'
import { callbackIn, hasService, homed, isName, isURI, nameIn } from './check.ts'
import { OPTIONS, OWN_WORDS, bad, checkOptions, keysOf, pick, type OptionsOf } from './options.ts'

/** The options by which `connect` goes to a name, beside every option of `net.connect`. */
export type ConnectNameOptions = OptionsOf<'connect'>

/** The options beside a name or a URI: those of `connect` that are not in it, and those of `net.connect`. */
export type TargetOptions = Partial<Omit<ConnectNameOptions, 'service'>> & Partial<NetConnectOpts>

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
    return { ...aimed(name, { host, daemonPort }, rest), callback }
  }
  if (typeof first === 'string' && isName(first)) {
    return { ...aimed(parse(first), {}, rest), callback }
  }
  if (!hasService(first)) return undefined
  checkOptions('connect', first)
  const options = first as ConnectNameOptions
  return Object.assign(placed(nameIn(options), options), { callback })
}

/**
 * The call of a name or a URI, with the host and the options that may follow it. What the target says wins, and the
 * rest fills what it leaves out. Throws `ERR_INVALID_ARG_VALUE` on a second `service`.
 */
function aimed(
  { namespace, service, version }: Name,
  at: Partial<Pick<Target, 'host' | 'daemonPort'>>,
  rest: readonly unknown[],
): Pick<ConnectCall, 'name' | 'options'> {
  const beside = typeof rest[0] === 'string' ? rest[0] : undefined
  const given: Partial<ConnectNameOptions> | undefined = rest.find(isOptions)
  if (!given) {
    const host = at.host || (beside ?? at.host)
    return placed({ namespace, service, version }, { ...at, service, host })
  }
  if (given.service !== undefined) {
    throw bad('service', 'left out beside a name or a URI', given.service)
  }
  checkOptions('connect', given)
  const options = Object.assign({}, given, {
    service,
    namespace: namespace || given.namespace,
    version: version || given.version,
    host: at.host || beside || given.host,
    daemonPort: at.daemonPort ?? given.daemonPort,
  })
  return placed(nameIn(options), options)
}

/** The options in the arguments of `connect`: its first, or beside a name or a URI, where `net` has none. */
export function optionsIn([first, ...rest]: readonly unknown[]): object | undefined {
  if (isOptions(first)) return first
  const isTarget =
    first instanceof URL || (typeof first === 'string' && (isURI(first) || isName(first)))
  return isTarget ? rest.find(isOptions) : undefined
}

function isOptions(arg: unknown): arg is object {
  return typeof arg === 'object' && arg !== null && !(arg instanceof URL)
}

/** The same of what must be a name; throws `ERR_MONIKER_NAME` if it is not. */
export function namedCall(
  target: string | URL | ConnectNameOptions,
  host?: string,
  options?: TargetOptions,
): ConnectCall {
  const isNamed = typeof target === 'string' || target instanceof URL
  const args = isNamed ? [target, host, options] : [{ ...target, ...options }]
  const call = connectCall(args)
  if (call) return call
  // What is a port or a path to `connect` is no name, and is said to be none.
  return {
    name: parse(typeof target === 'string' ? target : JSON.stringify(target)),
    options: { service: '' },
    callback: undefined,
  }
}

/** The options that a socket which is made for a name keeps: those that `net` has not, and the host. */
const TARGET = keysOf('connect').filter(key => key === 'host' || !('isNets' in OPTIONS[key]))

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
  const given =
    typeof first === 'object' ? first : { host: typeof rest[0] === 'string' ? rest[0] : undefined }
  const { port: _, path: __, ...options } = given as SocketConnectOpts & Record<string, unknown>
  // It is a call by port: words of ours in it are somebody else's, and ignored as `net` ignores them.
  for (const word of OWN_WORDS) if (word in options) options[word] = undefined
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
