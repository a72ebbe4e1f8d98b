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
  /**
   * Called before an owner gets a subscriber; throws where it may have none. What it returns is called when that goes.
   * Default nothing.
   */
  enter?: (owner: object) => () => void
  /** Called when an owner is told no more, as it has been told too late. Default nothing. */
  cutOff?: (owner: object) => void
}

/** The defaults of `SubscriptionsOptions`. */
export const DEFAULTS = { max: 65_536, maxOwned: 16_384 } satisfies SubscriptionsOptions

/** The number of subscribers that are told in one turn; fewer are told at once. */
const PORTION = 64

/** The most changes after which an owner may not have been told of one; beyond it, it is cut off. */
const MAX_NEWS = 16_384

/** Calls a function when all others have had their turn. */
type Later = (work: () => void) => void

/** A change that not all have been told, and its number among all changes. */
interface News {
  readonly at: number
  readonly change: Change
  readonly entry: Entry
}

/** The subscribers of one owner to a row, and how much of its news they have been told. */
class Audience extends Set<Subscriber> {
  /** The number of the first change that not all of them have been told. */
  next: number
  #rest: Iterator<Subscriber> | undefined

  constructor(next: number) {
    super()
    this.next = next
  }

  /** Tells some of the news, the first of which has the number `first`. Returns how many were told. */
  hear(news: readonly News[], first: number, most: number): number {
    let told = 0
    while (told < most && this.next < first + news.length) {
      const { change, entry } = news[this.next - first]!
      const { value, done } = (this.#rest ??= this.values()).next()
      if (done) {
        this.#rest = undefined
        this.next++
      } else {
        value.tell(change, entry)
        told++
      }
    }
    return told
  }
}

interface RowOptions {
  later: Later
  /** True if a change has been news for so long that those who were not told of it are cut off. */
  isOld: (news: News) => boolean
  cutOff: (owner: object) => void
}

/**
 * The subscribers of one name, or of some. Each owner is told in its turn what it does not know yet, so that one with
 * many subscribers is late itself, and makes no other late.
 */
class Row {
  readonly #options: RowOptions
  readonly #audiences = new Map<object, Audience>()
  #news: News[] = []
  /** The number of the first of the news, in this row. */
  #first = 0
  /** Those whose turn is to come in this round. */
  #round: Iterator<[object, Audience]> | undefined
  #size = 0

  constructor(options: RowOptions) {
    this.#options = options
  }

  /** The number of subscribers. */
  get size(): number {
    return this.#size
  }

  add(owner: object, subscriber: Subscriber): void {
    const audience = this.#audiences.get(owner) ?? new Audience(this.#first + this.#news.length)
    this.#audiences.set(owner, audience.add(subscriber))
    this.#size++
  }

  delete(owner: object, subscriber: Subscriber): void {
    const audience = this.#audiences.get(owner)!
    audience.delete(subscriber)
    if (audience.size === 0) this.#audiences.delete(owner)
    this.#size--
  }

  /** A few are told at once. */
  tell(news: News): void {
    this.#news.push(news)
    if (this.#round) return
    this.#round = this.#audiences.entries()
    if (this.#size >= PORTION) this.#options.later(() => this.#goOn())
    else this.#goOn()
  }

  /** Tells a portion of what has not been told. */
  #goOn(): void {
    for (let left = PORTION; left > 0;) {
      const { value, done } = this.#round!.next()
      if (done) {
        this.#forgetTold()
        if (this.#news.length === 0) return void (this.#round = undefined)
        this.#round = this.#audiences.entries()
      } else left -= this.#hear(...value, left)
    }
    this.#options.later(() => this.#goOn())
  }

  #hear(owner: object, audience: Audience, most: number): number {
    const next = this.#news[audience.next - this.#first]
    if (!next || !this.#options.isOld(next)) return audience.hear(this.#news, this.#first, most)
    this.#options.cutOff(owner)
    return most
  }

  #forgetTold(): void {
    let first = this.#first + this.#news.length
    for (const { next } of this.#audiences.values()) first = Math.min(first, next)
    this.#news.splice(0, first - this.#first)
    this.#first = first
  }
}

interface Subscription {
  readonly subscriber: Subscriber
  readonly leave: () => void
  readonly keys: readonly string[]
}

/**
 * The subscribers of names. As the registry it knows nothing of sockets: an owner is any object. A
 * subscriber of other names costs nothing when one changes.
 */
export class Subscriptions {
  readonly #max: number
  readonly #maxOwned: number
  readonly #enter: (owner: object) => () => void
  readonly #rowOptions: RowOptions
  readonly #rows = new Map<string, Row>()
  readonly #owners = new Map<object, Set<Subscription>>()
  #size = 0
  /** The number of changes so far. */
  #changes = 0

  constructor({
    max = DEFAULTS.max,
    maxOwned = DEFAULTS.maxOwned,
    later = work => work(),
    enter = () => () => {},
    cutOff = () => {},
  }: SubscriptionsOptions = {}) {
    this.#max = max
    this.#maxOwned = maxOwned
    this.#enter = enter
    this.#rowOptions = {
      later,
      isOld: ({ at }) => at < this.#changes - MAX_NEWS,
      cutOff: owner => {
        this.release(owner)
        cutOff(owner)
      },
    }
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
    const subscription = { subscriber, leave: this.#enter(owner), keys: keysOf(interest) }
    this.#owners.set(owner, owned.add(subscription))
    for (const key of subscription.keys) {
      const row = this.#rows.get(key) ?? new Row(this.#rowOptions)
      row.add(owner, subscriber)
      this.#rows.set(key, row)
    }
    this.#size++
    return () => {
      if (!owned.delete(subscription)) return
      if (owned.size === 0) this.#owners.delete(owner)
      this.#forget(owner, subscription)
    }
  }

  /** Tells the subscribers of its name that `entry` has come or gone. */
  tell(change: Change, entry: Entry): void {
    if (this.#size === 0) return
    const news = { at: this.#changes++, change, entry }
    for (const key of keysOfEntry(entry)) this.#rows.get(key)?.tell(news)
  }

  /** Forgets all that `owner` follows: its connection has closed. */
  release(owner: object): void {
    const owned = this.#owners.get(owner) ?? new Set<Subscription>()
    this.#owners.delete(owner)
    for (const subscription of owned) {
      owned.delete(subscription)
      this.#forget(owner, subscription)
      subscription.subscriber.released()
    }
  }

  #forget(owner: object, { subscriber, leave, keys }: Subscription): void {
    for (const key of keys) {
      const row = this.#rows.get(key)!
      row.delete(owner, subscriber)
      if (row.size === 0) this.#rows.delete(key)
    }
    this.#size--
    leave()
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
