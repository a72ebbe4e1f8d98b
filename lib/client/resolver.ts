import { LOOPBACK, hostOfDaemon } from '../address.ts'
import { Abort, cancellable, deadline, retry, type Signal } from '../async.ts'
import { Cache } from '../cache.ts'
import { clearInterval, setInterval } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { fallBack } from '../directories/directories.ts'
import { MonikerError, type Details, type Reason } from '../errors.ts'
import { isWord, parse, type Name } from '../name.ts'
import { placed } from '../options/connect.ts'
import { checkOptions } from '../options/options.ts'
import type {
  AskOptions,
  Asking,
  Leased,
  Resolution,
  ResolveOptions,
  Resolving,
  SocketQuestion,
  OnHint,
} from '../resolution.ts'
import { TIMEOUT, policyFile } from '../settings.ts'
import {
  isServiceTransport,
  listed,
  type Answer,
  type Asked,
  type Listed,
} from '../wire/protocol.ts'
import { addressesOf, ask, askStream, race, type Ask } from './ask.ts'
import type { DaemonAddress, HostAnswer } from './connection.ts'
import { sessions } from './sessions.ts'
import { Egress, accept, elsewhere, reachable, turned } from './filter.ts'
import { Flight, type Flying } from './flight.ts'
import type { Lease } from './lease.ts'
import { isDoubtful, standings, type Standing } from './standing.ts'
import { Queries, shouldFallBack, type Query } from './query.ts'
import { Recalls, type Recall } from './recall.ts'
import { Search } from './search.ts'

const debug = diagnostics('moniker:resolver')

export interface ResolverOptions {
  /** The designated port that daemons are asked at. Default `MONIKER_PORT`, else 6664. */
  port?: number
  /** Milliseconds that one question may take in all. Default 5,000. */
  timeout?: number
  /** The clock by which answers grow old, in ms. Default the process's own. */
  now?: () => number
  /** A file that says what may be connected to, beside the policy of this host. Default `MONIKER_POLICY`, else none. */
  policy?: string | undefined
  /** The directories that are asked for the host `*`, where a call gives none. Default none. */
  directories?: ResolveOptions['directories']
}

/** Milliseconds for which a failure of another host is remembered; this one is always asked. */
const FAILED = 100

/**
 * Asks the daemon of a host which port a name has. Keeps nothing alive between questions; calls that ask for the same
 * at the same time share one question.
 */
export class Resolver implements Resolving {
  readonly #queries: Queries
  readonly #timeout: number
  readonly #known: Cache<Known>
  readonly #leases = new Map<string, Held>()
  readonly #recalls = new Recalls()
  readonly #now: (() => number) | undefined
  readonly #failed: Cache<unknown>
  readonly #search: Search
  readonly #policy: string | undefined
  /** The fence that the policies are, if there are any; `undefined` before the first question. */
  #fence: Egress | false | undefined
  readonly #flights = new Map<string, Flight<Resolution>>()
  /** True if the last question was shared: the next may then wait a moment for more calls to join it. */
  #isBusy = false
  #last: { options: SocketQuestion; port: number | string | undefined; query: Query } | undefined

