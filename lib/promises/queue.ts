interface Taker<T> {
  readonly resolve: (value: T | null) => void
  readonly reject: (error: unknown) => void
}

/** What comes, for those who wait for it, in order; at most `max` wait to be taken. */
export class Queue<T> {
  readonly #max: number
  readonly #values: T[] = []
  readonly #takers: Taker<T>[] = []
  #isOver = false
  #error: Error | undefined
  #failure: Error | undefined

  constructor(max: number) {
    this.#max = max
  }

  /** Says whether there was room for `value`. */
  push(value: T): boolean {
    if (this.#isOver) return false
    const taker = this.#takers.shift()
    if (taker) taker.resolve(value)
    else if (this.#values.length >= this.#max) return false
    else this.#values.push(value)
    return true
  }

  /** Whoever waits first, or takes next, gets an error once; more may come after. */
  fail(error: Error): void {
    if (this.#isOver) return
    const taker = this.#takers.shift()
    if (taker) taker.reject(error)
    else this.#failure ??= error
  }

  /** Nothing more will come. Whoever waits, or takes later, gets `null`, or the `error`. */
  end(error?: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#error = error
    for (const { resolve, reject } of this.#takers.splice(0)) {
      if (error) reject(error)
      else resolve(null)
    }
  }

  /** The next value; `null` after the last. Fails with the reason of `signal`, and takes nothing then. */
  async take(signal?: AbortSignal): Promise<T | null> {
    signal?.throwIfAborted()
    const value = this.#values.shift()
    if (value !== undefined) return value
    const failure = this.#failure
    this.#failure = undefined
    if (failure) throw failure
    if (this.#error) throw this.#error
    if (this.#isOver) return null
    let taker!: Taker<T>
    const abort = () => {
      const place = this.#takers.indexOf(taker)
      // What it waited for has come in this very turn.
      if (place === -1) return
      this.#takers.splice(place, 1)
      taker.reject(signal!.reason)
    }
    signal?.addEventListener('abort', abort, { once: true })
    try {
      return await new Promise<T | null>((resolve, reject) => {
        this.#takers.push((taker = { resolve, reject }))
      })
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }
}
