import { Buffer } from 'node:buffer'
import net from 'node:net'
import type { Duplex } from 'node:stream'
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
function abandonHandle(handle: Handle): void {
  setOwner(handle, { destroyed: true })
  handle.close()
}

/** Has Node tell `owner` of the events of a handle, in place of the socket that it was made for. */
function setOwner(handle: Handle, owner: object): void {
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

/**
 * Gives a socket that `net` takes for a connecting one a connection that was made elsewhere: `made` is a `net.Socket`
 * or a `tls.TLSSocket`, of which it takes the handle, or any other stream of bytes. The bytes that were written
 * meanwhile are sent, and the program is told that it is connected.
 */
export function attach(socket: net.Socket, made: Duplex): void {
  const placeholder = handleOf(socket)!
  const isRef = placeholder.hasRef()
  abandonHandle(placeholder)
  const early = made.read() as Buffer | null
  const isEnded = endedIn(made)
  if (made instanceof net.Socket && handleOf(made)) moveHandle(made, socket)
  else bridge(made, socket)
  if (!isRef) socket.unref()
  Object.assign(socket, { connecting: false })
  socket.emit('connect')
  socket.emit('ready')
  if (early) socket.push(early)
  if (isEnded) socket.push(null)
  if (!socket.isPaused()) socket.read(0)
}

/** True of what `attach` can give a socket: a stream of bytes, be it of the package `readable-stream`. */
export function isAttachable(made: Partial<Duplex> | undefined): boolean {
  const isStream = typeof made?.read === 'function' && typeof made.write === 'function'
  return isStream && '_readableState' in made
}

/** True if the end of a stream has come, be it that nobody has read it. */
function endedIn(stream: Duplex): boolean {
  return (stream as unknown as { _readableState: { ended: boolean } })._readableState.ended
}

function moveHandle(from: net.Socket, to: net.Socket): void {
  const handle = handleOf(from) as Handle & Partial<Native>
  Object.assign(from.setTimeout(0), { _handle: null })
  // An error of what TLS goes over is told to its own socket.
  from.on('error', error => to.destroy(error))
  const { ssl } = from as { ssl?: unknown }
  if (ssl) {
    const onerror = (error: Error) => to.destroy(error)
    Object.assign(handle, { onerror, onhandshakedone: nothing })
    Object.assign(to, { ssl })
  }
  setOwner(handle, to)
  Object.assign(to, { _handle: handle, _sockname: null })
  // Settings that the socket keeps for when it is connected.
  const [buffer, noDelay, keepAlive, delay] = SETTINGS.map(
    setting => Reflect.get(to, symbolIn(to, setting)!) as unknown,
  )
  if (buffer) handle.useUserBuffer?.(buffer as Buffer)
  if (noDelay) handle.setNoDelay?.(true)
  if (keepAlive) handle.setKeepAlive?.(true, delay as number)
}

/** The keys under which `net` keeps settings, by their descriptions; they are internal to Node. */
const SETTINGS = ['kBuffer', 'kSetNoDelay', 'kSetKeepAlive', 'kSetKeepAliveInitialDelay']

/** A handshake in the middle of a connection has nothing to say to the socket. */
function nothing(): void {}

/** A handle of TCP, or of TLS over it. */
interface Native {
  setNoDelay(on: boolean): void
  setKeepAlive(on: boolean, delay: number): void
  useUserBuffer(buffer: Buffer): void
}

type Done = (error?: Error | null) => void

/** Has `socket`, which has no handle then, read from `made` and write to it, until it is closed. */
function bridge(made: Duplex, socket: net.Socket): void {
  const own = {
    _read: () => void made.resume(),
    _writeGeneric(isMany: boolean, data: unknown, encoding: BufferEncoding, done: Done) {
      const chunks = isMany ? (data as Piece[]) : [{ chunk: data, encoding }]
      const last = chunks.length - 1
      made.cork()
      chunks.forEach(({ chunk, encoding }, at) =>
        made.write(chunk, encoding, at === last ? done : undefined),
      )
      made.uncork()
    },
    _final: (done: Done) => void made.end(done),
  }
  Object.assign(socket, own, { _handle: null })
  const pending = { get: () => socket.connecting, configurable: true }
  Object.defineProperty(socket, 'pending', pending)
  made
    .on('data', chunk => socket.push(chunk) || made.pause())
    .on('end', () => socket.push(null))
    .on('error', error => socket.destroy(error))
    .on('close', () => made.readableEnded || socket.destroy())
    .pause()
  socket.once('close', () => {
    made.destroy()
    for (const key of [...Object.keys(own), 'pending']) Reflect.deleteProperty(socket, key)
  })
}

interface Piece {
  readonly chunk: unknown
  readonly encoding: BufferEncoding
}
