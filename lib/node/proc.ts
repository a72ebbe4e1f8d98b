import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { connect, createServer, isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import {
  LOOPBACK,
  canonical,
  groupsOf,
  isAll,
  isIPv6,
  isLinkLocal,
  isLoopback,
} from '../address.ts'
import { clock, pause, setImmediate } from '../clock.ts'
import { MonikerError, isWant } from '../errors.ts'
import { portRange, shuffled } from '../ports.ts'
import { familyOf, linksOf, pids, processName, textOf, type Process } from './processes.ts'

/**
 * The range of `freePort` if none is set: below the ports that Linux, macOS and Windows give out by themselves, above
 * those that browsers block. No program gets such a port by chance between our choice and the command's bind.
 */
const USUAL = { first: 10_081, last: 32_767 }

/**
 * Milliseconds from one look for a listener to the next: each pause is longer than the last, up to the second number.
 */
const [SOON, LATER] = [10, 200]

/** Milliseconds for which a program that is waited for is not connected to. */
const GRACE = 2_000

/** Milliseconds that a port may take to accept a connection. */
const PATIENCE = 1_000

/** The user that the kernel names where it does not know the user, or may not tell this process. */
const NOBODY = 65_534

/** The states of sockets in the kernel's tables. */
const ESTABLISHED = '01'
const WAITING = { tcp: '0A', udp: '07' }

/** The remote end of a socket that waits for any peer. */
const ANY = String.raw`\w+:0000`

/** The transports whose ports programs bind. */
export type Bindable = 'tcp' | 'udp'

/** A port of this host. */
export interface Spot {
  readonly transport: Bindable
  readonly port: number
  /** The address to look at. Default all that this host has. */
  readonly address?: string | undefined
}

/** One end of a connection. */
export interface End {
  readonly address: string
  readonly port: number
}

/**
 * Finds a port that no program is bound to, for a program that must be given one: `preferred`, or else any in the range
 * of `MONIKER_PORTS`. Fails with `EADDRINUSE` if none is free.
 */
export async function freePort(preferred?: number): Promise<number> {
  const range = portRange() ?? USUAL
  const { first, last } = range
  const isInRange = preferred && preferred >= first && preferred <= last
  if (isInRange && (await isFree(preferred))) return preferred
  for (const port of shuffled(range)) if (await isFree(port)) return port
  throw new MonikerError('EPORTS', { text: `${first}-${last}` })
}

/**
 * The port that belongs to a number, the same each time: in the usual range, or in that of `MONIKER_PORTS` if that does
 * not have it.
 */
export function portFor(number: number): number {
  const range = portRange() ?? USUAL
  const [usual, other] = [USUAL, range].map(
    ({ first, last }) => first + (number % (last - first + 1)),
  )
  return usual! >= range.first && usual! <= range.last ? usual! : other!
}

/**
 * True if no program is bound to `port`, at any address. It is not free either while connections of a program are left
 * over that would not let it bind the port again.
 */
export function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    // A port that we may not bind may still be free for a command.
    server.once('error', error => resolve((error as NodeJS.ErrnoException).code !== 'EADDRINUSE'))
    server.listen({ port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/**
 * Waits until a program listens on `port`, and returns the address; fails with the reason of `signal`. For two seconds
 * the kernel's tables alone are looked at: a program that has just begun to listen is to see no connection of ours.
 */
export async function listening(
  port: number,
  signal: AbortSignal,
  transport: Bindable = 'tcp',
): Promise<string> {
  const begun = clock()
  for (let wait = SOON; ; wait = Math.min(wait * 1.5, LATER)) {
    const isPatient = clock() - begun < GRACE
    const [address] = await bound([{ transport, port }], { isPatient })
    if (address) return address
    await pause(wait, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

/**
 * The address at which each of `spots` can be reached now, `undefined` where it cannot: the one that most peers can
 * reach, if there are several. On Linux the program that is bound to it does not notice. Elsewhere, and where only the
 * kernel knows of a port, as by a rule for a container, a connection is made, and a port of UDP held for a moment. On
 * Linux `isPatient` makes none.
 */
export async function bound(
  spots: readonly Spot[],
  { isPatient = false }: { isPatient?: boolean } = {},
): Promise<(string | undefined)[]> {
  if (process.platform !== 'linux') return Promise.all(spots.map(probe))
  const transports = [...new Set(spots.map(({ transport }) => transport))]
  const read = await Promise.all(transports.map(transport => tablesOf(transport)))
  const found = spots.map(async spot => {
    const { transport } = spot
    const known = listed(read[transports.indexOf(transport)]!, spot)
    return known ?? (transport === 'tcp' && !isPatient ? probe(spot) : undefined)
  })
  return Promise.all(found)
}

/** The address of a spot in the kernel's tables. */
function listed(tables: string, { transport, port, address: wanted }: Spot): string | undefined {
  const rows = rowsIn(tables, `(?<address>\\w+):${hex(port)}`, ANY, WAITING[transport])
  const addresses = rows.map(({ address }) => written(address!))
  if (wanted === undefined) return widest(addresses)
  return addresses.some(one => isAll(one) || one === wanted) ? wanted : undefined
}

/**
 * The address that most peers can reach: all of them, else one that other hosts may know. A link-local one is worth
 * nothing without its zone, which the kernel's tables do not have.
 */
function widest(addresses: readonly string[]): string | undefined {
  const reach = (one: string) =>
    Number(isAll(one)) * 2 + Number(!isLoopback(one) && !isLinkLocal(one))
  return addresses.toSorted((a, b) => reach(b) - reach(a))[0]
}

/** The processes that have a port open, as far as this user may know; on Linux alone, elsewhere none is known. */
export async function occupants(spot: Spot): Promise<Process[]> {
  const rows = await rowsAt(spot)
  if (rows.length === 0) return []
  const links = new Set(rows.map(linkOf))
  const found = await Promise.all((await pids()).map(pid => occupant(pid, links)))
  return found.filter(one => one !== undefined)
}

/** The numbers of the users whose programs have a port open; on Linux alone, where every user may know. */
export async function usersOf(spot: Spot): Promise<number[]> {
  const users = (await rowsAt(spot)).map(({ uid }) => Number(uid))
  return [...new Set(users)].filter(uid => uid !== NOBODY)
}

/** The rows of the sockets that have a port open; none elsewhere than on Linux. */
async function rowsAt({ transport, port }: Spot): Promise<Row[]> {
  if (process.platform !== 'linux') return []
  return rowsIn(await tablesOf(transport), `\\w+:${hex(port)}`, ANY, WAITING[transport])
}

/** The ports of TCP on which a process listens, or one that it has started; on Linux alone. */
export async function portsOf(pid: number): Promise<number[]> {
  const tables = await tablesOf('tcp')
  const family = await familyOf(String(pid))
  const links = new Set((await Promise.all(family.map(linksOf))).flat())
  const rows = rowsIn(tables, String.raw`\w+:(?<port>\w+)`, ANY, WAITING.tcp)
  const ports = rows.filter(row => links.has(linkOf(row)))
  return [...new Set(ports.map(({ port }) => Number.parseInt(port!, 16)))]
}

export interface IdentitiesOptions {
  /** The folder that has the kernel's tables. Default `/proc/net`. */
  folder?: string | undefined
  /** Calls a function when all others have had their turn. Default at once. */
  later?: ((work: () => void) => void) | undefined
}

/**
 * The users behind the connections of this host, as the kernel tells them: no program can claim to be
 * another user. Only Linux tells.
 */
export class Identities {
  readonly #folder: string | undefined
  readonly #later: (work: () => void) => void
  #reading: Promise<Owners> | undefined
  #next: Promise<Owners> | undefined

  constructor({ folder, later = work => work() }: IdentitiesOptions = {}) {
    this.#folder = folder
    this.#later = later
  }

  /**
   * The number of the user whose program has the end `from` of the connection to `to`; `undefined` where that cannot
   * be known. It cannot for a connection that is being closed. Fails for want of descriptors or memory.
   */
  async of(from: End, to: End): Promise<number | undefined> {
    const owners = await this.#owners()
    // Many may have waited for the same table.
    await new Promise<void>(this.#later)
    const theirs = forms(to)
    const found = forms(from).map((form, at) => owners.get(`${form} ${theirs[at]!}`))
    return found.find(uid => uid !== undefined && uid !== NOBODY)
  }

  /** The tables that are being read may be older than the connection: all that ask meanwhile share the next reading. */
  #owners(): Promise<Owners> {
    if (!this.#reading) return this.#read()
    const read = () => {
      this.#next = undefined
      return this.#read()
    }
    this.#next ??= this.#reading.then(read, read)
    return this.#next
  }

  #read(): Promise<Owners> {
    const done = () => (this.#reading = undefined)
    this.#reading = tablesOf('tcp', this.#folder, knownText).then(ownersIn).finally(done)
    return this.#reading
  }
}

/** The users of the connections that are established, by both their ends as the kernel prints them. */
type Owners = ReadonlyMap<string, number>

/** The most rows of a table that are read at once. */
const PORTION = 512

/**
 * The owners in the kernel's tables, which may be long. The kernel says that a socket which its owner has closed is
 * root's: only one that has an inode counts.
 */
async function ownersIn(tables: string): Promise<Owners> {
  const owners = new Map<string, number>()
  let walked = 0
  for (const [, ends, uid, inode] of tables.matchAll(CONNECTION)) {
    if (inode !== '0' && !owners.has(ends!)) owners.set(ends!, Number(uid))
    if (++walked % PORTION === 0) await new Promise(setImmediate)
  }
  return owners
}

const CONNECTION = new RegExp(
  String.raw`: (\w+:\w+ \w+:\w+) ${ESTABLISHED} \S+ \S+ \S+ +(\d+) +\d+ +(\d+) `,
  'g',
)

/** The kernel's tables of one transport, of IPv4 first. */
async function tablesOf(
  transport: Bindable,
  folder = '/proc/net',
  read: (file: string) => Promise<string> = textOf,
): Promise<string> {
  const files = [transport, `${transport}6`].map(file => read(`${folder}/${file}`))
  return (await Promise.all(files)).join('\n')
}

/** A row of the kernel's tables; numbers are text there. */
interface Row {
  readonly uid: string
  readonly inode: string
  /** Named groups of the pattern for the local end, hexadecimal. */
  readonly [group: string]: string
}

/** The rows with these ends, each a pattern for what the kernel prints, in this state. */
function rowsIn(tables: string, local: string, remote: string, state: string): Row[] {
  const ends = `: ${local} ${remote} ${state}`
  const row = new RegExp(`${ends} \\S+ \\S+ \\S+ +(?<uid>\\d+) +\\d+ +(?<inode>\\d+) `, 'g')
  return [...tables.matchAll(row)].map(({ groups }) => groups as unknown as Row)
}

/** An address and port as the kernel prints them: in the table of their own family, and in that of IPv6. */
function forms({ address, port }: End): string[] {
  const end = `:${hex(port)}`
  if (!isIPv4(address)) return [words(groupsOf(address).map(group => group.padStart(4, '0'))) + end]
  const word = words(address.split('.').map(byte => Number(byte).toString(16).padStart(2, '0')))
  return [word + end, `0000000000000000FFFF0000${word}${end}`]
}

function words(parts: readonly string[]): string {
  const found = parts.join('').toUpperCase().match(/.{8}/g)!
  return found.map(word => bytes(word).join('')).join('')
}

/** The bytes of a word of 32 bits, which the kernel prints as a number of this machine: little-endian. */
function bytes(word: string): string[] {
  return word.match(/../g)!.toReversed()
}

function hex(port: number): string {
  return port.toString(16).toUpperCase().padStart(4, '0')
}

/** An address as programs write it, from the kernel's hexadecimal. */
function written(words: string): string {
  if (words.length === 8) return dotted(words)
  const text = words.match(/.{8}/g)!.flatMap(bytes).join('').toLowerCase().match(/.{4}/g)!.join(':')
  // Some programs, those in Java for one, listen on IPv4 by its form in IPv6.
  return canonical(text)!
}

function dotted(word: string): string {
  return bytes(word)
    .map(byte => Number.parseInt(byte, 16))
    .join('.')
}

async function occupant(pid: string, links: ReadonlySet<string>): Promise<Process | undefined> {
  const open = await linksOf(pid)
  if (!open.some(link => links.has(link))) return undefined
  return { pid: Number(pid), name: await processName(pid) }
}

/** The text by which a process has the socket of a row among its files. */
function linkOf({ inode }: Row): string {
  return `socket:[${inode}]`
}

/** The text of a file, as `textOf` gives it; but fails for want of descriptors or memory: then nothing is known. */
async function knownText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (error) {
    if (isWant(error)) throw error
    return ''
  }
}

/** The address of a spot, found by trying: the kernel has no table that tells. */
async function probe({ transport, port, address }: Spot): Promise<string | undefined> {
  const hosts = address === undefined ? [...LOOPBACK, ...ownAddresses()] : [address]
  const isThere = (host: string) => (transport === 'tcp' ? answers(port, host) : isHeld(port, host))
  const found = await Promise.all(hosts.map(isThere))
  const there = hosts.filter((_host, index) => found[index])
  return all(there) ?? widest(there)
}

/** The address that stands for all at which a port answers: if it does at a loopback address, and at another. */
function all(there: readonly string[]): string | undefined {
  const [four, six] = LOOPBACK.map(loopback => {
    const isOther = (one: string) => one !== loopback && isIPv6(one) === isIPv6(loopback)
    return there.includes(loopback) && there.some(isOther)
  })
  if (!four) return undefined
  return six ? '::' : '0.0.0.0'
}

/** The addresses of this host at which other hosts may reach it. */
function ownAddresses(): string[] {
  try {
    const found = Object.values(networkInterfaces()).flatMap(one => one ?? [])
    return found.map(({ address }) => address).filter(one => !isLoopback(one) && !isLinkLocal(one))
    /* c8 ignore next 3 -- The system may have no descriptor left to tell. */
  } catch {
    return []
  }
}

/** True if a port can be connected to. */
function answers(port: number, host: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ port, host, timeout: PATIENCE })
    const settle = (is: boolean) => {
      socket.destroy()
      resolve(is)
    }
    socket
      // In the range that the system gives out, a socket may by chance connect to itself.
      .once('connect', () => settle(socket.localPort !== port))
      .once('timeout', () => settle(false))
      .once('error', () => settle(false))
  })
}

/** True if a program has a port of UDP. Only an attempt to bind it tells. */
function isHeld(port: number, host: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
    const close = (held: boolean) => socket.close(() => resolve(held))
    socket.once('error', error => close((error as NodeJS.ErrnoException).code === 'EADDRINUSE'))
    socket.bind(port, host, () => close(false))
  })
}
