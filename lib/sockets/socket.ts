import { channel } from 'node:diagnostics_channel'
import net, {
  type NetConnectOpts,
  type SocketConnectOpts,
  type SocketConstructorOpts,
} from 'node:net'
import type { Readable } from 'node:stream'
import {
  connectCall,
  detour,
  isOptions,
  targetIn,
  Call,
  type ConnectNameOptions,
  type TargetOptions,
} from '../options/connect.ts'
import { callable, type CallableClass } from '../node/callable.ts'
import type { Failure } from '../errors.ts'
import { Dial } from './dialer.ts'
import { replaceHandle, isWrapped } from '../node/handle.ts'
import type { Endpoint } from '../wire/protocol.ts'
import type { Moniker } from '../resolution.ts'

export type ConnectOptions = (ConnectNameOptions & Partial<NetConnectOpts>) | NetConnectOpts

/** A name that a socket goes to whatever `connect` says, beside every option of `net.Socket`. */
export type SocketOptions = {
  [K in keyof ConnectNameOptions]?: ConnectNameOptions[K] | undefined
} & SocketConstructorOpts

/**
 * The options that `net` sets in its copy of those of a socket. In Node 20 each key that is not there yet takes
 * microseconds, together a tenth of a connection on one host.
 */
const OWN = { allowHalfOpen: false, emitClose: false, autoDestroy: true, decodeStrings: false }

/** The channel on which `net` tells of each socket that is to connect; before Node 22, `net.connect` alone does. */
const created = channel('net.client.socket')
const isTold = Number.parseInt(process.versions.node, 10) >= 22

/** The key under which a socket has its dial: a field of the class would not be there without `new`. */
const kDial = Symbol('dial')

/** The sockets that were made for a name. */
const targets = new WeakMap<net.Socket, ConnectNameOptions>()

/**
 * A `net.Socket` whose `connect` takes a name where it takes a port. From that call on it is a
 * connecting socket: what is written waits, and `end`, `destroy`, `setTimeout`, `ref` and the like
 * work as they do while `net` looks a host up. Emits `'resolve'` with the endpoint, once, before
 * `'connect'`. Errors have the codes of `net`, and `reason`, `service` and `host`; see `MonikerError`.
 *
 * One made with a `service` goes there whatever port or path `connect` is told, as a driver tells
 * the socket it was handed; the host is that of the options, else that of `connect`.
 */
// oxlint-disable-next-line no-unsafe-declaration-merging -- both members exist; only their types are widened
class MonikerSocket extends net.Socket {
  /** The name that this socket has gone to; `undefined` until it is resolved, or if it went to a port. */
  declare moniker: Moniker | undefined
  declare [kDial]: Dial | undefined

  constructor(options?: SocketOptions) {
    super(options)
    if (options?.service !== undefined) aim(this, options)
  }

  override connect(target: string | URL, listener?: () => void): this
  override connect(target: string | URL, options: TargetOptions, listener?: () => void): this
  override connect(target: string, host: string, listener?: () => void): this
  override connect(
    target: string,
    host: string,
    options: TargetOptions,
    listener?: () => void,
  ): this
  override connect(port: number, host: string, listener?: () => void): this
  override connect(port: number, listener?: () => void): this
  // The last overload is the one that the compiler's messages are about.
  override connect(
    options: (ConnectNameOptions & Partial<SocketConnectOpts>) | SocketConnectOpts,
    listener?: () => void,
  ): this
  override connect(...args: unknown[]): this {
    const target = targets.get(this)
    const { 0: first } = args
    const call =
      first instanceof Call ? first : (connectCall(args) ?? (target && detour(target, args)))
    const dial = this[kDial]
    const isUnderWay = dial?.isUnderWay && !isWrapped(this)
    dial?.abandon()
    this.moniker = undefined
    if (isUnderWay) replaceHandle(this, () => go(this, call, args), dial.progress)
    else go(this, call, args)
    return this
  }

