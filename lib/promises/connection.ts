import { MonikerError } from '../errors.ts'
import type { NamedAddress } from '../sockets/listener.ts'

/** What gives a wait up; its reason is the error. */
export interface Cancel {
  signal?: AbortSignal | undefined
}

/** The two ends of a conversation: of a stream, or of datagrams with one peer. */
export interface Connection {
  /** Done when the system has taken all of it: one datagram, or so many bytes of a stream. */
  send(data: string | Uint8Array, options?: Cancel): Promise<void>
  /**
   * The next bytes of a stream, or exactly `size` of them (fewer only at its end); the next datagram,
   * or its first `size` bytes. `null` at the end.
   */
  receive(size?: number, options?: Cancel): Promise<Buffer | null>
  /**
   * Sends what is to be sent and closes; a peer that does not close too is left after 5 seconds, or
   * when `signal` says so.
   */
  close(options?: Cancel): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A name that is listened on. Each `accept`, or turn of `for await`, is a peer. */
export interface Service extends AsyncIterable<Connection> {
  readonly address: NamedAddress
  /** The next peer; `null` once the service is closed. */
  accept(options?: Cancel): Promise<Connection | null>
  /** Withdraws the name and stops listening; peers that were accepted are left to whoever did. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Throws `ERR_INVALID_ARG_VALUE` on what is no number of bytes. */
export function checkSize(size: number | undefined): void {
  if (size === undefined || (Number.isSafeInteger(size) && size >= 0)) return
  const text = `a size of 0 bytes or more, got ${String(size)}`
  throw new MonikerError('EARGUMENT', { text })
}
