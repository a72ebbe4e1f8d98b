import { clock, setImmediate } from '../clock.ts'

/** Milliseconds of work until the loop is given back: others are to be heard meanwhile. */
const SLICE = 2

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

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.#run())
  }

  #run(): void {
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
