import net from 'node:net'
import { undisguise } from './unix.ts'

/** What of a handle matters here; the type is internal to Node. */
export interface Handle {
  close(): void
  hasRef(): boolean
}

/** As `net` connects, whatever class `socket` is of. */
export function dial(socket: net.Socket, options: object, callback?: () => void): void {
  Reflect.apply(net.Socket.prototype.connect, socket, [options, callback])
}

/** The handle of a socket, while it has one. */
export function handleOf(socket: net.Socket): Handle | null {
  return Reflect.get(socket, '_handle') as Handle | null
}

/**
 * Has `connect` make another handle. With it comes the state of a new stream, which this one is not: an
 * `end()` that was called before would be forgotten. If the old one is connected, its server hears an
 * end, and has a second for its own.
 */
export function exchange(socket: net.Socket, connect: () => void, isConnected = false): void {
  const handle = handleOf(socket)!
  const isRef = handle.hasRef()
  if (isConnected) part(handle)
  else drop(handle)
  undisguise(socket)
  Object.assign(socket, { _handle: null, _undestroy: kept })
  try {
    connect()
  } finally {
    // To delete it would make a slow object of the socket.
    Reflect.set(socket, '_undestroy', Reflect.get(net.Socket.prototype, '_undestroy'))
  }
  if (!isRef) socket.unref()
}

/** Whether somebody, as TLS does, has made the handle of `socket` part of another. */
export function isWrapped(socket: net.Socket): boolean {
  const reading = Object.getOwnPropertyDescriptor(handleOf(socket)!, 'reading')
  return reading?.get !== undefined
}

function kept(): void {}

/**
 * Ends a connection that has not been made. What Node has to say of it later, be it that the next one
 * is made by then, is for nobody.
 */
function drop(handle: Handle): void {
  const owner = Object.getOwnPropertySymbols(handle).find(isOwner)!
  Reflect.set(handle, owner, { destroyed: true })
  handle.close()
}

/** Where a handle says whose it is; the symbol is internal to Node. */
function isOwner({ description }: symbol): boolean {
  return description === 'owner_symbol'
}

/** How long a server that was called by mistake has for its farewell, in ms. */
const FAREWELL = 1_000

/**
 * Ends a connection as who has nothing to say. What the server has said meanwhile is read: unread, it would
 * have the connection reset, which ends a server that does not expect it.
 */
function part(handle: Handle): void {
  const socket = new net.Socket({ handle } as object)
  socket
    .on('error', () => {})
    .unref()
    .resume()
    .end()
  setTimeout(() => socket.destroy(), FAREWELL).unref()
}