  /** Throws `ERR_INVALID_ARG_VALUE` on what is no list of directories. */
  constructor({
    port,
    timeout = TIMEOUT,
    now,
    policy = policyFile(),
    directories,
  }: ResolverOptions = {}) {
    checkOptions('resolve', { directories })
    this.#queries = new Queries(port, directories)
    this.#policy = policy
    this.#timeout = timeout
    this.#search = new Search({
      queries: this.#queries,
      allow: (found, details) => this.#allow(found, details),
      ask: (query, addresses, signal) => this.#fly(query, addresses, signal),
      lookedUp: (found, about, signal) => this.#lookedUp(found, about, signal),
      within: (run, details, signal) => this.#within(run, details, signal),
    })
    this.#now = now
    const clock = now && { now: () => now() / 1e3 }
    this.#known = new Cache(clock)
    this.#failed = new Cache(clock)
  }

  /**
   * The place that `name`, or the text of one, leads to at a host, by the word of its daemon now, or later if there is
   * a `wait`. Fails with `ECONNREFUSED` (no such service, no such version, no daemon), `ETIMEDOUT` (a
   * silent one) or the code of the failed host look-up.
   */
  async resolve(name: Name | string, options: ResolveOptions = {}): Promise<Resolution> {
    const { signal, directories } = options
    checkOptions('resolve', { directories })
    // A text means what it means to `connect`.
    const at = typeof name === 'string' ? placed(parse(name), options) : { name, options }
    const { answer, leave } = this.ask(at.name, at.options)
    const awake = options.wait ? setInterval(() => {}, 0x7fff_ffff) : undefined
    try {
      return await cancellable(answer, signal)
    } finally {
      clearInterval(awake)
      leave(signal?.reason)
    }
  }

  /**
   * The same for a socket, with what is remembered. While it waits for a name, the caller keeps the process alive. A
   * subclass with a `resolve` of its own is asked by that.
   */
  ask(name: Name, options: SocketQuestion = {}): Asking {
    if (this.resolve !== Resolver.prototype.resolve) return askPlainly(this, name, options)
    const query = this.#queryOf(name, options)
    const fence = (this.#fence ??= Egress.around(this.#policy) ?? false)
    if (fence && !fence.isReady) return this.#askWhenReady(fence, name, options)
    if (query.directories) return this.#askAnywhere(query, options)
    // Most calls share a question, of this host.
    const flight = query.isThisHost && !options.wait && this.#flights.get(query.key)
    if (flight)
      return Object.assign(flight.join(turned), { known: this.#turn(query), port: query.port })
    const { onHint } = options
    const failed = query.isThisHost ? undefined : this.#failed.get(query.key)
    const known = this.#turn(query)
    const { port } = query
    if (failed) return { known, port, answer: Promise.reject(failed.value), leave: () => {} }
    if (query.daemons && !options.wait)
      return Object.assign(this.#flight(query, query.daemons, onHint).join(turned, onHint), {
        known,
        port,
      })
    const cancel = new Abort()
    const answer = options.wait
      ? this.#await(query, options, options.wait, cancel)
      : this.#fly(query, addressesOf(query.host, options, query.details), cancel, onHint)
    return { known, port, answer, leave: reason => cancel.abort(reason ?? GIVEN_UP) }
  }

  /**
   * The place of a name, if the daemon of this host vouches for it: it has told so over a session, and tells if there is
   * a change. A daemon that is stopped tells nothing, but no other server can have registered either. `undefined` of
   * what has to be asked for: what differs from one call to the next, other hosts, with `wait`, and of a subclass with an
   * `ask` or a `resolve` of its own.
   */
  leased(name: Name, options: SocketQuestion = {}): Leased | undefined {
    const { ask, resolve } = Resolver.prototype
    if (options.wait || this.ask !== ask || this.resolve !== resolve) return undefined
    const found = this.#leases.get(this.#queryOf(name, options).key)
    found?.lease.use()
    return found
  }

  /** Those of the places that the policies let the program connect to. */
  async #allow(found: Resolution, details: Details): Promise<Resolution> {
    return this.#fence ? this.#fence.allow(found, details) : found
  }

  /** Asks once the policies have been read: with one that is wrong nothing is asked. */
  #askWhenReady(fence: Egress, name: Name, options: SocketQuestion): Asking {
    const cancel = new Abort()
    const ask = async () => {
      await cancellable(fence.read(), cancel)
      const { answer, leave } = this.ask(name, options)
      cancel.addEventListener('abort', () => leave(cancel.reason))
      return answer
    }
    const leave = (reason?: unknown) => cancel.abort(reason ?? GIVEN_UP)
    return { known: undefined, port: undefined, answer: ask(), leave }
  }

  /** The query of a socket. A socket mostly asks what the one before has asked, with the same frozen options. */
  #queryOf(name: Name, options: SocketQuestion): Query {
    // To read the environment takes longer than all the rest.
    const port = options.daemonPort ?? process.env.MONIKER_PORT
    const last = this.#last
    if (last?.options === options && last.query.name === name && last.port === port) {
      return last.query
    }
    const query = this.#queries.of(name, options)
    if (Object.isFrozen(options)) this.#last = { options, port, query }
    return query
  }

  /** The answer that is remembered, turned for the next call. */
  #turn({ key }: Query): Resolution | undefined {
    const known = this.#known.get(key)?.value
    if (!known) return undefined
    const { resolution } = known
    return resolution.endpoints.length > 1 ? turned(resolution, ++known.turn) : resolution
  }

  /**
   * The place that `name` leads to now, at once if that is known for sure: on this host for 80 ms, and for longer as a
   * watch vouches for it; on another for 1.15 s, and after one second it is asked for again beside it. Else fails as
   * `resolve` does.
   */
  recall(name: Name, options: ResolveOptions = {}): Resolution | Promise<Resolution> {
    const { signal, wait } = options
    const recall = this.#recallOf(name, options)
    if (wait) return recall.get(() => this.resolve(name, options))
    const found = recall.get()
    return found instanceof Promise && signal ? cancellable(found, signal) : found
  }

  /** Asks for the place of `name` at once: what was recalled has refused a datagram. */
  doubt(name: Name, options: ResolveOptions = {}): void {
    this.#recallOf(name, options).doubt()
  }

  /** The answer that is recalled of a name. It is shared, and so it asks without the limits in time of a call. */
  #recallOf(name: Name, options: ResolveOptions): Recall {
    const { key, host, isThisHost, directories, port: daemonPort } = this.#queryOf(name, options)
    return this.#recalls.at(key, () => {
      const { namespace, service } = name
      const { signal: _, wait: __, ...question } = options
      const isWatchable = isThisHost && !directories && this.resolve === Resolver.prototype.resolve
      const interest = { namespace, service, also: options.also, host, daemonPort }
      return {
        ask: () => this.resolve(name, question),
        isHere: isThisHost,
        ...(isWatchable && { watch: interest }),
        now: this.#now,
      }
    })
  }

  /** The services of a host, or of one namespace there; fails as `resolve` does, or with `EACCES`. */
  async list({ namespace, ...options }: AskOptions & { namespace?: string } = {}): Promise<
    readonly Listed[]
  > {
    const question: Asked = { op: 'list', ...(namespace !== undefined && { namespace }) }
    const { answer, daemon } = await this.#ask(question, options)
    return elsewhere(listed(answer), daemon.address)
  }

  /** The status of the daemon of a host; fails as `resolve` does. */
  async status(options: AskOptions = {}): Promise<Answer> {
    const { answer } = await this.#ask({ op: 'status' }, options)
    const { v: _, id: __, ...status } = answer
    return status
  }

  /** Asks once the host has been looked up. */
  async #fly(
    query: Query,
    found: Promise<readonly string[]> | readonly string[],
    signal: Signal,
    onHint?: OnHint,
  ): Promise<Resolution> {
    const daemons = daemonsAt(await this.#lookedUp(found, query, signal), query.port)
    const { answer, leave } = this.#flight(query, daemons, onHint).join(turned, onHint)
    try {
      return await cancellable(answer, signal)
    } finally {
      leave(signal.reason)
    }
  }

  /** Asks, and asks again, until there is an answer that is none of a name that may still come. */
  #await(query: Query, options: ResolveOptions, wait: number, signal: Signal): Promise<Resolution> {
    const { host, port, question, details } = query
    const attempt = async (left: number) => {
      const found = addressesOf(host, options, details)
      const daemons = daemonsAt(await this.#lookedUp(found, query, signal), port)
      const asked = { ...question, ...(left > 0 && { wait: left }) }
      try {
        const answered = await this.#race(daemons, asked, askWaiting, details, signal, left)
        return await this.#resolutionOf(query, answered)
      } catch (error) {
        if (shouldFallBack(query, error)) return this.#fallBack(query, error, signal)
        throw error
      }
    }
    return retry(attempt, wait, { worth: mayStillCome, signal, quiet: true })
  }

  #flight(query: Query, daemons: readonly DaemonAddress[], onHint?: OnHint): Flight<Resolution> {
    const key = query.isThisHost
      ? query.key
      : `${query.key} ${daemons.map(one => one.address).join()}`
    return this.#shared(key, flight => this.#find(query, daemons, flight, onHint !== undefined))
  }

  /** The question that is under way for `key`, or else the one that `find` asks. */
  #shared(
    key: string,
    find: (flight: Flying<Resolution>) => Promise<Resolution>,
  ): Flight<Resolution> {
    const flying = this.#flights.get(key)
    if (flying) return flying
    const flight: Flight<Resolution> = new Flight(find, joined => {
      this.#flights.delete(key)
      this.#isBusy = joined > 1
    })
    this.#flights.set(key, flight)
    return flight
  }

  /** The question for a name on any host. */
  #askAnywhere(query: Query, options: SocketQuestion): Asking {
    const { wait } = options
    const search = (signal: Signal) => this.#findAnywhere(query, options, signal)
    const more = { known: this.#turn(query), port: undefined }
    if (!wait) {
      return Object.assign(
        this.#shared(query.key, ({ signal }) => search(signal)).join(turned),
        more,
      )
    }
    const cancel = new Abort()
    const hows = { worth: mayStillCome, signal: cancel, quiet: true }
    const answer = retry(() => search(cancel), wait, hows)
    return { ...more, answer, leave: reason => cancel.abort(reason ?? GIVEN_UP) }
  }

  async #findAnywhere(query: Query, options: SocketQuestion, signal: Signal): Promise<Resolution> {
    const { key, isOwn } = query
    try {
      const found = await this.#search.find(query, options, signal)
      if (!isOwn) this.#known.set(key, { resolution: found, turn: 0 }, found.ttl)
      return found
    } catch (error) {
      this.#known.delete(key)
      throw error
    }
  }

  async #find(
    query: Query,
    daemons: readonly DaemonAddress[],
    flight: Flying<Resolution>,
    isHinted: boolean,
  ): Promise<Resolution> {
    const { question, details, key, port, isThisHost } = query
    try {
      // A question that need not wait for others leaves before `connect` returns.
      const hurry = !isThisHost || !this.#isBusy
      const follow = isThisHost && !this.#leases.has(key)
      const session = sessions.ask(daemons, question, details, { hurry, follow })
      // The daemon of another host is far: a server there is called meanwhile.
      if (session || !isThisHost) flight.left()
      const told = session && (await session)
      // Another connection knows nothing of leases.
      if (!told) this.#leases.delete(key)
      const found =
        told ??
        (await this.#askOne(query, daemons, flight, isHinted).catch((error: unknown) => {
          const isOurs = daemons.every(({ address }) => LOOPBACK.includes(address))
          const standing = isThisHost && isOurs && isDoubtful(error) && standings.get(port)
          if (!standing) throw error
          return this.#askAgain(standing, query, error, flight.signal)
        }))
      const resolution = await this.#resolutionOf(query, found)
      if (found.lease?.isHeld) this.#hold(key, new Held(resolution, found.lease))
      return resolution
    } catch (error) {
      this.#known.delete(key)
      this.#leases.delete(key)
      if (shouldFallBack(query, error)) return this.#fallBack(query, error, flight.signal)
      // A question that was given up is no failure of the host.
      if (!query.isThisHost && !flight.signal.aborted) this.#failed.set(key, error, FAILED)
      throw error
    }
  }

  /** Remembers a lease until it is over. One of several places, or of one that says its load, is another each time. */
  #hold(key: string, leased: Held): void {
    const [first, ...others] = leased.resolution.endpoints
    if (others.length > 0 || first!.load !== undefined) return
    this.#leases.set(key, leased)
    leased.lease.onOver = () => {
      if (this.#leases.get(key) === leased) this.#leases.delete(key)
    }
  }

  /** Asks the daemons of a host, the first of which that answers may be asked often. */
  async #askOne(
    query: Query,
    daemons: readonly DaemonAddress[],
    flight: Flying<Resolution>,
    isHinted: boolean,
  ): Promise<HostAnswer> {
    const { question, details } = query
    const onHint = (answer: HostAnswer) => void this.#hinted(query, answer, flight)
    const events = { onHint: isHinted ? onHint : undefined, onLeft: () => flight.left() }
    const how: Ask = (daemon, message, signal) => ask(daemon, message, signal, events)
    const found = await this.#race(daemons, question, how, details, flight.signal)
    sessions.answered(found.daemon)
    return found
  }

  /** Tells of where a name may lead. What leads nowhere is no hint. */
  async #hinted(
    query: Query,
    { answer, daemon }: HostAnswer,
    flight: Flying<Resolution>,
  ): Promise<void> {
    try {
      const accepted = { daemon, answer: accept(answer, query.details) }
      flight.hint(await this.#resolutionOf(query, accepted, true))
    } catch (error) {
      debug('no hint: %s', (error as Error).message)
    }
  }

  /**
   * Asks by the way that a process which holds names has: the daemon that said no may have gone since, or have come
   * before the names did. Fails with the refusal, or with `error` if there is no answer in time.
   */
  async #askAgain(
    standing: Standing,
    { question, details }: Query,
    error: unknown,
    signal: Signal,
  ): Promise<HostAnswer> {
    const ask = (signal: Signal) => standing.ask(question, signal)
    const found = await this.#within(ask, details, signal).catch(() => {
      signal.throwIfAborted()
      throw error
    })
    return { ...found, answer: accept(found.answer, details) }
  }

  /** The places in an answer that the program may go to. They are remembered, unless it is only a hint. */
  async #resolutionOf(
    { name, host, details, key, isOwn, question }: Query,
    { answer, daemon }: HostAnswer,
    isHint = false,
  ): Promise<Resolution> {
    if (question.trusted && answer.trusted !== true)
      throw new MonikerError('ENOSYS', {
        ...details,
        text: 'it does not say which users it trusts',
      })
    const { endpoints, ttl } = reachable(answer, daemon.address, details)
    const all = {
      name: answer.namespace === undefined ? name : foundIn(name, answer),
      host,
      endpoints,
      ttl,
    }
    // Most have no fence, and need not wait for one.
    const resolution = this.#fence ? await this.#fence.allow(all, details) : all
    // No other call looks the host up like that; `recall` remembers it for one that does.
    if (!isOwn && !isHint) this.#known.set(key, { resolution, turn: 0 }, resolution.ttl)
    return resolution
  }

  /** The place of the name by the fallbacks; fails with `error` if they know none. */
  async #fallBack(query: Query, error: unknown, signal: Signal): Promise<Resolution> {
    const { name, host, question, fallback, look, details } = query
    const transports = question.transports.filter(isServiceTransport)
    const asked = { service: name.service, host, transports, fallback, look }
    const endpoints = await this.#within(signal => fallBack({ ...asked, signal }), details, signal)
    if (endpoints.length === 0) throw error
    const found = { name: { ...name, namespace: '' }, host, endpoints, ttl: 0 }
    return this.#allow(found, details)
  }

  /** A question that is asked of the first daemon that answers, by a connection of its own. */
  async #ask(question: Asked, options: AskOptions): Promise<HostAnswer> {
    const { signal } = options
    const host = hostOfDaemon(options.host)
    const port = this.#queries.portOf(options)
    const details = { host: host || 'localhost', port, syscall: question.op }
    const addresses = await this.#lookedUp(addressesOf(host, options, details), { details }, signal)
    const daemons = daemonsAt(addresses, port)
    return this.#race(daemons, question, askStream, details, signal)
  }

  async #race(
    daemons: readonly DaemonAddress[],
    question: Asked,
    how: Ask,
    details: Details,
    signal?: Signal,
    wait = 0,
  ): Promise<HostAnswer> {
    const all = (signal: Signal) => race(daemons, daemon => how(daemon, question, signal), details)
    const found = await this.#within(all, details, signal, wait)
    debug('%s at %s: %o', details.service ?? question.op, details.host, found.answer)
    return found
  }

  /** The addresses of a host, if its look-up does not take too long. */
  #lookedUp<T>(found: T | Promise<T>, { details }: { details: Details }, signal?: Signal) {
    const look = (signal: Signal) => cancellable(Promise.resolve(found), signal)
    return this.#within(look, details, signal)
  }

  /** The result of `run`, if that does not take longer than a question may, and `wait` ms more. */
  async #within<T>(
    run: (signal: Signal) => Promise<T>,
    details: Details,
    signal?: Signal,
    wait = 0,
  ): Promise<T> {
    const ms = wait + this.#timeout
    const late = () => new MonikerError('ESILENT', { ...details, ms })
    // The question, or the look-up, keeps the process alive, or does not.
    const limit = deadline(ms, late, signal, { quiet: true })
    try {
      return await run(limit.signal)
    } finally {
      limit.free()
    }
  }
}

