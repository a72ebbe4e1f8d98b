import { Buffer } from 'node:buffer'
import { LOOPBACK, canonical, isIP } from '../address.ts'
import { MonikerError } from '../errors.ts'
import { MAX_LINE } from './lines.ts'
import { isWord } from '../name.ts'
import { isReservation } from '../settings.ts'
import { exactVersion, isRange } from '../version.ts'

/** The version of the protocol, `v` in every message. */
export const VERSION = 1

/** The most metadata a registration may carry, in bytes of JSON. */
export const MAX_METADATA = 1_024

/** The longest name of a group that shares a name, in characters. */
export const MAX_GROUP = 64

/** The longest that a question may be held until a name comes, in ms. */
export const MAX_WAIT = 3_600_000

/** The most namespaces that a question may look in beside the first. */
export const MAX_ALSO = 4

/** The most transports that a question or an offer may name. */
export const MAX_TRANSPORTS = 8

/** The most that an offer may say of further endpoints, in bytes of JSON. */
export const MAX_ENDPOINTS = 512

/** The longest word for a transport, in characters. */
export const MAX_TRANSPORT = 64

/** The longest version, in characters. */
export const MAX_VERSION = 128

/** The most versions that a refusal tells as offered instead. */
export const MAX_OFFERED = 4

/** The bytes to which a question over UDP is padded: an answer is never longer than its question. */
export const PADDED = 512

export const TRANSPORTS = ['tcp', 'udp'] as const

export type ServiceTransport = (typeof TRANSPORTS)[number]

/** One way to reach a service. */
export interface Endpoint {
  readonly transport: ServiceTransport
  /** Absent where it is the address the daemon was reached at. */
  readonly address?: string
  readonly port: number
  /** Its abstract Unix socket, told to clients on the same host that ask for it. */
  readonly path?: string
  readonly version: string
  /** Tells one registration from every other, past and present. */
  readonly instance: string
  readonly metadata?: Metadata
  /** The load that the server reports, if it does: the number of its connections, say. */
  readonly load?: number
  /** Further endpoints of the same server, of the transports that were asked for. */
  readonly endpoints?: readonly OtherEndpoint[]
  /** The directory that it was found in; a daemon never says it of itself. */
  readonly source?: Source
}

/** One more way to a service, by a transport of a later version or of a program. */
export interface OtherEndpoint {
  /** The word for the transport; not one of those that have fields of their own (`tcp`, `udp`, `unix`). */
  readonly transport: string
  /** Absent where it is that of the service. */
  readonly address?: string
  readonly port?: number
  /** An abstract Unix socket, told to clients on the same host. */
  readonly path?: string
  /** The rest is the business of the transport. */
  readonly [field: string]: unknown
}

/** An endpoint with an address to dial. Each of its further endpoints has one too. */
export type Reachable = Endpoint & { address: string }

/**
 * The origin of an endpoint: the daemon of its host, the DNS, the system's table of services, or a directory by its
 * name.
 */
export type Source = 'daemon' | 'srv' | 'well-known' | (string & Record<never, never>)

export type Metadata = Readonly<Record<string, unknown>>

/** The program that another asks for, as a gateway does for those who come to it. */
export interface Visitor {
  readonly address: string
  /** The number of its user, where that is known. */
  readonly uid?: number
}

export interface Resolve {
  readonly op: 'resolve'
  readonly namespace: string
  readonly service: string
  /** A semver range; `''` is any version. */
  readonly version: string
  /**
   * The words for transports that will do, of later versions and of programs among them; `'unix'` is the abstract Unix
   * socket beside the TCP port of a service on the same host.
   */
  readonly transports: readonly string[]
  /** Namespaces to look in, one after the other, if there is none in `namespace`. */
  readonly also?: readonly string[]
  /** Milliseconds to hold the question if there is no such service yet; not at all if left out. */
  readonly wait?: number
  /** True if the client wants to be told once the answer is no longer what the daemon would say. */
  readonly follow?: boolean
  /** The id of the question, if it is followed, by which the client is told. */
  readonly id?: Id
  /** The program that is to have the answer: it has what this one may have as well. */
  readonly for?: Visitor
  /** True if only names count that programs of root, of the daemon's user, or of the asker's own hold. */
  readonly trusted?: boolean
}

