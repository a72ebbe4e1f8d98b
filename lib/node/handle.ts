import { Buffer } from 'node:buffer'
import net from 'node:net'
import { clearTimeout, setImmediate, setTimeout } from '../clock.ts'
import { undisguise } from './disguise.ts'
import { symbolIn } from './symbols.ts'

/** The part of a handle that is used here; the type is internal to Node. */
export interface Handle {
  close(): void
  hasRef(): boolean
  reading: boolean
  readStart(): void
  readStop(): void
}

/** Connects as `net` does, whatever class `socket` is of. */
export function dial(socket: net.Socket, options: object, callback?: () => void): void {
  Reflect.apply(net.Socket.prototype.connect, socket, [options, callback])
}

/** Connects with another handle. A `write` that a program has given the socket meanwhile stays. */
export function redial(socket: net.Socket, options: object): void {
  const own = Object.getOwnPropertyDescriptor(socket, 'write')
  dial(socket, options)
  if (own) Object.defineProperty(socket, 'write', own)
}

/** Has a socket tell no host in its errors: the one that `net` was given stands for none. */
export function forgetHost(socket: net.Socket): void {
  Reflect.set(socket, '_host', null)
}

/** The handle of a socket, or a server, while it has one. */
export function handleOf(owner: net.Socket | net.Server): Handle | null {
  return Reflect.get(owner, '_handle') as Handle | null
}

/** Reads nothing of a connection until the returned function is called. The program has not been told of it yet. */
export function pauseReading(socket: net.Socket): () => void {
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

/** The way that a handle has come; `'nowhere'` is one that is not on its way. */
export type Progress = 'nowhere' | 'connecting' | 'connected'

/**
 * Gives the socket the handle that `connect` makes. Node renews the state of the stream with it, and would forget an
 * `end()` that was called before: the state stays. A server that the old handle has reached hears an end.
 */
export function replaceHandle(
  socket: net.Socket,
  connect: () => void,
  progress: Progress = 'nowhere',
): void {
  const handle = handleOf(socket)!
  const isRef = handle.hasRef()
  if (progress === 'nowhere') abandonHandle(handle)
  else endPolitely(handle, progress)
  undisguise(socket)
  Object.assign(socket, { _handle: null, _undestroy: keepStreamState })
  const restoreBuffers = keepBuffer(socket)
  try {
    connect()
  } finally {
    restoreBuffers()
    // To delete it would make a slow object of the socket.
    Reflect.set(socket, '_undestroy', Reflect.get(net.Socket.prototype, '_undestroy'))
  }
  if (!isRef) socket.unref()
}

/**
 * Has the next handle read into the buffer that the program has given for the last one by `onread`: `net` asks for one
 * more with each handle. The returned function undoes this.
 */
function keepBuffer(socket: net.Socket): () => void {
  const { buffer, generator } = (bufferKeys ??= bufferKeysIn(socket))
  const generate: unknown = Reflect.get(socket, generator)
  if (!generate || !(Reflect.get(socket, buffer) instanceof Uint8Array)) return () => {}
  Reflect.set(socket, generator, null)
  return () => void Reflect.set(socket, generator, generate)
}

/** The keys of the buffer of `onread`, and of the function that makes one; they are internal to Node. */
let bufferKeys: { buffer: symbol; generator: symbol } | undefined

function bufferKeysIn(socket: net.Socket): { buffer: symbol; generator: symbol } {
  return { buffer: symbolIn(socket, 'kBuffer')!, generator: symbolIn(socket, 'kBufferGen')! }
}

/** Ends the connection of `socket` politely. `net` is about to close its handle, and closes a stand-in instead. */
export function closePolitely(socket: net.Socket, progress: Progress): void {
  const handle = handleOf(socket)
  if (!handle || progress === 'nowhere') return
  endPolitely(handle, progress)
  Reflect.set(socket, '_handle', { bytesRead: 0, bytesWritten: 0, close: setImmediate })
}

/** True if the handle of `socket` is part of another, as TLS makes it. */
export function isWrapped(socket: net.Socket): boolean {
  const handle = handleOf(socket)
  const reading = handle && Object.getOwnPropertyDescriptor(handle, 'reading')
  return reading?.get !== undefined
}

function keepStreamState(): void {}

/**
 * Closes a handle that is not connected. Node's events of it come later, when the next may be connected: none is told.
 */
export function abandonHandle(handle: Handle): void {
  setOwner(handle, { destroyed: true })
  handle.close()
}

/** Has Node tell `owner` of the events of a handle, in place of the socket that it was made for. */
export function setOwner(handle: Handle, owner: object): void {
  Reflect.set(handle, (ownerKey ??= symbolIn(handle, 'owner_symbol')!), owner)
}

/** The key under which all handles have their owner; it is internal to Node. */
let ownerKey: symbol | undefined

/** Milliseconds that a server which was called by mistake has to say what it says. */
const FAREWELL = 1_000

/** Milliseconds that a connection which was given up may still take to be made. */
const LAST_CALL = 10_000

/** The buffer that its words are read into: a buffer of the program's own is not for them. */
const SINK = { buffer: Buffer.alloc(4_096), callback: () => true }

/**
 * Ends a connection, once it is made, as a client with nothing to say does. The words of the server are read: unread,
 * they would have the connection reset, which ends a server that does not expect it. One that is on its way may be
 * connected already, and Node not know it yet. Once it is connected it keeps the process alive, if the handle did: the
 * kernel resets what it closes for a process that has ended.
 */
function endPolitely(handle: Handle, progress: Progress): void {
  const isRef = handle.hasRef()
  const socket = new net.Socket({ handle, manualStart: true, onread: SINK } as object)
  const destroy = () => void socket.destroy()
  const onConnect = () => {
    clearTimeout(timer)
    timer = setTimeout(destroy, FAREWELL).unref()
    if (isRef) socket.ref()
  }
  let timer = setTimeout(destroy, LAST_CALL).unref()
  Object.assign(socket, { connecting: progress === 'connecting' })
  socket
    .on('error', () => {})
    .once('connect', onConnect)
    .once('close', () => clearTimeout(timer))
    .unref()
    .resume()
    .end()
  if (progress === 'connected') onConnect()
}
