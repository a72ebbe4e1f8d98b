import { constants } from 'node:os'
import { ANY_HOST, isHere } from './address.ts'

/** The subject of an error; all of it is kept on the error. */
export interface Details {
  /** The service as the caller wrote it, for instance `starwars@^1`. */
  service?: string
  /** The host that was asked. */
  host?: string
  /** The designated port of that host's daemon. */
  port?: number
  /** The call that failed: `'resolve'`, `'register'` or `'unregister'`. */
  syscall?: string
  /** The versions that are offered instead. */
  offered?: readonly string[]
  /** The words that came, or that the other side said. */
  text?: string
  /** Milliseconds that were waited. */
  ms?: number
  cause?: unknown
}

/** Why a call failed, in Moniker's own words. */
export type Reason = keyof typeof table

interface Row {
  /** The code that programs written for `net` already handle. */
  readonly code: string
  /** Says what was expected, what came, and what to do next. */
  readonly say: (details: Details) => string
}

const isAny = ({ host }: Details) => host === ANY_HOST

const at = ({ host = 'this host', port }: Details) => {
  if (isAny({ host })) return 'any host'
  return port ? `${host.includes(':') ? `[${host}]` : host}:${port}` : host
}

const isAtHome = ({ host = '' }: Details) => isHere(host)

/** The next thing to look at where there was no answer. */
const checkUp = (d: Details) => {
  if (isAny(d)) return 'does one of the directories that were asked hang?'
  if (isAtHome(d)) return 'does the daemon hang? moniker doctor says which process it is'
  return `is monikerd running there, and does the firewall let TCP through to port ${d.port}?`
}

/** True if a package is not there; one that is may fail, as on a Node that it does not know. */
const isNotInstalled = ({ cause }: Details) =>
  !cause || hasCode(cause, 'ERR_MODULE_NOT_FOUND') || hasCode(cause, 'MODULE_NOT_FOUND')

const table = {
  ENAME: {
    code: 'ERR_MONIKER_NAME',
    say: d => d.text!,
  },
  EARGUMENT: {
    code: 'ERR_INVALID_ARG_VALUE',
    say: d => `expected ${d.text}`,
  },
  EMODULE: {
    code: 'ERR_MODULE_NOT_FOUND',
    say: d =>
      isNotInstalled(d)
        ? `the package ${d.text} is needed to fetch from ${d.service}; npm install ${d.text}@7, or use request`
        : `the package ${d.text}, which is needed to fetch from ${d.service}, cannot be loaded: ${String(d.cause)}`,
  },
  ENOSERVICE: {
    code: 'ECONNREFUSED',
    say: d => `${d.service} is not offered at ${at(d)}; is the program that listens on it running?`,
  },
  EVERSION: {
    code: 'ECONNREFUSED',
    say: d =>
      `${d.service} is not offered at ${at(d)}; ${d.offered?.join(', ') || 'another version'} is`,
  },
  ELOOPBACK: {
    code: 'ECONNREFUSED',
    say: d =>
      `${d.service} is offered at loopback addresses alone, and not at ${at(d)}; ask for it at localhost, or have it listen at all addresses`,
  },
  EMOVED: {
    code: 'ECONNREFUSED',
    say: d =>
      `${d.service} at ${at(d)} has moved away from ${d.text} while it was being connected to; connect again`,
  },
  ENODAEMON: {
    code: 'ECONNREFUSED',
    say: d =>
      `no daemon answers at ${at(d)}${d.service ? `, which was asked for ${d.service}` : ''}; ` +
      (isAtHome(d)
        ? `is ${d.service ? 'the program that listens on it' : 'any program that listens on a name'} running?`
        : 'is monikerd running there?'),
  },
  ESILENT: {
    code: 'ETIMEDOUT',
    say: d =>
      `no answer about ${d.service ?? 'the question'} from ${at(d)} within ${d.ms} ms; ` +
      checkUp(d),
  },
  EUNREACHABLE: {
    code: 'EHOSTUNREACH',
    say: d => `${at(d)} cannot be reached to ask for ${d.service ?? 'it'}: ${d.text}`,
  },
  ENOHOST: {
    code: 'ENOTFOUND',
    say: d =>
      `${d.service ?? 'the question'} was for host ${d.host}, which has no address; is it spelt right?`,
  },
  ETAKEN: {
    code: 'EADDRINUSE',
    say: d =>
      `${d.service} is already registered at ${at(d)}${d.text ? `, ${d.text}` : ''}; ` +
      'close that one, take another name or version, or let both share it (shared: true, --shared)',
  },
  EPORTS: {
    code: 'EADDRINUSE',
    say: d =>
      `no port of ${d.text} is free${d.service ? ` for ${d.service}` : ''}; ` +
      'stop a program that has one, or set MONIKER_PORTS to a wider range',
  },
  EPROTOCOL: {
    code: 'EPROTO',
    say: d => `${at(d)} and this program do not understand each other: ${d.text}`,
  },
  ETRANSPORT: {
    code: 'ERR_MONIKER_TRANSPORT',
    say: d =>
      `${d.service ? `${d.service} at ${at(d)} cannot be connected to: ` : ''}the transport ${d.text}`,
  },
  ENOSYS: {
    code: 'ENOSYS',
    say: d => `the daemon at ${at(d)} is older than this program: ${d.text}`,
  },
  EDENIED: {
    code: 'EACCES',
    say: d => `refused at ${at(d)}: ${d.text}`,
  },
  EPOLICY: {
    code: 'ERR_MONIKER_POLICY',
    say: d => `no policy was read: ${d.text}`,
  },
  ELIMIT: {
    code: 'EBUSY',
    say: d => `refused at ${at(d)}: ${d.text}`,
  },
  ECLOSED: {
    code: 'ERR_SOCKET_CLOSED',
    say: d => `the connection to ${d.service} at ${at(d)} has been closed`,
  },
  ELOST: {
    code: 'ECONNRESET',
    say: d =>
      `the daemon at ${at(d)} closed the connection${d.service ? `, so ${d.service} is known there no longer; it is registered again as soon as a daemon answers` : ''}`,
  },
} satisfies Record<string, Row>

