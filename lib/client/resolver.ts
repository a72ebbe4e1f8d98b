import { Cache } from '../cache.ts'
import { cancellable, deadline, Halt, type Signal } from '../async.ts'
import { accept, type Place } from './connection.ts'
import { placed } from '../options/connect.ts'
import { TIMEOUT, policyFile } from '../settings.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError, type Details, type Reason } from '../errors.ts'
import { fallBack } from '../directories/directories.ts'
import { Flight } from './flight.ts'
import { addressesOf, hunt, reachable, type Found } from './ask.ts'
import { isWord, parse, type Name } from '../name.ts'
import { Outgoing } from './filter.ts'
import { persist } from '../retry.ts'
import {
  listed,
  refusalIn,
  type Answer,
  type Asked,
  type Endpoint,
  type Listed,
} from '../wire/protocol.ts'
import { Queries, isForsaken, type AskOptions, type Query, type ResolveOptions } from './query.ts'
import { ask, askQuietly, askStream } from './question.ts'
import { sessions } from './session.ts'

export type { AskOptions, ResolveOptions } from './query.ts'

const debug = diagnostics('moniker:resolver')

export interface ResolverOptions {
  /** The designated port that daemons are asked at. Default `MONIKER_PORT`, else 6664. */
  port?: number
  /** How long one question may take in all, in ms. Default 5,000. */
  timeout?: number
  /** The clock by which answers grow old, in ms. Default `performance.now`. */
  now?: () => number
  /** The file that says what may be connected to. Default `MONIKER_POLICY`, else none. */
  policy?: string | undefined
}

/** What is shared among all who ask has no `signal`. */
export type RecallOptions = Omit<ResolveOptions, 'signal'>

/** Where a name leads. */
export interface Resolution {
  /** As it was asked for, but for the namespace, which is the one that it was found in. */
  readonly name: Name
  /** The host as it was asked for; `''` is this one. */
  readonly host: string
  /** Best first, never none; each has an address to dial. */
  readonly endpoints: readonly (Endpoint & { address: string })[]
  /** How long this may be remembered, in ms. */
  readonly ttl: number
}

/** How long what is remembered goes unquestioned, in ms. */
const FRESH = 1_000

/** How long a failure of another host is remembered, in ms; this one is always asked. */
const FAILED = 100

/** How long a kept connection is waited for before a question goes out by datagram as well, in ms. */
const BESIDE = 250

/**
 * Asks the daemon of a host which port a name has. Holds nothing that keeps the process alive between
 * questions; those who ask for the same at the same time share one question.
 */
export class Resolver {
  readonly #queries: Queries
  readonly #timeout: number
  readonly #known: Cache<Known>
  readonly #failed: Cache<unknown>
  readonly #outgoing: Outgoing | undefined
  readonly #flights = new Map<string, Flight<Resolution>>()
  /** Whether the last question was shared: then the next may wait a moment for more who join. */
  #isBusy = false

  constructor({ port, timeout = TIMEOUT, now, policy = policyFile() }: ResolverOptions = {}) {
    this.#queries = new Queries(port)
    this.#outgoing = policy === undefined ? undefined : new Outgoing(policy)
    this.#timeout = timeout
    this.#known = new Cache(now && { now })
    this.#failed = new Cache(now && { now })
  }

