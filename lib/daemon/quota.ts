import { MonikerError } from '../errors.ts'
import type { Share } from './chain.ts'

export interface QuotaOptions {
  /** The things that are counted, in words. */
  of: string
  /** The most of them of one user. */
  max: number
  /** The number of them that a connection has. */
  held: (owner: object) => number
  /** The number of them that there are. */
  all: () => number
  /** True if a connection may have one more and its user need not be looked for. */
  isFree: (owner: object) => boolean
}

/**
 * The share of names, say, that each user but root may have. To find out the user of a connection takes the kernel's
 * table. As long as all together have less than a share nobody waits for that, and it is not looked at where there are
 * few. Those whose user cannot be known count as one.
 */
export class Quota {
  readonly #options: QuotaOptions
  /** The connections whose users are looked for, or are known. */
  readonly #sought = new WeakSet<object>()
  /** The user of each connection for which one was looked for. */
  readonly #users = new WeakMap<object, number | undefined>()
  /** The number of things that each of these users has. */
  readonly #held = new Map<number | undefined, number>()

  constructor(options: QuotaOptions) {
    this.#options = options
  }

  /** Says if the user of a connection that wants one more is to be found out: before it gets it, or at some time. */
  asks(owner: object): 'first' | 'soon' | undefined {
    if (this.#users.has(owner)) return undefined
    const { max, all, isFree } = this.#options
    if (all() >= max) return 'first'
    if (this.#sought.has(owner) || isFree(owner)) return undefined
    this.#sought.add(owner)
    return 'soon'
  }

  /** Notes the user of a connection; `undefined` is one that cannot be known. */
  found(owner: object, uid: number | undefined): void {
    if (this.#users.has(owner)) return
    this.#users.set(owner, uid)
    this.#add(uid, this.#options.held(owner))
  }

  /** Throws `ELIMIT` if the user of a connection has as many as a user may have. */
  check(owner: object): void {
    const uid = this.#users.get(owner)
    if (uid === 0 || !this.#users.has(owner)) return
    const { of, max } = this.#options
    if (this.held(uid) < max) return
    throw new MonikerError('ELIMIT', { text: `${wordFor(uid)} may hold ${max} ${of}` })
  }

  /** The number of things that a user is known to have. */
  held(uid: number | undefined): number {
    return this.#held.get(uid) ?? 0
  }

  /** The user, of those that have a share, that has the most; none if there is no such user. */
  get share(): Share | undefined {
    const { of, max: most } = this.#options
    let share: Share | undefined
    for (const [uid, used] of this.#held) {
      if (uid === 0 || used <= (share?.used ?? 0)) continue
      share = { of: `${of} of ${wordFor(uid)}`, used, most }
    }
    return share
  }

  /** Counts what a connection has got, or has let go: 1 or -1. */
  count(owner: object, more: number): void {
    if (this.#users.has(owner)) this.#add(this.#users.get(owner), more)
  }

  #add(uid: number | undefined, more: number): void {
    const held = this.held(uid) + more
    if (held === 0) this.#held.delete(uid)
    else this.#held.set(uid, held)
  }
}

function wordFor(uid: number | undefined): string {
  return uid === undefined ? 'users that cannot be known' : `user ${uid}`
}
