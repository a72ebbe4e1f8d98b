import { userInfo } from 'node:os'
import { MonikerError, isWant } from '../errors.ts'
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
    let wasThere = false
    this.#table = new SystemTable(file, text => {
      // A table of users is exchanged, and never taken away: it is being written.
      if (wasThere && text === '') throw new MonikerError('EDENIED', { text: `${file} is gone` })
      const users = usersIn(text)
      wasThere ||= text !== ''
      return users
    })
  }

  /** The users now. Throws as `SystemTable` does, and `EDENIED` if a table that was there is there no longer. */
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

/** The user of this process; none if it has no name, as it may be in a container. Throws for want of descriptors. */
function ownUser(): [string, Set<number>][] {
  try {
    const { username, uid } = userInfo()
    return [[username.toLowerCase(), new Set([uid])]]
  } catch (error) {
    if (isWant(error)) throw error
    return []
  }
}
