import type { AddressInfo, Socket } from 'node:net'
import { constants } from 'node:os'
import { shownPorts } from './shownports.ts'

/** An address that is shown; a port that is left out is made up: see `ShownPorts`. */
interface Shown {
  readonly address: string
  readonly port?: number | undefined
}

/**
 * Has a connection over a Unix socket show the addresses that one over TCP would have, and be written to,
 * closed and ended as one; `peer` is the other end, and a port that is not known is made up.
 */
export function disguise(socket: Socket, own: Shown, peer: Shown): void {
  const handle = handleIn(socket)
  if (!Object.hasOwn(handle, 'lost')) {
    // Cheaper by far than to give each handle methods of its own.
    Object.setPrototypeOf(handle, disguisedFor(handle))
    Object.assign(handle, { lost: 0, unread: 0 })
  }
  const isWhole = own.port !== undefined && peer.port !== undefined
  const port = handle.port ?? (isWhole ? undefined : shownPorts.take())
  Object.assign(handle, { own: complete(own, port!), peer: complete(peer, port!), port, socket })
  Object.assign(socket, { resetAndDestroy })
}

/** The port that a disguised socket shows as its own. */
export function shownPort(socket: Socket): number {
  return handleIn(socket).own.port
}

/** Has a disguised socket count so many bytes less than were read of it. */
export function discount(socket: Socket, unread: number): void {
  handleIn(socket).unread = unread
}

function handleIn(socket: Socket): Disguised {
  return Reflect.get(socket, '_handle') as unknown as Disguised
}

/** The methods of disguised handles, by those of Node. */
const disguises = new WeakMap<object, object>()

function disguisedFor(handle: Disguised): object {
  const native = Object.getPrototypeOf(handle) as Native
  let disguise = disguises.get(native)
  if (!disguise) disguises.set(native, (disguise = overUnix(native)))
  return disguise
}

/** A handle of a Unix socket that does all that TCP does otherwise as that does it. */
function overUnix(native: Native): object {
  const counts = {
    bytesRead: {
      get(this: Disguised): number {
        return (Reflect.get(native, 'bytesRead', this) as number) - this.unread
      },
    },
  }
  return Object.assign(Object.create(native, counts) as object, {
    getsockname(this: Disguised, out: object): number {
      if (!this.socket.connecting) Object.assign(out, this.own)
      return 0
    },
    getpeername(this: Disguised, out: object): number {
      Object.assign(out, this.peer)
      return 0
    },
    reset(this: Disguised, done: () => void): number {
      this.close(done)
      return 0
    },
    close(this: Disguised, done?: () => void): void {
      if (this.port !== undefined) shownPorts.giveBack(this.port)
      this.port = undefined
      native.close.call(this, done)
    },
    setNoDelay: taken,
    setKeepAlive: taken,
    writev: writing(native.writev),
    writeBuffer: writing(native.writeBuffer),
    writeUtf8String: writing(native.writeUtf8String),
    writeAsciiString: writing(native.writeAsciiString),
    writeLatin1String: writing(native.writeLatin1String),
    writeUcs2String: writing(native.writeUcs2String),
  })
}

/** Takes what is written, or refuses it, as TCP would. */
function writing(write: Write): Write {
  return function (request, what, more) {
    const status = write.call(this, request, what, more)
    /* c8 ignore start -- Node 26 makes the request itself, if it needs one, and tests of ours run there. */
    if (typeof status !== 'number') {
      return Object.defineProperty(Object.assign(status, { what }), 'oncomplete', ON_COMPLETE)
    }
    if (!request) return forgiven(this, status, what)
    /* c8 ignore stop */
    request.what = what
    request.original = request.oncomplete
    request.oncomplete = written
    return forgiven(this, status, what)
  }
}

/** The `oncomplete` of a request, of which Node is yet to set its own. */
const ON_COMPLETE: ThisType<Writing> & PropertyDescriptor = {
  /* c8 ignore start -- see above. */
  get: () => written,
  set(original: Writing['original']) {
    this.original = original
  },
  /* c8 ignore stop */
}

function written(this: Writing, status: number, ...rest: unknown[]): void {
  this.original(forgiven(this.handle, status, this.what), ...rest)
}

const EPIPE = -constants.errno.EPIPE

/** The bytes that TCP holds on their way at least, where both ends are on one host. */
const HELD = 524_288

/**
 * TCP accepts writes after the peer has closed, up to its buffer; the writer first reads what the peer sent, then sees
 * the end or `ECONNRESET`. A Unix socket fails at once with `EPIPE`, and that error would discard unread data.
 */
function forgiven(handle: Disguised, status: number, what: unknown): number {
  if (status !== EPIPE) return status
  const { socket, reading } = handle
  // A program that writes on and on hears of it now: it may leave no time to read.
  if (handle.lost > HELD) return status
  const isFirst = handle.lost === 0
  handle.lost += sizeOf(what)
  const isHeld = handle.lost <= HELD
  // Bytes written before it is connected leave before anything is read.
  const isReading = reading || (handle.bytesRead === 0 && !socket.isPaused())
  const isHeard = isReading && !socket._readableState.ended
  if (isHeard && !isHeld) socket.once('end', lose)
  return isHeard || (isFirst && isHeld) ? 0 : status
}

/** Fails as TCP does after lost bytes, once all that the peer sent has been read. */
function lose(this: Socket): void {
  const code = 'ECONNRESET'
  const error = new Error(`write ${code}`)
  this.destroy(Object.assign(error, { code, syscall: 'write', errno: -constants.errno[code] }))
}

function sizeOf(what: unknown): number {
  if (Array.isArray(what)) return what.reduce((sum: number, one) => sum + sizeOf(one), 0)
  return (what as string | Uint8Array).length
}

/** Takes a setting that a Unix socket has not; `net` keeps it for the handle that may come next. */
function taken(): number {
  return 0
}

/** Takes back what `disguise` has done to a socket that is going to have another handle. */
export function undisguise(socket: Socket): void {
  if (Object.hasOwn(socket, 'resetAndDestroy')) Reflect.deleteProperty(socket, 'resetAndDestroy')
}

/** Resets and destroys as `net` does, which insists on TCP. */
function resetAndDestroy(this: Socket & { _reset: () => void }): Socket {
  if (this.connecting) this.once('connect', () => this._reset())
  else this._reset()
  return this
}

function complete({ address, port }: Shown, other: number): AddressInfo {
  return { address, port: port ?? other, family: address.includes(':') ? 'IPv6' : 'IPv4' }
}

/** The part of a handle that is used here; the type is internal to Node. */
interface Disguised {
  own: AddressInfo
  peer: AddressInfo
  /** The port that is made up, if one is. */
  port: number | undefined
  socket: Socket & { _readableState: { ended: boolean } }
  /** The bytes written that the peer will not read. */
  lost: number
  /** The bytes that have come, and are none of the program's. */
  unread: number
  readonly reading: boolean
  readonly bytesRead: number
  close(done?: () => void): void
}

type Write = (
  this: Disguised,
  request: Writing | null,
  what: unknown,
  more: unknown,
) => number | Writing

/** The methods of every handle of a stream. */
interface Native {
  close(this: Disguised, done?: () => void): void
  readonly writev: Write
  readonly writeBuffer: Write
  readonly writeUtf8String: Write
  readonly writeAsciiString: Write
  readonly writeLatin1String: Write
  readonly writeUcs2String: Write
}

/** The request of a write; the type is internal to Node. */
interface Writing {
  readonly handle: Disguised
  oncomplete: (status: number, ...rest: unknown[]) => void
  original: (status: number, ...rest: unknown[]) => void
  what: unknown
}
