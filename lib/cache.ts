import { uptime } from './clock.ts'

export interface CacheOptions {
  /** The most values to remember; the oldest goes first. Default 1,024. */
  max?: number
  /** The clock, in seconds. Default `uptime`, as each connect to a name asks for the time. */
  now?: () => number
}

/** The defaults of `CacheOptions`. */
export const DEFAULTS = { max: 1_024, now: uptime } satisfies CacheOptions

interface Item<T> {
  readonly value: T
  readonly since: number
  readonly until: number
}

/** Remembers values by key, each for as long as it is told to. */
export class Cache<T> {
  readonly #items = new Map<string, Item<T>>()
  readonly #max: number
  readonly #now: () => number

  constructor({ max = DEFAULTS.max, now = DEFAULTS.now }: CacheOptions = {}) {
    this.#max = max
    this.#now = now
  }

  /** The value under `key` and its age in ms, unless it has expired. */
  get(key: string): { value: T; age: number } | undefined {
    const item = this.#items.get(key)
    if (!item) return undefined
    const now = this.#now()
    if (now < item.until) return { value: item.value, age: Math.round((now - item.since) * 1e3) }
    this.#items.delete(key)
    return undefined
  }

  /** Remembers `value` for `ms` milliseconds, in place of what was under `key`. */
  set(key: string, value: T, ms: number): void {
    this.#items.delete(key)
    const since = this.#now()
    this.#items.set(key, { value, since, until: since + ms / 1e3 })
    if (this.#items.size > this.#max) this.#items.delete(this.#items.keys().next().value!)
  }

  delete(key: string): void {
    this.#items.delete(key)
  }
}
