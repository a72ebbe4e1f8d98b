import { isLoopback, leadsHere, mayLead, isIP, plain } from '../address.ts'
import { cancellable, type Signal } from '../async.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError, saidIn, type Details } from '../errors.ts'
import { isWord } from '../name.ts'
import { exactVersion, satisfies } from '../version.ts'
import { TRANSPORTS, isMetadata, type Reachable, type ServiceTransport } from '../wire/protocol.ts'
import {
  placesOf,
  type Directory,
  type FallbackQuestion,
  type Sighting,
  type Wanted,
} from './directory.ts'
import { wellKnown } from './services.ts'
import { srv } from './srv.ts'

const debug = diagnostics('moniker:directories')

/** THE TABLE of directories that have a word. A new one is a file of this folder, and a row here. */
export const DIRECTORIES = {} satisfies Record<string, Directory>

/** A directory, or the word for one. */
// oxlint-disable-next-line no-redundant-type-constituents -- the table has no row yet
export type DirectoryChoice = keyof typeof DIRECTORIES | Directory

/** THE TABLE of ways to find a service of a host that has no daemon. */
const WAYS = { srv, 'well-known': wellKnown } satisfies Record<
  string,
  (question: FallbackQuestion) => Promise<Reachable[]>
>

/**
 * The word for a place to look in on a host that has no daemon: the DNS (`_http._tcp.theforce.net`), or this system's
 * table of services (`http` is 80).
 */
export type Fallback = keyof typeof WAYS

export const FALLBACKS = Object.keys(WAYS) as readonly Fallback[]

export interface FallbackOptions extends FallbackQuestion {
  /** The places to look in, in this order. */
  readonly fallback: readonly Fallback[]
}

/**
 * The places of a service on a host without a daemon, best first, each with its `source`; none where nothing is known.
 * Fails with the reason of `signal` alone.
 */
export async function fallBack({ fallback, ...question }: FallbackOptions): Promise<Reachable[]> {
  const { service, host, signal } = question
  for (const source of fallback) {
    const found = await cancellable(WAYS[source](question).catch(none), signal)
    debug('%s at %s by %s: %o', service, host || 'this host', source, found)
    if (found.length > 0) return found
  }
  return []
}

/** The most directories that a call may name. */
export const MAX_DIRECTORIES = 8

/** The most sightings of one look-up that are followed. */
const MAX_SIGHTINGS = 8

/** The longest text of a directory, in characters: a name, an id. */
const MAX_TEXT = 512

/** The directories that words and objects stand for, in the same order. */
export function directoriesOf(
  given: readonly DirectoryChoice[],
  table: Readonly<Record<string, Directory>> = DIRECTORIES,
): Directory[] {
  return given.map(one => (typeof one === 'string' ? table[one]! : one))
}

/** True of a word for a directory, and of an object that is one. */
export function isDirectory(value: unknown, table: object = DIRECTORIES): value is DirectoryChoice {
  if (typeof value === 'string') return Object.hasOwn(table, value)
  const { name, lookup, follow } = (value ?? {}) as Partial<Directory>
  return isText(name) && (typeof lookup === 'function' || typeof follow === 'function')
}

/** The directories that are expected of a program, for people. */
export function expectedDirectories(table: object = DIRECTORIES): string {
  const words = Object.keys(table)
  const known = words.length > 0 ? `the words ${words.join(', ')}` : 'there are no words yet'
  return `at most ${MAX_DIRECTORIES} directories (${known}), or objects with a name and lookup or follow`
}

/**
 * The sightings that a directory has of the service that is wanted, best first, at most 8. Fails as its `lookup` does,
 * or with the reason of `signal`.
 */
export async function lookUp(
  directory: Directory,
  wanted: Wanted,
  signal: Signal,
): Promise<Sighting[]> {
  // A directory may hand its signal on to calls of Node, which do not know ours.
  const cancel = new AbortController()
  const abort = () => cancel.abort(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    const looked = Promise.resolve(directory.lookup!(wanted, cancel.signal))
    const found: unknown = await cancellable(looked, signal)
    if (!Array.isArray(found)) throw new TypeError('expected an array of sightings')
    const seen = found.slice(0, MAX_SIGHTINGS).map(sightingIn)
    debug('%s by %s: %o', wanted.service, directory.name, seen)
    return seen.filter(one => one !== undefined).filter(one => isWanted(one, wanted))
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** The error of a call by a directory of the program's own, which has thrown something. */
export function fault({ name }: Directory, thrown: unknown, details: Details): MonikerError {
  const text = `the directory ${name} failed: ${saidIn(thrown)}`
  return new MonikerError('EUNREACHABLE', { ...details, text, cause: thrown })
}

/** THE TABLE of the fields of a sighting. */
const FIELDS: Record<keyof Sighting, { isNeeded?: true; check: (value: unknown) => boolean }> = {
  id: { isNeeded: true, check: isText },
  host: { isNeeded: true, check: isHost },
  service: { isNeeded: true, check: isWord },
  daemonPort: { check: isPort },
  namespace: { check: value => value === '' || isWord(value) },
  version: { check: value => isText(value) && exactVersion(value) === value },
  transport: { check: value => TRANSPORTS.includes(value as ServiceTransport) },
  port: { check: isPort },
  address: { check: value => isText(value) && isIP(value) !== 0 },
  metadata: { check: isMetadata },
}

/** The sighting that a directory gives, in a copy; `undefined` if a field of it is not what it should be. */
export function sightingIn(value: unknown): Sighting | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const fields: Record<string, unknown> = {}
  try {
    for (const [key, { isNeeded, check }] of Object.entries(FIELDS)) {
      const field: unknown = Reflect.get(value, key)
      if (field === undefined && !isNeeded) continue
      if (!check(field)) return undefined
      fields[key] = isPlace(key) ? plain(field as string) : field
    }
  } catch {
    // A version may be none, metadata no JSON, and a field a getter that throws.
    return undefined
  }
  return fields as unknown as Sighting
}

function isPlace(key: string): boolean {
  return key === 'host' || key === 'address'
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_TEXT
}

function isPort(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536
}

/** True of a name, and of an address. One that leads to whichever host uses it is a loopback address that says so. */
function isHost(value: unknown): boolean {
  if (!isText(value)) return false
  if (!isIP(value)) return /^[\w.-]{1,255}$/.test(value)
  return !leadsHere(value) || (isLoopback(value) && value === plain(value))
}

function isWanted(seen: Sighting, { service, namespaces, version, transports }: Wanted): boolean {
  return (
    seen.service.toLowerCase() === service &&
    namespaces.includes((seen.namespace ?? '').toLowerCase()) &&
    (seen.version === undefined || satisfies(seen.version, version)) &&
    (seen.transport === undefined || transports.includes(seen.transport))
  )
}

/** Those addresses of a sighted host that may be gone to: by its name another host leads to none of this one. */
export function awayFrom(host: string, addresses: readonly string[]): readonly string[] {
  return addresses.filter(address => mayLead(host, address))
}

/** The places in a sighting, by the word of its directory alone; none if its port is not known. */
export function placesIn(
  { name }: Directory,
  { host, port, address, version = '', transport, metadata }: Sighting,
  addresses: readonly string[],
  { transports: [first] }: Wanted,
): Reachable[] {
  if (port === undefined) return []
  const away = awayFrom(host, address === undefined ? addresses : [address])
  const places = placesOf(name, away, port, transport ?? first!)
  return places.map(place => ({ ...place, version, ...(metadata && { metadata }) }))
}

function none(error: Error): Reachable[] {
  debug('%s', error.message)
  return []
}
