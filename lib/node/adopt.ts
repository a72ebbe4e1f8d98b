import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { disguise } from './disguise.ts'

/**
 * A server whose connections are those of `outer` in every respect: it treats each by the options that `outer` has at
 * that time, and hands it over. `outer` is bound already.
 */
export function serverBeside(outer: Server): Server {
  const at = outer.address() as AddressInfo
  const inner = net.createServer(socket => adopt(socket, inner, outer, at))
  for (const option of CONNECTION_OPTIONS) {
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

/** Makes a connection of `inner` one of `outer`, as if that had accepted it. */
function adopt(socket: Socket, inner: Server, outer: Server, { address, port }: AddressInfo): void {
  const here = { '::': '::ffff:127.0.0.1', '0.0.0.0': '127.0.0.1' }[address] ?? address
  disguise(socket, { address: here, port }, { address: here })
  const [from, to] = [inner, outer] as unknown as [Counted, Counted]
  const { maxConnections } = outer
  const isLimited = typeof maxConnections === 'number' && (maxConnections > 0 || isNoneLimit)
  if (isLimited && to._connections >= maxConnections) {
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
