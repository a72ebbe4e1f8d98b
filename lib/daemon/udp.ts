import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import { networkInterfaces } from 'node:os'
import createDebug from 'debug'
import { isOwn } from '../address.ts'
import { MonikerError } from '../errors.ts'
import {
  MAX_LINE,
  decode,
  encode,
  idOf,
  question,
  refusal,
  type Answer,
  type Id,
} from '../protocol.ts'
import { refusable, type Handler } from './handler.ts'

const debug = createDebug('moniker:daemon:udp')

export interface DatagramsOptions {
  answer: Handler
  /** Called for each question that is refused. */
  refused: (error: MonikerError) => void
  /** Whether these sockets alone keep the process alive. Default true. */
  ref?: boolean
}

/** How often the addresses of this host are looked at again, in ms. */
const RESCAN = 5_000

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
    const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
    this.#sockets.set(address, socket)
    socket.on('close', () => this.#sockets.delete(address))
    if (this.#options.ref === false) socket.unref()
    socket.bind({ port, address, exclusive: true })
    try {
      await once(socket, 'listening')
    } catch (error) {
      this.#sockets.delete(address)
      socket.close()
      throw error
    }
    socket
      .on('error', error => debug('%s: %s', address, error.message))
      .on('message', (bytes, from) => this.#reply(socket, address, bytes, from))
  }

  #reply(socket: Socket, address: string, bytes: Buffer, from: RemoteInfo): void {
    const text = this.#answer(bytes, { local: isOwn(from.address, address), address })
    if (text !== undefined) socket.send(text, from.port, from.address)
  }

  /**
   * The answer, never longer than the question. What is no question gets none: two daemons could be
   * made to answer each other's errors for ever.
   */
  #answer(bytes: Buffer, peer: { local: boolean; address: string }): string | undefined {
    let id: Id
    let answer: Answer
    try {
      if (bytes.length > MAX_LINE)
        throw new MonikerError('EPROTOCOL', { text: 'a datagram too long' })
      const message = decode(bytes.toString())
      if (typeof message.op !== 'string')
        throw new MonikerError('EPROTOCOL', { text: 'no question' })
      id = idOf(message)
      answer = this.#ask(message, peer)
    } catch (error) {
      this.#options.refused(refusable(error))
      return undefined
    }
    const fits = (text: string) => Buffer.byteLength(text) <= bytes.length
    return [encode(id, answer), encode(id, { truncated: true })].find(fits)
  }

  #ask(message: Answer, peer: { local: boolean; address: string }): Answer {
    try {
      return this.#options.answer(question(message), peer)
    } catch (thrown) {
      const error = refusable(thrown)
      this.#options.refused(error)
      return refusal(error)
    }
  }
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
