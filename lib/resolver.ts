import dns, { type LookupAddress, type LookupOptions } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import createDebug from 'debug'
import { LOOPBACK, isThisHost, mayLead } from './address.ts'
import { Cache } from './cache.ts'
import { cancellable, deadline } from './cancel.ts'
import { accept, ask, askStream, type Place } from './client.ts'
import { TIMEOUT, designatedPort } from './defaults.ts'
import { MonikerError, located, type Details, type Reason } from './errors.ts'
import { format, isWord, type Name } from './name.ts'
import { persist } from './persist.ts'
import {
  endpoints,
  listed,
  type Answer,
  type Asked,
  type Endpoint,
  type Listed,
  type Resolve,
  type Transport,
} from './protocol.ts'

const debug = createDebug('moniker:resolver')

export interface ResolverOptions {
  /** The designated port that daemons are asked at. Default `MONIKER_PORT`, else 6664. */
  port?: number
  /** How long one question may take in all, in ms. Default 5,000. */
  timeout?: number
  /** The clock by which answers grow old, in ms. Default `performance.now`. */
  now?: () => number
}

/** Whom to ask, and for how long. */
export interface AskOptions {
  /** The host whose daemon is asked. Default this host. */
  host?: string
  /** That daemon's designated port. Default the resolver's. */
  daemonPort?: number | undefined
  /** Gives the question up; the reason is the error. */
  signal?: AbortSignal
  /** Turns the host into addresses, as the option of `net.connect`. Default `dns.lookup`. */
  lookup?: LookupFunction
  /** 4 or 6 asks addresses of that family alone. Default 0, both. */
  family?: number
  /** As for `dns.lookup`. */
  hints?: number
}

export interface ResolveOptions extends AskOptions {
  /** The transports that will do. Default `['tcp']`. */
  transports?: readonly Transport[]
  /** Namespaces to look in, one after the other, if there is none in the name's. Default none. */
  also?: readonly string[]
  /** How long to wait for a name, or a daemon, that is not there yet, in ms. Default 0, at most an hour. */
  wait?: number
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

/** How long one address of a host is waited for before the next is asked as well, in ms. */
const STAGGER = 50

/** How long what is remembered goes unquestioned, in ms. */
const FRESH = 1_000

/** How long the other addresses are waited for once one daemon has said no, in ms. */
const GRACE = 250

/** Asks the daemon of a host which port a name has. Holds no handle between questions. */
export class Resolver {
  readonly #port: number | undefined
  readonly #timeout: number
  readonly #known: Cache<Resolution>
  readonly #flights = new Map<string, Promise<Resolution>>()

  constructor({ port, timeout = TIMEOUT, now }: ResolverOptions = {}) {
    this.#port = port
    this.#timeout = timeout
    this.#known = new Cache(now && { now })
  }

  /**
   * Where `name` leads at a host, once it leads anywhere, if there is a `wait`. Fails with
   * `ECONNREFUSED` (no such service, no such version, no daemon), `ETIMEDOUT` (a silent one) or the
   * code of the failed host look-up.
   */
  async resolve(name: Name, options: ResolveOptions = {}): Promise<Resolution> {
    const { wait = 0, signal } = options
    if (wait === 0) return this.#resolve(name, options)
    const attempt = (left: number) => this.#resolve(name, options, left)
    return persist(attempt, wait, { worth: mayStillCome, signal })
  }

  async #resolve(name: Name, options: ResolveOptions, wait = 0): Promise<Resolution> {
    const { host = '', transports = ['tcp'], also } = options
    const { namespace, service, version } = name
    const asked: Resolve = {
      op: 'resolve',
      namespace,
      service,
      version,
      transports,
      ...(also && { also }),
    }
    const { answer, place, details } =
      wait === 0
        ? await this.#ask(asked, ask, options, format(name))
        : await this.#ask({ ...asked, wait }, askStream, options, format(name), wait)
    const found = { name: foundIn(name, answer), host }
    return { ...found, ...reachable(answer, place, details) }
  }

  /**
   * Where `name` leads, at once if it is remembered: no longer than its `ttl`, and after a second it
   * is asked for again beside it, so that a name that moved is found. Else fails as `resolve` does.
   * Those who ask for the same at the same time share one question.
   */
  recall(name: Name, options: RecallOptions = {}): Resolution | Promise<Resolution> {
    const { host = '', transports = '', family = '', wait = '' } = options
    const also = JSON.stringify(options.also)
    const asked = [format(name), host, this.#portOf(options), transports, family, also, wait]
    const key = asked.join(' ')
    const known = this.#known.get(key)
    if (!known) return this.#refresh(key, name, options)
    if (known.age > FRESH) this.#refresh(key, name, options).catch(() => this.#known.delete(key))
    return known.value
  }

  #refresh(key: string, name: Name, options: RecallOptions): Promise<Resolution> {
    let flight = this.#flights.get(key)
    if (!flight) {
      flight = this.resolve(name, options).finally(() => this.#flights.delete(key))
      this.#flights.set(key, flight)
      const remember = (found: Resolution) => this.#known.set(key, found, found.ttl)
      flight.then(remember, () => {})
    }
    return flight
  }

  /** The services of a host, or of one namespace there; fails as `resolve` does, or with `EACCES`. */
  async list({ namespace, ...options }: AskOptions & { namespace?: string } = {}): Promise<
    Listed[]
  > {
    const question: Asked = { op: 'list', ...(namespace !== undefined && { namespace }) }
    const { answer } = await this.#ask(question, askStream, options)
    return listed(answer)
  }

  /** What the daemon of a host says of itself; fails as `resolve` does. */
  async status(options: AskOptions = {}): Promise<Answer> {
    const { answer } = await this.#ask({ op: 'status' }, askStream, options)
    const { v: _, id: __, ...status } = answer
    return status
  }

  #portOf({ daemonPort }: AskOptions): number {
    return daemonPort ?? this.#port ?? designatedPort()
  }

