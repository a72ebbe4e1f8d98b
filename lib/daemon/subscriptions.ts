import { MonikerError } from '../errors.ts'
import type { Change, Entry } from './registry.ts'

/** The names that somebody wants to be told of; what is left out may be anything. */
export interface Interest {
  readonly namespace?: string
  readonly service?: string
  /** Namespaces beside `namespace`. */
  readonly also?: readonly string[]
}

/** Somebody who is told. */
export interface Follower {
  /** Called with each change, at once. */
  tell(change: Change, entry: Entry): void
  /** Called if the owner goes: it is told no more. */
  over(): void
}

export interface AudienceOptions {
  /** How many followers there may be. Default 65,536. */
  max?: number
  /** How many followers one owner may have. Default 16,384. */
  maxOwned?: number
}

interface Seat {
  readonly follower: Follower
  readonly keys: readonly string[]
}

/**
 * Who wants to be told of which names. As the registry it knows nothing of sockets: an owner is any
 * object. Whoever follows other names costs nothing when one changes.
 */
export class Audience {
  readonly #max: number
  readonly #maxOwned: number
  readonly #rows = new Map<string, Set<Follower>>()
  readonly #owners = new Map<object, Set<Seat>>()
  #size = 0

  constructor({ max = 65_536, maxOwned = 16_384 }: AudienceOptions = {}) {
    this.#max = max
    this.#maxOwned = maxOwned
  }

  /** How many followers there are. */
  get size(): number {
    return this.#size
  }

  /** How many followers `owner` has. */
  held(owner: object): number {
    return this.#owners.get(owner)?.size ?? 0
  }

  /** Has `follower` told from now on, until what is returned is called. Throws `ELIMIT` beyond the limits. */
  follow(owner: object, interest: Interest, follower: Follower): () => void {
    const seats = this.#owners.get(owner) ?? new Set<Seat>()
    if (seats.size >= this.#maxOwned) throw full(`one connection may ask ${this.#maxOwned}`)
    if (this.#size >= this.#max) throw full(`all together may ask ${this.#max}`)
    const seat = { follower, keys: keysOf(interest) }
    this.#owners.set(owner, seats.add(seat))
    for (const key of seat.keys) {
      const row = this.#rows.get(key) ?? new Set<Follower>()
      this.#rows.set(key, row.add(follower))
    }
    this.#size++
    return () => {
      if (!seats.delete(seat)) return
      if (seats.size === 0) this.#owners.delete(owner)
      this.#vacate(seat)
    }
  }

  /** Tells all whom it concerns that `entry` has come or gone. */
  tell(change: Change, entry: Entry): void {
    if (this.#size === 0) return
    const { namespace, service } = entry
    for (const key of [keyOf(namespace, service), keyOf(namespace), keyOf('*', service), keyOf()]) {
      for (const follower of this.#rows.get(key) ?? []) follower.tell(change, entry)
    }
  }

  /** Forgets all that `owner` follows: its connection has closed. */
  release(owner: object): void {
    const seats = this.#owners.get(owner) ?? new Set<Seat>()
    this.#owners.delete(owner)
    for (const seat of seats) {
      seats.delete(seat)
      this.#vacate(seat)
      seat.follower.over()
    }
  }

  #vacate({ follower, keys }: Seat): void {
    for (const key of keys) {
      const row = this.#rows.get(key)!
      row.delete(follower)
      if (row.size === 0) this.#rows.delete(key)
    }
    this.#size--
  }
}

/** No word has a `*` or a `:` in it. */
function keyOf(namespace = '*', service = '*'): string {
  return `${namespace}:${service}`
}

/** Whoever watches all namespaces watches every other. */
function keysOf({ namespace, service, also = [] }: Interest): string[] {
  if (namespace === undefined) return [keyOf(namespace, service)]
  return [...new Set([namespace, ...also])].map(one => keyOf(one, service))
}

function full(text: string): MonikerError {
  return new MonikerError('ELIMIT', { text: `${text} to wait or watch at once` })
}
