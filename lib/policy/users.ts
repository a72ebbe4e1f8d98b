import { userInfo } from 'node:os'
import { SystemTable } from './table.ts'

/** The numbers of the users of this host by name, in lower case. Two names may differ in case alone. */
export type Users = ReadonlyMap<string, ReadonlySet<number>>

/**
 * The users in the system's table of them, and the one this process runs as. A user whom only a
 * directory server knows (LDAP, say) is not among them.
 */
export class UserTable {
  readonly #table: SystemTable<Users>

  constructor(file = '/etc/passwd') {
    this.#table = new SystemTable(file, usersIn)
  }

  /** The users now. */
  get users(): Users {
    return this.#table.content
  }
}

function usersIn(text: string): Users {
  const users = new Map<string, Set<number>>(ownUser())
  for (const [, name = '', number] of text.matchAll(/^([^:\n]+):[^:\n]*:(\d+):/gm)) {
    const key = name.toLowerCase()
    users.set(key, (users.get(key) ?? new Set()).add(Number(number)))
  }
  return users
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
