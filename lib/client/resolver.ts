import { hostOfDaemon } from '../address.ts'
import { Abort, cancellable, deadline, firstOf, retry, type Signal } from '../async.ts'
import { Cache } from '../cache.ts'
import { clearInterval, setInterval } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { awayFrom, fallBack, lookUp, placesIn } from '../directories/directories.ts'
import type { Directory, Sighting, Wanted } from '../directories/directory.ts'
import { MonikerError, type Details, type Reason } from '../errors.ts'
import { isWord, parse, type Name } from '../name.ts'
import { placed } from '../options/connect.ts'
import { checkOptions } from '../options/options.ts'
import type {
  AskOptions,
  Asking,
  Resolution,
  ResolveOptions,
  Resolving,
  SocketQuestion,
} from '../resolution.ts'
import { TIMEOUT, policyFile } from '../settings.ts'
import { TRANSPORTS, listed, type Answer, type Asked, type Listed } from '../wire/protocol.ts'
import { STAGGER, addressesOf, ask, askStream, race, type Ask } from './ask.ts'
import { sessions, type DaemonAddress, type HostAnswer } from './connection.ts'
import { Egress, reachable, turned } from './filter.ts'
import { Flight } from './flight.ts'
import { Queries, hasNoDaemon, shouldFallBack, type Query } from './query.ts'

const debug = diagnostics('moniker:resolver')

export interface ResolverOptions {
  /** The designated port that daemons are asked at. Default `MONIKER_PORT`, else 6664. */
  port?: number
  /** Milliseconds that one question may take in all. Default 5,000. */
  timeout?: number
  /** The clock by which answers grow old, in ms. Default `clock`. */
  now?: () => number
  /** The file that says what may be connected to. Default `MONIKER_POLICY`, else none. */
  policy?: string | undefined
  /** The directories that are asked for the host `*`, where a call gives none. Default none. */
  directories?: ResolveOptions['directories']
}

