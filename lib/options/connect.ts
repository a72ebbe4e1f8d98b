import type { NetConnectOpts, SocketConnectOpts } from 'node:net'
import { ANY_HOST, isHere, isThisHost } from '../address.ts'
import { defaultNamespace } from '../namespace.ts'
import { parse, parseURI, type Name, type Rest, type Target } from '../name.ts'
import type { SocketQuestion } from '../resolution.ts'
import type { Route, Transport } from '../transports/transport.ts'
import { namedTransports, usualTransports } from '../transports/transports.ts'
import { callbackIn, hasService, homed, isName, isURI, nameIn } from './check.ts'
import {
  ASKED,
  OPTIONS,
  OWN_WORDS,
  bad,
  checkOptions,
  keysOf,
  pick,
  type AskedKey,
  type OptionsOf,
} from './options.ts'

/** The options by which `connect` goes to a name, beside every option of `net.connect`. */
export type ConnectNameOptions = OptionsOf<'connect'>

/** The options beside a name or a URI: those of `connect` that are not in it, and those of `net.connect`. */
export type TargetOptions = Partial<Omit<ConnectNameOptions, 'service'>> & Partial<NetConnectOpts>

/** A call to go to a name: made once, where `connect` is called, and handed through as it is. */
export class Call implements Route {
  readonly name: Name
  /** The question of a socket. It is frozen, and one object for all calls in a row that ask the same. */
  readonly where: Question
  /** True if it is the daemon of this host that is asked. */
  readonly isThisHost: boolean
  /** The options as the program gave them: those of `net` are among them. */
  readonly net: ConnectNameOptions & Partial<NetConnectOpts>
  /** The transports that it may use, in the order in which they are tried. */
  readonly transports: readonly Transport[]
  readonly callback: (() => void) | undefined
  /** The user and the path of a URI, which are for the program; `undefined` of what is no URI. */
  readonly rest: Rest | undefined

  /** `same` is a call that differs in nothing but its `callback`. */
  constructor({ name, options: net, rest }: Placed, callback?: () => void, same?: Call) {
    this.name = name
    this.net = net
    this.rest = rest
    this.callback = callback
    if (same) {
      this.isThisHost = same.isThisHost
      this.transports = same.transports
      this.where = same.where
    } else {
      this.isThisHost = isThisHost(net.host ?? '')
      const { all, words } = net.transports
        ? namedTransports(net.transports, this)
        : usualTransports(this)
      this.transports = all
      this.where = questionOf(net, words)
    }
  }

  /** The same call with other options. */
  with(options: Partial<ConnectNameOptions & NetConnectOpts>): Call {
    return new Call({ name: this.name, options: { ...this.net, ...options }, rest: this.rest })
  }
}

/**
 * The call that `connect(...args)` is, if it is one by name; `undefined` leaves it to `net`. One difference from `net`:
 * a string that is neither a number nor has a `/`, `\` or NUL in it is a name, not the path of a pipe.
 */
export function connectCall(args: readonly unknown[]): Call | undefined {
  const { 0: first } = args
  const rest = args.length > 1 ? args.slice(1) : NOTHING
  if (typeof first === 'string' && !rest.some(isOptions)) return callTo(first, rest)
  if (isPlain(first)) return callBy(first, rest)
  const place = placeOf(first, rest)
  return place && new Call(place, callbackIn(rest))
}

/** The name and the options in the arguments of a call, if it is one by name. */
function placeOf(first: unknown, rest: readonly unknown[]): Placed | undefined {
  if (first instanceof URL || (typeof first === 'string' && isURI(first))) {
    const { host, daemonPort, path, userinfo, ...name } = parseURI(first)
    return { ...aimed(name, { host, daemonPort }, rest), rest: { userinfo, path } }
  }
  if (typeof first === 'string' && isName(first)) return aimed(parse(first), {}, rest)
  if (!hasService(first)) return undefined
  checkOptions('connect', first)
  const options = first as ConnectNameOptions
  return placed(nameIn(options), options)
}

interface Placed {
  name: Name
  options: ConnectNameOptions
  rest?: Rest | undefined
}

const NOTHING: readonly unknown[] = []

/** The last call to a text: a program mostly goes to one name again and again. */
let last: { text: string; host: unknown; home: string | undefined; call: Call } | undefined

/** The call of a name or a URI, with nothing but a host and a listener beside it. */
function callTo(text: string, rest: readonly unknown[]): Call | undefined {
  const { MONIKER_NAMESPACE: home } = process.env
  const host = typeof rest[0] === 'string' ? rest[0] : undefined
  if (last?.text === text && last.host === host && last.home === home) {
    return rest.length === 0 ? last.call : withListener(last.call, rest)
  }
  const place = placeOf(text, rest)
  if (!place) return undefined
  const call = new Call(place)
  // The namespace `auto` depends on the current directory as well.
  if (!home?.startsWith('auto')) last = { text, host, home, call }
  return withListener(call, rest)
}

/**
 * The last call by options, and a copy of these, which the program may change. `home` is the namespace of this process
 * if the name was put into it.
 */
let lastBy: { given: object; copy: object; home: string | undefined; call: Call } | undefined

