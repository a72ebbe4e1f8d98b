import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { isAll, isIPv6, literally, plain } from '../address.ts'
import { clearInterval, setInterval } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError, isMissing } from '../errors.ts'
import { MAX_LINE } from '../wire/lines.ts'
import { refusable, type Handler } from './chain.ts'
import type { DatagramOptions, Dialect, Dialects, Reply } from './dialect.ts'
import { ownAddresses } from './interfaces.ts'
import { Turns } from './turns.ts'

const debug = diagnostics('moniker:daemon:udp')

export interface UDPOptions extends DatagramOptions {
  /** The turns of those who ask. Default new ones. */
  turns?: Pick<Turns, 'takeAtOnce' | 'wait'>
  /** The languages that are spoken. */
  dialects: Dialects
  /** True if these sockets alone keep the process alive. Default true. */
  ref?: boolean
  /** Milliseconds between two looks at the addresses of this host. Default 5,000. */
  rescan?: number
  /** Called once with each address at which the port cannot be had, until it can be had there. Default nothing. */
  lost?: (address: string, error: Error) => void
  /** True if this host has an address. Default what the kernel says. */
  hasAddress?: (address: string) => Promise<boolean>
}

/** The defaults of `UDPOptions`. */
export const DEFAULTS = { rescan: 5_000 } satisfies Partial<UDPOptions>

/** The most questions that may be under way without an answer. */
const MAX_WAITING = 1_024

/** The most datagrams that wait for their turn; what comes then is dropped, as where a buffer of the kernel is full. */
const MAX_UNREAD = 256

/**
 * Answers datagrams, each with one at most and none that is longer, from one socket for each address: a reply so
 * leaves from the address the question came to, and nothing sent to a broadcast or multicast address
 * is ever seen. A question to an address that has come up since the last look is refused by the
 * kernel. Where another program has the port it is tried again at each look.
 */
export class Datagrams {
  readonly #options: UDPOptions
  /** The part of the daemon that a dialect sees. */
  readonly #seen: DatagramOptions
  readonly #sockets = new Map<string, Socket>()
  /** The hosts to answer at. */
  readonly #hosts: string[] = []
  /** The addresses of which it was told that the port cannot be had there. */
  readonly #lost = new Set<string>()
  #rescan: NodeJS.Timeout | undefined
  #isClosed = false
  #waiting = 0
  readonly #turns: Pick<Turns, 'takeAtOnce' | 'wait'>
  #unread = 0

  constructor(options: UDPOptions) {
    this.#options = options
    this.#turns = options.turns ?? new Turns()
    this.#seen = { answer: this.#answer, refused: options.refused }
  }