/** The name that a server asks for, and where it listens. */
export interface Offer {
  readonly namespace: string
  readonly service: string
  /** Exact. */
  readonly version: string
  readonly transport: ServiceTransport
  readonly port: number
  /** The address the server is bound to; `'::'` and `'0.0.0.0'` are all of a family. */
  readonly address: string
  /** Its abstract Unix socket, where it has one. */
  readonly path?: string
  /** Further ways to the same server. */
  readonly endpoints?: readonly OtherEndpoint[]
  /** `true`, or the name of a group, if servers that say the same may hold the name too. */
  readonly shared: boolean | string
  /** True if the server is to be told of each peer that was sent to it, as it lets in no others. */
  readonly guarded?: boolean
  readonly metadata?: Metadata
  /** The load of the server: of several that are the same, the least busy is told first. Default 0. */
  readonly load?: number
  /** The process that asks, so that a clash can name the holder. */
  readonly pid?: number
  /** The number of the PID namespace that `pid` is of, where the system has such. */
  readonly pidNamespace?: number
  /** When it was first registered, in ms since 1970, if that was with an earlier daemon. */
  readonly since?: number
}

export interface Register extends Offer {
  readonly op: 'register'
  /** The word that the name was reserved with, by the program that has started the server. */
  readonly reservation?: string
  /** The reservation over the same connection that the name takes the place of, unless it was claimed. */
  readonly instead?: number
  /** The id of the question, by which the server is told of what happens to the name later. */
  readonly id: Id
}

/**
 * The name that a program keeps for another, which it is about to start. It has no port yet, and is told to no client.
 */
export interface Reserve extends Offer {
  readonly op: 'reserve'
  /** The id of the question, by which the program is told that the server has come. */
  readonly id: Id
  /** The word that gets the name, which the program tells to the server alone. */
  readonly reservation: string
  /** True to take the name from another program of the same user. */
  readonly force?: boolean
}

/** A question for a name of the asker's own. */
export type Publication = Register | Reserve

export interface Update {
  readonly op: 'update'
  readonly registration: number
  readonly load: number
}

export interface Unregister {
  readonly op: 'unregister'
  readonly registration: number
}

/** A service in an answer to `list`. */
export interface Listed extends Offer {
  readonly instance: string
}

export interface List {
  readonly op: 'list'
  readonly namespace?: string
  /** As in `Resolve`. */
  readonly for?: Visitor
}

export interface Watch {
  readonly op: 'watch'
  /** The id of the question, by which the client is told of changes. */
  readonly id: Id
  readonly namespace?: string
  readonly service?: string
  /** Namespaces to watch beside `namespace`. */
  readonly also?: readonly string[]
  /** As in `Resolve`. */
  readonly for?: Visitor
}

/** A program is a gateway from now on, until its connection closes. */
export interface Gateway {
  readonly op: 'gateway'
  readonly port: number
  readonly address: string
}

/** A question for the gateways that the asker may trust. */
export interface Gateways {
  readonly op: 'gateways'
}

export interface Status {
  readonly op: 'status'
}

/** An embedded daemon makes way for another. */
export interface Handover {
  readonly op: 'handover'
}

/** A question in words that came after this version: it is refused, and the asker may go on. */
export interface Unknown {
  readonly op: 'unknown'
  /** The words that are not known, for people. */
  readonly what: string
}

export type Question =
  | Resolve
  | Register
  | Reserve
  | Update
  | Unregister
  | List
  | Watch
  | Gateway
  | Gateways
  | Status
  | Handover
  | Unknown

/** A question as a program gives it: what is left out has a default. */
export type Asked = { readonly op: Exclude<Question['op'], 'unknown'> } & Partial<
  Omit<Resolve, 'op' | 'id'> &
    Offer &
    Omit<Update, 'op'> &
    Pick<Reserve, 'reservation' | 'force'> &
    Pick<Register, 'instead'>
>

/** `null` in the answer to a message whose id could not be read. */
export type Id = string | number | null

/** A message of a daemon: the fields of the answer, or an `error`. */
export type Answer = Readonly<Record<string, unknown>>

/** The reason of a refusal, in the form it travels. */
export interface Refusal {
  readonly code: string
  readonly message: string
  readonly offered?: readonly string[]
}