/** Milliseconds for which an answer that is remembered is not asked for again. */
const FRESH = 1_000

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
  readonly #failed: Cache<unknown>
  readonly #egress: Egress | undefined
  readonly #flights = new Map<string, Flight<Resolution>>()
  /** True if the last question was shared: the next may then wait a moment for more calls to join it. */
  #isBusy = false
  #last: { options: SocketQuestion; port: string | undefined; query: Query } | undefined

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
    this.#egress = policy === undefined ? undefined : new Egress(policy)
    this.#timeout = timeout
    this.#known = new Cache(now && { now })
    this.#failed = new Cache(now && { now })
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
    if (query.directories) return this.#askAnywhere(query, options)
    // Most calls share a question, of this host.
    const flight = query.isThisHost && !options.wait && this.#flights.get(query.key)
    if (flight)
      return Object.assign(flight.join(turned), { known: this.#turn(query), port: query.port })
    const failed = query.isThisHost ? undefined : this.#failed.get(query.key)
    const known = this.#turn(query)
    const { port } = query
    if (failed) return { known, port, answer: Promise.reject(failed.value), leave: () => {} }
    if (query.daemons && !options.wait)
      return Object.assign(this.#flight(query, query.daemons).join(turned), { known, port })
    const cancel = new Abort()
    const answer = options.wait
      ? this.#await(query, options, options.wait, cancel)
      : this.#fly(query, addressesOf(query.host, options, query.details), cancel)
    return { known, port, answer, leave: reason => cancel.abort(reason ?? GIVEN_UP) }
  }

  /** The query of a socket. A socket mostly asks what the one before has asked, with the same frozen options. */
  #queryOf(name: Name, options: SocketQuestion): Query {
    const { MONIKER_PORT: port } = process.env
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
   * The place that `name` leads to, at once if it is remembered: no longer than its `ttl`, and after a second it
   * is asked for again beside it, so that a name that moved is found. Else fails as `resolve` does.
   */
  recall(name: Name, options: ResolveOptions = {}): Resolution | Promise<Resolution> {
    const { key } = this.#queries.of(name, options)
    const known = this.#known.get(key)
    if (known && known.age <= FRESH) return known.value.resolution
    const fresh = this.#refresh(key, name, options)
    if (!known) return fresh
    fresh.catch(() => this.#known.delete(key))
    return known.value.resolution
  }

  /** Remembers the answer of `resolve`, be it that of a subclass. */
  async #refresh(key: string, name: Name, options: ResolveOptions): Promise<Resolution> {
    const resolution = await this.resolve(name, options)
    this.#known.set(key, { resolution, turn: 0 }, resolution.ttl)
    return resolution
  }

  /** The services of a host, or of one namespace there; fails as `resolve` does, or with `EACCES`. */
  async list({ namespace, ...options }: AskOptions & { namespace?: string } = {}): Promise<
    Listed[]
  > {
    const question: Asked = { op: 'list', ...(namespace !== undefined && { namespace }) }
    return listed(await this.#ask(question, options))
  }

  /** The status of the daemon of a host; fails as `resolve` does. */
  async status(options: AskOptions = {}): Promise<Answer> {
    const { v: _, id: __, ...status } = await this.#ask({ op: 'status' }, options)
    return status
  }

  /** Asks once the host has been looked up. */
  async #fly(
    query: Query,
    found: Promise<readonly string[]> | readonly string[],
    signal: Signal,
  ): Promise<Resolution> {
    const daemons = daemonsAt(await this.#lookedUp(found, query, signal), query.port)
    const { answer, leave } = this.#flight(query, daemons).join(turned)
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
        return await this.#remember(query, answered)
      } catch (error) {
        if (shouldFallBack(query, error)) return this.#fallBack(query, error, signal)
        throw error
      }
    }
    return retry(attempt, wait, { worth: mayStillCome, signal, quiet: true })
  }

  #flight(query: Query, daemons: readonly DaemonAddress[]): Flight<Resolution> {
    const key = query.isThisHost
      ? query.key
      : `${query.key} ${daemons.map(one => one.address).join()}`
    return this.#shared(key, signal => this.#find(query, daemons, signal))
  }

  /** The question that is under way for `key`, or else the one that `find` asks. */
  #shared(key: string, find: (signal: () => Signal) => Promise<Resolution>): Flight<Resolution> {
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
    const search = (signal: Signal) => this.#search(query, options, signal)
    const more = { known: this.#turn(query), port: undefined }
    if (!wait) {
      return Object.assign(this.#shared(query.key, signal => search(signal())).join(turned), more)
    }
    const cancel = new Abort()
    const hows = { worth: mayStillCome, signal: cancel, quiet: true }
    const answer = retry(() => search(cancel), wait, hows)
    return { ...more, answer, leave: reason => cancel.abort(reason ?? GIVEN_UP) }
  }

  /** Asks this host, and then its directories, for the host that has the name. */
  async #search(query: Query, options: SocketQuestion, signal: Signal): Promise<Resolution> {
    const { directories = [], details, isOwn, key } = query
    const wanted = wantedIn(query)
    const attempts = directories
      .filter(directory => directory.lookup)
      .map(directory => async (signal: Signal) => {
        const seen = await this.#lookUp(directory, wanted, details, signal)
        const confirm = (one: Sighting) => (signal: Signal) =>
          this.#confirm(directory, one, query, options, signal)
        return firstOf(seen.map(confirm), STAGGER, signal)
      })
    const here = (signal: Signal) =>
      this.#askHost(this.#queryAt({}, query, options), options, signal)
    try {
      const found = await firstOf([here, ...attempts], STAGGER, signal)
      if (!isOwn) this.#known.set(key, { resolution: found, turn: 0 }, found.ttl)
      return found
    } catch (error) {
      this.#known.delete(key)
      throw telling(error, details)
    }
  }

  /** The sightings of one directory, if it does not take too long. */
  async #lookUp(directory: Directory, wanted: Wanted, details: Details, signal: Signal) {
    const limit = this.#deadline(details, signal)
    try {
      return await lookUp(directory, wanted, limit.signal)
    } catch (cause) {
      limit.signal.throwIfAborted()
      const said = cause instanceof Error ? cause.message : String(cause)
      const text = `the directory ${directory.name} failed: ${plainText(said)}`
      throw new MonikerError('EUNREACHABLE', { ...details, text, cause })
      /* c8 ignore next -- V8 counts a way out of a catch that always throws. */
    } finally {
      limit.free()
    }
  }

  /** Asks the host of a sighting for the name; goes by the sighting alone where there is no daemon, and it is final. */
  async #confirm(
    directory: Directory,
    seen: Sighting,
    query: Query,
    options: SocketQuestion,
    signal: Signal,
  ): Promise<Resolution> {
    const at = this.#queryAt(seen, query, options)
    try {
      return await this.#askHost(at, options, signal)
    } catch (error) {
      if (!directory.final || !hasNoDaemon(error)) throw error
      const addresses = await this.#addressesAt(at, options, signal)
      const endpoints = placesIn(directory, seen, addresses, wantedIn(query))
      if (endpoints.length === 0) throw error
      const name = { ...query.name, namespace: seen.namespace ?? '' }
      const found = { name, host: seen.host, endpoints, ttl: 0 }
      return this.#egress ? this.#egress.allow(found, at.details) : found
    }
  }

  /** The same query at one host, with nowhere else to look. */
  #queryAt(
    { host = '', daemonPort }: { host?: string; daemonPort?: number | undefined },
    { name, port }: Query,
    { also, family, hints, lookup, transports }: SocketQuestion,
  ): Query {
    const at = { host, daemonPort: daemonPort ?? port }
    return this.#queries.of(name, { also, family, hints, lookup, transports, ...at })
  }

  #askHost(query: Query, options: SocketQuestion, signal: Signal): Promise<Resolution> {
    return this.#fly(query, this.#addressesAt(query, options, signal), signal)
  }

  /** The addresses of a sighted host that may be asked. Fails with `EHOSTUNREACH` if there is none. */
  async #addressesAt(
    query: Query,
    options: SocketQuestion,
    signal: Signal,
  ): Promise<readonly string[]> {
    const { host, details } = query
    const { lookup, family, hints } = options
    const all = await this.#lookedUp(
      addressesOf(host, { lookup, family, hints }, details),
      query,
      signal,
    )
    const away = awayFrom(host, all)
    if (away.length > 0) return away
    throw new MonikerError('EUNREACHABLE', { ...details, text: LED_HERE })
  }

  async #find(query: Query, daemons: readonly DaemonAddress[], signal: () => Signal) {
    const { question, details, key } = query
    try {
      // A question that need not wait for others leaves before `connect` returns.
      const hurry = !query.isThisHost || !this.#isBusy
      const session = sessions.ask(daemons, question, details, { hurry })
      const found =
        (session && (await session)) ??
        (await this.#race(daemons, question, ask, details, signal()))
      return await this.#remember(query, found)
    } catch (error) {
      this.#known.delete(key)
      if (shouldFallBack(query, error)) return this.#fallBack(query, error, signal())
      // A question that was given up is no failure of the host.
      if (!query.isThisHost && !signal().aborted) this.#failed.set(key, error, FAILED)
      throw error
    }
  }

  async #remember(
    { name, host, details, key, isOwn }: Query,
    { answer, daemon }: HostAnswer,
  ): Promise<Resolution> {
    const { endpoints, ttl } = reachable(answer, daemon.address, details)
    const all = {
      name: answer.namespace === undefined ? name : foundIn(name, answer),
      host,
      endpoints,
      ttl,
    }
    const resolution = this.#egress ? await this.#egress.allow(all, details) : all
    // No other call looks the host up like that; `recall` remembers it for one that does.
    if (!isOwn) this.#known.set(key, { resolution, turn: 0 }, resolution.ttl)
    return resolution
  }

  /** The place of the name by the fallbacks; fails with `error` if they know none. */
  async #fallBack(query: Query, error: unknown, signal: Signal): Promise<Resolution> {
    const { name, host, question, fallback, look, details } = query
    const transports = question.transports.filter(road => road !== 'unix')
    const limit = this.#deadline(details, signal)
    const asked = { service: name.service, host, transports, fallback, look, signal: limit.signal }
    const endpoints = await fallBack(asked).finally(() => limit.free())
    if (endpoints.length === 0) throw error
    const found = { name: { ...name, namespace: '' }, host, endpoints, ttl: 0 }
    return this.#egress ? this.#egress.allow(found, details) : found
  }

  /** A question that is asked of the first daemon that answers, by a connection of its own. */
  async #ask(question: Asked, options: AskOptions): Promise<Answer> {
    const { signal } = options
    const host = hostOfDaemon(options.host)
    const port = this.#queries.portOf(options)
    const details = { host: host || 'localhost', port, syscall: question.op }
    const addresses = await this.#lookedUp(addressesOf(host, options, details), { details }, signal)
    const daemons = daemonsAt(addresses, port)
    return (await this.#race(daemons, question, askStream, details, signal)).answer
  }

  async #race(
    daemons: readonly DaemonAddress[],
    question: Asked,
    how: Ask,
    details: Details,
    signal?: Signal,
    wait = 0,
  ): Promise<HostAnswer> {
    const limit = this.#deadline(details, signal, wait)
    try {
      const found = await race(daemons, daemon => how(daemon, question, limit.signal), details)
      debug('%s at %s: %o', details.service ?? question.op, details.host, found.answer)
      if (how === ask) sessions.answered(found.daemon)
      return found
    } finally {
      limit.free()
    }
  }

  /** The addresses of a host, if its look-up does not take too long. */
  async #lookedUp<T>(found: T | Promise<T>, { details }: { details: Details }, signal?: Signal) {
    const limit = this.#deadline(details, signal)
    try {
      return await cancellable(Promise.resolve(found), limit.signal)
    } finally {
      limit.free()
    }
  }

  #deadline(details: Details, signal?: Signal, wait = 0) {
    const ms = wait + this.#timeout
    const late = () => new MonikerError('ESILENT', { ...details, ms })
    // The question, or the look-up, keeps the process alive, or does not.
    return deadline(ms, late, signal, { quiet: true })
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