  /**
   * Where `name`, or the text of one, leads at a host, by the word of its daemon now, or once it leads anywhere if there is
   * a `wait`. Fails with `ECONNREFUSED` (no such service, no such version, no daemon), `ETIMEDOUT` (a
   * silent one) or the code of the failed host look-up.
   */
  async resolve(name: Name | string, options: ResolveOptions = {}): Promise<Resolution> {
    const { signal } = options
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
   * The same for who is in a hurry, with what is remembered. While it waits for a name it is for him to keep the process
   * alive.
   */
  ask(name: Name, options: Omit<ResolveOptions, 'signal'> = {}): Asking {
    const query = this.#queries.of(name, options)
    // Most who ask do so with others, of this host.
    const flight = query.isNear && !options.wait && this.#flights.get(query.key)
    if (flight)
      return Object.assign(flight.join(turned), { known: this.#turn(query), port: query.port })
    const failed = query.isNear ? undefined : this.#failed.get(query.key)
    const known = this.#turn(query)
    const { port } = query
    if (failed) return { known, port, answer: Promise.reject(failed.value), leave: () => {} }
    const addresses = addressesOf(query.host, options, query.details)
    if (!('then' in addresses) && !options.wait)
      return Object.assign(this.#flight(query, addresses).join(turned), { known, port })
    const over = new Halt()
    const answer = options.wait
      ? this.#await(query, options, options.wait, over)
      : this.#fly(query, addresses, over)
    return { known, port, answer, leave: reason => over.abort(reason ?? GIVEN_UP) }
  }

  /** What is remembered, for the next whose turn it is. */
  #turn({ key }: Query): Resolution | undefined {
    const known = this.#known.get(key)?.value
    return known && turned(known.resolution, ++known.turn)
  }

  /**
   * Where `name` leads, at once if it is remembered: no longer than its `ttl`, and after a second it
   * is asked for again beside it, so that a name that moved is found. Else fails as `resolve` does.
   */
  recall(name: Name, options: RecallOptions = {}): Resolution | Promise<Resolution> {
    const { key } = this.#queries.of(name, options)
    const known = this.#known.get(key)
    if (known && known.age <= FRESH) return known.value.resolution
    const fresh = this.#refresh(key, name, options)
    if (!known) return fresh
    fresh.catch(() => this.#known.delete(key))
    return known.value.resolution
  }

  /** What `resolve` answers, be it that of a subclass, is remembered. */
  async #refresh(key: string, name: Name, options: RecallOptions): Promise<Resolution> {
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

  /** What the daemon of a host says of itself; fails as `resolve` does. */
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
    const { answer, leave } = this.#flight(query, await this.#looked(found, query, signal)).join(
      turned,
    )
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
      const places = placesOf(await this.#looked(found, query, signal), port)
      const asked = { ...question, ...(left > 0 && { wait: left }) }
      try {
        const answered = await this.#hunt(places, asked, askQuietly, details, signal, left)
        return await this.#remember(query, answered)
      } catch (error) {
        if (isForsaken(query, error)) return this.#fallBack(query, error, signal)
        throw error
      }
    }
    return persist(attempt, wait, { worth: mayStillCome, signal, quiet: true })
  }

  #flight(query: Query, addresses: readonly string[]): Flight<Resolution> {
    const key = query.isNear ? query.key : `${query.key} ${addresses.join()}`
    const flying = this.#flights.get(key)
    if (flying) return flying
    const places = placesOf(addresses, query.port)
    const flight: Flight<Resolution> = new Flight(
      signal => this.#find(query, places, signal),
      () => {
        this.#flights.delete(key)
        this.#isBusy = flight.joined > 1
      },
    )
    this.#flights.set(key, flight)
    return flight
  }

  async #find(query: Query, places: readonly Place[], signal: () => Signal) {
    const { question, details, key } = query
    try {
      const kept = places.find(place => sessions.at(place))
      // What is not to be waited for is not: a question is on its way before `connect` returns.
      const found =
        (kept && (await askKept(kept, places, question, !query.isNear || !this.#isBusy))) ??
        (await this.#hunt(places, question, ask, details, signal()))
      return await this.#remember(query, found)
    } catch (error) {
      this.#known.delete(key)
      if (isForsaken(query, error)) return this.#fallBack(query, error, signal())
      // That nobody waits any longer is no failure of the host.
      if (!query.isNear && !signal().aborted) this.#failed.set(key, error, FAILED)
      throw error
    }
  }

  async #remember(
    { name, host, details, key, isOwn }: Query,
    { answer, place }: Found,
  ): Promise<Resolution> {
    const { endpoints, ttl } = reachable(accept(answer, details), place, details)
    const all = { name: foundIn(name, answer), host, endpoints, ttl }
    const resolution = this.#outgoing ? await this.#outgoing.allow(all, details) : all
    // Nobody else will look the host up like that; whoever does again has it remembered by `recall`.
    if (!isOwn) this.#known.set(key, { resolution, turn: 0 }, resolution.ttl)
    return resolution
  }

  /** Where the name is by what else there is to know; if there is nothing, `error` stands. */
  async #fallBack(query: Query, error: unknown, signal: Signal): Promise<Resolution> {
    const { name, host, question, fallback, look, details } = query
    const transports = question.transports.filter(road => road !== 'unix')
    const over = this.#deadline(details, signal)
    const asked = { service: name.service, host, transports, fallback, look, signal: over.signal }
    const endpoints = await fallBack(asked).finally(() => over.free())
    if (endpoints.length === 0) throw error
    const found = { name: { ...name, namespace: '' }, host, endpoints, ttl: 0 }
    return this.#outgoing ? this.#outgoing.allow(found, details) : found
  }

  /** A question that is asked of the first daemon that answers, by a connection of its own. */
  async #ask(question: Asked, options: AskOptions): Promise<Answer> {
    const { host = '', signal } = options
    const port = this.#queries.portOf(options)
    const details = { host: host || 'localhost', port, syscall: question.op }
    const addresses = await this.#looked(addressesOf(host, options, details), { details }, signal)
    const places = placesOf(addresses, port)
    return (await this.#hunt(places, question, askStream, details, signal)).answer
  }

  async #hunt(
    places: readonly Place[],
    question: Asked,
    how: typeof ask,
    details: Details,
    signal?: Signal,
    wait = 0,
  ): Promise<Found> {
    const over = this.#deadline(details, signal, wait)
    try {
      const found = await hunt(places, place => how(place, question, over.signal), details)
      debug('%s at %s: %o', details.service ?? question.op, details.host, found.answer)
      if (how === ask) sessions.answered(found.place)
      return found
    } finally {
      over.free()
    }
  }

  /** The addresses of a host, if its look-up does not take too long. */
  async #looked<T>(found: T | Promise<T>, { details }: { details: Details }, signal?: Signal) {
    const over = this.#deadline(details, signal)
    try {
      return await cancellable(Promise.resolve(found), over.signal)
    } finally {
      over.free()
    }
  }

