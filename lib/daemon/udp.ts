import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { networkInterfaces } from 'node:os'
import { isOwn, literally, isIPv6 } from '../address.ts'
import { clearInterval, setInterval } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError } from '../errors.ts'
import { MAX_LINE } from '../wire/lines.ts'
import { decode, encode, idOf, question, refusal, type Answer, type Id } from '../wire/protocol.ts'
import { refusable, type Handler, type Peer, type Reply } from './chain.ts'

const debug = diagnostics('moniker:daemon:udp')

export interface DatagramsOptions {
  answer: Handler
  /** Called for each question that is refused. */
  refused: (error: MonikerError) => void
  /** True if these sockets alone keep the process alive. Default true. */
  ref?: boolean
}

/** Milliseconds between two looks at the addresses of this host. */
const RESCAN = 5_000

/** The most questions that may be under way without an answer. */
const MAX_WAITING = 1_024

/**
 * Answers questions of one datagram with one datagram, from one socket for each address: a reply so
 * leaves from the address the question came to, and nothing sent to a broadcast or multicast address
 * is ever seen. A question to an address that has come up since the last look is refused by the
 * kernel, and its asker turns to TCP.
 */
export class Datagrams {
  readonly #options: DatagramsOptions
  readonly #sockets = new Map<string, Socket>()
  #rescan: NodeJS.Timeout | undefined
  #waiting = 0

  constructor(options: DatagramsOptions) {
    this.#options = options
  }

  /** The addresses that are answered at. */
  get addresses(): string[] {
    return [...this.#sockets.keys()]
  }

  /** Answers at `host`; `'::'` and `'0.0.0.0'` are every address there is, now and later. */
  async bind(port: number, host: string): Promise<void> {
    if (host !== '::' && host !== '0.0.0.0') return this.#open(port, host)
    const family = host === '::' ? undefined : 'IPv4'
    await this.#scan(port, family)
    this.#rescan = setInterval(() => void this.#scan(port, family), RESCAN).unref()
  }

  close(): void {
    clearInterval(this.#rescan)
    for (const socket of this.#sockets.values()) socket.close()
    this.#sockets.clear()
  }

  async #scan(port: number, family: string | undefined): Promise<void> {
    const found = ownAddresses(family)
    for (const [address, socket] of this.#sockets) {
      if (!found.includes(address)) socket.close()
    }
    const fresh = found.filter(address => !this.#sockets.has(address))
    const opened = await Promise.allSettled(fresh.map(address => this.#open(port, address)))
    for (const { reason } of opened.filter(result => result.status === 'rejected'))
      debug('%s', reason)
  }

  async #open(port: number, address: string): Promise<void> {
    const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', lookup: literally })
    this.#sockets.set(address, socket)
    socket.on('close', () => this.#sockets.delete(address))
    if (this.#options.ref === false) socket.unref()
    try {
      // Nothing is looked up, so it may listen at once.
      const listening = once(socket, 'listening')
      socket.bind({ port, address, exclusive: true })
      await listening
    } catch (error) {
      this.#sockets.delete(address)
      socket.close()
      throw error
    }
    socket
      .on('error', error => debug('%s: %s', address, error.message))
      .on('message', (bytes, from) => this.#reply(socket, address, bytes, from))
  }

  /**
   * Answers a question. What is none gets no answer: two daemons could be made to answer each other's
   * errors for ever.
   */
  #reply(socket: Socket, address: string, bytes: Buffer, from: RemoteInfo): void {
    const peer = { local: isOwn(from.address, address), address, remote: from }
    const { length } = bytes
    let id: Id
    let reply: Reply
    try {
      // Nothing can be sent there, and Node throws if we try.
      if (from.port === 0) throw new MonikerError('EPROTOCOL', { text: 'a datagram from port 0' })
      if (length > MAX_LINE) throw new MonikerError('EPROTOCOL', { text: 'a datagram too long' })
      const message = decode(bytes.toString())
      if (typeof message.op !== 'string')
        throw new MonikerError('EPROTOCOL', { text: 'no question' })
      id = idOf(message)
      reply = this.#ask(message, peer)
    } catch (error) {
      return this.#options.refused(refusable(error))
    }
    const send = (answer: Answer) => {
      const text = fitting(id, answer, length)
      if (text !== undefined && this.#sockets.get(address) === socket)
        socket.send(text, from.port, from.address)
    }
    if (reply instanceof Promise) void this.#later(reply, send)
    else send(reply)
  }

  #ask(message: Answer, peer: Peer): Reply {
    try {
      return this.#options.answer(question(message), peer)
    } catch (thrown) {
      return this.#refusal(thrown)
    }
  }

  async #later(reply: Promise<Answer>, send: (answer: Answer) => void): Promise<void> {
    if (this.#waiting >= MAX_WAITING) {
      reply.catch(() => {})
      return send(this.#refusal(new MonikerError('ELIMIT', { text: 'too many questions wait' })))
    }
    this.#waiting++
    send(await reply.catch((thrown: unknown) => this.#refusal(thrown)))
    this.#waiting--
  }

  #refusal(thrown: unknown): Answer {
    const error = refusable(thrown)
    this.#options.refused(error)
    return refusal(error)
  }
}

/** The answer, never longer than the question. */
function fitting(id: Id, answer: Answer, length: number): string | undefined {
  return [encode(id, answer), encode(id, { truncated: true })].find(
    text => Buffer.byteLength(text) <= length,
  )
}

/** Every address of this host, or those of one family; one that is link-local with its zone. */
function ownAddresses(family: string | undefined): string[] {
  return Object.entries(networkInterfaces()).flatMap(([name, addresses = []]) =>
    addresses
      .filter(info => family === undefined || info.family === family)
      .map(info =>
        info.family === 'IPv6' && info.scopeid ? `${info.address}%${name}` : info.address,
      ),
  )
}