/** A message as a line; `id` finds the question again. */
export function encode(id: Id, message: Asked | Answer): string {
  return `${JSON.stringify({ v: VERSION, id, ...message })}\n`
}

/**
 * An answer as lines of at most `MAX_LINE` bytes. A long list of services is told in several, each
 * but the last saying `more`; of endpoints come the first, as many as fit into one.
 */
export function encodeAnswer(id: Id, answer: Answer): string {
  const { services, endpoints } = answer
  if (Array.isArray(services)) return encodeServices(id, { ...answer, services }, false)
  const line = encode(id, answer)
  if (!Array.isArray(endpoints) || roomIn(line) >= 0) return line
  const [first] = paginate(endpoints, roomIn(encode(id, { ...answer, endpoints: [] })))
  return encode(id, { ...answer, endpoints: first })
}

/** Services of a list, and what is said with them, as lines; of which `more` are to come, or not. */
export function encodeServices(
  id: Id,
  answer: Answer & { readonly services: readonly unknown[] },
  more: boolean,
): string {
  const room = roomIn(encode(id, { ...answer, services: [], more: true }))
  const pages = paginate(answer.services, room)
  const isMore = (at: number) => more || at < pages.length - 1
  return pages
    .map((page, at) => encode(id, { ...answer, services: page, ...(isMore(at) && { more: true }) }))
    .join('')
}

/** An error as an answer. */
export function refusal({ reason, message, text = message, offered }: MonikerError): Answer {
  const error: Refusal = { code: reason, message: text, ...(offered && { offered }) }
  return { error }
}

/** A message that came: an object of version 1. Throws `EPROTO` on anything else. */
export function decode(text: string): Answer {
  let message: unknown
  try {
    message = JSON.parse(text)
  } catch {
    throw wrong(`expected one JSON object a line, got ${shown(text)}`)
  }
  if (typeof message !== 'object' || message === null || Array.isArray(message)) {
    throw wrong(`expected a JSON object, got ${shown(text)}`)
  }
  const { v } = message as Answer
  if (v !== VERSION) throw wrong(`expected "v" to be ${VERSION}, got ${shown(v)}`)
  return message as Answer
}

/** The id of a message, which may be of any shape. Throws `EPROTO` if there is none. */
export function idOf(message: Answer): Id {
  const { id } = message
  if (typeof id === 'string' ? id.length <= 64 : Number.isSafeInteger(id)) return id as Id
  throw wrong(
    `expected "id" to be a string of at most 64 characters or an integer, got ${shown(id)}`,
  )
}

/**
 * The question in a message, each field checked and defaulted. Throws `EPROTO` on a bad one. What a later
 * version has added is no fault: nothing has a transport that is not known, and an operation that is not known is
 * `unknown`.
 */
export function question(message: Answer): Question {
  const { op } = message
  switch (op) {
    case 'resolve':
      // The warm path; in Node 20 a key behind a spread takes microseconds.
      return Object.assign(
        {
          op,
          namespace: namespaceOf(message),
          service: serviceOf(message),
          version: read(message, 'version', isRange, 'a version range', ''),
          transports: read(message, 'transports', isSomeTransports, SOME_TRANSPORTS, TCP),
        },
        alsoIn(message),
        optional(message, 'wait', isWait, SOME_TIME),
        Object.hasOwn(message, 'follow') && followIn(message),
        Object.hasOwn(message, 'for') && visitorIn(message),
        Object.hasOwn(message, 'trusted') && trustedIn(message),
      )
    case 'register':
      return registerIn(message)
    case 'reserve':
      return reserveIn(message)
    case 'update':
      return {
        op,
        registration: read(message, 'registration', isCount, 'the number of a registration'),
        load: read(message, 'load', isCount, 'a whole number from 0 on'),
      }
    case 'unregister':
      return {
        op,
        registration: read(message, 'registration', isCount, 'the number of a registration'),
      }
    case 'list':
      return {
        op,
        ...(Object.hasOwn(message, 'namespace') && { namespace: namespaceOf(message) }),
        ...(Object.hasOwn(message, 'for') && visitorIn(message)),
      }
    case 'watch':
      return {
        op,
        id: idOf(message),
        ...(Object.hasOwn(message, 'namespace') && { namespace: namespaceOf(message) }),
        ...(Object.hasOwn(message, 'service') && { service: serviceOf(message) }),
        ...alsoIn(message),
        ...(Object.hasOwn(message, 'for') && visitorIn(message)),
      }
    case 'gateway':
      return {
        op,
        port: read(message, 'port', isPort, 'a port'),
        address: addressIn(message, LOOPBACK[0]),
      }
    case 'gateways':
    case 'status':
    case 'handover':
      return { op }
    default:
      if (typeof op === 'string') return { op: 'unknown', what: `the operation ${shown(op)}` }
      throw wrong(`expected "op" to be a string, got ${shown(op)}`)
  }
}

