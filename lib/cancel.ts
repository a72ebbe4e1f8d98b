/** `promise`, but no longer than `signal` lets it; then fails with the signal's reason. */
export async function cancellable<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
): Promise<T> {
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

/** Made once, as an error is dear. */
const OVER = new Error('it is over')

/**
 * A signal that aborts with `parent`, or with `late()` after `ms`; `free` lets both go. Unlike
 * `AbortSignal.timeout` it keeps the process alive while something is waited for, unless `quiet`.
 */
export function deadline(
  ms: number,
  late: () => unknown,
  parent?: AbortSignal,
  { quiet = false }: { quiet?: boolean } = {},
): { signal: AbortSignal; free: () => void } {
  parent?.throwIfAborted()
  const over = new AbortController()
  const abort = () => over.abort(parent!.reason)
  const timer = setTimeout(() => over.abort(late()), ms)
  if (quiet) timer.unref()
  parent?.addEventListener('abort', abort, { once: true })
  const free = () => {
    clearTimeout(timer)
    parent?.removeEventListener('abort', abort)
    over.abort(OVER)
  }
  return { signal: over.signal, free }
}
