/** A call of `take` that waits. */
interface Taker<T> {
  readonly resolve: (value: T | null) => void
  readonly reject: (error: unknown) => void
}

/** Values in order, for takers in order; at most `max` values wait to be taken. */
export class Queue<T> {
  readonly #max: number
  readonly #values: T[] = []
  readonly #takers: Taker<T>[] = []
  #hasEnded = false
  /** The error of the end, for every `take` from then on. */
  #error: Error | undefined
  /** The error for the next `take` alone. */
  #failure: Error | undefined

  constructor(max: number) {
    this.#max = max
  }

  /** False if there was no room for `value`, or the queue has ended. */
  push(value: T): boolean {
    if (this.#hasEnded) return false
    const taker = this.#takers.shift()
    if (taker) taker.resolve(value)
    else if (this.#values.length >= this.#max) return false
    else this.#values.push(value)
    return true
  }

  /** Fails the first taker, or the next `take`, once; values may come afterwards. */
  fail(error: Error): void {
    if (this.#hasEnded) return
    const taker = this.#takers.shift()
    if (taker) taker.reject(error)
    else this.#failure ??= error
  }

  /** Ends the queue: waiting takers get `null` or `error`, and so does `take` once no value is left. */
  end(error?: Error): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#error = error
    for (const { resolve, reject } of this.#takers.splice(0)) {
      if (error) reject(error)
      else resolve(null)
    }
  }

  /** The next value; `null` after the last. If `signal` aborts, fails with its reason and takes nothing. */
  async take(signal?: AbortSignal): Promise<T | null> {
    signal?.throwIfAborted()
    const value = this.#values.shift()
    if (value !== undefined) return value
    const failure = this.#failure
    this.#failure = undefined
    if (failure) throw failure
    if (this.#error) throw this.#error
    if (this.#hasEnded) return null
    let taker!: Taker<T>
    const abort = () => {
      const index = this.#takers.indexOf(taker)
      // Its value has come in this very turn.
      if (index === -1) return
      this.#takers.splice(index, 1)
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
