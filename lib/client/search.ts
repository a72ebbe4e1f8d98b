import { firstOf, type Signal } from '../async.ts'
import { awayFrom, fault, lookUp, placesIn } from '../directories/directories.ts'
import type { Directory, Sighting, Wanted } from '../directories/directory.ts'
import { MonikerError, type Details, type Reason } from '../errors.ts'
import type { Resolution, SocketQuestion } from '../resolution.ts'
import { TRANSPORTS } from '../wire/protocol.ts'
import { STAGGER, addressesOf } from './ask.ts'
import { hasNoDaemon, type Queries, type Query } from './query.ts'

/** The parts of a resolver that a search uses. */
export interface SearchOptions {
  readonly queries: Queries
  /** Those of the places found that the policies let the program connect to. */
  readonly allow: (found: Resolution, details: Details) => Promise<Resolution>
  /** Asks the daemon of one host, once its addresses are known. */
  readonly ask: (
    query: Query,
    addresses: Promise<readonly string[]>,
    signal: Signal,
  ) => Promise<Resolution>
  /** The addresses of a host, if its look-up does not take longer than a question may. */
  readonly lookedUp: (
    found: readonly string[] | Promise<readonly string[]>,
    about: { details: Details },
    signal: Signal,
  ) => Promise<readonly string[]>
  /** The result of `run`, if that does not take longer than a question may. */
  readonly within: <T>(
    run: (signal: Signal) => Promise<T>,
    details: Details,
    signal: Signal,
  ) => Promise<T>
}

/** The search for the host that has a name: this one, or one at which a directory has seen it. */
export class Search {
  readonly #options: SearchOptions

  constructor(options: SearchOptions) {
    this.#options = options
  }

  /** Asks this host, and then one directory after the other, not waiting long for any. */
  async find(query: Query, options: SocketQuestion, signal: Signal): Promise<Resolution> {
    const { directories = [], details } = query
    const wanted = wantedIn(query)
    const attempts = directories
      .filter(directory => directory.lookup)
      .map(directory => async (signal: Signal) => {
        const seen = await this.#lookUp(directory, wanted, details, signal)
        const confirm = (one: Sighting) => (signal: Signal) =>
          this.#confirm(directory, one, query, options, signal)
        return firstOf(seen.map(confirm), STAGGER, signal)
      })
    const here = (signal: Signal) => this.#ask(this.#queryAt({}, query, options), options, signal)
    try {
      return await firstOf([here, ...attempts], STAGGER, signal)
    } catch (error) {
      throw telling(error, details)
    }
  }

  /** The sightings of one directory, if it does not take too long. */
  #lookUp(directory: Directory, wanted: Wanted, details: Details, signal: Signal) {
    const look = async (limit: Signal) => {
      try {
        return await lookUp(directory, wanted, limit)
      } catch (thrown) {
        limit.throwIfAborted()
        throw fault(directory, thrown, details)
      }
    }
    return this.#options.within(look, details, signal)
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
      return await this.#ask(at, options, signal)
    } catch (error) {
      if (!directory.final || !hasNoDaemon(error)) throw error
      const addresses = await this.#addressesAt(at, options, signal)
      const endpoints = placesIn(directory, seen, addresses, wantedIn(query))
      if (endpoints.length === 0) throw error
      const name = { ...query.name, namespace: seen.namespace ?? '' }
      const found = { name, host: seen.host, endpoints, ttl: 0 }
      return this.#options.allow(found, at.details)
    }
  }

  /** The same query at one host, with nowhere else to look. */
  #queryAt(
    { host = '', daemonPort }: { host?: string; daemonPort?: number | undefined },
    { name, port }: Query,
    { also, family, hints, lookup, transports }: SocketQuestion,
  ): Query {
    const at = { host, daemonPort: daemonPort ?? port }
    return this.#options.queries.of(name, { also, family, hints, lookup, transports, ...at })
  }

  #ask(query: Query, options: SocketQuestion, signal: Signal): Promise<Resolution> {
    return this.#options.ask(query, this.#addressesAt(query, options, signal), signal)
  }

  /** The addresses of a sighted host that may be asked. Fails with `EHOSTUNREACH` if there is none. */
  async #addressesAt(
    { host, details }: Query,
    { lookup, family, hints }: SocketQuestion,
    signal: Signal,
  ): Promise<readonly string[]> {
    const found = addressesOf(host, { lookup, family, hints }, details)
    const away = awayFrom(host, await this.#options.lookedUp(found, { details }, signal))
    if (away.length > 0) return away
    throw new MonikerError('EUNREACHABLE', { ...details, text: LED_HERE })
  }
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
