import type { RemoteInfo, Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from '../address.ts'
import type { ListenNameOptions } from '../options/listen.ts'
import { cancellable } from '../async.ts'
import { createSocket, type MonikerDatagram } from '../sockets/datagram.ts'
import { checkSize, type Cancel, type Connection, type Service } from './connection.ts'
import { withdraw, type NamedAddress } from '../sockets/listener.ts'
import { Queue } from './queue.ts'

/** The most new peers that wait to be accepted. */
const BACKLOG = 511

/** The most datagrams of one peer that wait to be received; the rest are lost, as datagrams are. */
const MAX_WAITING = 1_024

/** Sends one datagram to the peer. */
type Send = (data: string | Uint8Array, sent: (error: Error | null) => void) => void

/** One end of a conversation by datagrams with one peer. */
class Conversation implements Connection {
  readonly received = new Queue<Buffer>(MAX_WAITING)
  readonly #send: Send
  readonly #close: () => void

  constructor(send: Send, close: () => void) {
    this.#send = send
    this.#close = close
  }

  async send(data: string | Uint8Array, { signal }: Cancel = {}): Promise<void> {
    signal?.throwIfAborted()
    const sent = new Promise<void>((resolve, reject) => {
      this.#send(data, error => (error ? reject(error) : resolve()))
    })
    await cancellable(sent, signal)
  }

  async receive(size?: number, { signal }: Cancel = {}): Promise<Buffer | null> {
    checkSize(size)
    const datagram = await this.received.take(signal)
    return datagram?.subarray(0, size) ?? null
  }

  async close(): Promise<void> {
    this.received.end()
    this.#close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** A conversation over a socket of `dgram` that is connected, and goes with it. */
export function converse(socket: Socket): Connection {
  let isOpen = true
  const close = () => {
    if (isOpen) socket.close()
    isOpen = false
  }
  const conversation = new Conversation((data, sent) => socket.send(data, sent), close)
  socket
    .on('message', message => conversation.received.push(message))
    // The peer did not listen when one datagram came; it may when the next does.
    .on('error', error => conversation.received.fail(error))
  return conversation
}

/** A socket with a conversation for each peer; they all end with it. */
export class DatagramService implements Service {
  readonly #socket: MonikerDatagram
  readonly #address: string | undefined
  readonly #peers: Queue<Connection>
  readonly #conversations = new Map<string, Conversation>()

  constructor({
    host,
    backlog = BACKLOG,
  }: { host?: string | undefined; backlog?: number | undefined } = {}) {
    this.#address = host
    this.#peers = new Queue(backlog)
    this.#socket = createSocket(host && isIPv6(host) ? 'udp6' : 'udp4')
    this.#socket
      .on('message', (message, from) => this.#receive(message, from))
      .on('error', error => this.#peers.fail(error))
  }

  get address(): NamedAddress {
    return this.#socket.address() as NamedAddress
  }

  async listen({ host: _, ...options }: ListenNameOptions): Promise<void> {
    const address = this.#address === undefined ? {} : { address: this.#address }
    await once(this.#socket.bind({ ...options, ...address }), 'listening')
  }

  accept({ signal }: Cancel = {}): Promise<Connection | null> {
    return this.#peers.take(signal)
  }

  async close(): Promise<void> {
    this.#end()
    await withdraw(this.#socket)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Connection> {
    for (let peer; (peer = await this.accept());) yield peer
  }

  #receive(message: Buffer, { address, port }: RemoteInfo): void {
    const key = `${address} ${port}`
    let conversation = this.#conversations.get(key)
    if (!conversation) {
      conversation = new Conversation(
        (data, sent) => this.#socket.send(data, port, address, sent),
        () => this.#conversations.delete(key),
      )
      // The backlog is full: the datagram is lost, and so the peer is not known.
      if (!this.#peers.push(conversation)) return
      this.#conversations.set(key, conversation)
    }
    conversation.received.push(message)
  }

  #end(): void {
    this.#peers.end()
    for (const { received } of this.#conversations.values()) received.end()
  }
}
