/** What is used of an `AbortSignal`. */
export interface Signal extends Pick<AbortSignal, 'aborted' | 'reason' | 'throwIfAborted'> {
  addEventListener(type: 'abort', listener: () => void, options?: { once: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** Made once, as an error is dear. */
const OVER = new Error('it is over')

/**
 * An `AbortController` and its signal in one, for our own use: in Node 20 to make a real one and to
 * abort it takes longer than to ask a daemon of this host.
 */
export class Halt implements Signal {
  aborted = false
  reason: unknown
  #listeners: (() => void)[] = []

  /** Tells all who listen, once. There is a reason always: promises fail with it. */
  abort(reason: unknown): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason ?? OVER
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener()
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason
  }

  /** Nobody is called more than once. */
  addEventListener(_type: 'abort', listener: () => void): void {
    if (!this.aborted) this.#listeners.push(listener)
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener)
    if (at !== -1) this.#listeners.splice(at, 1)
  }
}

/** `promise`, but no longer than `signal` lets it; then fails with the signal's reason. */
export async function cancellable<T>(promise: Promise<T>, signal: Signal | undefined): Promise<T> {
  if (!signal) return promise
  if (signal.aborted) {
    // Nobody is left to take its failure.
    promise.catch(() => {})
    throw signal.reason
  }
  let abort!: () => void
  const aborted = new Promise<never>((_resolve, reject) => {
    abort = () => reject(signal.reason as Error)
  })
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/**
 * The first result of `attempts`. Each begins `ms` after the one before, or as soon as that has failed. Once there is a
 * result, the others are given up. Fails with an `AggregateError` of all errors in order, or with the reason of `signal`.
 */
export async function firstOf<T>(
  attempts: readonly ((signal: Signal) => Promise<T>)[],
  ms: number,
  signal: Signal,
): Promise<T> {
  signal.throwIfAborted()
  const errors: unknown[] = []
  let begun = 0
  let failed = 0
  let timer: NodeJS.Timeout | undefined
  const over = new Halt()
  const abort = () => over.abort(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  const first = new Promise<T>((resolve, reject) => {
    const begin = () => {
      clearTimeout(timer)
      if (over.aborted || begun === attempts.length) return
      const index = begun++
      timer = setTimeout(begin, ms)
      attempts[index]!(over).then(resolve, (error: unknown) => {
        errors[index] = error
        if (++failed === attempts.length) reject(new AggregateError(errors))
        else begin()
      })
    }
    begin()
    if (attempts.length === 0) reject(new AggregateError(errors))
  })
  try {
    return await cancellable(first, signal)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
    over.abort(OVER)
  }
}

/**
 * A signal that aborts with `parent`, or with `late()` after `ms`; `free` lets both go. Unlike
 * `AbortSignal.timeout` it keeps the process alive while something is waited for, unless `quiet`.
 */
export function deadline(
  ms: number,
  late: () => unknown,
  parent?: Signal,
  { quiet = false }: { quiet?: boolean } = {},
): { signal: Signal; free: () => void } {
  parent?.throwIfAborted()
  const signal = new Halt()
  const abort = () => signal.abort(parent!.reason)
  const timer = setTimeout(() => signal.abort(late()), ms)
  if (quiet) timer.unref()
  parent?.addEventListener('abort', abort, { once: true })
  const free = () => {
    clearTimeout(timer)
    parent?.removeEventListener('abort', abort)
    signal.abort(OVER)
  }
  return { signal, free }
}