/** Asks for a name that is waited for: the caller keeps the process alive, and asks again. */
const askWaiting: Ask = (daemon, question, signal) =>
  askStream(daemon, question, signal, { ref: false })

/** An answer that is remembered, and how many have taken their turn at it. */
interface Known {
  readonly resolution: Resolution
  turn: number
}

/** An answer that the daemon vouches for. */
class Held implements Leased {
  readonly resolution: Resolution
  readonly lease: Lease

  constructor(resolution: Resolution, lease: Lease) {
    this.resolution = resolution
    this.lease = lease
  }

  get isHeld(): boolean {
    return this.lease.isHeld
  }
}

const GIVEN_UP = new Error('nobody waits for the answer any longer')

function daemonsAt(addresses: readonly string[], port: number): DaemonAddress[] {
  return addresses.map(address => ({ address, port }))
}

/** The name with the namespace it was found in, where that is another. */
function foundIn(name: Name, { namespace }: Answer): Name {
  return namespace === '' || isWord(namespace) ? { ...name, namespace } : name
}

/** True if the name may yet be found: no daemon has refused it for good. */
function mayStillCome(error: unknown): boolean {
  const { reason, cause } = error as MonikerError
  // A daemon that goes while it is asked, or holds the question, may come back.
  return WAITED.includes(reason) || (cause as MonikerError | undefined)?.code === 'ECONNRESET'
}

const WAITED: readonly Reason[] = [
  'ENOSERVICE',
  'EVERSION',
  'ELOOPBACK',
  'ENODAEMON',
  'ESILENT',
  'EUNREACHABLE',
  'ENOHOST',
]

/** Asks a resolver that remembers nothing for sockets. */
export function askPlainly(resolver: Resolving, name: Name, asked: SocketQuestion): Asking {
  const cancel = new AbortController()
  const answer = resolver.resolve(name, { ...asked, signal: cancel.signal })
  return { known: undefined, port: undefined, answer, leave: () => cancel.abort() }
}

/** The resolver of this process, for all calls that are given none: they share what it remembers. */
export const resolver = new Resolver()
