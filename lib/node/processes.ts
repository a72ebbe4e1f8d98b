import { readFile, readdir, readlink } from 'node:fs/promises'
import { basename } from 'node:path'

/** A process, as people know it. */
export interface Process {
  readonly pid: number
  /** The name of the process. */
  readonly name: string
}

/** A process and all its descendants. */
export async function familyOf(pid: string): Promise<string[]> {
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

/** A variable of the environment of a process that this one descends from. */
export interface Inherited {
  readonly name: string
  readonly value: string
  /** The process that had it when it was started. */
  readonly from: Process
}

/**
 * The variables that a name matches which ancestors of this process were started with and it was not, each from the
 * nearest that had it. Linux alone tells: root of all processes, others of their own.
 */
export async function droppedVariables(
  pattern: RegExp,
  env: NodeJS.ProcessEnv = process.env,
): Promise<Inherited[]> {
  const found = new Map<string, Inherited>()
  let pid: string | undefined = String(process.ppid)
  for (let hops = 0; pid && Number(pid) > 0 && hops < MAX_ANCESTORS; hops++) {
    const variables = (await textOf(`/proc/${pid}/environ`)).split('\0')
    const from = { pid: Number(pid), name: await processName(pid) }
    for (const [, name = '', value = ''] of variables.map(
      one => /^([^=]+)=(.*)$/s.exec(one) ?? [],
    )) {
      const isNew = pattern.test(name) && env[name] === undefined && !found.has(name)
      if (isNew) found.set(name, { name, value, from })
    }
    pid = await parentOf(pid)
  }
  return [...found.values()]
}

/** The most ancestors of a process that are looked at. */
const MAX_ANCESTORS = 64

/** The parent of a process; `undefined` if the process has ended meanwhile. */
async function parentOf(pid: string): Promise<string | undefined> {
  // The name, in parentheses, may be anything.
  const stat = await textOf(`/proc/${pid}/stat`)
  return stat.slice(stat.lastIndexOf(')') + 1).split(' ')[2]
}

/**
 * The name of a process; `''` if it has ended meanwhile. Node names its main thread from 24 on, by which the kernel
 * would know each of its programs: there it is the word that the program was started by.
 */
export async function processName(pid: string, folder = '/proc'): Promise<string> {
  const name = (await textOf(`${folder}/${pid}/comm`)).trim()
  if (!name.endsWith('MainThread')) return name
  const [word = ''] = (await textOf(`${folder}/${pid}/cmdline`)).split('\0')
  return basename(word) || name
}

/** The numbers of all processes; none where there is no /proc. */
export async function pids(): Promise<string[]> {
  return (await readdir('/proc').catch(() => [])).filter(name => /^\d+$/.test(name))
}

/** The files and sockets that a process has open; none if it is another user's, or has ended by now. */
export async function linksOf(pid: string): Promise<string[]> {
  const fds = await readdir(`/proc/${pid}/fd`).catch(() => [])
  return Promise.all(fds.map(fd => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')))
}

/** The text of a file; `''` if it cannot be read, as where a process has ended. */
export function textOf(file: string): Promise<string> {
  return readFile(file, 'utf8').catch(() => '')
}
