import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { disguise, discount } from './disguise.ts'
import { HEADING, readHeading } from './heading.ts'
import { pauseReading } from './handle.ts'

/**
 * A server whose connections are those of `outer` in every respect: it treats each by the options that `outer` has at
 * that time, and hands it over. `outer` is bound already.
 */
export function serverBeside(outer: Server): Server {
  const at = outer.address() as AddressInfo
  const inner = net.createServer(socket => {
    if (adopt(socket, inner, outer, at)) tell(socket, outer, at)
  })
  return treatAs(outer, inner, CONNECTION_OPTIONS)
}

/**
 * The same, for connections that begin with a heading. While it has not come they count as others: `outer` has no more
 * than `maxConnections`, and is closed once they are.
 */
export function serverOfHeadings(outer: Server): Server {
  const at = outer.address() as AddressInfo
  const inner = net.createServer(socket => {
    if (!adopt(socket, inner, outer, at)) return
    readHeading(socket, port => {
      if (Reflect.get(outer, 'pauseOnConnect')) stop(socket)
      tell(socket, outer, at, port)
    })
  })
  // The heading of a paused connection could not be read.
  const options = CONNECTION_OPTIONS.filter(option => option !== 'pauseOnConnect')
  return treatAs(outer, inner, options)
}

/** Reads no more of a connection until its program says so, as `pauseOnConnect` has it. */
function stop(socket: Socket): void {
  pauseReading(socket)
  socket.pause()
}

/** Has a server treat its connections by the options that another has at that time. */
function treatAs(outer: Server, inner: Server, options: readonly string[]): Server {
  for (const option of options) {
    Object.defineProperty(inner, option, { get: () => Reflect.get(outer, option) as unknown })
  }
  return inner
}

/** True if a server looks at the address of each connection before its program hears of it. */
export function hasBlockList(server: Server): boolean {
  return Boolean((server as { blockList?: unknown }).blockList)
}

/** Anything with a handle that `listen` of `net` takes: it listens, or may. */
export type Listenable = Server | Socket | { fd: number } | { _handle: object }

/** True if these options of `listen` come with a handle, which has its port already. */
export function isBound(options: object): boolean {
  return 'fd' in options || '_handle' in options
}

/** The options by which `net` treats each connection that a server accepts, read at that time. */
export const CONNECTION_OPTIONS: readonly string[] = [
  'allowHalfOpen',
  'pauseOnConnect',
  'noDelay',
  'keepAlive',
  'keepAliveInitialDelay',
  'highWaterMark',
]

/** True if `maxConnections = 0` means none; to Node 20 it means any number. */
const isNoneLimit = Number.parseInt(process.versions.node, 10) > 20

/** The count that `net` keeps of a server's connections; it is internal to Node. */
interface Counted {
  _connections: number
}

/** Makes a connection of `inner` one of `outer`, as if that had accepted it from a port. False if it has too many. */
function adopt(socket: Socket, inner: Server, outer: Server, at: AddressInfo): boolean {
  const [from, to] = [inner, outer] as unknown as [Counted, Counted]
  const { maxConnections } = outer
  const isLimited = typeof maxConnections === 'number' && (maxConnections > 0 || isNoneLimit)
  if (isLimited && to._connections >= maxConnections) {
    drop(socket, outer, at)
    return false
  }
  from._connections--
  to._connections++
  Object.assign(socket, { server: outer, _server: outer })
  return true
}

function drop(socket: Socket, outer: Server, at: AddressInfo): void {
  dress(socket, at)
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
}

/** Tells the program of a connection, from the port in its heading, if it had one. */
function tell(socket: Socket, outer: Server, at: AddressInfo, port?: number): void {
  dress(socket, at, port)
  if (port !== undefined) discount(socket, HEADING)
  outer.emit('connection', socket)
}

/** Has a connection show the addresses of one over TCP; a port that was not told is made up. */
function dress(socket: Socket, { address, port }: AddressInfo, told?: number): void {
  const here = { '::': '::ffff:127.0.0.1', '0.0.0.0': '127.0.0.1' }[address] ?? address
  disguise(socket, { address: here, port }, { address: here, port: told })
}
