import dns, { type LookupAddress, type LookupOptions } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { LOOPBACK, isLoopback, isThisHost, mayLead } from '../address.ts'
import { accept, type Place } from './connection.ts'
import { MonikerError, isMissing, located, type Details } from '../errors.ts'
import { endpoints, type Answer, type Endpoint } from '../wire/protocol.ts'

/** How a host becomes addresses. */
export interface LookupHostOptions {
  /** Turns the host into addresses, as the option of `net.connect`. Default `dns.lookup`. */
  lookup?: LookupFunction | undefined
  /** 4 or 6 asks addresses of that family alone. Default 0, both. */
  family?: number | undefined
  /** As for `dns.lookup`. */
  hints?: number | undefined
  /** Told what a look-up has found, or that it failed, as the event `'lookup'` of `net` tells it. */
  looked?: ((error: Error | null, address?: string, family?: number) => void) | undefined
}

/** What a daemon has answered, and which. */
export interface Found {
  readonly place: Place
  readonly answer: Answer
}

/** How long one address of a host is waited for before the next is asked as well, in ms. */
const STAGGER = 50

/** How long the other addresses are waited for once one daemon has said no, in ms. */
const GRACE = 250

/**
 * Asks one place after the other, not waiting long for any: the first that knows the name wins. A
 * host of which one family is out of reach so costs a moment, not the whole time-out.
 */
export async function hunt(
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
          .then(answer => resolve({ place, answer: accept(answer, details) }))
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

/**
 * The failure that says most: a daemon's own word, that the program there is none, or what the network said last, of
 * addresses that can be had here.
 */
function worst(failures: unknown[], details: Details): unknown {
  const told = failures.filter(error => !isMissing(error))
  const worst = failures.find(isAnswer) ?? failures.find(isStrange) ?? told.at(-1)
  return located(worst ?? failures.at(-1), details)
}

function isStrange(error: unknown): boolean {
  return error instanceof MonikerError && error.reason === 'EPROTOCOL'
}

function isAnswer(error: unknown): boolean {
  return error instanceof MonikerError && error.host !== undefined && error.reason !== 'ELOST'
}

/**
 * The addresses of a host, in the order to ask them; at once where there is nothing to look up. Fails
 * with `ENOTFOUND`, or as the look-up does.
 */
export function addressesOf(
  host: string,
  { lookup, family = 0, hints, looked = () => {} }: LookupHostOptions,
  details: Details,
): readonly string[] | Promise<readonly string[]> {
  if (isIP(host)) return [host]
  if (isThisHost(host) && !lookup) {
    return family === 0 ? LOOPBACK : LOOPBACK.filter(address => isIP(address) === family)
  }
  const options: LookupOptions = { all: true, family, ...(hints !== undefined && { hints }) }
  const unknown = (cause: unknown) => new MonikerError('ENOHOST', { ...details, cause })
  return new Promise((resolve, reject) => {
    const look = lookup ?? (dns.lookup as LookupFunction)
    // A look-up of the caller's own may not know `all`.
    look(
      host || 'localhost',
      options,
      (error, found: string | LookupAddress[], family?: number) => {
        const told = typeof found === 'string' ? [{ address: found, family }] : (found ?? [])
        if (error) looked(error)
        else for (const { address, family } of told) looked(null, address, family)
        const all = told.map(({ address }) => address)
        const known = all.length > 0 && all.every(address => isIP(address))
        if (error && error.code !== 'ENOTFOUND') reject(error)
        else if (error || !known) reject(unknown(error))
        else resolve(all)
      },
    )
  })
}

/** The endpoints in an answer, each with an address; what is on our own host is not for a far one to give. */
export function reachable(
  answer: Answer,
  { address: asked }: Place,
  details: Details,
): { endpoints: (Endpoint & { address: string })[]; ttl: number } {
  const found = endpoints(answer)
    .map(endpoint => (isLoopback(asked) ? endpoint : withoutPath(endpoint)))
    .map(endpoint =>
      Object.assign(endpoint, { address: endpoint.address ?? asked, source: DAEMON }),
    )
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

const DAEMON = 'daemon'

function withoutPath({ path: _, ...endpoint }: Endpoint): Endpoint {
  return endpoint
}
