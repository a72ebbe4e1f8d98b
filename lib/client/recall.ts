import { heard } from '../async.ts'
import { clearInterval, clock, setInterval } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import type { Resolution } from '../resolution.ts'
import type { Watch, WatchOptions } from './watch.ts'

const debug = diagnostics('moniker:recall')

/**
 * Milliseconds from the question for which an answer is gone by. A name that is withdrawn right after it was answered
 * is gone to for as long, at most.
 */
const TRUSTED = { here: 80, far: 1_150 }

/** Milliseconds after which an answer of another host is asked for again, while it is used. */
const REFRESH = 1_000

/** Milliseconds that a turn of the loop may be ago: what a watch has told by then has been heard. */
const TURN = 40

/** Milliseconds after a turn until the next is waited for: that takes some turns without sleep, too many for each datagram. */
const NEXT_TURN = 10

/** The most names that are watched at a time; of the rest each answer is good for `TRUSTED.here`. */
const MAX_WATCHES = 64

/** The most names that are remembered. */
const MAX_RECALLED = 1_024

let watches = 0

export interface RecallOptions {
  /** Asks the daemon. */
  ask: () => Promise<Resolution>
  /** True if it is this host that is asked. */
  isHere: boolean
  /** The name to watch, where that can be done. */
  watch?: WatchOptions | undefined
  /** The clock, in ms. Default `clock`. */
  now?: (() => number) | undefined
  /** Milliseconds for which a name is watched that is not used. Default 10,000. */
  idle?: number
}

/** The defaults of `RecallOptions`. */
export const DEFAULTS = { now: clock, idle: 10_000 } satisfies Partial<RecallOptions>

/**
 * The place of a name, for datagrams: the one that is known, as long as it is sure, and else the answer to a question.
 * On this host a watch vouches for an answer; that of another host is asked for again while it is used.
 */
export class Recall {
  readonly #ask: () => Promise<Resolution>
  readonly #isHere: boolean
  /** The name to watch, as long as that may be done. */
  #interest: WatchOptions | undefined
  readonly #now: () => number
  #found: Resolution | undefined
  /** The time of the question that was answered, and that at which the answer may be remembered no more. */
  #since = 0
  #until = 0
  #flight: Promise<Resolution> | undefined
  #watch: Watch | undefined
  #idle: NodeJS.Timeout | undefined
  readonly #unused: number
  #isStarting = false
  #isClosed = false
  /** Counts what watches have told. */
  #count = 0
  /** The count, while a watch tells of every change. */
  #changes: number | undefined
  /** The same at the time of the question. */
  #seen: number | undefined
  /** The time of the last turn of the loop, as far as is known. */
  #turned = -Infinity
  #turning: Promise<void> | undefined
  #used = 0

  constructor({ ask, isHere, watch, now = DEFAULTS.now, idle = DEFAULTS.idle }: RecallOptions) {
    this.#ask = ask
    this.#isHere = isHere
    this.#interest = watch
    this.#now = now
    this.#unused = idle
  }

  /** The place, at once if it is sure. A caller that waits for the name asks by itself. */
  get(ask?: () => Promise<Resolution>): Resolution | Promise<Resolution> {
    const now = this.#now()
    this.#used = now
    const found = this.#found
    if (!found || now >= this.#until) return this.#refresh(ask)
    const age = now - this.#since
    if (!this.#isHere) {
      if (age > TRUSTED.far) return this.#refresh(ask)
      if (age >= REFRESH) this.#refresh().catch(() => {})
      return found
    }
    if (age <= TRUSTED.here) return found
    if (!this.#isVouched) {
      this.#startWatch()
      return this.#refresh(ask)
    }
    const quiet = now - this.#turned
    if (quiet <= NEXT_TURN) return found
    const turn = (this.#turning ??= this.#turn())
    // This program may have been busy, and have heard nothing.
    return quiet <= TURN ? found : turn.then(() => (this.#isVouched ? found : this.#refresh(ask)))
  }

  /** Asks at once: the place has refused a datagram. */
  doubt(): void {
    this.#until = 0
    this.#refresh().catch(() => {})
  }

  close(): void {
    this.#isClosed = true
    this.#stopWatch()
  }

  #stopWatch(): void {
    if (!this.#watch) return
    clearInterval(this.#idle)
    this.#watch.close()
    this.#watch = this.#changes = undefined
    watches--
  }

  /** True if a watch has told of no change since the question. */
  get #isVouched(): boolean {
    return this.#changes !== undefined && this.#changes === this.#seen
  }

  #refresh(ask?: () => Promise<Resolution>): Promise<Resolution> {
    if (ask) return this.#fetch(ask)
    this.#flight ??= this.#fetch(this.#ask).finally(() => (this.#flight = undefined))
    return this.#flight
  }

  async #fetch(ask: () => Promise<Resolution>): Promise<Resolution> {
    const since = this.#now()
    const seen = this.#changes
    try {
      const found = await ask()
      this.#found = found
      this.#since = since
      this.#until = since + found.ttl
      this.#seen = seen
      return found
    } catch (error) {
      this.#until = 0
      throw error
    }
  }

  async #turn(): Promise<void> {
    await heard()
    this.#turned = this.#now()
    this.#turning = undefined
  }

  #startWatch(): void {
    const interest = this.#interest
    if (!interest || this.#watch || this.#isStarting || watches >= MAX_WATCHES) return
    this.#isStarting = true
    watches++
    import('./watch.ts')
      .then(({ watch }) => this.#follow(watch(interest).unref()))
      .catch((error: Error) => this.#unwatched(error))
  }

  /** Goes on without a watch: each answer is good for a moment. */
  #unwatched(error: Error): void {
    debug('%s', error.message)
    this.#interest = undefined
    if (this.#isStarting) watches--
    this.#isStarting = false
    this.#stopWatch()
  }

  #follow(watch: Watch): void {
    this.#isStarting = false
    this.#watch = watch
    const onReady = () => (this.#changes = ++this.#count)
    const onChange = () => this.#changes !== undefined && onReady()
    watch
      .on('ready', onReady)
      .on('up', onChange)
      .on('down', onChange)
      .on('lost', () => (this.#changes = undefined))
      .on('error', error => {
        // It may not list.
        this.#unwatched(error as Error)
      })
    const onIdle = () => this.#now() - this.#used > this.#unused && this.#stopWatch()
    this.#idle = setInterval(onIdle, this.#unused).unref()
    if (this.#isClosed) this.#stopWatch()
  }
}

/** The places that are remembered, by key. The oldest goes first. */
export class Recalls {
  readonly #all = new Map<string, Recall>()

  get size(): number {
    return this.#all.size
  }

  at(key: string, make: () => RecallOptions): Recall {
    const known = this.#all.get(key)
    if (known) return known
    const made = new Recall(make())
    this.#all.set(key, made)
    if (this.#all.size > MAX_RECALLED) {
      const [[oldest, recall]] = this.#all as unknown as [[string, Recall]]
      this.#all.delete(oldest)
      recall.close()
    }
    return made
  }
}
