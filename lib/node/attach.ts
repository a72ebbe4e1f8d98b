import type { Buffer } from 'node:buffer'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { abandonHandle, handleOf, setOwner, type Handle } from './handle.ts'
import { symbolIn } from './symbols.ts'

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
