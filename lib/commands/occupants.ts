import { readFile, readdir, readlink } from 'node:fs/promises'
import type { Spot } from '../node/ports.ts'

/** A process that has a port open. */
export interface Occupant {
  readonly pid: number
  /** Its name, as the kernel has it. */
  readonly name: string
}

/** The states of those who wait for whoever comes, in the kernel's tables. */
const STATES = { tcp: '0A', udp: '07' }

/** Who has a port, as far as this user may know; on Linux alone, elsewhere nobody is known. */
export async function occupants({ transport, port }: Spot): Promise<Occupant[]> {
  if (process.platform !== 'linux') return []
  const tables = [`/proc/net/${transport}`, `/proc/net/${transport}6`].map(textOf)
  const sockets = (await Promise.all(tables)).flatMap(table =>
    socketsIn(table, port, STATES[transport]),
  )
  if (sockets.length === 0) return []
  const found = await Promise.all((await pids()).map(pid => occupant(pid, sockets)))
  return found.filter(one => one !== undefined)
}

/** The ports of TCP on which a process waits, or one that it has started; on Linux alone. */
export async function portsOf(pid: number): Promise<number[]> {
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(textOf))
  const family = await familyOf(String(pid))
  const links = new Set((await Promise.all(family.map(linksOf))).flat())
  const rows = tables.flatMap(table => [...table.matchAll(LISTENING)])
  const ports = rows.filter(([, , inode]) => links.has(`socket:[${inode}]`))
  return [...new Set(ports.map(([, port]) => Number.parseInt(port!, 16)))]
}

/** Rows of those who wait in a table of TCP: the port, and the inode of the socket. */
const LISTENING = /: \w+:(\w+) \w+:0000 0A (?:\S+ +){5}(\d+)/g

/** A process, and all that have come of it. */
async function familyOf(pid: string): Promise<string[]> {
  const all = await pids()
  const parents = await Promise.all(all.map(parentOf))
  const family = new Set([pid])
  // A child may have a lower number than its parent.
  for (let size = 0; size < family.size;) {
    size = family.size
    for (const [index, one] of all.entries()) if (family.has(parents[index]!)) family.add(one)
  }
  return [...family]
}

/** `undefined` if it has gone meanwhile. */
async function parentOf(pid: string): Promise<string | undefined> {
  // The name, in parentheses, may be anything.
  const stat = await textOf(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(')') + 1).split(' ')[2]
}

async function pids(): Promise<string[]> {
  return (await readdir('/proc').catch(() => [])).filter(name => /^\d+$/.test(name))
}

/** What a process has open; nothing if it is another user's, or gone by now. */
async function linksOf(pid: string): Promise<string[]> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => [])
  return Promise.all(fds.map(fd => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
}

/** What the links to the sockets that wait on `port` say: `socket:[inode]`. */
function socketsIn(table: string, port: number, state: string): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const row = new RegExp(`: \\w+:${hex} \\w+:0000 ${state} (?:\\S+ +){5}(\\d+)`, 'g')
  return [...table.matchAll(row)].map(([, inode]) => `socket:[${inode}]`)
}

async function occupant(pid: string, sockets: readonly string[]): Promise<Occupant | undefined> {
  const links = await linksOf(pid)
  if (!links.some(link => sockets.includes(link))) return undefined
  return { pid: Number(pid), name: (await textOf(`/proc/${pid}/comm`)).trim() }
}

function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '')
}