/** True of a question for a name of the asker's own. */
export function isPublication(asked: Question): asked is Publication {
  return asked.op === 'register' || asked.op === 'reserve'
}

/** A registration for a transport that is not known is `unknown`, as an operation is. */
function registerIn(message: Answer): Register | Unknown {
  const { transport } = message
  if (isOfLater(transport)) {
    return { op: 'unknown', what: `the transport ${shown(transport)}` }
  }
  return {
    op: 'register',
    id: idOf(message),
    ...offerOf(message),
    ...optional(message, 'reservation', isReservation, SOME_WORD),
    ...optional(message, 'instead', isCount, 'the number of a registration'),
  }
}

function reserveIn(message: Answer): Reserve | Unknown {
  const { transport } = message
  if (isOfLater(transport)) {
    return { op: 'unknown', what: `the transport ${shown(transport)}` }
  }
  return {
    op: 'reserve',
    id: idOf(message),
    ...claimOf(message),
    port: 0,
    address: '::',
    reservation: read(message, 'reservation', isReservation, SOME_WORD),
    ...optional(message, 'force', isFlag, 'true or false'),
  }
}

/** The endpoints in an answer to `resolve`. Throws `EPROTO` if they are not what they should be. */
export function endpoints(answer: Answer): Endpoint[] {
  const list = read(answer, 'endpoints', Array.isArray, 'an array') as unknown[]
  return list
    .filter(isObject)
    .filter(entry => isServiceTransport(entry.transport))
    .map(endpointIn)
}

function endpointIn(entry: Answer): Endpoint {
  return Object.assign(
    {
      transport: entry.transport as ServiceTransport,
      port: read(entry, 'port', isPort, 'a port'),
      version: read(entry, 'version', isVersion, 'a version'),
      instance: read(entry, 'instance', isText, 'a string'),
    },
    Object.hasOwn(entry, 'address') && { address: addressIn(entry) },
    optional(entry, 'path', isPath, 'the name of an abstract Unix socket'),
    optional(entry, 'metadata', isMetadata, 'an object'),
    optional(entry, 'load', isCount, 'a whole number from 0 on'),
    // Most have none: so a connect mostly spares the call.
    Object.hasOwn(entry, 'endpoints') && othersIn(entry),
  )
}

/** The further endpoints in an offer or an endpoint. Those of a transport that has fields of its own do not count. */
function othersIn(message: Answer): { endpoints?: readonly OtherEndpoint[] } {
  const all = read(message, 'endpoints', isEndpoints, SOME_ENDPOINTS)
  const endpoints = all
    .filter(({ transport }) => isOfLater(transport) && transport !== 'unix')
    .map(one => (one.address === undefined ? one : { ...one, address: addressIn(one) }))
  return endpoints.length > 0 ? { endpoints } : {}
}

/**
 * The services in an answer to `list`, without those of transports that are not known. Throws `EPROTO`
 * if they are not what they should be.
 */
export function listed(answer: Answer): Listed[] {
  const list = read(answer, 'services', Array.isArray, 'an array') as unknown[]
  return list
    .filter(isObject)
    .filter(({ transport }) => !isOfLater(transport))
    .map(listedIn)
}

/**
 * The change in a line after an answer to `watch`; `undefined` if the event or the transport is not
 * known. Throws `EPROTO` as `listed` does.
 */
export function changeIn(entry: Answer): { event: 'up' | 'down'; service: Listed } | undefined {
  const { event, transport } = entry
  if ((event !== 'up' && event !== 'down') || isOfLater(transport)) return undefined
  return { event, service: listedIn(entry) }
}

