import { readFileSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'

/** The users of this host by name, in lower case; two may be the same but for their case. */
export type Users = ReadonlyMap<string, ReadonlySet<number>>

/**
 * The users in the system's table of them, and the one this process runs as. A user whom only a
 * directory server knows (LDAP, say) is not among them.
 */
export class UserTable {
  readonly #file: string
  #users: Users = new Map()
  /** What the table was when it was read. */
  #state: string | undefined

  constructor(file = '/etc/passwd') {
    this.#file = file
  }

  /** The users as they are now. It is read again when it has changed, and costs little else. */
  get users(): Users {
    const state = stateOf(this.#file)
    if (state !== this.#state) {
      this.#users = read(this.#file)
      this.#state = state
    }
    return this.#users
  }
}

function stateOf(file: string): string {
  const info = statSync(file, { throwIfNoEntry: false })
  return info ? `${info.ino} ${info.mtimeMs} ${info.size}` : 'none'
}

function read(file: string): Users {
  const users = new Map<string, Set<number>>(ownUser())
  for (const [, name = '', number] of textOf(file).matchAll(/^([^:\n]+):[^:\n]*:(\d+):/gm)) {
    const key = name.toLowerCase()
    users.set(key, (users.get(key) ?? new Set()).add(Number(number)))
  }
  return users
}

/** There is no such file on Windows. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** In a container this process may run as a number that is nobody's. */
function ownUser(): [string, Set<number>][] {
  try {
    const { username, uid } = userInfo()
    return [[username.toLowerCase(), new Set([uid])]]
  } catch {
    return []
  }
}
