import type { Change, Watched } from './roster.ts'

interface Taker {
  readonly resolve: (result: IteratorResult<Change, undefined>) => void
  readonly reject: (error: unknown) => void
}

/**
 * The changes that a reader has yet to take. What came and went before it was taken is left out, so
 * that there are never more than there are names, however slow the reader is.
 */
export class Backlog implements AsyncIterableIterator<Change, undefined> {
  readonly #pending = new Map<Watched, Change>()
  readonly #takers: Taker[] = []
  readonly #left: () => void
  #isOver = false
  #error: unknown

  /** `left` is called when the reader leaves. */
  constructor(services: Iterable<Watched>, left: () => void) {
    for (const service of services) this.push('up', service)
    this.#left = left
  }

  /** A change; `service` is the very object that was up. */
  push(event: Change['event'], service: Watched): void {
    const change = { event, ...service }
    const taker = this.#takers.shift()
    if (taker) taker.resolve({ value: change, done: false })
    else if (!this.#pending.delete(service)) this.#pending.set(service, change)
  }

  /** Nothing more will come; who takes when all is taken gets the end, or the `error`. */
  end(error?: unknown): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#error = error
    for (const taker of this.#takers.splice(0)) this.#finish(taker)
  }

  next(): Promise<IteratorResult<Change, undefined>> {
    for (const [service, value] of this.#pending) {
      this.#pending.delete(service)
      return Promise.resolve({ value, done: false })
    }
    return new Promise((resolve, reject) => {
      if (this.#isOver) this.#finish({ resolve, reject })
      else this.#takers.push({ resolve, reject })
    })
  }

  async return(): Promise<IteratorResult<Change, undefined>> {
    this.#pending.clear()
    this.end()
    this.#left()
    return { value: undefined, done: true }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** An error is told once. */
  #finish({ resolve, reject }: Taker): void {
    const error = this.#error
    this.#error = undefined
    if (error === undefined) resolve({ value: undefined, done: true })
    else reject(error)
  }
}