  /** The addresses that are answered at. */
  get addresses(): string[] {
    return [...this.#sockets.keys()]
  }

  /** The addresses at which the port cannot be had. */
  get lost(): string[] {
    return [...this.#lost]
  }

  /**
   * Answers at `host`; `'::'` and `'0.0.0.0'` are every address there is, now and later. Fails where one address cannot
   * be had; it is tried again all the same.
   */
  async bind(port: number, host: string): Promise<void> {
    const { rescan = DEFAULTS.rescan } = this.#options
    this.#hosts.push(host)
    this.#rescan ??= setInterval(() => void this.#scan(port), rescan).unref()
    if (isAll(host)) return this.#scan(port)
    const error = await this.#tryAt(port, host)
    if (error) throw error
  }

  close(): void {
    this.#isClosed = true
    clearInterval(this.#rescan)
    for (const socket of this.#sockets.values()) socket.close()
    this.#sockets.clear()
  }

  /** Looks at the addresses of this host. It never fails: what cannot be had now may be had at the next look. */
  async #scan(port: number): Promise<void> {
    let found: string[]
    try {
      found = this.#hosts.flatMap(host => (isAll(host) ? ownAddresses(host) : [host]))
    } catch (error) {
      return debug('the addresses of this host: %s', (error as Error).message)
    }
    for (const address of this.#lost) if (!found.includes(address)) this.#lost.delete(address)
    const unseen = [...this.#sockets.keys()].filter(address => !found.includes(address))
    await Promise.all(unseen.map(address => this.#leave(address)))
    // Meanwhile it may have been closed.
    if (this.#isClosed) return
    const fresh = found.filter(address => !this.#sockets.has(address))
    await Promise.all(fresh.map(address => this.#tryAt(port, address)))
  }

  /**
   * Answers at an address no more, if this host has lost it. That of a link that is down is not seen, but still ours.
   */
  async #leave(address: string): Promise<void> {
    const { hasAddress = canBind } = this.#options
    const socket = this.#sockets.get(address)
    const isOurs = await hasAddress(address)
    if (!isOurs && this.#sockets.get(address) === socket) socket!.close()
  }

  /** The error by which the port cannot be had at an address. */
  async #tryAt(port: number, address: string): Promise<Error | undefined> {
    try {
      await this.#open(port, address)
      this.#lost.delete(address)
      return undefined
    } catch (error) {
      debug('%s', error)
      if (!this.#lost.has(address)) this.#options.lost?.(address, error as Error)
      this.#lost.add(address)
      return error as Error
    }
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
      .on('message', (bytes, from) => this.#take(() => this.#reply(socket, address, bytes, from)))
  }

  /** Replies at once, or in a turn that all datagrams have together: each may say any sender. */
  #take(reply: () => void): void {
    if (this.#turns.takeAtOnce()) return reply()
    if (this.#unread >= MAX_UNREAD) return
    this.#unread++
    const goOn = () => {
      this.#unread--
      reply()
    }
    this.#turns.wait(goOn, this)
  }

  #reply(socket: Socket, address: string, bytes: Buffer, from: RemoteInfo): void {
    const refuse = (error: unknown) => this.#options.refused(refusable(error))
    const send = (reply: Reply) => {
      if (reply === undefined || Buffer.byteLength(reply) > bytes.length) return
      if (this.#sockets.get(address) === socket) socket.send(reply, from.port, from.address)
    }
    try {
      // Nothing can be sent there, and Node throws if we try.
      if (from.port === 0) throw new MonikerError('EPROTOCOL', { text: 'a datagram from port 0' })
      if (bytes.length > MAX_LINE)
        throw new MonikerError('EPROTOCOL', { text: 'a datagram too long' })
      // The sender may have written any address: nobody is local.
      const remote = { address: plain(from.address), port: from.port }
      const peer = { local: false, address, remote }
      const reply = this.#dialectOf(bytes).datagram?.(bytes, peer, this.#seen)
      if (reply instanceof Promise) reply.then(send).catch(refuse)
      else send(reply)
    } catch (error) {
      refuse(error)
    }
  }

  #dialectOf(bytes: Buffer): Dialect {
    const { dialects } = this.#options
    // Mostly there is one; and nothing claims what has no byte.
    if (dialects.length === 1 || bytes.length === 0) return dialects[0]
    return dialects.find(one => one.datagram && one.claims(bytes[0]!)) ?? dialects[0]
  }

  /** Answers a question of whatever language, if not too many wait already. */
  readonly #answer: Handler = (question, peer) => {
    const found = this.#options.answer(question, peer)
    if (!(found instanceof Promise)) return found
    if (this.#waiting >= MAX_WAITING) {
      found.catch(() => {})
      throw new MonikerError('ELIMIT', { text: 'too many questions wait' })
    }
    this.#waiting++
    return found.finally(() => this.#waiting--)
  }
}

/** True unless the kernel says that this host has no such address. */
export async function canBind(address: string): Promise<boolean> {
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', lookup: literally })
  const listening = once(socket, 'listening')
  socket.bind({ port: 0, address, exclusive: true })
  const isOurs = await listening.then(
    () => true,
    (error: unknown) => !isMissing(error),
  )
  socket.close()
  return isOurs
}
