import { clearTimeout, clock, setImmediate, setTimeout } from './clock.ts'

/** The part of an `AbortSignal` that is used. */
export interface Signal extends Pick<AbortSignal, 'aborted' | 'reason' | 'throwIfAborted'> {
  addEventListener(type: 'abort', listener: () => void, options?: { once: boolean }): void
  removeEventListener(type: 'abort', listener: () => void): void
}

/** Made once, as an error is dear. */
const DONE = new Error('it is done')

/**
 * An `AbortController` and its signal in one, for our own use: in Node 20 to make a real one and to
 * abort it takes longer than to ask a daemon of this host.
 */
export class Abort implements Signal {
  aborted = false
  reason: unknown
  #listeners: (() => void)[] = []

  /** Calls all listeners, once. There is a reason always: promises fail with it. */
  abort(reason: unknown): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason ?? DONE
    const listeners = this.#listeners
    this.#listeners = []
    for (const listener of listeners) listener()
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason
  }

  /** Adds a listener, which is called at most once. */
  addEventListener(_type: 'abort', listener: () => void): void {
    if (!this.aborted) this.#listeners.push(listener)
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener)
    if (at !== -1) this.#listeners.splice(at, 1)
  }
}

/**
 * Waits until what the kernel has for this process has been heard. After a callback of I/O the first immediate comes
 * before the loop polls again, and what it reads then may be the end of a connection, which is told at the end of that
 * turn.
 */
export async function heard(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
}

/** `promise`, but no longer than `signal` lets it; then fails with the signal's reason. */
export async function cancellable<T>(promise: Promise<T>, signal: Signal | undefined): Promise<T> {
  if (!signal) return promise
  if (signal.aborted) {
    // A failure of it is not waited for any longer.
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
 * result, the others are given up. Fails with an `AggregateError` of all errors in order, or with the reason of
 * `signal`.
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
  const cancel = new Abort()
  const abort = () => cancel.abort(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  const first = new Promise<T>((resolve, reject) => {
    const begin = () => {
      clearTimeout(timer)
      if (cancel.aborted || begun === attempts.length) return
      const index = begun++
      timer = setTimeout(begin, ms)
      attempts[index]!(cancel).then(resolve, (error: unknown) => {
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
    cancel.abort(DONE)
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
  const signal = new Abort()
  const abort = () => signal.abort(parent!.reason)
  const timer = setTimeout(() => signal.abort(late()), ms)
  if (quiet) timer.unref()
  parent?.addEventListener('abort', abort, { once: true })
  const free = () => {
    clearTimeout(timer)
    parent?.removeEventListener('abort', abort)
    signal.abort(DONE)
  }
  return { signal, free }
}

export interface RetryOptions {
  /** True if another try may go better. Default always. */
  worth?: (error: unknown) => boolean
  /** The first pause, in ms, or up to half less; each is twice as long as the last. Default 50. */
  first?: number
  /** The longest pause, in ms. Default 1,000. */
  longest?: number
  /** Gives up, in a pause too; the reason is the error. */
  signal?: Signal | undefined
  /** True to have pauses not keep the process alive. Default false. */
  quiet?: boolean
}

/** The defaults of `RetryOptions`. */
export const DEFAULTS = { first: 50, longest: 1_000, quiet: false } satisfies RetryOptions

/**
 * Tries `attempt` again, after growing pauses, until it succeeds or `ms` are over; it is given how many are left. Fails
 * with its last error.
 */
export async function retry<T>(
  attempt: (left: number) => Promise<T>,
  ms: number,
  {
    worth = () => true,
    first = DEFAULTS.first,
    longest = DEFAULTS.longest,
    signal,
    quiet = DEFAULTS.quiet,
  }: RetryOptions = {},
): Promise<T> {
  const end = clock() + ms
  let wait = first
  for (;;) {
    const left = Math.max(0, Math.ceil(end - clock()))
    try {
      return await attempt(left)
    } catch (error) {
      signal?.throwIfAborted()
      const rest = end - clock()
      if (rest <= 0 || !worth(error)) throw error
      // Programs that lost the same daemon do not all come back at once; the last try is at the very end.
      await backoff(Math.min(wait * (0.5 + Math.random() / 2), rest), signal, quiet)
      wait = Math.min(wait * 2, longest)
    }
  }
}

/** Pauses for `ms`, and keeps the process alive unless `quiet`; fails with the reason of `signal`. */
export async function backoff(
  ms: number,
  signal: Signal | undefined,
  quiet = false,
): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const pause = new Promise<void>(resolve => {
    timer = setTimeout(resolve, ms)
    if (quiet) timer.unref()
  })
  try {
    await cancellable(pause, signal)
  } finally {
    clearTimeout(timer)
  }
}
