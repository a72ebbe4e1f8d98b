import type { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { LOOPBACK, isOwn, plain } from '../address.ts'
import { diagnostics } from '../diagnostics.ts'
import type { MonikerError } from '../errors.ts'
import type { Handler, Owner, Peer } from './chain.ts'
import type { Turns } from './turns.ts'
import type { Unread } from './unread.ts'

const debug = diagnostics('moniker:daemon:tcp')

/** The part of the daemon that a dialect sees. */
export interface ServeOptions {
  /** Answers a question. A list of many names has an iterator for its `services`: see `pagesOf`. */
  answer: Handler
  /** The turns of those who have asked for much. */
  turns: Turns
  /** The seat that a peer has in the turns, if it shares it with others. */
  seatOf: (peer: Peer) => unknown
  /** The accounts of what waits to be read. */
  unread: Pick<Unread, 'note'>
  /**
   * Called when no more will be asked: the peer may have gone. Its questions are held no longer, and its names are
   * gone; true if it had names.
   */
  ended: (owner: Owner) => boolean
  /** Called once, when the connection has closed: its names are gone. */
  closed: (owner: Owner) => void
  /** Called for each question that is refused. */
  refused: (error: MonikerError) => void
  /** True if the connection may stay although nothing comes: names or watches depend on it. */
  isInUse: (owner: Owner) => boolean
  /** Milliseconds for which half a line may wait for its end. */
  patience: number
  /** Milliseconds for which a connection may leave answers unread. */
  slowness: number
  /** Milliseconds for which a connection that is not in use may be silent. */
  idle: number
}

/** A connection that is served. */
export interface Connection {
  /** The holder of its names. */
  readonly owner: Owner
  /** Tells the peer why it is served no longer, and closes. */
  refuse(error: MonikerError): void
}

/** An answer to a datagram; `undefined` if there is none. */
export type Reply = string | Buffer | undefined

/** The part of the daemon that a datagram meets with. */
export type DatagramOptions = Pick<ServeOptions, 'answer' | 'refused'>

/** A language on the designated port, told by the first byte of a connection or a datagram. */
export interface Dialect {
  /** True if a connection or a datagram that begins with this byte speaks it. */
  claims(firstByte: number): boolean
  /** Serves a connection until it ends or errs; `head` is what has been read of it. */
  serve(socket: Socket, head: Buffer, peer: Peer, options: ServeOptions): Connection
  /** Tells a peer that is not served, and has said nothing yet, why; and closes. */
  turnAway(socket: Socket, error: MonikerError): void
  /**
   * Answers a datagram, at once or later. An answer that is longer than the datagram is not sent, as its sender may be
   * forged. Throws why a datagram deserves no answer. Left out, the language has connections alone.
   */
  datagram?(bytes: Buffer, peer: Peer, options: DatagramOptions): Reply | Promise<Reply>
}

/** The dialects of a daemon. What none of the others claims is for the first to refuse. */
export type Dialects = readonly [Dialect, ...Dialect[]]

/**
 * A connection that has come. Its first byte says which of the dialects serves it; one that none of them claims
 * is for the first dialect to refuse.
 */
export class Arrival {
  readonly #socket: Socket
  readonly #dialects: Dialects
  readonly #peer: Peer
  readonly #options: ServeOptions
  #served: Connection | undefined

  /** `options` are the same for all connections of a daemon: most of them ask one question. */
  constructor(socket: Socket, peer: Peer, dialects: Dialects, options: ServeOptions) {
    this.#socket = socket
    this.#peer = peer
    this.#dialects = dialects
    this.#options = options
    socket
      .setKeepAlive(true, 15_000)
      .setNoDelay(true)
      .setTimeout(options.idle)
      .on('error', error => debug('%s: %s', peer.remote.address, error.message))
      .on('timeout', destroy)
      .on('end', end)
      .once('data', (head: Buffer) => this.#take(head))
  }

  /** The holder of its names; none as long as it says nothing. */
  get owner(): Owner | undefined {
    return this.#served?.owner
  }

  /** Tells the peer why it is served no longer, and closes. */
  refuse(error: MonikerError): void {
    if (this.#served) return this.#served.refuse(error)
    if (!this.#socket.writable) return
    this.#options.refused(error)
    this.#dialects[0].turnAway(this.#socket, error)
  }

  /** Serves it in its turn. */
  #take(head: Buffer): void {
    const { turns } = this.#options
    if (turns.takeAtOnce()) return this.#serve(head)
    const socket = this.#socket.pause().off('end', end)
    let isEnded = false
    const note = () => (isEnded = true)
    socket.once('end', note)
    turns.wait(() => {
      socket.off('end', note).resume()
      this.#serve(head)
      // It came while the head waited, and whoever serves that is to know.
      if (isEnded) socket.emit('end')
    })
  }

  #serve(head: Buffer): void {
    const socket = this.#socket
    // It was refused before it had said anything.
    if (!socket.writable) return void socket.resume()
    socket.off('timeout', destroy).off('end', end)
    const [first] = this.#dialects
    const dialect = this.#dialects.find(one => one.claims(head[0]!)) ?? first
    this.#served = dialect.serve(socket, head, this.#peer, this.#options)
  }
}

function destroy(this: Socket): void {
  this.destroy()
}

function end(this: Socket): void {
  this.end()
}

/** A program that has come by the Unix socket. Its user cannot be known: Node does not tell what the kernel knows. */
export const NAMELESS: Peer = {
  local: true,
  address: LOOPBACK[0]!,
  remote: { address: LOOPBACK[0]!, port: 0 },
  nameless: true,
}

/** The program at the other end of a connection over TCP that is open: a closed one does not tell any more. */
export function peerOf(socket: Socket): Peer {
  const { remoteAddress = '', remotePort = 0, localAddress = '' } = socket
  const [address, from] = [plain(localAddress), plain(remoteAddress)]
  return { local: isOwn(from, address), address, remote: { address: from, port: remotePort } }
}
