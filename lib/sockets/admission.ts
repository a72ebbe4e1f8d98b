import type { Socket } from 'node:net'
import { isOwn, plain } from '../address.ts'
import { clearTimeout, clock, nextTick, setTimeout } from '../clock.ts'
import { pauseReading } from '../node/handle.ts'
import type { Answer } from '../wire/protocol.ts'

/** The most peers that are held while they are not expected; more are dropped. */
const MAX_HELD = 256

/** The most peers that are expected; of more, the one that was told of first is forgotten. */
const MAX_EXPECTED = 4_096

/** The longest life of an answer that is believed, in milliseconds. */
const MAX_TTL = 3_600_000

/** Milliseconds that a peer is expected beyond the life of its answer: it may be on its way. */
const MARGIN = 5_000

/** The address of all peers on this host. Nothing tells them apart that they could not change. */
const HERE = '127.0.0.1'

export interface AdmissionOptions {
  /** True to let in only those peers that the daemon has told us to expect. Default false. */
  guarded?: boolean
  /** Milliseconds to hold a peer that is not expected: it may be faster than the daemon's notice. Default 1,000. */
  hold?: number
  /** The clock, in milliseconds. Default `clock`. */
  now?: () => number
}

/** The defaults of `AdmissionOptions`. */
export const DEFAULTS = {
  guarded: false,
  hold: 1_000,
  now: clock,
} satisfies AdmissionOptions

/**
 * Connections that the program may not see yet: those that come before it knows that it listens, and those that a
 * guarded server has not been told to expect. Nothing is read of them meanwhile, and their errors are ignored.
 */
export class Admission {
  readonly #isGuarded: boolean
  readonly #hold: number
  readonly #now: () => number
  readonly #early: PausedConnection[] = []
  /** The time until which each address is expected. */
  readonly #expected = new Map<string, number>()
  readonly #held = new Map<string, Set<PausedConnection>>()
  #count = 0

  constructor({
    guarded = DEFAULTS.guarded,
    hold = DEFAULTS.hold,
    now = DEFAULTS.now,
  }: AdmissionOptions = {}) {
    this.#isGuarded = guarded
    this.#hold = hold
    this.#now = now
  }

  /** Holds a connection that has come before the program knows that it listens; `pass` is called on `release`. */
  hold(socket: Socket, pass: () => void): void {
    this.#early.push(new PausedConnection(socket, pass))
  }

  /** Lets in all early connections: the program knows that it listens. */
  release(): void {
    for (const early of this.#early.splice(0)) early.admit()
  }

  /** Closes all early connections: the program is not going to listen. */
  refuse(): void {
    for (const early of this.#early.splice(0)) early.refuse()
  }

  /** Calls `pass` at once if the peer may come in, or as soon as it is expected; else the connection is closed. */
  admit(socket: Socket, pass: () => void): void {
    if (!this.#isGuarded) return pass()
    const address = addressOf(socket)
    if (this.#isExpected(address)) pass()
    else if (this.#count >= MAX_HELD) socket.destroy()
    else this.#wait(address, socket, pass)
  }

  /** Takes a notice of the daemon. One that does not say whom to expect, or for how long, is ignored. */
  onExpect({ address, ttl }: Answer): void {
    if (typeof address === 'string' && typeof ttl === 'number') this.expect(address, ttl)
  }

  /** Expects peers from `address` for `ms`; those that came before the notice are let in now. */
  expect(address: string, ms: number): void {
    this.#expected.delete(address)
    if (this.#expected.size >= MAX_EXPECTED) this.#expected.delete(this.#oldest())
    this.#expected.set(address, this.#now() + Math.min(ms, MAX_TTL) + MARGIN)
    for (const held of this.#held.get(address) ?? []) held.admit()
  }

  #isExpected(address: string): boolean {
    const until = this.#expected.get(address)
    if (until === undefined) return false
    if (until >= this.#now()) return true
    this.#expected.delete(address)
    return false
  }

  #wait(address: string, socket: Socket, pass: () => void): void {
    const timer = setTimeout(() => socket.destroy(), this.#hold).unref()
    const others = this.#held.get(address) ?? new Set()
    const held = new PausedConnection(socket, pass, () => {
      clearTimeout(timer)
      others.delete(held)
      if (others.size === 0) this.#held.delete(address)
      this.#count--
    })
    this.#held.set(address, others.add(held))
    this.#count++
  }

  #oldest(): string {
    const [address] = this.#expected.keys()
    return address!
  }
}

/** A connection of which nothing is read, and whose errors are ignored, until the program may see it. */
class PausedConnection {
  readonly #socket: Socket
  readonly #pass: () => void
  readonly #onSettled: () => void
  readonly #resume: () => void

  /** Calls `onSettled` once the connection is admitted, or has closed. */
  constructor(socket: Socket, pass: () => void, onSettled: () => void = () => {}) {
    this.#socket = socket
    this.#pass = pass
    this.#onSettled = onSettled
    this.#resume = pauseReading(socket)
    socket.on('error', ignore).once('close', onSettled)
  }

  admit(): void {
    const socket = this.#socket.off('close', this.#onSettled)
    this.#onSettled()
    // Each in a turn of its own. An error that a listener throws is not ours to catch, and concerns no other
    // connection.
    nextTick(() => {
      if (socket.destroyed) return
      socket.off('error', ignore)
      this.#resume()
      this.#pass()
    })
  }

  refuse(): void {
    this.#socket.destroy()
  }
}

function ignore(): void {}

/** The address of a peer as the daemon tells it. */
function addressOf({ remoteAddress = '', localAddress = '' }: Socket): string {
  return isOwn(remoteAddress, localAddress) ? HERE : plain(remoteAddress)
}
