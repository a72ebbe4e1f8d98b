import { clock, setImmediate } from '../clock.ts'

/** Milliseconds of work until the loop is given back: others are to be heard meanwhile. */
const SLICE = 4

/** Milliseconds between two slices in which connections that wait are taken, one or a few in each round of the loop. */
const ARRIVALS = 8

/** The most that is served in a row as soon as it is read. */
const AT_ONCE = 16

/**
 * The turns of those who ask. Those who ask for much do a part of it, and wait for all others before the next. They so
 * wait for themselves, and those who ask for little hardly wait. A seat is whose turn it is: whatever of one waits has
 * one turn while each other has one.
 */
export class Turns {
  /** Those who have just asked, and those who have had a turn. */
  readonly #first = new Rota()
  readonly #again = new Rota()
  readonly #now: () => number
  #isScheduled = false
  /** True within a turn. */
  #isServing = false
  #servedAtOnce = 0
  /** True if a connection has come since the loop was here last. */
  #hasCome = false
  /** The time at which the slice is due, whoever still comes. */
  #due = 0

  /** `now` is the clock, in ms. Default `clock`. */
  constructor(now: () => number = clock) {
    this.#now = now
  }

  /** True if somebody waits for a turn. */
  get isBusy(): boolean {
    return this.#isScheduled
  }

  /**
   * True if what has been read may be served there and then: it has its turn, or nobody waits, and little was served so
   * since the loop was here. Of many much can be read in one round of it.
   */
  takeAtOnce(): boolean {
    if (this.#isServing) return true
    if (this.#isScheduled) return false
    if (++this.#servedAtOnce === AT_ONCE) this.#schedule()
    return true
  }

  /** Calls `work` once what has come by now has been read, before those who have had a turn. */
  wait(work: () => void, seat: unknown = work): void {
    this.#first.add(work, seat)
    this.#schedule()
  }

  /** Calls `work` when all who wait have had their turn. */
  waitAgain(work: () => void, seat: unknown = work): void {
    this.#again.add(work, seat)
    this.#schedule()
  }

  /** Notes that a connection has come. */
  arrived(): void {
    this.#hasCome = true
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    this.#due = this.#now() + ARRIVALS
    setImmediate(() => void this.#run())
  }

  /**
   * Does a slice of the work. Node takes one connection from each listening socket in a round of its loop: those that
   * still wait to be taken, most of them for little, are not to wait for a slice each.
   */
  async #run(): Promise<void> {
    const mayComeMore = this.#hasCome && this.#now() < this.#due
    this.#hasCome = false
    if (mayComeMore) return void setImmediate(() => void this.#run())
    this.#servedAtOnce = 0
    const end = this.#now() + SLICE
    const isLate = () => this.#now() >= end
    try {
      await this.#serve(this.#first, isLate)
      await this.#serve(this.#again, isLate)
    } finally {
      this.#isScheduled = false
      if (this.#first.size > 0 || this.#again.size > 0) this.#schedule()
    }
  }

  /**
   * Serves those who wait by now, one at least, until it is late. One of each kind has its turn, or those who have just
   * asked could keep the others waiting for ever. What work sets off in promises is done before the clock is looked at.
   */
  async #serve(waiting: Rota, isLate: () => boolean): Promise<void> {
    for (let left = waiting.size; left > 0; left--) {
      const work = waiting.next()
      this.#isServing = true
      try {
        work()
      } finally {
        this.#isServing = false
      }
      await Promise.resolve()
      if (isLate()) return
    }
  }
}

/** Work that waits, by seats. */
class Rota {
  /** The work of each seat; the seat whose turn is next comes first. */
  readonly #seats = new Map<unknown, (() => void)[]>()
  #size = 0

  /** The number of all that wait. */
  get size(): number {
    return this.#size
  }

  add(work: () => void, seat: unknown): void {
    const waiting = this.#seats.get(seat)
    if (waiting) waiting.push(work)
    else this.#seats.set(seat, [work])
    this.#size++
  }

  /** Takes what is next. */
  next(): () => void {
    const [first] = this.#seats
    const [seat, waiting] = first!
    const work = waiting.shift()!
    this.#seats.delete(seat)
    if (waiting.length > 0) this.#seats.set(seat, waiting)
    this.#size--
    return work
  }
}
