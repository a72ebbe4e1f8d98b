import { cancellable, type Signal } from './async.ts'

export interface PersistOptions {
  /** Whether another try may go better. Default always. */
  worth?: (error: unknown) => boolean
  /** The first pause, in ms, or up to half less; each is twice as long as the last. Default 50. */
  first?: number
  /** The longest pause, in ms. Default 1,000. */
  longest?: number
  /** Gives up, in a pause too; the reason is the error. */
  signal?: Signal | undefined
  /** Whether pauses keep the process alive no longer. Default false. */
  quiet?: boolean
}

/**
 * What `attempt` makes in the end: it is tried again after growing pauses until `ms` are over, and
 * told how many are left; then its last failure is ours.
 */
export async function persist<T>(
  attempt: (left: number) => Promise<T>,
  ms: number,
  { worth = () => true, first = 50, longest = 1_000, signal, quiet = false }: PersistOptions = {},
): Promise<T> {
  const end = performance.now() + ms
  let wait = first
  for (;;) {
    const left = Math.max(0, Math.ceil(end - performance.now()))
    try {
      return await attempt(left)
    } catch (error) {
      signal?.throwIfAborted()
      const rest = end - performance.now()
      if (rest <= 0 || !worth(error)) throw error
      // Those who lost the same daemon do not all come back at once; the last try is at the very end.
      await rested(Math.min(wait * (0.5 + Math.random() / 2), rest), signal, quiet)
      wait = Math.min(wait * 2, longest)
    }
  }
}

/** A pause that keeps the process alive, unless it is `quiet`, and ends with the reason of `signal`. */
export async function rested(ms: number, signal: Signal | undefined, quiet = false): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const over = new Promise<void>(resolve => {
    timer = setTimeout(resolve, ms)
    if (quiet) timer.unref()
  })
  try {
    await cancellable(over, signal)
  } finally {
    clearTimeout(timer)
  }
}