  async #ask(
    question: Asked,
    how: typeof ask,
    options: AskOptions,
    service?: string,
    wait = 0,
  ): Promise<Found> {
    const { host = '', signal } = options
    const port = this.#portOf(options)
    const asked = { host: host || 'localhost', port, syscall: question.op }
    const details = service === undefined ? asked : { ...asked, service }
    const ms = wait + this.#timeout
    const over = deadline(ms, () => new MonikerError('ESILENT', { ...details, ms }), signal)
    try {
      const addresses = await cancellable(addressesOf(host, options, details), over.signal)
      const places = addresses.map(({ address }) => ({ address, port }))
      const found = await hunt(places, place => how(place, question, over.signal), details)
      debug('%s at %s: %o', service ?? question.op, details.host, found.answer)
      return found
    } finally {
      over.free()
    }
  }
}

interface Found {
  readonly place: Place
  readonly answer: Answer
  readonly details: Details
}

/**
 * Asks one place after the other, not waiting long for any: the first that knows the name wins. A
 * host of which one family is out of reach so costs a moment, not the whole time-out.
 */
async function hunt(
  places: readonly Place[],
  how: (place: Place) => Promise<Answer>,
  details: Details,
): Promise<Found> {
  const failures: unknown[] = []
  let next = 0
  let over = false
  let stagger: NodeJS.Timeout | undefined
  let grace: NodeJS.Timeout | undefined
  try {
    return await new Promise<Found>((resolve, reject) => {
      const start = () => {
        clearTimeout(stagger)
        const place = places[next++]
        if (!place) return
        stagger = setTimeout(start, STAGGER)
        how(place)
          .then(answer => resolve({ place, answer: accept(answer, details), details }))
          .catch(fail)
      }
      const fail = (error: unknown) => {
        if (over) return
        failures.push(error)
        const told = worst(failures, details)
        if (failures.length === places.length) return reject(told)
        if (isAnswer(error)) grace ??= setTimeout(reject, GRACE, told)
        start()
      }
      start()
    })
  } finally {
    over = true
    clearTimeout(stagger)
    clearTimeout(grace)
  }
}

/** The failure that says most: a daemon's own word before that of a network. */
function worst(failures: unknown[], details: Details): unknown {
  return located(failures.find(isAnswer) ?? failures.at(-1), details)
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

function isAnswer(error: unknown): boolean {
  return error instanceof MonikerError && error.host !== undefined && error.reason !== 'ELOST'
}

/** The addresses of a host, in the order to ask them. */
export async function addressesOf(
  host: string,
  { lookup, family = 0, hints }: ResolveOptions,
  details: Details,
): Promise<{ address: string }[]> {
  const wanted = (address: string) => family === 0 || isIP(address) === family
  if (isIP(host)) return [{ address: host }]
  if (isThisHost(host) && !lookup) {
    return LOOPBACK.filter(wanted).map(address => ({ address }))
  }
  const options: LookupOptions = { all: true, family, ...(hints !== undefined && { hints }) }
  const unknown = (cause: unknown) => new MonikerError('ENOHOST', { ...details, cause })
  return new Promise((resolve, reject) => {
    const look = lookup ?? (dns.lookup as LookupFunction)
    // A look-up of the caller's own may not know `all`.
    look(host || 'localhost', options, (error, found: string | LookupAddress[]) => {
      const all = typeof found === 'string' ? [{ address: found }] : (found ?? [])
      const known = all.length > 0 && all.every(({ address }) => isIP(address))
      if (error && error.code !== 'ENOTFOUND') reject(error)
      else if (error || !known) reject(unknown(error))
      else resolve(all)
    })
  })
}

/** The endpoints in an answer, each with an address; one on our own loopback is not for a far host to give. */
function reachable(
  answer: Answer,
  { address: asked }: Place,
  details: Details,
): Pick<Resolution, 'endpoints' | 'ttl'> {
  const found = endpoints(answer)
    .map(endpoint => ({ ...endpoint, address: endpoint.address ?? asked }))
    .filter(({ address }) => mayLead(asked, address))
  if (found.length === 0) {
    throw new MonikerError('EPROTOCOL', {
      ...details,
      text: 'the answer has no endpoint that can be reached',
    })
  }
  const { ttl } = answer
  return { endpoints: found, ttl: typeof ttl === 'number' && ttl >= 0 ? ttl : 0 }
}