/** The call of options, with nothing but a listener beside them. */
function callBy(given: object, rest: readonly unknown[]): Call | undefined {
  if (lastBy && isSame(given, lastBy.copy) && isHome(lastBy.home)) {
    const { call } = lastBy
    // A call has the options that it was given, or a copy of its own.
    if (call.net === given || call.net !== lastBy.given) return withListener(call, rest)
    return new Call(
      { name: call.name, options: given as ConnectNameOptions },
      callbackIn(rest),
      call,
    )
  }
  const place = placeOf(given, rest)
  if (!place) return undefined
  const call = new Call(place)
  // An array may change meanwhile.
  if (!Object.values(given).some(Array.isArray)) {
    const isHomed = call.net !== given || takesHome(call.name, call.net)
    lastBy = { given, copy: { ...given }, home: isHomed ? call.name.namespace : undefined, call }
  }
  return withListener(call, rest)
}

/** True if a name that was put into the namespace `home` of this process is still there. */
function isHome(home: string | undefined): boolean {
  return home === undefined || home === defaultNamespace()
}

function withListener(call: Call, rest: readonly unknown[]): Call {
  const callback = callbackIn(rest)
  if (!callback) return call
  return new Call({ name: call.name, options: call.net, rest: call.rest }, callback, call)
}

type Question = Readonly<SocketQuestion>

/** The last question: the same again is the same object. */
let asked: Question = {}

function questionOf(net: ConnectNameOptions, transports: readonly string[]): Question {
  const filled: Partial<Record<AskedKey, unknown>> = { host: net.host ?? '', transports }
  const valueOf = (key: AskedKey) => filled[key] ?? net[key]
  // An array of the program's own may have changed meanwhile.
  const isSame = (key: AskedKey) =>
    asked[key] === valueOf(key) && (!Array.isArray(asked[key]) || Object.isFrozen(asked[key]))
  if (ASKED.every(isSame)) return asked
  asked = Object.freeze(Object.fromEntries(ASKED.map(key => [key, valueOf(key)])))
  return asked
}

/**
 * The call of a name or a URI, with the host and the options that may follow it. What the target says wins, and the
 * rest fills what it leaves out. Throws `ERR_INVALID_ARG_VALUE` on a second `service`.
 */
function aimed(
  { namespace, service, version }: Name,
  at: Partial<Pick<Target, 'host' | 'daemonPort'>>,
  rest: readonly unknown[],
): Placed {
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

/** True of an object whose properties are all that it is: it inherits none. */
function isPlain(value: unknown): value is object {
  return isOptions(value) && Object.getPrototypeOf(value) === Object.prototype
}

/** True if two objects have the same values. One that is `undefined` is none. */
function isSame(one: object, other: object): boolean {
  return hasAllOf(one as Values, other as Values) && hasAllOf(other as Values, one as Values)
}

type Values = Readonly<Record<string, unknown>>

function hasAllOf(one: Values, other: Values): boolean {
  for (const key in other) if (one[key] !== other[key]) return false
  return true
}

/** True of options, and no other argument of `connect`. */
export function isOptions(arg: unknown): arg is object {
  return typeof arg === 'object' && arg !== null && !(arg instanceof URL)
}

/** The same of what must be a name; throws `ERR_MONIKER_NAME` if it is not. */
export function namedCall(
  target: string | URL | ConnectNameOptions,
  host?: string,
  options?: TargetOptions,
): Call {
  const isNamed = typeof target === 'string' || target instanceof URL
  const args = isNamed ? [target, host, options] : [{ ...target, ...options }]
  const call = connectCall(args)
  if (call) return call
  // A port or a path of `connect` is no name, and the error says so.
  const text = typeof target === 'string' ? target : JSON.stringify(target)
  return new Call({ name: parse(text), options: { service: '' } })
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
 * The call of `connect(...args)` on a socket that was made for `target`: that name, at the host in `args` if `target`
 * has none, whatever the port.
 */
export function detour(target: ConnectNameOptions, args: readonly unknown[]): Call {
  const [first, ...rest] = args
  const given =
    typeof first === 'object' ? first : { host: typeof rest[0] === 'string' ? rest[0] : undefined }
  const { port: _, path: __, ...options } = given as SocketConnectOpts & Record<string, unknown>
  // In a call by port words of ours are ignored, as `net` ignores them.
  for (const word of OWN_WORDS) if (word in options) options[word] = undefined
  return connectCall([{ ...options, ...target }, ...rest])!
}

/** Puts a name of this host that gives no namespace into that of this process, and looks in the host's own next. */
export function placed<O extends Pick<Partial<ConnectNameOptions>, 'host' | 'namespace' | 'also'>>(
  name: Name,
  options: O,
): { name: Name; options: O } {
  const here = takesHome(name, options) ? homed(name) : name
  if (here.namespace === name.namespace) return { name, options }
  return { name: here, options: { also: HOSTS_OWN, ...options } }
}

/** True of a name that is put into the namespace of this process: it is one of this host, and gives none. */
function takesHome(
  { namespace }: Name,
  { host = '', namespace: given }: Pick<Partial<ConnectNameOptions>, 'host' | 'namespace'>,
): boolean {
  return namespace === '' && given === undefined && (isHere(host) || host === ANY_HOST)
}

const HOSTS_OWN: readonly string[] = Object.freeze([''])
