import { networkOf } from '../address.ts'
import { MonikerError } from '../errors.ts'
import type { Peer, Step } from './chain.ts'
import type { Registry } from './registry.ts'

/** How much of something there may be. */
export interface Rate {
  /** In the long run, for each second. */
  readonly perSecond: number
  /** At once, after a time without. */
  readonly burst: number
}

export interface LimitsOptions {
  /** How many connections there may be at once. Default 16,384. */
  connections?: number
  /** How many of them may come from other hosts. Default half of them. */
  remoteConnections?: number
  /** How many of those may come from one host. Default 256. */
  hostConnections?: number
  /** How many names one connection may hold. Default 4,096. */
  names?: number
  /** How many names may be held in all. Default 1,048,576. */
  allNames?: number
  /** How many names one connection may register and withdraw. Default 50,000 a second, 100,000 at once. */
  changes?: Rate
  /** How many questions one other host may ask. Default 20,000 a second, 40,000 at once. */
  hostQuestions?: Rate
  /** How many questions all other hosts may ask. Default 100,000 a second, 200,000 at once. */
  remoteQuestions?: Rate
  /** How many bytes of answers may wait to be read before no list is told. Default 256 MiB. */
  unread?: number
  /** The clock, in ms. Default `performance.now`. */
  now?: () => number
}

export interface LimitsSources {
  registry: Registry
  /** How many bytes of answers wait to be read. */
  unread: () => number
}

/**
 * How much of the daemon anybody may use. Programs of this host may ask as much as they like: what
 * the daemon does for them, they could do with the processor themselves. An other host is known by
 * its address, of IPv6 by the 64 bits of its network.
 */
export class Limits {
  readonly #options: Required<Omit<LimitsOptions, 'now'>>
  readonly #now: () => number
  readonly #sources: LimitsSources
  readonly #hosts: Buckets
  readonly #remote: Bucket
  readonly #changes = new WeakMap<object, Bucket>()
  /** How many connections there are from each other host. */
  readonly #counts = new Map<string, number>()
  #open = 0
  #remoteOpen = 0

  constructor(sources: LimitsSources, options: LimitsOptions = {}) {
    const { now = () => performance.now(), connections = 16_384 } = options
    this.#sources = sources
    this.#now = now
    this.#options = {
      connections,
      remoteConnections: Math.ceil(connections / 2),
      hostConnections: 256,
      names: 4_096,
      allNames: 1_048_576,
      changes: { perSecond: 50_000, burst: 100_000 },
      hostQuestions: { perSecond: 20_000, burst: 40_000 },
      remoteQuestions: { perSecond: 100_000, burst: 200_000 },
      unread: 268_435_456,
      ...options,
    }
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
    const leave = local ? () => {} : this.#enterRemote(networkOf(remote.address))
    this.#open++
    return () => {
      this.#open--
      leave()
    }
  }

  get #isFull(): boolean {
    return this.#open >= this.#options.connections
  }

  #enterRemote(host: string): () => void {
    const { remoteConnections, hostConnections } = this.#options
    const count = this.#counts.get(host) ?? 0
    if (count >= hostConnections) throw limit(`${count} connections from ${host} are open`)
    if (this.#remoteOpen >= remoteConnections) {
      throw limit(`${remoteConnections} connections from other hosts are open`)
    }
    this.#counts.set(host, count + 1)
    this.#remoteOpen++
    return () => {
      this.#remoteOpen--
      const left = this.#counts.get(host)! - 1
      if (left === 0) this.#counts.delete(host)
      else this.#counts.set(host, left)
    }
  }

  /** Refuses, with `ELIMIT`, a question too many. */
  readonly step: Step = ({ op }, peer, next) => {
    if (!peer.local) this.#checkRemote(networkOf(peer.remote.address))
    // What is asked most is not to pay for the rest.
    if (op === 'resolve') return next()
    const { owner } = peer
    if (owner && op === 'register') this.#checkNames(owner)
    if (owner && (op === 'register' || op === 'unregister')) this.#checkChanges(owner)
    if (op === 'list') this.#checkUnread()
    return next()
  }

  #checkRemote(host: string): void {
    const { hostQuestions, remoteQuestions } = this.#options
    if (!this.#hosts.take(host)) throw tooFast(hostQuestions, 'questions from one host')
    if (!this.#remote.take()) throw tooFast(remoteQuestions, 'questions from other hosts')
  }

  #checkNames(owner: object): void {
    const { names, allNames } = this.#options
    const { registry } = this.#sources
    if (registry.held(owner) >= names) throw limit(`one connection may hold ${names} names`)
    if (registry.size >= allNames) throw limit(`${allNames} names are held`)
  }

  #checkChanges(owner: object): void {
    const { changes } = this.#options
    let bucket = this.#changes.get(owner)
    if (!bucket) this.#changes.set(owner, (bucket = new Bucket(changes, this.#now)))
    if (!bucket.take()) throw tooFast(changes, 'registrations over one connection')
  }

  /** A list is as long as there are names; whoever does not read it has us keep it. */
  #checkUnread(): void {
    const unread = this.#sources.unread()
    if (unread > this.#options.unread) throw limit(`${unread} bytes of answers wait to be read`)
  }
}

function limit(text: string): MonikerError {
  return new MonikerError('ELIMIT', { text })
}

function tooFast({ perSecond }: Rate, what: string): MonikerError {
  return limit(`there may be ${perSecond} ${what} a second; ask again in a moment`)
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

  constructor(rate: Rate, now: Now = () => performance.now()) {
    this.#rate = rate
    this.#now = now
    this.#tokens = rate.burst
    this.#filled = now()
  }

  /** Takes a token, if there is one. Says whether there was. */
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
  /** For how many keys a bucket is kept. Default 4,096. */
  max?: number
  /** The clock, in ms. Default `performance.now`. */
  now?: Now
}

/** A bucket for each key. Of too many keys, the one that was made first is forgotten: its next is full. */
export class Buckets {
  readonly #rate: Rate
  readonly #max: number
  readonly #now: Now | undefined
  readonly #buckets = new Map<string, Bucket>()

  constructor(rate: Rate, { max = 4_096, now }: BucketsOptions = {}) {
    this.#rate = rate
    this.#max = max
    this.#now = now
  }

  /** For how many keys there is a bucket. */
  get size(): number {
    return this.#buckets.size
  }

  /** Takes a token from the bucket of `key`, if there is one. Says whether there was. */
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
