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
  /** Called with each change, in order. Where there are many it may be late, and of a change before it subscribed. */
  tell(change: Change, entry: Entry): void
  /** Called if the owner goes: it is told no more. */
  released(): void
}

export interface SubscriptionsOptions {
  /** The most subscribers. Default 65,536. */
  max?: number
  /** The most subscribers of one owner. Default 16,384. */
  maxOwned?: number
  /** Calls a function when all others have had their turn. Default at once. */
  later?: Later
}

/** The defaults of `SubscriptionsOptions`. */
export const DEFAULTS = { max: 65_536, maxOwned: 16_384 } satisfies SubscriptionsOptions

/** The number of subscribers that are told in one turn; fewer are told at once. */
const PORTION = 64

/** The most changes of which not all subscribers have been told; names are refused beyond it. */
const MAX_NEWS = 1_024

/** Calls a function when all others have had their turn. */
type Later = (work: () => void) => void

/** The subscribers of one name, or of some, and what they have not all been told yet. */
class Row extends Set<Subscriber> {
  readonly news: (readonly [change: Change, entry: Entry])[] = []

  tell(change: Change, entry: Entry, later: Later): void {
    if (this.news.push([change, entry]) === 1) this.#begin(later)
  }

  /** A few are told at once. */
  #begin(later: Later): void {
    const subscribers = this.values()
    if (this.size >= PORTION) later(() => this.#goOn(subscribers, later))
    else this.#goOn(subscribers, later)
  }

  /** Tells some more of the first of the news, and then of the next; the news may be many where subscribers are few. */
  #goOn(subscribers: Iterator<Subscriber>, later: Later): void {
    let rest = subscribers
    for (let told = 0; told < PORTION; told++) {
      const [change, entry] = this.news[0]!
      const { value, done } = rest.next()
      if (!done) value.tell(change, entry)
      else {
        this.news.shift()
        if (this.news.length === 0) return
        rest = this.values()
      }
    }
    later(() => this.#goOn(rest, later))
  }
}

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
  readonly #later: Later
  readonly #rows = new Map<string, Row>()
  readonly #owners = new Map<object, Set<Subscription>>()
  #size = 0

  constructor({
    max = DEFAULTS.max,
    maxOwned = DEFAULTS.maxOwned,
    later = work => work(),
  }: SubscriptionsOptions = {}) {
    this.#max = max
    this.#maxOwned = maxOwned
    this.#later = later
  }

  /** The number of subscribers. */
  get size(): number {
    return this.#size
  }

  /** The most subscribers that there may be. */
  get max(): number {
    return this.#max
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
      const row = this.#rows.get(key) ?? new Row()
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
    for (const key of keysOfEntry(entry)) this.#rows.get(key)?.tell(change, entry, this.#later)
  }

  /** Throws `ELIMIT` if there are too many whom a name that comes would have to be told to. */
  assertRoom(entry: Pick<Entry, 'namespace' | 'service'>): void {
    if (this.#size <= PORTION) return
    const isBehind = (key: string) => (this.#rows.get(key)?.news.length ?? 0) >= MAX_NEWS
    if (!keysOfEntry(entry).some(isBehind)) return
    const text =
      'so many programs wait for this name, or watch it, that they are not told fast enough'
    throw new MonikerError('ELIMIT', { text })
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

/** The keys under which a name is of interest. */
function keysOfEntry({ namespace, service }: Pick<Entry, 'namespace' | 'service'>): string[] {
  return [keyOf(namespace, service), keyOf(namespace), keyOf('*', service), keyOf()]
}

/** The keys of an interest. All namespaces are one key, so that other namespaces beside them change nothing. */
function keysOf({ namespace, service, also = [] }: Interest): string[] {
  if (namespace === undefined) return [keyOf(namespace, service)]
  return [...new Set([namespace, ...also])].map(one => keyOf(one, service))
}

function full(text: string): MonikerError {
  return new MonikerError('ELIMIT', { text: `${text} to wait or watch at once` })
}
