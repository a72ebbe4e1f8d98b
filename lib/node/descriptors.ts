import { readFileSync, readdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { handleOf } from './handle.ts'

/** The soft limit of this process to `what`, in the kernel's words; infinite where there is none, or none is told. */
export function limitOf(what: string, file = '/proc/self/limits'): number {
  try {
    const [, limit] =
      new RegExp(`^Max ${what} +(\\d+) `, 'm').exec(readFileSync(file, 'utf8')) ?? []
    return Number(limit ?? Infinity)
  } catch {
    return Infinity
  }
}

/** The number of descriptors that a process has open, and the most that it may have. */
export interface Usage {
  readonly open: number
  readonly most: number
}

/** The descriptors of a process; `undefined` where the system does not tell, as of a process of another user. */
export function descriptorsOf(pid: number, folder = '/proc'): Usage | undefined {
  try {
    const open = readdirSync(`${folder}/${pid}/fd`).length
    return { open, most: limitOf('open files', `${folder}/${pid}/limits`) }
  } catch {
    return undefined
  }
}

/** The most descriptors of this process. Node has set the soft limit to the hard one. */
const MOST = limitOf('open files')

/**
 * The last descriptors of this process, which connections of a daemon do not keep: what it must always be able to do
 * needs some. It accepts in order to refuse, reads tables, and answers at addresses that come up.
 */
export const RESERVE = reserveOf(MOST)

/** The reserve of a process that may have so many descriptors. */
export function reserveOf(most: number): number {
  return Math.min(2_048, Math.floor(most / 8))
}

/** Tells when the connections of a daemon have all descriptors but the reserve. */
export class Descriptors {
  readonly #free: number
  /** The most connections that leave the reserve free, as far as is known. */
  #places = Infinity

  constructor(most = MOST) {
    this.#free = most - reserveOf(most)
  }

  /** True if `socket` takes of the reserve, so that it, or one of the `open` that there are beside it, has to go. */
  areScarce(socket: Socket, open: number): boolean {
    const { fd } = handleOf(socket) as unknown as { fd: number }
    // The system gives the lowest number that is free: all below it are taken. A low one may have been left by a
    // connection that had to go, and then those above are taken too: by connections, unless there are too few of them.
    if (fd >= this.#free) this.#places = open
    else if (fd + open < this.#free) this.#places = Infinity
    return open >= this.#places
  }
}
