import { Buffer } from 'node:buffer'
import net from 'node:net'
import { undisguise } from './disguise.ts'

/** What of a handle matters here; the type is internal to Node. */
export interface Handle {
  close(): void
  hasRef(): boolean
  reading: boolean
  readStart(): void
  readStop(): void
}

/** As `net` connects, whatever class `socket` is of. */
export function dial(socket: net.Socket, options: object, callback?: () => void): void {
  Reflect.apply(net.Socket.prototype.connect, socket, [options, callback])
}

/** The same for another handle: a `write` that somebody has given the socket meanwhile stays. */
export function redial(socket: net.Socket, options: object): void {
  const own = Object.getOwnPropertyDescriptor(socket, 'write')
  dial(socket, options)
  if (own) Object.defineProperty(socket, 'write', own)
}

/** The handle of a socket, or a server, while it has one. */
export function handleOf(owner: net.Socket | net.Server): Handle | null {
  return Reflect.get(owner, '_handle') as Handle | null
}

/** Has nothing read of a connection, which nobody has heard of yet, until what is returned is called. */
export function still(socket: net.Socket): () => void {
  const handle = handleOf(socket)
  if (!handle?.reading) return () => {}
  handle.reading = false
  handle.readStop()
  return () => {
    if (handleOf(socket) !== handle) return
    handle.reading = true
    handle.readStart()
  }
}

/** Whom a handle has reached: nobody, be it that it is on its way; somebody in no time; or somebody. */
export type Progress = 'nowhere' | 'connecting' | 'connected'

/**
 * Has `connect` make another handle. With it comes the state of a new stream, which this one is not: an
 * `end()` that was called before would be forgotten. Whoever the old one has reached hears an end.
 */
export function exchange(
  socket: net.Socket,
  connect: () => void,
  progress: Progress = 'nowhere',
): void {
  const handle = handleOf(socket)!
  const isRef = handle.hasRef()
  if (progress === 'nowhere') drop(handle)
  else part(handle, progress)
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

/** Leaves in peace whoever the handle of `socket` has reached; `net` is about to close it, and closes another. */
export function forsake(socket: net.Socket, progress: Progress): void {
  const handle = handleOf(socket)
  if (!handle || progress === 'nowhere') return
  part(handle, progress)
  Reflect.set(socket, '_handle', { bytesRead: 0, bytesWritten: 0, close: setImmediate })
}

/** Whether somebody, as TLS does, has made the handle of `socket` part of another. */
export function isWrapped(socket: net.Socket): boolean {
  const handle = handleOf(socket)
  const reading = handle && Object.getOwnPropertyDescriptor(handle, 'reading')
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

/** Where what it says is read to: a buffer of the program's own is not for it. */
const SINK = { buffer: Buffer.alloc(4_096), callback: () => true }

/**
 * Ends a connection, once it is made, as who has nothing to say. What the server has said meanwhile is read:
 * unread, it would have the connection reset, which ends a server that does not expect it.
 */
function part(handle: Handle, progress: Progress): void {
  const socket = new net.Socket({ handle, manualStart: true, onread: SINK } as object)
  Object.assign(socket, { connecting: progress === 'connecting' })
  socket
    .on('error', () => {})
    .unref()
    .resume()
    .end()
  setTimeout(() => socket.destroy(), FAREWELL).unref()
}
