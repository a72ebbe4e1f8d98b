import { MonikerError } from '../errors.ts'
import type { NamedAddress } from '../sockets/listener.ts'

/** The options of a call that waits. */
export interface Cancel {
  /** Gives the wait up; its reason is the error. */
  signal?: AbortSignal | undefined
}

/** The two ends of a conversation: of a stream, or of datagrams with one peer. */
export interface Connection {
  /** Sends one datagram, or these bytes of a stream; done when the system has taken all of it. */
  send(data: string | Uint8Array, options?: Cancel): Promise<void>
  /**
   * The next bytes of a stream, or exactly `size` of them (fewer only at its end); the next datagram,
   * or its first `size` bytes. `null` at the end.
   */
  receive(size?: number, options?: Cancel): Promise<Buffer | null>
  /**
   * Sends what is still to be sent, and closes. A peer that does not close too is left after 5,000 ms, or
   * when `signal` aborts.
   */
  close(options?: Cancel): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A listener that has a name. Each `accept`, or turn of `for await`, gives a peer. */
export interface Service extends AsyncIterable<Connection> {
  readonly address: NamedAddress
  /** The next peer; `null` once the service is closed. */
  accept(options?: Cancel): Promise<Connection | null>
  /** Withdraws the name and stops listening. Peers that were accepted stay; the program closes them. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Throws `ERR_INVALID_ARG_VALUE` if `size` is no number of bytes. */
export function checkSize(size: number | undefined): void {
  if (size === undefined || (Number.isSafeInteger(size) && size >= 0)) return
  const text = `a size of 0 bytes or more, got ${String(size)}`
  throw new MonikerError('EARGUMENT', { text })
}
