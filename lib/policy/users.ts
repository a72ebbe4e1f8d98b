import { readFileSync, statSync } from 'node:fs'
import { userInfo } from 'node:os'

/** The numbers of the users of this host by name, in lower case. Two names may differ in case alone. */
export type Users = ReadonlyMap<string, ReadonlySet<number>>

/**
 * The users in the system's table of them, and the one this process runs as. A user whom only a
 * directory server knows (LDAP, say) is not among them.
 */
export class UserTable {
  readonly #file: string
  #users: Users = new Map()
  /** The state of the file when it was read last. */
  #state: string | undefined

  constructor(file = '/etc/passwd') {
    this.#file = file
  }

  /** The users now. The file is read again only if it has changed. */
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

/** The text of a file; `''` if there is none, as on Windows. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}

/** The user of this process; none if it has no name, as it may be in a container. */
function ownUser(): [string, Set<number>][] {
  try {
    const { username, uid } = userInfo()
    return [[username.toLowerCase(), new Set([uid])]]
  } catch {
    return []
  }
}