  #deadline(details: Details, signal?: Signal, wait = 0) {
    const ms = wait + this.#timeout
    const late = () => new MonikerError('ESILENT', { ...details, ms })
    // What is asked, or looked up, keeps the process alive, or does not.
    return deadline(ms, late, signal, { quiet: true })
  }
}

/** Who says where a name leads: a `Resolver`, or whatever does as one. */
export interface Resolving {
  resolve(name: Name, options?: ResolveOptions): Promise<Resolution>
}

/** A question under way. */
export interface Asking {
  /** What was answered before, while it is remembered; it may be true no longer. Those who ask take turns. */
  readonly known: Resolution | undefined
  /** The designated port of the daemon that is asked; `undefined` if it is for nobody to guess from. */
  readonly port: number | undefined
  readonly answer: Promise<Resolution>
  /** To be called if the answer is wanted no more; once it has come it does nothing. */
  readonly leave: (reason?: unknown) => void
}

/** An answer that is remembered, and how many have taken their turn at it. */
interface Known {
  readonly resolution: Resolution
  turn: number
}

const GIVEN_UP = new Error('nobody waits for the answer any longer')

/**
 * Asks over the connection that is kept to one of `places`. `undefined` if it does not answer soon, or if
 * another place may know better.
 */
async function askKept(
  place: Place,
  places: readonly Place[],
  question: Asked,
  hurry: boolean,
): Promise<Found | undefined> {
  try {
    const answer = await sessions.at(place)!.askSoon(question, BESIDE, { hurry })
    return places.length === 1 || !refusalIn(answer) ? { place, answer } : undefined
  } catch {
    return undefined
  }
}

function placesOf(addresses: readonly string[], port: number): Place[] {
  return addresses.map(address => ({ address, port }))
}

/** The name with the namespace it was found in, where that is another. */
function foundIn(name: Name, { namespace }: Answer): Name {
  return namespace === '' || isWord(namespace) ? { ...name, namespace } : name
}

/** Whether a name may yet be found: nobody has said that it may not. */
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

/** The endpoints, each of those who share an answer beginning with another. */
function turned(resolution: Resolution, turn: number): Resolution {
  const { endpoints } = resolution
  const { load } = endpoints[0]!
  // The least busy come first; those that are as busy as each other take turns.
  const rest = endpoints.findIndex(endpoint => endpoint.load !== load)
  const count = rest === -1 ? endpoints.length : rest
  const first = turn % count
  if (first === 0) return resolution
  const best = [...endpoints.slice(first, count), ...endpoints.slice(0, first)]
  return { ...resolution, endpoints: [...best, ...endpoints.slice(count)] }
}
