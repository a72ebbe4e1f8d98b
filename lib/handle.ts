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

/** How far a handle has come: nowhere, be it that it has failed, or on its way somewhere, or there. */
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
  const isRef = handleOf(socket)!.hasRef()
  forsake(socket, progress)
  undisguise(socket)
  Reflect.set(socket, '_undestroy', kept)
  try {
    connect()
  } finally {
    // To delete it would make a slow object of the socket.
    Reflect.set(socket, '_undestroy', Reflect.get(net.Socket.prototype, '_undestroy'))
  }
  if (!isRef) socket.unref()
}

/** Takes the handle of `socket`, which is done with it, and leaves in peace whoever it has reached, or will. */
export function forsake(socket: net.Socket, progress: Progress): void {
  const handle = handleOf(socket)!
  Reflect.set(socket, '_handle', null)
  if (progress === 'nowhere') handle.close()
  else part(handle, progress === 'connecting')
}

/** Whether somebody, as TLS does, has made the handle of `socket` part of another. */
export function isWrapped(socket: net.Socket): boolean {
  const reading = Object.getOwnPropertyDescriptor(handleOf(socket)!, 'reading')
  return reading?.get !== undefined
}

function kept(): void {}

/** How long a server that was called by mistake has for its farewell, in ms. */
const FAREWELL = 1_000

/**
 * Ends a connection, once it is made, as who has nothing to say. What the server has said meanwhile is read:
 * unread, it would have the connection reset, which ends a server that does not expect it.
 */
function part(handle: Handle, isConnecting: boolean): void {
  const socket = new net.Socket({ handle, manualStart: true } as object)
  Object.assign(socket, { connecting: isConnecting })
  socket
    .on('error', () => {})
    .unref()
    .resume()
    .end()
  setTimeout(() => socket.destroy(), FAREWELL).unref()
}
