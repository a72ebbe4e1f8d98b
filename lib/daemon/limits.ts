import { isOwn, networkOf } from '../address.ts'
import { clock } from '../clock.ts'
import { MonikerError } from '../errors.ts'
import { isPublication, type Question } from '../wire/protocol.ts'
import { Bucket, Buckets, type Rate } from './buckets.ts'
import type { Owner, Peer, Share, Step } from './chain.ts'
import { Places } from './places.ts'
import { Quota } from './quota.ts'
import type { Change, Registry } from './registry.ts'
import { Subscriptions } from './subscriptions.ts'
import { Unread } from './unread.ts'

export interface LimitsOptions {
  /** The most connections at once. Default 16,384. */
  connections?: number
  /** The most of them that come from other hosts. Default half of them. */
  remoteConnections?: number
  /** The most of those that come from one host. Default 256. */
  hostConnections?: number
  /** The most names that one connection holds. Default 4,096. */
  names?: number
  /** The most names in all. Default 1,048,576. */
  allNames?: number
  /** The most names of one user but root. Default half of `allNames`. */
  userNames?: number
  /** The most names that one connection registers and withdraws. Default 50,000 a second, 100,000 at once. */
  changes?: Rate
  /** The most questions that one other host asks. Default 20,000 a second, 40,000 at once. */
  hostQuestions?: Rate
  /** The most questions that all other hosts ask. Default 100,000 a second, 200,000 at once. */
  remoteQuestions?: Rate
  /**
   * The most bytes that programs of this host together leave unread; beyond it, it is cut off who has not read for the
   * longest. Default 256 MiB.
   */
  unread?: number
  /** The most bytes that one other host leaves unread. Default 32 MiB. */
  hostUnread?: number
  /** The most bytes that all other hosts leave unread. Default 128 MiB. */
  remoteUnread?: number
  /** The clock, in ms. Default `clock`. */
  now?: () => number
}

/** The defaults of `LimitsOptions`. */
export const DEFAULTS = {
  connections: 16_384,
  hostConnections: 256,
  names: 4_096,
  allNames: 1_048_576,
  changes: { perSecond: 50_000, burst: 100_000 },
  hostQuestions: { perSecond: 20_000, burst: 40_000 },
  remoteQuestions: { perSecond: 100_000, burst: 200_000 },
  unread: 268_435_456,
  hostUnread: 33_554_432,
  remoteUnread: 134_217_728,
} satisfies LimitsOptions

/**
 * The limits to what a peer may use of the daemon. Programs of this host may ask as much as they like: what
 * the daemon does for them, they could do with the processor themselves. Another host is known by
 * its address, of IPv6 by the 64 bits of its network.
 */
export class Limits {
  /** The shares of each user: of names, and of questions that are held and watches. */
  readonly #names: Quota
  readonly #followers: Quota
  /** The places of other hosts: for connections, and for questions that are held and watches. */
  readonly #connections: Places
  readonly #follows: Places
  /** The accounts of what waits to be read. */
  readonly unread: Unread
  readonly #options: Required<Omit<LimitsOptions, 'now'>>
  readonly #now: () => number
  readonly #registry: Registry
  readonly #hosts: Buckets
  readonly #remote: Bucket
  readonly #changes = new WeakMap<object, Bucket>()
  #open = 0

