import { randomBytes } from 'node:crypto'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { disguise } from '../node/disguise.ts'
import type { Name } from '../name.ts'

/** Whether there are abstract Unix sockets here: they have the reach of the loopback addresses. */
export const hasUnix = process.platform === 'linux'

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

/** To Node 20 a server that may have 0 connections may have any number. */
const isNoneLimit = Number.parseInt(process.versions.node, 10) > 20

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
  const at = outer.address() as AddressInfo
  const inner = net.createServer(socket => adopt(socket, inner, outer, at))
  for (const option of OPTIONS) {
    Object.defineProperty(inner, option, { get: () => Reflect.get(outer, option) as unknown })
  }
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

/** What a server does with each connection that it accepts, by what it is told at that time. */
const OPTIONS = [
  'allowHalfOpen',
  'pauseOnConnect',
  'noDelay',
  'keepAlive',
  'keepAliveInitialDelay',
  'highWaterMark',
]

/** Makes a connection of `inner` one of `outer`, as if that had accepted it. */
function adopt(socket: Socket, inner: Server, outer: Server, { address, port }: AddressInfo): void {
  const here = { '::': '::ffff:127.0.0.1', '0.0.0.0': '127.0.0.1' }[address] ?? address
  disguise(socket, { address: here, port }, { address: here })
  const [from, to] = [inner, outer] as unknown as [Inner, Inner]
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
