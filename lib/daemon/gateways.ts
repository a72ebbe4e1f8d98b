import { MonikerError } from '../errors.ts'

/** The most gateways that there may be, and the most of one user. */
export const MAX = 64
export const MAX_OWNED = 16

/** A gateway of this host: a program by which others come to names. */
export interface Gateway {
  readonly address: string
  readonly port: number
  /** The number of its user; left out if that cannot be known. */
  readonly uid?: number
}

/** The gateways of this host. As the registry it knows nothing of sockets: an owner is any object. */
export class Gateways {
  readonly #held = new Map<object, Gateway>()

  /** All of them, in the order in which they came. */
  get all(): readonly Gateway[] {
    return [...this.#held.values()]
  }

  has(owner: object): boolean {
    return this.#held.has(owner)
  }

  /** Holds a gateway for `owner`; throws `ELIMIT` where it has one, or there are too many. */
  add(owner: object, gateway: Gateway): void {
    if (this.has(owner)) throw full('one connection may have 1')
    if (this.#of(gateway.uid).length >= MAX_OWNED) throw full(`one user may have ${MAX_OWNED}`)
    if (this.#held.size >= MAX) throw full(`there may be ${MAX}`)
    this.#held.set(owner, gateway)
  }

  /** Forgets the gateway of `owner`: its connection has closed. */
  release(owner: object): void {
    this.#held.delete(owner)
  }

  /** Those of a user, or else those of users that are trusted; 16 at most. Of a user that is not known there are none. */
  for(
    uid: number | undefined,
    isTrusted: (uid: number | undefined) => boolean,
  ): readonly Gateway[] {
    const own = uid === undefined ? [] : this.#of(uid)
    if (own.length > 0) return own
    return this.all.filter(one => isTrusted(one.uid)).slice(0, MAX_OWNED)
  }

  #of(uid: number | undefined): readonly Gateway[] {
    return this.all.filter(one => one.uid === uid)
  }
}

function full(text: string): MonikerError {
  return new MonikerError('ELIMIT', { text: `${text} gateways at once` })
}
