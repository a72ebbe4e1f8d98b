import {
  FALLBACKS,
  MAX_DIRECTORIES,
  expectedDirectories,
  isDirectory,
  type Fallback,
} from '../directories/directories.ts'
import { MonikerError } from '../errors.ts'
import { isWord } from '../name.ts'
import type { ResolveOptions, Resolving, Select } from '../resolution.ts'
import type { Transport } from '../transports/transport.ts'
import { TRANSPORT_NAMES, type TransportName } from '../transports/transports.ts'
import { isRange } from '../version.ts'
import {
  MAX_ALSO,
  MAX_GROUP,
  MAX_METADATA,
  MAX_TRANSPORT,
  MAX_TRANSPORTS,
  MAX_WAIT,
  TRANSPORTS,
  isMetadata,
  type Metadata,
} from '../wire/protocol.ts'

/**
 * The options of ours, each once: what `connect`, `listen`, `watch` and `resolve` take beside the words of `net`.
 * Those of the question stand in `ResolveOptions`.
 */
export interface Options extends ResolveOptions {
  /** A service, or a whole name such as `ns:starwars@^1`. To `watch` the default is all services. */
  service: string
  /**
   * The namespace. Default that in `service`, else `MONIKER_NAMESPACE` on this host, else the host's own; to a
   * `watch` of all services, all namespaces.
   */
  namespace?: string | undefined
  /** A semver range; an exact version to `listen`. Default that in `service`, else any; to `listen`, `0.0.0`. */
  version?: string | undefined
  /** Chooses one of several endpoints. Default the first: the least loaded, else the one whose turn it is. */
  select?: Select | undefined
  /** The resolver to ask. Default the process's own. */
  resolver?: Resolving | undefined
  /**
   * Milliseconds: to `connect` of a stream as `net` has it, of a datagram socket the longest that the question may
   * take; to `watch` the longest that the daemon may take to answer, before it is asked again. Default 5,000 for the
   * latter two.
   */
  timeout?: number | undefined
  /**
   * True if other programs may share the name; all of them must say so. A string is a group, and is shared with
   * those who say the same. Default false; between the workers of one cluster, and the worker threads of one process,
   * their own group.
   */
  shared?: boolean | string | undefined
  /**
   * True to let in only those peers to whom the daemon has just told the port, so that a peer that may not resolve
   * the name cannot find the port by trying either. For servers of streams alone. Default false.
   */
  guarded?: boolean | undefined
  /**
   * True to tell how many connections there are, so that of several servers that share the name clients go to the
   * one with the fewest. Default false.
   */
  load?: boolean | undefined
  /** Data that is told with the endpoint; at most 1,024 bytes of JSON. Default none. */
  metadata?: Metadata | undefined
  /** Milliseconds that names may be gone with their daemon before they are told to be. Default 5,000. */
  grace?: number | undefined
}

/** The calls that take options of ours. */
export type CallKind = 'connect' | 'listen' | 'watch' | 'resolve'

interface Rule {
  /** The calls that take it. */
  readonly of: readonly CallKind[]
  /** True if it is part of the question: two calls that differ in it may have different answers. */
  readonly isAsked?: true
  /** True if `net` has this word too: it then checks the value, and takes the word in every call. */
  readonly isNets?: true
  /** The value that is expected, for people. */
  readonly expected?: string
  readonly check?: (value: unknown) => boolean
  /** The value of a call that leaves the word out, where that is always the same. */
  readonly default?: unknown
}

const ALL = ['connect', 'listen', 'watch', 'resolve'] as const
const ASKING = ['connect', 'watch', 'resolve'] as const
const isMs = (value: unknown) =>
  Number.isFinite(value) && Number(value) >= 0 && Number(value) <= MAX_WAIT
const isBoolean = (value: unknown) => typeof value === 'boolean'
const MS = `a number of ms from 0 to ${MAX_WAIT}`
const OBJECTS = 'objects with a name, allows, key and dial'

/** THE TABLE: a new option is a row here, and a field above. What passes options on is derived from it. */
export const OPTIONS = {
  service: {
    of: ['connect', 'listen', 'watch'],
    expected: 'a string',
    check: value => typeof value === 'string',
  },
  namespace: {
    of: ['connect', 'listen', 'watch'],
    expected: 'a word such as reynolds',
    check: value => value === '' || isWord(value),
  },
  version: {
    of: ['connect', 'listen', 'watch'],
    expected: 'a version or a range such as ^1',
    check: value => isRange(value),
  },
  also: {
    of: ASKING,
    isAsked: true,
    expected: `at most ${MAX_ALSO} namespaces`,
    check: value => isListOf(value, one => one === '' || isWord(one), MAX_ALSO),
  },
  host: { of: ASKING, isAsked: true, isNets: true },
  daemonPort: {
    of: ALL,
    isAsked: true,
    expected: 'a port from 1 to 65535',
    check: value => Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536,
  },
  transports: {
    of: ['connect', 'listen', 'resolve'],
    isAsked: true,
    expected: `at most ${MAX_TRANSPORTS} of the words ${TRANSPORT_NAMES.join(', ')}, or ${OBJECTS}`,
    check: value => isListOf(value, isSomeTransport, MAX_TRANSPORTS) && value.length > 0,
  },
  fallback: {
    of: ['connect', 'resolve'],
    isAsked: true,
    expected: `some of ${FALLBACKS.join(', ')}`,
    check: value => isListOf(value, one => FALLBACKS.includes(one as Fallback)),
  },
  directories: {
    of: ASKING,
    isAsked: true,
    expected: expectedDirectories(),
    check: value => isListOf(value, one => isDirectory(one), MAX_DIRECTORIES),
  },
  select: { of: ['connect'], expected: 'a function', check: value => typeof value === 'function' },
  wait: { of: ['connect', 'resolve'], isAsked: true, expected: MS, check: isMs, default: 0 },
  resolver: {
    of: ['connect'],
    expected: 'an object with a function `resolve`',
    check: value => typeof (value as Partial<Resolving> | null)?.resolve === 'function',
  },
  lookup: { of: ASKING, isAsked: true, isNets: true },
  family: { of: ASKING, isAsked: true, isNets: true, default: 0 },
  hints: { of: ASKING, isAsked: true, isNets: true },
  timeout: { of: ['connect', 'watch'], isNets: true },
  signal: { of: ALL, isNets: true },
  shared: {
    of: ['listen'],
    expected: `true, false or a group of at most ${MAX_GROUP} characters`,
    check: value =>
      isBoolean(value) || (typeof value === 'string' && value !== '' && value.length <= MAX_GROUP),
    default: false,
  },
  guarded: { of: ['listen'], expected: 'true or false', check: isBoolean, default: false },
  load: { of: ['listen'], expected: 'true or false', check: isBoolean, default: false },
  metadata: {
    of: ['listen'],
    expected: `an object of at most ${MAX_METADATA} bytes of JSON`,
    check: isMetadata,
  },
  grace: { of: ['watch'], expected: MS, check: isMs, default: 5_000 },
} as const satisfies Record<keyof Options, Rule>

