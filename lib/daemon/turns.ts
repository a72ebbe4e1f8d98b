import { clock, setImmediate } from '../clock.ts'

/** Milliseconds of work until the loop is given back: others are to be heard meanwhile. */
const SLICE = 2

/** The most connections that are taken between two slices. */
const ARRIVALS = 64

/**
 * The turns of those who ask. Those who ask for much do a part of it, and wait for all others before the next. They so
 * wait for themselves, and those who ask for little hardly wait.
 */
export class Turns {
  /** Those who have just asked, and those who have had a turn. */
  readonly #first: (() => void)[] = []
  readonly #again: (() => void)[] = []
  readonly #now: () => number
  #isScheduled = false
  /** True if a connection has come since the loop was here last; and how many since the last slice. */
  #hasCome = false
  #arrivals = 0

  /** `now` is the clock, in ms. Default `clock`. */
  constructor(now: () => number = clock) {
    this.#now = now
  }

  /** True if somebody waits for a turn: whoever asks then is to wait as well. */
  get isBusy(): boolean {
    return this.#isScheduled
  }

  /** Calls `work` once what has come by now has been read, before those who have had a turn. */
  wait(work: () => void): void {
    this.#first.push(work)
    this.#schedule()
  }

  /** Calls `work` when all who wait have had their turn. */
  waitAgain(work: () => void): void {
    this.#again.push(work)
    this.#schedule()
  }

  /** Notes that a connection has come. */
  arrived(): void {
    this.#hasCome = true
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.#run())
  }

  /**
   * Does a slice of the work. Node takes one connection from each listening socket in a round of its loop: those that
   * still wait to be taken, most of them for little, are not to wait for a slice each.
   */
  #run(): void {
    const mayComeMore = this.#hasCome && this.#arrivals < ARRIVALS
    this.#hasCome = false
    if (mayComeMore) {
      this.#arrivals++
      return void setImmediate(() => this.#run())
    }
    this.#arrivals = 0
    const end = this.#now() + SLICE
    const isLate = () => this.#now() >= end
    try {
      serve(this.#first, isLate)
      serve(this.#again, isLate)
    } finally {
      this.#isScheduled = false
      if (this.#first.length > 0 || this.#again.length > 0) this.#schedule()
    }
  }
}

/**
 * Serves those who wait by now, one at least, until it is late. One of each kind has its turn, or those who have just
 * asked could keep the others waiting for ever.
 */
function serve(waiting: (() => void)[], isLate: () => boolean): void {
  const count = waiting.length
  let done = 0
  try {
    while (done < count) {
      waiting[done++]!()
      if (isLate()) return
    }
  } finally {
    waiting.splice(0, done)
  }
}
