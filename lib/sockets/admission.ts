import type { Socket } from 'node:net'
import { isOwn, plain } from '../address.ts'
import { still } from '../node/handle.ts'
import type { Answer } from '../wire/protocol.ts'

/** How long a peer that nobody has told us of yet is held, in ms: it may be faster than the news. */
const HOLD = 1_000

/** How many such peers are held at once; more are dropped. */
const MAX_HELD = 256

/** How many peers are expected at once; of more, the first that was told is forgotten. */
const MAX_EXPECTED = 4_096

/** The longest life of an answer that is believed, in ms. */
const LONGEST = 3_600_000

/** How long a peer is expected beyond the life of its answer, in ms: it may be on its way. */
const MARGIN = 5_000

/** Peers on this host are all one: they can be told apart by nothing that they could not change. */
const HERE = '127.0.0.1'

export interface GateOptions {
  /** How long to hold a peer that is not expected, in ms. Default 1,000. */
  hold?: number
  /** The clock, in ms. Default `performance.now`. */
  now?: () => number
}

interface Held {
  readonly socket: Socket
  readonly pass: () => void
}

/** Lets in only those peers that it was told to expect. */
export class Gate {
  readonly #hold: number
  readonly #now: () => number
  /** Until when each address is expected. */
  readonly #expected = new Map<string, number>()
  readonly #held = new Map<string, Set<Held>>()
  #count = 0

  constructor({ hold = HOLD, now = () => performance.now() }: GateOptions = {}) {
    this.#hold = hold
    this.#now = now
  }

  /** Takes the news of the daemon; what is none is nothing to go by. */
  told({ address, ttl }: Answer): void {
    if (typeof address === 'string' && typeof ttl === 'number') this.expect(address, ttl)
  }

  /** Expects peers from `address` for `ms`; those that came before the news are let in now. */
  expect(address: string, ms: number): void {
    this.#expected.delete(address)
    if (this.#expected.size >= MAX_EXPECTED) this.#expected.delete(this.#oldest())
    this.#expected.set(address, this.#now() + Math.min(ms, LONGEST) + MARGIN)
    for (const held of this.#held.get(address) ?? []) {
      this.#release(address, held)
      held.pass()
    }
  }

  /** Calls `pass` if the peer is expected, now or soon; else it is dropped. */
  admit(socket: Socket, pass: () => void): void {
    const address = addressOf(socket)
    if (this.#isExpected(address)) pass()
    else if (this.#count >= MAX_HELD) socket.destroy()
    else this.#wait(address, { socket, pass })
  }

  #isExpected(address: string): boolean {
    const until = this.#expected.get(address)
    if (until === undefined) return false
    if (until >= this.#now()) return true
    this.#expected.delete(address)
    return false
  }

  #wait(address: string, { socket, pass }: Held): void {
    const ignore = () => {}
    const over = setTimeout(() => socket.destroy(), this.#hold).unref()
    const go = still(socket)
    const held = {
      socket,
      pass: () => {
        clearTimeout(over)
        socket.off('error', ignore).off('close', gone)
        // What a listener throws is neither for us to catch nor for the others to suffer from.
        process.nextTick(() => {
          go()
          pass()
        })
      },
    }
    const gone = () => {
      clearTimeout(over)
      this.#release(address, held)
    }
    socket.on('error', ignore).once('close', gone)
    const others = this.#held.get(address) ?? new Set<Held>()
    this.#held.set(address, others.add(held))
    this.#count++
  }

  #release(address: string, held: Held): void {
    const others = this.#held.get(address)!
    others.delete(held)
    if (others.size === 0) this.#held.delete(address)
    this.#count--
  }

  #oldest(): string {
    const [address] = this.#expected.keys()
    return address!
  }
}

/** Where a peer comes from, as the daemon tells of it. */
function addressOf({ remoteAddress = '', localAddress = '' }: Socket): string {
  return isOwn(remoteAddress, localAddress) ? HERE : plain(remoteAddress)
}
