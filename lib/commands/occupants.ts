import { readFile, readdir, readlink } from 'node:fs/promises'
import type { Spot } from '../ports.ts'

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
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(pids.map(pid => occupant(pid, sockets)))
  return found.filter(one => one !== undefined)
}

/** What the links to the sockets that wait on `port` say: `socket:[inode]`. */
function socketsIn(table: string, port: number, state: string): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  const row = new RegExp(`: \\w+:${hex} \\w+:0000 ${state} (?:\\S+ +){5}(\\d+)`, 'g')
  return [...table.matchAll(row)].map(([, inode]) => `socket:[${inode}]`)
}

async function occupant(pid: string, sockets: readonly string[]): Promise<Occupant | undefined> {
  // Another user's, or gone by now.
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => [])
  const links = await Promise.all(fds.map(fd => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
  if (!links.some(link => sockets.includes(link))) return undefined
  return { pid: Number(pid), name: (await textOf(`/proc/${pid}/comm`)).trim() }
}

function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '')
}
