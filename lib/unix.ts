import { randomBytes } from 'node:crypto'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import type { Name } from './name.ts'

/** Whether there are abstract Unix sockets here: they have the reach of the loopback addresses. */
export const hasUnix = process.platform === 'linux'

/** The ports that the connections over Unix sockets show: those that Linux gives out by itself. */
const [FIRST, COUNT] = [32_768, 28_232]
let made = 0

/** A name for an abstract Unix socket that nobody can guess, nor have had before. */
export function newPath(): string {
  return `moniker-${randomBytes(12).toString('hex')}`
}

/**
 * The name that the first server of a service takes for its abstract Unix socket, so that a client may
 * go there while it asks the daemon at `port` whether that is the place. `undefined` where what the
 * service is called does not fit.
 */
export function firstPath(
  { namespace, service }: Pick<Name, 'namespace' | 'service'>,
  port: number,
): string | undefined {
  const path = `moniker-${port}-${namespace}-${service}`
  return /^[a-z0-9-]{1,98}$/.test(path) ? path : undefined
}

/**
 * What Node calls the abstract Unix socket `path`: it is padded by us, as Node 20 pads it with NULs to
 * the whole length of an address and later ones do not.
 */
export function abstract(path: string): string {
  return `\0${path.padEnd(107, '.')}`
}

/** An address that is shown; a port that is left out is made up. */
type Shown = Pick<AddressInfo, 'address'> & Partial<AddressInfo>

/**
 * Has a connection over a Unix socket show the addresses that one over TCP would have, and be ended
 * where that would be reset; `peer` is the other end, and a port that is not known is made up.
 */
export function disguise(socket: Socket, own: Shown, peer: Shown): void {
  const { _handle: handle } = socket as unknown as { _handle: Disguised }
  Object.assign(handle, {
    own: complete(own),
    peer: complete(peer),
    getsockname,
    getpeername,
    reset,
    setNoDelay: taken,
    setKeepAlive: taken,
  })
  Object.assign(socket, { resetAndDestroy })
}

function getsockname(this: Disguised, out: object): number {
  Object.assign(out, this.own)
  return 0
}

function getpeername(this: Disguised, out: object): number {
  Object.assign(out, this.peer)
  return 0
}

function reset(this: Disguised, done: () => void): number {
  this.close(done)
  return 0
}

/** A Unix socket has no such setting; `net` keeps it for the handle that may come next. */
function taken(): number {
  return 0
}

/** Takes back what `disguise` has done to a socket that is going to have another handle. */
export function undisguise(socket: Socket): void {
  if (Object.hasOwn(socket, 'resetAndDestroy')) Reflect.deleteProperty(socket, 'resetAndDestroy')
}

/** As that of `net`, which insists on TCP. */
function resetAndDestroy(this: Socket & { _reset: () => void }): Socket {
  if (this.connecting) this.once('connect', () => this._reset())
  else this._reset()
  return this
}

function complete({ address, port = FIRST + (made++ % COUNT) }: Shown): AddressInfo {
  return { address, port, family: address.includes(':') ? 'IPv6' : 'IPv4' }
}

/** What of a handle matters here; the type is internal to Node. */
interface Disguised {
  own: AddressInfo
  peer: AddressInfo
  close(done: () => void): void
}

/** What `net` keeps of a server, and of what it has accepted. */
interface Inner {
  _connections: number
}

/** An abstract Unix socket beside the port of a server. */
export interface Beside {
  readonly path: string
  /** Takes no more connections. */
  readonly close: () => void
}

/**
 * Opens an abstract Unix socket beside the port of `outer`, whose connections are those of `outer` in
 * every respect. It never keeps the process alive by itself, and is closed by whoever opened it.
 * Its path is `wanted`, if that is nobody's yet, or one that nobody can guess. Resolves to
 * `undefined` where there is none to be had.
 */
export async function openBeside(outer: Server, wanted?: string): Promise<Beside | undefined> {
  return (wanted && (await openAt(wanted, outer))) || openAt(newPath(), outer)
}

async function openAt(path: string, outer: Server): Promise<Beside | undefined> {
  const inner = net.createServer(optionsOf(outer), socket => adopt(socket, inner, outer))
  const ready = new Promise<boolean>(resolve => {
    inner.once('listening', () => resolve(true)).on('error', () => resolve(false))
  })
  inner.listen({ path: abstract(path), exclusive: true }).unref()
  return (await ready) ? { path, close: () => void inner.close() } : undefined
}

/** A server that looks at addresses by itself, before anybody hears of a connection, is left alone. */
export function canOpenBeside(outer: Server): boolean {
  return hasUnix && !(outer as { blockList?: unknown }).blockList
}

function optionsOf(outer: Server): net.ServerOpts {
  const { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, highWaterMark } =
    outer as unknown as net.ServerOpts
  return { allowHalfOpen, pauseOnConnect, noDelay, keepAlive, highWaterMark } as net.ServerOpts
}

/** Makes a connection of `inner` one of `outer`, as if that had accepted it. */
function adopt(socket: Socket, inner: Server, outer: Server): void {
  const listening = outer.address() as AddressInfo | null
  // It has closed this very moment, or gone to another thread.
  if (!listening) return void socket.destroy()
  const { address, port } = listening
  const here = { '::': '::ffff:127.0.0.1', '0.0.0.0': '127.0.0.1' }[address] ?? address
  disguise(socket, { address: here, port }, { address: here })
  const [from, to] = [inner, outer] as unknown as [Inner, Inner]
  const { maxConnections } = outer
  if (typeof maxConnections === 'number' && to._connections >= maxConnections) {
    const { localAddress, localPort, localFamily, remoteAddress, remotePort, remoteFamily } = socket
    socket.destroy()
    outer.emit('drop', {
      localAddress,
      localPort,
      localFamily,
      remoteAddress,
      remotePort,
      remoteFamily,
    })
    return
  }
  from._connections--
  to._connections++
  Object.assign(socket, { server: outer, _server: outer })
  outer.emit('connection', socket)
}