/**
 * The one error Moniker makes. `code` is one that `net` programs already handle
 * (`ECONNREFUSED`, `EADDRINUSE`, `ETIMEDOUT`, `ENOTFOUND`, …); `reason` tells the cases apart. `message` is for a
 * terminal; `offered` and `text` are as they came.
 */
export class MonikerError extends Error {
  override readonly name = 'MonikerError'
  readonly code: string
  readonly reason: Reason
  /** The number libuv has for `code`, where it has one. */
  declare readonly errno?: number
  declare readonly syscall?: string
  declare readonly service?: string
  declare readonly host?: string
  declare readonly port?: number
  declare readonly offered?: readonly string[]
  /** The words that came, or that the other side said. */
  declare readonly text?: string

  constructor(reason: Reason, details: Details = {}) {
    const { code, say }: Row = table[reason]
    const { cause, ms: _, ...kept } = details
    const text = printable(`${code}: ${say(details)}`)
    super(text, cause === undefined ? undefined : { cause })
    this.code = code
    this.reason = reason
    Object.assign(this, kept)
    const errno = constants.errno[code as keyof typeof constants.errno]
    if (errno) this.errno = -errno
  }
}

/** The error of what is no name, or no version: what was expected of it, and what came. */
export function badName(given: string, expected: string): MonikerError {
  const text = `expected ${expected}, got ${JSON.stringify(given.slice(0, 256))}`
  return new MonikerError('ENAME', { service: given, text })
}

/** The error that an `'error'` listener is given: ours, the system's, or the reason of a signal. */
export type Failure = NodeJS.ErrnoException &
  Partial<Pick<MonikerError, 'reason' | 'service' | 'host' | 'port' | 'offered'>>

/** True if an error, of ours or of the system, has a `code`. */
export function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code
}

/** True if an error says that descriptors or memory are wanting: what was asked for may be had a moment later. */
export function isWant(error: unknown): boolean {
  const { code, info } = Object(error) as NodeJS.ErrnoException & { info?: NodeJS.ErrnoException }
  return [code, info?.code].some(code => WANTS.includes(code))
}

const WANTS: readonly (string | undefined)[] = ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']

/** True if the kernel says that this host has no such address, or nothing of its whole family. */
export function isMissing(error: unknown): boolean {
  return MISSING.includes((error as NodeJS.ErrnoException).code)
}

const MISSING: readonly (string | undefined)[] = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']

/** The most of what a program's own object says that an error tells, in characters. */
const MAX_SAID = 256

/** The words of what a program's own object has thrown, which may be anything, for a terminal. */
export function saidIn(thrown: unknown): string {
  const { message = thrown } = Object(thrown) as { message?: unknown }
  const said = typeof message === 'string' ? message : typeof message
  return printable(said.slice(0, MAX_SAID))
}

/**
 * The characters that steer a terminal: controls, of C1 too; formats, among them those that turn the direction of what
 * follows; ends of lines and paragraphs; and halves of a pair.
 */
const STEERING = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu

/** A text that another program may have written, with a space for each character that would steer a terminal. */
export function printable(value: unknown): string {
  return String(value).replaceAll(STEERING, ' ')
}

/** A value as JSON, with an escape for each such character: a program that reads it gets the same value. */
export function printableJSON(value: unknown, indent?: number): string {
  return JSON.stringify(value, undefined, indent).replaceAll(STEERING, escaped)
}

/** The escape of a character in JSON. The ends of lines are JSON's own: those in a string are escaped already. */
function escaped(character: string): string {
  if (character === '\n') return character
  const units = Array.from({ length: character.length }, (_, at) => character.charCodeAt(at))
  return units.map(unit => `\\u${unit.toString(16).padStart(4, '0')}`).join('')
}

/** True if `text` is one of our reasons; what a stranger sent may be anything. */
export function isReason(text: unknown): text is Reason {
  return typeof text === 'string' && Object.hasOwn(table, text)
}

/**
 * `error` as one that says what was asked for, and where. One that says so already, and one that is
 * none of the network's (somebody gave up), stays as it is. A connection that was lost had not answered:
 * it may be that of a stranger.
 */
export function located(error: unknown, details: Details): unknown {
  if (isLocated(error, details)) return error
  if (isHome(error)) return error
  const { code, message, text = message, cause = error } = error as MonikerError
  if (typeof code !== 'string') return error
  if (code === 'ECONNREFUSED') return new MonikerError('ENODAEMON', { ...details, cause })
  if (code === 'ECONNRESET')
    return new MonikerError('EPROTOCOL', { ...details, text: HUNG_UP, cause })
  return new MonikerError(code === 'EPROTO' ? 'EPROTOCOL' : 'EUNREACHABLE', {
    ...details,
    text,
    cause,
  })
}

function isLocated(error: unknown, { service }: Details): boolean {
  if (!(error instanceof MonikerError) || error.reason === 'ELOST') return false
  return error.service === service && error.host !== undefined
}

/** True if something is wrong in this process, whichever daemon was to be asked. */
function isHome(error: unknown): boolean {
  return error instanceof MonikerError && error.reason === 'EPOLICY'
}

const HUNG_UP =
  'the connection was closed without an answer; is it a Moniker daemon that has the port?'