  constructor(
    registry: Registry,
    options: LimitsOptions = {},
    subscriptions: Pick<Subscriptions, 'count' | 'size' | 'max'> = new Subscriptions(),
  ) {
    const {
      now = clock,
      connections = DEFAULTS.connections,
      allNames = DEFAULTS.allNames,
    } = options
    this.#registry = registry
    this.#now = now
    this.#options = {
      ...DEFAULTS,
      remoteConnections: Math.ceil(connections / 2),
      userNames: Math.ceil(allNames / 2),
      ...options,
    }
    const { userNames, unread, hostUnread, remoteUnread } = this.#options
    const { hostConnections: host, remoteConnections: remote } = this.#options
    // All that hold so few have an eighth of a share at most.
    const few = Math.floor(userNames / connections / 8)
    const held = (owner: object) => registry.held(owner)
    const isFree = (owner: object) => held(owner) < few
    const all = () => registry.size
    this.#names = new Quota({ of: 'names', max: userNames, held, all, isFree })
    const { max } = subscriptions
    this.#followers = new Quota({
      of: FOLLOWS,
      max: Math.ceil(max / 4),
      held: owner => subscriptions.count(owner),
      all: () => subscriptions.size,
      isFree: () => subscriptions.size < max / 8,
    })
    this.#connections = new Places({ of: 'connections', host, remote })
    this.#follows = new Places({
      of: FOLLOWS,
      host: Math.ceil(max / 4),
      remote: Math.ceil(max / 2),
    })
    this.unread = new Unread({ here: unread, host: hostUnread, remote: remoteUnread })
    this.#hosts = new Buckets(this.#options.hostQuestions, { now })
    this.#remote = new Bucket(this.#options.remoteQuestions, now)
  }

  /**
   * Lets a connection in; what is returned is to be called once, when it goes. Throws `ELIMIT`. Where
   * there is no place left, `makeRoom` may free one for a program of this host.
   */
  enter({ local, remote }: Pick<Peer, 'local' | 'remote'>, makeRoom = () => {}): () => void {
    const { connections } = this.#options
    if (this.#isFull && local) makeRoom()
    if (this.#isFull) throw limit(`${connections} connections are open`)
    const leave = local ? () => {} : this.#connections.take(remote.address)
    this.#open++
    return () => {
      this.#open--
      leave()
    }
  }

  /** The use that is made of the bounds that peers share. */
  get shares(): Share[] {
    const { connections, hostConnections, allNames } = this.#options
    const [host, used] = this.#connections.busiest
    return [
      { of: 'connections', used: this.#open, most: connections },
      this.#connections.share,
      ...(host === undefined
        ? []
        : [{ of: `connections from ${host}`, used, most: hostConnections }]),
      { of: 'names', used: this.#registry.size, most: allNames },
      ...optional(this.#names.share),
      ...this.unread.shares,
      ...optional(this.#followers.share),
      this.#follows.share,
    ]
  }

  get #isFull(): boolean {
    return this.#open >= this.#options.connections
  }

  /** Refuses, with `ELIMIT`, a question too many. */
  readonly step: Step = (question, peer, next) => {
    const { op } = question
    if (!peer.local) this.#checkRemote(networkOf(peer.remote.address))
    // The question that is asked most is not to pay for the rest.
    if (op === 'resolve') return next()
    const { owner } = peer
    const isChange = isPublication(question) || op === 'unregister'
    if (owner && isChange) this.#checkChanges(owner)
    return next()
  }

  #checkRemote(host: string): void {
    const { hostQuestions, remoteQuestions } = this.#options
    if (!this.#hosts.take(host)) throw tooFast(hostQuestions, 'questions from one host')
    if (!this.#remote.take()) throw tooFast(remoteQuestions, 'questions from other hosts')
  }

  /**
   * Refuses, with `ELIMIT`, a name too many. It is asked when the name is to be had: questions for names may have
   * waited together until it was known whose they are.
   */
  checkNames(owner: object): void {
    const { names, allNames } = this.#options
    const registry = this.#registry
    if (registry.held(owner) >= names) throw limit(`one connection may hold ${names} names`)
    if (registry.size >= allNames) throw limit(`${allNames} names are held`)
    this.#names.check(owner)
  }

  /** Says if the user of a connection of this host is to be found out: before a question of it goes on, or at some time. */
  asks(question: Question, owner: object): ReturnType<Quota['asks']> {
    if (isPublication(question)) return this.#names.asks(owner)
    const { op } = question
    const mayFollow = op === 'watch' || (op === 'resolve' && question.wait !== undefined)
    return mayFollow ? this.#followers.asks(owner) : undefined
  }

  /** Notes the user of a connection; `undefined` is one that cannot be known. */
  found(owner: object, uid: number | undefined): void {
    this.#names.found(owner, uid)
    this.#followers.found(owner, uid)
  }

  /** Counts each name that comes or goes. */
  observe(change: Change, owner: object): void {
    this.#names.count(owner, change === 'up' ? 1 : -1)
  }

  /**
   * Lets a question be held, or something be watched; what is returned is to be called once, when that ends. Throws
   * `ELIMIT`. A datagram may come from any host.
   */
  follow(owner: Pick<Owner, 'ends'>): () => void {
    const { ends } = owner
    if (!ends || !isOwn(ends.remote.address, ends.address)) {
      return this.#follows.take(ends ? ends.remote.address : 'datagrams')
    }
    this.#followers.check(owner)
    this.#followers.count(owner, 1)
    return () => this.#followers.count(owner, -1)
  }

  #checkChanges(owner: object): void {
    const { changes } = this.#options
    let bucket = this.#changes.get(owner)
    if (!bucket) this.#changes.set(owner, (bucket = new Bucket(changes, this.#now)))
    if (!bucket.take()) throw tooFast(changes, 'registrations over one connection')
  }
}

const FOLLOWS = 'questions and watches'

function optional<T>(one: T | undefined): T[] {
  return one === undefined ? [] : [one]
}

function limit(text: string): MonikerError {
  return new MonikerError('ELIMIT', { text })
}

function tooFast({ perSecond }: Rate, what: string): MonikerError {
  return limit(`there may be ${perSecond} ${what} a second; ask again in a moment`)
}

/** The bounds by which something was refused lately, in words. */
export class LatestBounds {
  readonly #now: () => number
  /** The times of the last refusals, the latest last. */
  readonly #times = new Map<string, number>()

  constructor(now: () => number = clock) {
    this.#now = now
  }

  get texts(): string[] {
    const since = this.#now() - LATELY
    return [...this.#times].filter(([, at]) => at >= since).map(([text]) => text)
  }

  note(text: string): void {
    this.#times.delete(text)
    this.#times.set(text, this.#now())
    if (this.#times.size > MAX_BOUNDS) this.#times.delete([...this.#times.keys()][0]!)
  }
}

/** Milliseconds for which it is told that a bound was reached. */
const LATELY = 60_000

/** The most bounds that are told. */
const MAX_BOUNDS = 4
