import { MonikerError } from '../errors.ts'
import type { Change, Entry } from './registry.ts'

/** The names that a subscriber is told of; what is left out may be anything. */
export interface Interest {
  readonly namespace?: string
  readonly service?: string
  /** Namespaces beside `namespace`. */
  readonly also?: readonly string[]
}

/** A watch, or a question that is held. */
export interface Subscriber {
  /** Called with each change, at once. */
  tell(change: Change, entry: Entry): void
  /** Called if the owner goes: it is told no more. */
  released(): void
}

export interface SubscriptionsOptions {
  /** The most subscribers. Default 65,536. */
  max?: number
  /** The most subscribers of one owner. Default 16,384. */
  maxOwned?: number
}

/** The defaults of `SubscriptionsOptions`. */
export const DEFAULTS = { max: 65_536, maxOwned: 16_384 } satisfies SubscriptionsOptions

interface Subscription {
  readonly subscriber: Subscriber
  readonly keys: readonly string[]
}

/**
 * The subscribers of names. As the registry it knows nothing of sockets: an owner is any object. A
 * subscriber of other names costs nothing when one changes.
 */
export class Subscriptions {
  readonly #max: number
  readonly #maxOwned: number
  readonly #rows = new Map<string, Set<Subscriber>>()
  readonly #owners = new Map<object, Set<Subscription>>()
  #size = 0

  constructor({ max = DEFAULTS.max, maxOwned = DEFAULTS.maxOwned }: SubscriptionsOptions = {}) {
    this.#max = max
    this.#maxOwned = maxOwned
  }

  /** The number of subscribers. */
  get size(): number {
    return this.#size
  }

  /** The number of subscribers that `owner` has. */
  count(owner: object): number {
    return this.#owners.get(owner)?.size ?? 0
  }

  /** Tells `subscriber` from now on, until the returned function is called. Throws `ELIMIT` beyond the limits. */
  follow(owner: object, interest: Interest, subscriber: Subscriber): () => void {
    const owned = this.#owners.get(owner) ?? new Set<Subscription>()
    if (owned.size >= this.#maxOwned) throw full(`one connection may ask ${this.#maxOwned}`)
    if (this.#size >= this.#max) throw full(`all together may ask ${this.#max}`)
    const subscription = { subscriber, keys: keysOf(interest) }
    this.#owners.set(owner, owned.add(subscription))
    for (const key of subscription.keys) {
      const row = this.#rows.get(key) ?? new Set<Subscriber>()
      this.#rows.set(key, row.add(subscriber))
    }
    this.#size++
    return () => {
      if (!owned.delete(subscription)) return
      if (owned.size === 0) this.#owners.delete(owner)
      this.#forget(subscription)
    }
  }

  /** Tells the subscribers of its name that `entry` has come or gone. */
  tell(change: Change, entry: Entry): void {
    if (this.#size === 0) return
    const { namespace, service } = entry
    for (const key of [keyOf(namespace, service), keyOf(namespace), keyOf('*', service), keyOf()]) {
      for (const subscriber of this.#rows.get(key) ?? []) subscriber.tell(change, entry)
    }
  }

  /** Forgets all that `owner` follows: its connection has closed. */
  release(owner: object): void {
    const owned = this.#owners.get(owner) ?? new Set<Subscription>()
    this.#owners.delete(owner)
    for (const subscription of owned) {
      owned.delete(subscription)
      this.#forget(subscription)
      subscription.subscriber.released()
    }
  }

  #forget({ subscriber, keys }: Subscription): void {
    for (const key of keys) {
      const row = this.#rows.get(key)!
      row.delete(subscriber)
      if (row.size === 0) this.#rows.delete(key)
    }
    this.#size--
  }
}

/** No word has a `*` or a `:` in it. */
function keyOf(namespace = '*', service = '*'): string {
  return `${namespace}:${service}`
}

/** The keys of an interest. All namespaces are one key, so that other namespaces beside them change nothing. */
function keysOf({ namespace, service, also = [] }: Interest): string[] {
  if (namespace === undefined) return [keyOf(namespace, service)]
  return [...new Set([namespace, ...also])].map(one => keyOf(one, service))
}

function full(text: string): MonikerError {
  return new MonikerError('ELIMIT', { text: `${text} to wait or watch at once` })
}
