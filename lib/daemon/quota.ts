import { MonikerError } from '../errors.ts'
import type { Share } from './chain.ts'
import type { Observer, Registry } from './registry.ts'

export interface QuotaOptions {
  /** The most names of one user. */
  max: number
  /** The most connections that there can be. */
  connections: number
}

/**
 * The share of names that each user but root may have. To find out the user of a connection takes the kernel's table.
 * As long as all together hold less than a share nobody waits for that, and it is not looked at for the first few names
 * of a connection: all that hold so few have an eighth of a share at most. Those whose user cannot be known count as
 * one.
 */
export class Quota {
  readonly #registry: Pick<Registry, 'held' | 'size'>
  readonly #max: number
  /** The number of names that a connection may have before its user is looked for. */
  readonly #free: number
  /** The connections whose users are looked for, or are known. */
  readonly #sought = new WeakSet<object>()
  /** The user of each connection for which one was looked for. */
  readonly #users = new WeakMap<object, number | undefined>()
  /** The number of names that each of these users has. */
  readonly #names = new Map<number | undefined, number>()

  constructor(registry: Pick<Registry, 'held' | 'size'>, { max, connections }: QuotaOptions) {
    this.#registry = registry
    this.#max = max
    this.#free = Math.floor(max / connections / 8)
  }

  /** Says if the user of a connection that wants a name is to be found out: before it gets it, or at some time. */
  asks(owner: object): 'first' | 'soon' | undefined {
    if (this.#users.has(owner)) return undefined
    if (this.#registry.size >= this.#max) return 'first'
    if (this.#sought.has(owner) || this.#registry.held(owner) < this.#free) return undefined
    this.#sought.add(owner)
    return 'soon'
  }

  /** Notes the user of a connection; `undefined` is one that cannot be known. */
  found(owner: object, uid: number | undefined): void {
    if (this.#users.has(owner)) return
    this.#users.set(owner, uid)
    this.#count(uid, this.#registry.held(owner))
  }

  /** Throws `ELIMIT` if the user of a connection has as many names as a user may have. */
  check(owner: object): void {
    const uid = this.#users.get(owner)
    if (uid === 0 || !this.#users.has(owner)) return
    if (this.held(uid) < this.#max) return
    throw new MonikerError('ELIMIT', { text: `${wordFor(uid)} may hold ${this.#max} names` })
  }

  /** The number of names that a user is known to have. */
  held(uid: number | undefined): number {
    return this.#names.get(uid) ?? 0
  }

  /** The user, of those that have a share, that has the most names; none if there is no such user. */
  get share(): Share | undefined {
    let share: Share | undefined
    for (const [uid, used] of this.#names) {
      if (uid === 0 || used <= (share?.used ?? 0)) continue
      share = { of: `names of ${wordFor(uid)}`, used, most: this.#max }
    }
    return share
  }

  /** Counts each name that comes or goes. */
  readonly observe: Observer = (change, { owner }) => {
    if (this.#users.has(owner)) this.#count(this.#users.get(owner), change === 'up' ? 1 : -1)
  }

  #count(uid: number | undefined, more: number): void {
    const names = this.held(uid) + more
    if (names === 0) this.#names.delete(uid)
    else this.#names.set(uid, names)
  }
}

function wordFor(uid: number | undefined): string {
  return uid === undefined ? 'users that cannot be known' : `user ${uid}`
}