const GIVEN_UP = new Error('nobody waits for the answer any longer')

function daemonsAt(addresses: readonly string[], port: number): DaemonAddress[] {
  return addresses.map(address => ({ address, port }))
}

/** The most of what a directory says that an error tells, in characters. */
const MAX_SAID = 256

/** Words of a stranger, for a terminal. */
function plainText(said: string): string {
  return said.slice(0, MAX_SAID).replace(/\p{Cc}/gu, ' ')
}

const LED_HERE = 'its name leads to loopback addresses, where another host cannot be'

/** The question to directories. */
function wantedIn({ question }: Query): Wanted {
  const { namespace, also = [], service, version } = question
  const transports = TRANSPORTS.filter(one => question.transports.includes(one))
  return { service, namespaces: [namespace, ...also], version, transports }
}

/** The failure of a search: one that says more than that the name is not there, else that no host has it. */
function telling(error: unknown, details: Details): unknown {
  if (!(error instanceof AggregateError)) return error
  const all = error.errors.flatMap(one => (one instanceof AggregateError ? one.errors : one))
  const most = all.find(one => !MISSING.includes((one as MonikerError).reason))
  return most ?? new MonikerError('ENOSERVICE', { ...details, cause: error })
}

const MISSING: readonly Reason[] = ['ENOSERVICE', 'ENODAEMON']

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