type Table = typeof OPTIONS

/** The options that a call takes. */
export type OptionsOf<Kind extends CallKind> = Pick<
  Options,
  { [K in keyof Table]: Kind extends Table[K]['of'][number] ? K : never }[keyof Table]
>

/** The options that are part of the question, by name. */
export type AskedKey = {
  [K in keyof Table]: Table[K] extends { isAsked: true } ? K : never
}[keyof Table]

/** The words of ours that no call of this kind takes yet, or that belong to others alone. */
const STRANGE: Readonly<Record<string, string>> = {
  transport: 'left out, as it is a word of moniker-net/promises',
  secure: 'left out or false, as nothing is encrypted yet: use TLS over the socket',
}

const entries: readonly (readonly [string, Rule])[] = Object.entries(OPTIONS)

/** The options that a call takes, as a list. */
export function keysOf<Kind extends CallKind>(kind: Kind): readonly (keyof OptionsOf<Kind>)[] {
  const keys = entries.filter(([, { of }]) => of.includes(kind)).map(([key]) => key)
  return keys as unknown as (keyof OptionsOf<Kind>)[]
}

/** The same, as a list. */
export const ASKED = entries
  .filter(([, { isAsked }]) => isAsked)
  .map(([key]) => key) as readonly AskedKey[]

/**
 * Throws `ERR_INVALID_ARG_VALUE` on a value that a word of ours does not know, and on a word of ours that belongs to
 * another call: it would be dropped in silence. `false` and `undefined` are no such words. Every other option is
 * that of `net`.
 */
export function checkOptions(kind: CallKind, options: object): void {
  for (const [key, { of, isNets, check, expected }] of entries) {
    const value: unknown = Reflect.get(options, key)
    if (value === undefined) continue
    if (of.includes(kind) && check && !check(value)) throw bad(key, expected!, value)
    if (of.includes(kind) || isNets || value === false) continue
    throw bad(key, `left out, as it is a word of ${of.join(', ')}`, value)
  }
  for (const [key, expected] of Object.entries(STRANGE)) {
    const value: unknown = Reflect.get(options, key)
    if (value !== undefined && value !== false) throw bad(key, expected, value)
  }
}

/** The words of ours alone, which a call by port does not have. */
export const OWN_WORDS: readonly string[] = [
  ...entries.filter(([, { isNets }]) => !isNets).map(([key]) => key),
  ...Object.keys(STRANGE),
]

/** Throws `ERR_INVALID_ARG_VALUE` on what is no word for the transport of a service: `'tcp'` or `'udp'`. */
export function checkTransport(transport: unknown): void {
  if (!TRANSPORTS.includes(transport as (typeof TRANSPORTS)[number])) {
    throw bad('transport', `one of ${TRANSPORTS.join(', ')}`, transport)
  }
}

/** Those of `keys` that `object` has, and has defined. */
export function pick<T extends object, K extends keyof T>(
  object: T,
  keys: readonly K[],
): { [P in K]?: NonNullable<T[P]> } {
  const entries = keys.map(key => [key, object[key]]).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [P in K]?: NonNullable<T[P]> }
}

/** The error of a wrong option: what was expected of it, and what came. */
export function bad(option: string, expected: string, value: unknown): MonikerError {
  const shown = (JSON.stringify(value) ?? String(value)).slice(0, 80)
  return new MonikerError('EARGUMENT', {
    text: `options.${option} to be ${expected}, got ${shown}`,
  })
}

function isListOf(
  value: unknown,
  isOne: (one: unknown) => boolean,
  max = Infinity,
): value is readonly unknown[] {
  return Array.isArray(value) && value.length <= max && value.every(isOne)
}

/** True of a word for a transport. */
function isTransportName(value: unknown): value is TransportName {
  return TRANSPORT_NAMES.includes(value as TransportName)
}

/** True of a word, and of an object of `Transport`. */
function isSomeTransport(value: unknown): boolean {
  if (isTransportName(value)) return true
  const { name, allows, key, dial } = Object(value) as Partial<Transport>
  const isNamed = typeof name === 'string' && name !== '' && name.length <= MAX_TRANSPORT
  return isNamed && [allows, key, dial].every(one => typeof one === 'function')
}
