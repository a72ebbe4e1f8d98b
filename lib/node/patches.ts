import dgram from 'node:dgram'
import net, { type LookupFunction } from 'node:net'
import { isIP, isIPv6 } from '../address.ts'
import { nextTick } from '../clock.ts'
import { CONNECT_STATES, stateOf } from './datagram.ts'
import { handleOf, redial } from './handle.ts'

// What a program that knows nothing of names calls, in `net` and `dgram`. The methods of the classes are patched, and no
// function of a module: these are what `net.connect`, `tls.connect`, `http`, `https`, `fetch` and all libraries come to,
// whichever way they have imported them.

/** The place of a service. */
export interface Place {
  readonly address: string
  readonly port: number
}

/** The places that a host name leads to, best first; none where it is a host name and no more. Never fails. */
export type Find = (how: {
  readonly transport: 'tcp' | 'udp'
  /** Aborts when nobody wants to know any more. */
  readonly signal?: AbortSignal
}) => Promise<readonly Place[]>

/** The way to find out where a host name leads; `undefined` of one that can only be a host name. */
export type Redirect = (host: string) => Find | undefined

/** The arguments of a call, of which some are known. */
type Args = readonly unknown[]

/**
 * Has sockets that are to connect to a host go where `redirect` says instead, whatever the port. Meanwhile they are what
 * they are while `net` looks a host up, which it does if there is no such place. A program's own `lookup` is its own
 * business, and so is a path.
 */
export function patchSockets(redirect: Redirect): void {
  const { connect } = net.Socket.prototype

  net.Socket.prototype.connect = function (this: net.Socket, ...args: unknown[]): net.Socket {
    const { options, callback } = connectArgs(args)
    const { host, path, lookup } = options
    const find = typeof host === 'string' && !path && !lookup ? redirect(host) : undefined
    const given = find ? [{ ...options, lookup: lookupFor(this, options, find) }, callback] : args
    return Reflect.apply(connect, this, given) as net.Socket
  }
}

interface Options {
  readonly port?: unknown
  readonly host?: unknown
  readonly path?: unknown
  readonly lookup?: unknown
}

/** The options in the arguments of `connect`, which its callers in Node itself hand on as one array. */
function connectArgs(args: Args): { options: Options; callback?: unknown } {
  const [first, second] = args
  if (Array.isArray(first)) return { options: first[0] as Options, callback: first[1] }
  const callback = args.find(arg => typeof arg === 'function')
  if (typeof first === 'object' && first !== null) return { options: first, callback }
  // What is no number is a path.
  return { options: Number(first) >= 0 ? { port: first, host: second } : {}, callback }
}

/** The look-up of a host that may be a name: the socket goes to the place of that, unless there is none. */
function lookupFor(socket: net.Socket, options: Options, find: Find): LookupFunction {
  return (host, how, found) => {
    const handle = handleOf(socket)
    const cancel = new AbortController()
    const onClose = () => cancel.abort()
    socket.once('close', onClose)
    // Destroyed, or sent elsewhere meanwhile.
    const isWanted = () => socket.connecting && handleOf(socket) === handle
    whenFound(find({ transport: 'tcp', signal: cancel.signal }), ([place]) => {
      socket.off('close', onClose)
      if (!isWanted()) return
      if (!place) return process.getBuiltinModule('node:dns').lookup(host, how, found as never)
      const { address, port } = place
      socket.emit('lookup', null, address, isIP(address), host)
      if (isWanted()) redial(socket, { ...options, host: address, port })
    })
  }
}

/** Has datagrams to a host go where `redirect` says instead, whatever the port. */
export function patchDatagrams(redirect: Redirect): void {
  const { connect, send } = dgram.Socket.prototype

  dgram.Socket.prototype.connect = function (this: dgram.Socket, ...args: unknown[]): void {
    const call = (...args: Args) => void Reflect.apply(connect, this, args)
    const [port, host, callback] = args
    const state = stateOf(this)
    const find = redirected(redirect, port, host)
    // What cannot be connected is told so at once, in the words of `dgram`.
    if (!find || !state.handle || state.connectState !== CONNECT_STATES.disconnected)
      return call(...args)
    state.connectState = CONNECT_STATES.connecting
    whenFound(find({ transport: 'udp' }), places => {
      if (!state.handle) return
      state.connectState = CONNECT_STATES.disconnected
      const place = placeFor(this, places)
      call(...(place ? [place.port, place.address] : [port, host]), callback)
    })
  } as typeof connect

  dgram.Socket.prototype.send = function (this: dgram.Socket, ...args: unknown[]): void {
    const call = (...args: Args) => void Reflect.apply(send, this, args)
    const at = hostIn(args)
    const { [at - 1]: port, [at]: host, [at + 1]: callback } = args
    const state = stateOf(this)
    const find = isMessage(args[0]) ? redirected(redirect, port, host) : undefined
    // What cannot be sent is told so at once, in the words of `dgram`.
    if (!find || !state.handle || state.connectState === CONNECT_STATES.connected)
      return call(...args)
    whenFound(find({ transport: 'udp' }), places => {
      // As `dgram` does with what waits for a look-up.
      if (!state.handle) return
      const place = placeFor(this, places)
      const to = place ? [place.port, place.address] : [port, host]
      try {
        call(...args.slice(0, at - 1), ...to, callback)
      } catch (error) {
        if (typeof callback === 'function') callback(error)
        else this.emit('error', error as Error)
      }
    })
  } as typeof send
}

/** Calls `go` with what was found, in a turn of its own: an error that a listener throws is the program's. */
function whenFound(found: ReturnType<Find>, go: (places: readonly Place[]) => void): void {
  void found.then(places => nextTick(go, places))
}

/** The way to find out where datagrams to a host lead, unless `dgram` would refuse such arguments. */
function redirected(redirect: Redirect, port: unknown, host: unknown): Find | undefined {
  return typeof host === 'string' && isPort(port) ? redirect(host) : undefined
}

/** The index of the host among the arguments of `send`, of which the message may be cut out by two numbers. */
function hostIn(args: Args): 2 | 4 {
  return args[4] || (args[3] && typeof args[3] !== 'function') ? 4 : 2
}

/** The first of the places that a socket can send to. One of both families has for each address of IPv4 one of IPv6. */
function placeFor(
  socket: dgram.Socket & { type?: unknown },
  places: readonly Place[],
): Place | undefined {
  if (socket.type === 'udp4') return places.find(({ address }) => !isIPv6(address))
  if (stateOf(socket).ipv6Only) return places.find(({ address }) => isIPv6(address))
  return places.map(({ address, port }) => ({
    address: isIPv6(address) ? address : `::ffff:${address}`,
    port,
  }))[0]
}

function isPort(port: unknown): boolean {
  const isText = typeof port === 'number' || typeof port === 'string'
  return isText && Number.isInteger(Number(port)) && Number(port) > 0 && Number(port) < 65_536
}

function isMessage(message: unknown): boolean {
  return typeof message === 'string' || ArrayBuffer.isView(message) || Array.isArray(message)
}

/** Calls `heard` with each server that listens from now on, until it returns true. */
export function patchListen(heard: (server: net.Server) => boolean): void {
  const { listen } = net.Server.prototype
  let isOver = false
  const onListening = function (this: net.Server): void {
    isOver ||= heard(this)
  }

  net.Server.prototype.listen = function (this: net.Server, ...args: unknown[]): net.Server {
    // Before the listeners of the program; and once, however often it tries.
    if (!isOver) this.off('listening', onListening).prependOnceListener('listening', onListening)
    return Reflect.apply(listen, this, args) as net.Server
  }
}