  override emit(event: string | symbol, ...args: unknown[]): boolean {
    const isNews = event === 'connect' || event === 'ready'
    if (isNews && this[kDial]?.suppresses(event)) return false
    if (event === 'connectionAttempt' && this[kDial]?.delays(args)) return false
    return super.emit(event as string, ...args)
  }

  override ref(): this {
    this[kDial]?.keepAlive(true)
    return super.ref()
  }

  override unref(): this {
    this[kDial]?.keepAlive(false)
    return super.unref()
  }

  override destroy(error?: Error): this {
    if (error && this[kDial]?.recoversFrom(error)) return this
    return super.destroy(error)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this[kDial]?.closePolitely()
    this[kDial] = undefined
    super._destroy(error, callback)
  }
}

function aim(socket: net.Socket, options: SocketOptions | undefined): void {
  const target = targetIn(options)
  if (target) targets.set(socket, target)
}

function go(socket: MonikerSocket, call: Call | undefined, args: readonly unknown[]): void {
  socket[kDial] = call && new Dial(socket, call)
  if (call) socket[kDial]!.start()
  else Reflect.apply(net.Socket.prototype.connect, socket, args)
}

/** The events of a socket, as the types of every supported Node know them, and ours among them. */
interface SocketEvents {
  close: [hadError: boolean]
  connect: []
  connectionAttempt: [address: string, port: number, family: number]
  connectionAttemptFailed: [address: string, port: number, family: number, error: Error]
  connectionAttemptTimeout: [address: string, port: number, family: number]
  data: [data: Buffer]
  drain: []
  end: []
  error: [error: Failure]
  finish: []
  lookup: [error: Error | null, address: string, family: number | null, host: string]
  pause: []
  pipe: [source: Readable]
  readable: []
  ready: []
  resolve: [endpoint: Endpoint]
  resume: []
  timeout: []
  unpipe: [source: Readable]
}

// oxlint-disable-next-line no-unsafe-declaration-merging
interface MonikerSocket {
  on<E extends keyof SocketEvents>(event: E, listener: Listener<E>): this
  on(event: string | symbol, listener: AnyListener): this
  once<E extends keyof SocketEvents>(event: E, listener: Listener<E>): this
  once(event: string | symbol, listener: AnyListener): this
}

type Listener<E extends keyof SocketEvents> = (...args: SocketEvents[E]) => void
// oxlint-disable-next-line no-explicit-any -- as those of `net` have it
type AnyListener = (...args: any[]) => void

const Callable: CallableClass<typeof MonikerSocket> = callable(MonikerSocket, (self, [options]) => {
  net.Socket.call(self, options)
  aim(self, options)
})
type Callable = MonikerSocket
export { Callable as MonikerSocket, MonikerSocket as SocketClass }

/** A socket on its way to a name, or to anything that `net.connect` takes. */
export function connect(target: string | URL, listener?: () => void): MonikerSocket
export function connect(
  target: string | URL,
  options: TargetOptions,
  listener?: () => void,
): MonikerSocket
export function connect(target: string, host: string, listener?: () => void): MonikerSocket
export function connect(
  target: string,
  host: string,
  options: TargetOptions,
  listener?: () => void,
): MonikerSocket
export function connect(port: number, host: string, listener?: () => void): MonikerSocket
export function connect(port: number, listener?: () => void): MonikerSocket
export function connect(options: ConnectOptions, listener?: () => void): MonikerSocket
export function connect(...args: unknown[]): MonikerSocket {
  const call = connectCall(args)
  return call ? connectTo(call) : begin(isOptions(args[0]) ? args[0] : {}, args)
}

/** A socket on its way to where a call by name leads. */
export function connectTo(call: Call): MonikerSocket {
  return begin(call.net, [call])
}

function begin(options: object, args: readonly unknown[]): MonikerSocket {
  // The name is for this time; a later `connect` of the socket says where that one goes.
  const socket = new MonikerSocket(Object.assign({}, OWN, options, { service: undefined }))
  if (!isTold && created.hasSubscribers) created.publish({ socket })
  const { timeout } = options as { timeout?: number }
  if (timeout) socket.setTimeout(timeout)
  return Reflect.apply(socket.connect, socket, args) as MonikerSocket
}