function listedIn(entry: Answer): Listed {
  return { ...offerOf(entry), instance: read(entry, 'instance', isText, 'a string') }
}

/** The refusal in an answer, if it is one. */
export function refusalIn({ error }: Answer): Refusal | undefined {
  if (error === undefined) return undefined
  const { code, message, offered } = isObject(error) ? error : {}
  return {
    code: isText(code) ? code : 'EPROTOCOL',
    message: isText(message) ? message : 'no reason was given',
    ...(Array.isArray(offered) && { offered: offered.filter(isVersion).slice(0, MAX_OFFERED) }),
  }
}

const TCP: readonly string[] = ['tcp']
const SOME_TRANSPORTS = `at most ${MAX_TRANSPORTS} transports, such as ${TRANSPORTS.join(', ')}, unix`
/** The further endpoints that are expected of an offer, for people. */
export const SOME_ENDPOINTS = `at most ${MAX_TRANSPORTS} objects, each with a transport, in ${MAX_ENDPOINTS} bytes`
/** The path that is expected of an offer, for people. */
export const SOME_PATH = 'moniker- and lower-case letters, digits or -'
const SOME_WORD = 'a word of 16 to 64 letters, digits, _ or -'
const SOME_TIME = `a whole number of ms, at most ${MAX_WAIT}`
const SOME_USER = 'the number of a user'

/** The bytes that a line may still have; its end does not count. */
function roomIn(line: string): number {
  return MAX_LINE + 1 - Buffer.byteLength(line)
}

/**
 * Items cut into runs of at most `room` bytes of JSON, commas and all; one item is sure to fit. No
 * items are one empty run.
 */
function paginate(items: readonly unknown[], room: number): unknown[][] {
  const pages: unknown[][] = [[]]
  // The first item of a run needs no comma.
  let left = room + 1
  for (const item of items) {
    const size = Buffer.byteLength(JSON.stringify(item)) + 1
    if (size > left) {
      pages.push([])
      left = room + 1
    }
    pages.at(-1)!.push(item)
    left -= size
  }
  return pages
}

/** The address in a message, in canonical text. */
function addressIn(message: Answer, otherwise?: string): string {
  return canonical(read(message, 'address', isAddress, 'an IP address', otherwise))!
}

type Check<T> = (value: unknown) => value is T

function namespaceOf(message: Answer): string {
  return read(message, 'namespace', isNamespace, 'a namespace', '').toLowerCase()
}

function alsoIn(message: Answer): { also?: readonly string[] } {
  if (!Object.hasOwn(message, 'also')) return {}
  const also = read(message, 'also', isNamespaces, `at most ${MAX_ALSO} namespaces`)
  return { also: also.map(one => one.toLowerCase()) }
}

function followIn(message: Answer): Pick<Resolve, 'follow' | 'id'> {
  const isFollowed = read(message, 'follow', isFlag, 'true or false')
  return isFollowed ? { follow: true, id: idOf(message) } : {}
}

function trustedIn(message: Answer): { trusted?: boolean } {
  return read(message, 'trusted', isFlag, 'true or false') ? { trusted: true } : {}
}

function visitorIn(message: Answer): { for: Visitor } {
  const visitor = read(message, 'for', isObject, 'an object with an address')
  return { for: { address: addressIn(visitor), ...optional(visitor, 'uid', isUser, SOME_USER) } }
}

function nameOf(message: Answer): { namespace: string; service: string } {
  return {
    namespace: namespaceOf(message),
    service: serviceOf(message),
  }
}

function serviceOf(message: Answer): string {
  return read(message, 'service', isWord, 'a service name').toLowerCase()
}

function offerOf(message: Answer): Offer {
  return {
    ...claimOf(message),
    port: read(message, 'port', isPort, 'a port'),
    address: addressIn(message, '::'),
    ...optional(message, 'path', isPath, SOME_PATH),
    ...(Object.hasOwn(message, 'endpoints') && othersIn(message)),
    ...optional(message, 'guarded', isFlag, 'true or false'),
    ...optional(message, 'metadata', isMetadata, `an object of at most ${MAX_METADATA} bytes`),
    ...optional(message, 'load', isCount, 'a whole number from 0 on'),
  }
}

