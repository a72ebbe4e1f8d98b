import { clock } from '../clock.ts'

/** A limit to how often something may be done. */
export interface Rate {
  /** The number for each second, in the long run. */
  readonly perSecond: number
  /** The number at once, after a time without. */
  readonly burst: number
}

/** The clock, in ms. */
type Now = () => number

/**
 * A token bucket. It looks at the clock only when it is empty, so that taking costs next to nothing;
 * for that, what is taken in one go may be up to twice the burst.
 */
export class Bucket {
  readonly #rate: Rate
  readonly #now: Now
  #tokens: number
  #filled: number

  constructor(rate: Rate, now: Now = clock) {
    this.#rate = rate
    this.#now = now
    this.#tokens = rate.burst
    this.#filled = now()
  }

  /** Takes a token. False if there is none. */
  take(): boolean {
    if (this.#tokens < 1) this.#fill()
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }

  #fill(): void {
    const { perSecond, burst } = this.#rate
    const now = this.#now()
    const grown = ((now - this.#filled) * perSecond) / 1_000
    this.#tokens = Math.min(burst, this.#tokens + grown)
    this.#filled = now
  }
}

export interface BucketsOptions {
  /** The most keys for which a bucket is kept. Default 4,096. */
  max?: number
  /** The clock, in ms. Default `clock`. */
  now?: Now
}

/** The defaults of `BucketsOptions`. */
export const DEFAULTS = { max: 4_096 } satisfies BucketsOptions

/** A bucket for each key. If there are too many, the oldest is forgotten, and its key begins with a full one. */
export class Buckets {
  readonly #rate: Rate
  readonly #max: number
  readonly #now: Now | undefined
  readonly #buckets = new Map<string, Bucket>()

  constructor(rate: Rate, { max = DEFAULTS.max, now }: BucketsOptions = {}) {
    this.#rate = rate
    this.#max = max
    this.#now = now
  }

  /** The number of keys for which there is a bucket. */
  get size(): number {
    return this.#buckets.size
  }

  /** Takes a token from the bucket of `key`. False if there is none. */
  take(key: string): boolean {
    return (this.#buckets.get(key) ?? this.#add(key)).take()
  }

  #add(key: string): Bucket {
    if (this.#buckets.size >= this.#max) this.#buckets.delete(this.#oldest())
    const bucket = new Bucket(this.#rate, this.#now)
    this.#buckets.set(key, bucket)
    return bucket
  }

  #oldest(): string {
    const [key] = this.#buckets.keys()
    return key!
  }
}
