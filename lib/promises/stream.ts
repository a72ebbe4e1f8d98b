import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import type { Server, Socket } from 'node:net'
import { clearTimeout, setTimeout } from '../clock.ts'
import type { ListenNameOptions } from '../options/listen.ts'
import { cancellable } from '../async.ts'
import { TIMEOUT } from '../settings.ts'
import { checkSize, type Cancel, type Connection, type Service } from './connection.ts'
import { withdraw, type NamedAddress } from '../sockets/listener.ts'
import { Queue } from './queue.ts'
import { createServer } from '../sockets/server.ts'

/** The most peers that wait to be accepted: as many as `net` lets wait in the kernel. */
const BACKLOG = 511

/** One end of a stream, over a connected socket. */
export class Stream implements Connection {
  readonly #socket: Socket
  /** Settled when all calls of `receive` so far are: they take turns. */
  #turn: Promise<unknown> = Promise.resolve()
  #wake = () => {}
  #error: Error | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('error', error => (this.#error = error))
    for (const event of ['readable', 'end', 'close']) socket.on(event, () => this.#wake())
  }

  async send(data: string | Uint8Array, { signal }: Cancel = {}): Promise<void> {
    signal?.throwIfAborted()
    const sent = new Promise<void>((resolve, reject) => {
      this.#socket.write(data, error => (error ? reject(error) : resolve()))
    })
    await cancellable(sent, signal)
  }

  async receive(size?: number, { signal }: Cancel = {}): Promise<Buffer | null> {
    checkSize(size)
    const before = this.#turn
    const mine = cancellable(before, signal).then(() => this.#read(size, signal))
    this.#turn = Promise.allSettled([before, mine])
    return mine
  }

  async close({ signal }: Cancel = {}): Promise<void> {
    const socket = this.#socket
    if (socket.closed) return
    const destroy = () => this.destroy()
    const closed = new Promise(resolve => socket.once('close', resolve))
    const timer = setTimeout(destroy, TIMEOUT)
    if (signal?.aborted) destroy()
    signal?.addEventListener('abort', destroy, { once: true })
    // Data that was not received would hold up the end of the stream.
    socket.removeAllListeners('readable').resume().end()
    await closed
    clearTimeout(timer)
    signal?.removeEventListener('abort', destroy)
  }

  /** Closes at once; data that is under way is lost. */
  destroy(): void {
    this.#socket.destroy()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #read(size: number | undefined, signal: AbortSignal | undefined): Promise<Buffer | null> {
    const socket = this.#socket
    for (;;) {
      signal?.throwIfAborted()
      if (size === 0) return Buffer.alloc(0)
      const chunk = socket.read(size) as Buffer | null
      if (chunk) return chunk
      if (this.#error) throw this.#error
      if (socket.readableEnded || socket.destroyed) return null
      const woken = new Promise<void>(resolve => (this.#wake = resolve))
      await cancellable(woken, signal)
    }
  }
}

/** A server whose peers wait until they are accepted. */
export class StreamService implements Service {
  readonly #server: Server
  readonly #peers: Queue<Stream>

  constructor({ backlog = BACKLOG }: { backlog?: number | undefined } = {}) {
    this.#peers = new Queue(backlog)
    this.#server = createServer({ noDelay: true }, socket => {
      const peer = new Stream(socket)
      if (!this.#peers.push(peer)) peer.destroy()
    })
    this.#server.on('error', error => this.#peers.end(error))
  }

  get address(): NamedAddress {
    return this.#server.address() as NamedAddress
  }

  async listen(options: ListenNameOptions): Promise<void> {
    await once(this.#server.listen(options), 'listening')
  }

  accept({ signal }: Cancel = {}): Promise<Connection | null> {
    return this.#peers.take(signal)
  }

  async close(): Promise<void> {
    this.#peers.end()
    await withdraw(this.#server)
    for (let peer; (peer = await this.#peers.take());) peer.destroy()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Connection> {
    for (let peer; (peer = await this.accept());) yield peer
  }
}