/** The part of an offer that says who asks for which name. A reservation has no more. */
function claimOf(message: Answer): Omit<Offer, 'port' | 'address'> {
  return {
    ...nameOf(message),
    version: exactVersion(read(message, 'version', isText, 'an exact version', '')),
    transport: read(message, 'transport', isServiceTransport, `one of ${TRANSPORTS.join(', ')}`),
    shared: read(message, 'shared', isShared, 'true, false or the name of a group', false),
    ...optional(message, 'pid', isCount, 'a process id'),
    ...optional(message, 'pidNamespace', isCount, 'the number of a PID namespace'),
    ...optional(message, 'since', isCount, 'a time in ms since 1970'),
  }
}

/** The field of `message` if it passes `check`; its default, if it has one, where it is absent. */
function read<T>(
  message: Answer,
  field: string,
  check: Check<T>,
  expected: string,
  otherwise?: T,
): T {
  const value = Object.hasOwn(message, field) ? message[field] : otherwise
  if (check(value)) return value
  throw wrong(`expected "${field}" to be ${expected}, got ${shown(value)}`)
}

function optional<K extends string, T>(
  message: Answer,
  field: K,
  check: Check<T>,
  expected: string,
): { [key in K]?: T } {
  if (!Object.hasOwn(message, field)) return {}
  return { [field]: read(message, field, check, expected) } as { [key in K]?: T }
}

function wrong(text: string): MonikerError {
  return new MonikerError('EPROTOCOL', { text })
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? 'nothing')
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
}

const isObject = (value: unknown): value is Answer =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= 512
const isVersion = (value: unknown): value is string =>
  typeof value === 'string' && value.length <= MAX_VERSION
const isFlag = (value: unknown): value is boolean => typeof value === 'boolean'
const isShared = (value: unknown): value is boolean | string =>
  typeof value === 'boolean' || (isText(value) && value.length > 0 && value.length <= MAX_GROUP)
const isCount = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) >= 0
const isWait = (value: unknown): value is number => isCount(value) && value <= MAX_WAIT
const isPort = (value: unknown): value is number => isCount(value) && value > 0 && value < 65_536
const isUser = (value: unknown): value is number => isCount(value) && value <= 0xffff_ffff
const isAddress = (value: unknown): value is string => isText(value) && isIP(value) !== 0
const isNamespace = (value: unknown): value is string => value === '' || isWord(value)
const isNamespaces = (value: unknown): value is string[] =>
  Array.isArray(value) && value.length <= MAX_ALSO && value.every(isNamespace)
/** True of the word for a transport that a service may have for its first. */
export const isServiceTransport = (value: unknown): value is ServiceTransport =>
  TRANSPORTS.includes(value as ServiceTransport)
const isWordOfTransport = (value: unknown): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= MAX_TRANSPORT
/** True for a transport that is not known, as a later version may have it. */
const isOfLater = (value: unknown): value is string =>
  isWordOfTransport(value) && !isServiceTransport(value)
const isSomeTransports = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.length <= MAX_TRANSPORTS && value.every(isWordOfTransport)
/** True of the further endpoints that an offer may list. */
export const isEndpoints = (value: unknown): value is OtherEndpoint[] =>
  Array.isArray(value) &&
  value.length <= MAX_TRANSPORTS &&
  value.every(isOtherEndpoint) &&
  Buffer.byteLength(JSON.stringify(value)) <= MAX_ENDPOINTS
const isOtherEndpoint = (value: unknown): value is OtherEndpoint =>
  isObject(value) &&
  isWordOfTransport(value.transport) &&
  (value.address === undefined || isAddress(value.address)) &&
  (value.port === undefined || isPort(value.port)) &&
  (value.path === undefined || isPath(value.path))
// No client is to be led to the socket of a program that knows nothing of us.
export const isPath = (value: unknown): value is string =>
  typeof value === 'string' && /^moniker-[a-z0-9-]{1,90}$/.test(value)
/** True of an object that a registration may carry as metadata. */
export const isMetadata = (value: unknown): value is Metadata =>
  isObject(value) && Buffer.byteLength(JSON.stringify(value)) <= MAX_METADATA
