import { clock, setImmediate } from '../clock.ts'

/** The connection over which the end of a lease is told. */
export interface Keeper {
  /** Notes that one of its leases was used. */
  used(): void
}

/**
 * An answer that the daemon of this host vouches for, until it tells otherwise or the connection closes. It is asked
 * for with a question, and may not be granted.
 */
export class Lease {
  readonly #keeper: Keeper
  #state: 'asked' | 'held' | 'over' = 'asked'
  /** Called once, when a lease that was held is over. */
  onOver: (() => void) | undefined

  constructor(keeper: Keeper) {
    this.#keeper = keeper
  }

  /** True from when it is granted until it is over. */
  get isHeld(): boolean {
    return this.#state === 'held'
  }

  /** Notes that it was granted, unless it is over by then. */
  grant(): void {
    if (this.#state === 'asked') this.#state = 'held'
  }

  end(): void {
    this.#state = 'over'
    this.onOver?.()
  }

  /** Notes that it was used: its connection is kept open for that. */
  use(): void {
    this.#keeper.used()
  }
}

/**
 * Milliseconds that may have passed since what had come was read. A higher version is to be known 50 ms after
 * it has come: half of that is for the daemon, to tell those who have a lease, and half for this program, to read it.
 */
const TURN = 25

/** Milliseconds after which a program that uses leases looks again whether it has read all. */
const REFRESH = 5

/**
 * The time up to which this program has read what daemons had told it. A lease is good only if that was lately: a
 * program that was busy, or stopped, has not read yet that it is over. The proof is that the event loop has gone round
 * since: it polled, and so read what had come. It goes round by itself while a program is at work, so the first call
 * after a rest finds no proof, and asks; the next one finds it.
 */
export class Hearing {
  readonly #now: () => number
  /** All that had come by this time has been read. */
  #since = -Infinity
  #isTurning = false
  #doubts = 0

  /** `now` is the clock, in ms. Default `clock`. */
  constructor(now: () => number = clock) {
    this.#now = now
  }

  /** True if what had come 25 ms ago has been read. */
  isRecent(): boolean {
    const age = this.#now() - this.#since
    if (age > REFRESH && !this.#isTurning) this.#turn()
    return age <= TURN
  }

  /**
   * Has nothing count as read before the loop has gone round again: the daemon has said something over another
   * connection, and may have told before, over that of the leases, that one is over.
   */
  doubt(): void {
    this.#since = -Infinity
    this.#doubts++
  }

  /** Goes round as `heard` does, and makes no promises for it, as this is on the way of each connect. */
  #turn(): void {
    const since = this.#now()
    const doubts = this.#doubts
    this.#isTurning = true
    const turned = () => {
      this.#isTurning = false
      if (doubts === this.#doubts) this.#since = since
    }
    setImmediate(() => setImmediate(() => setImmediate(turned)))
  }
}

/** That of this process. */
export const hearing = new Hearing()
