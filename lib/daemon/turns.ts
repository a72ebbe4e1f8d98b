import { clock, setImmediate } from '../clock.ts'

/** Milliseconds of work until the loop is given back: others are to be heard meanwhile. */
const SLICE = 2

/**
 * The turns of those who ask. Whoever asks for much does a part of it, and waits for all others before the next: so he
 * waits for himself, and those who ask for little hardly wait.
 */
export class Turns {
  /** Those who have just asked, and those who have had a turn. */
  #first: (() => void)[] = []
  #again: (() => void)[] = []
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

  /** Calls `work` once what has come by now has been read, before those who have had a turn. It must not throw. */
  wait(work: () => void): void {
    this.#first.push(work)
    this.#schedule()
  }

  /** Calls `work` when all who wait have had their turn. It must not throw. */
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
    const first = this.#first
    this.#first = []
    const left = work(first, isLate)
    this.#first = [...left, ...this.#first]
    const again = this.#again
    this.#again = []
    // One at least, or those who have just asked could keep them waiting for ever.
    this.#again = [...work(again, isLate), ...this.#again]
    this.#isScheduled = false
    if (this.#first.length > 0 || this.#again.length > 0) this.#schedule()
  }
}

/** Calls one after the other, one at least, until it is late. Returns the rest. */
function work(all: readonly (() => void)[], isLate: () => boolean): readonly (() => void)[] {
  let done = 0
  while (done < all.length) {
    all[done++]!()
    if (isLate()) break
  }
  return all.slice(done)
}
