import { readFile } from 'node:fs/promises'
import { isIPv4 } from 'node:net'
import { groupsOf } from '../address.ts'
import type { Peer } from '../daemon/answer.ts'

/** Where the kernel tells of the TCP connections of this host. */
const TABLES: readonly string[] = ['/proc/net/tcp', '/proc/net/tcp6']

/** Whom the kernel names where it does not know the user, or this daemon may not. */
const NOBODY = 65_534

/**
 * Who made the connections of this host, as the kernel tells it: no program can say that it is
 * somebody else. Only Linux tells.
 */
export class Identities {
  readonly #files: readonly string[]
  #reading: Promise<string> | undefined
  #next: Promise<string> | undefined

  constructor(files = TABLES) {
    this.#files = files
  }

  /**
   * The number of the user whose program asks from `peer`, which came to our `port`; `undefined`
   * where that cannot be known. Of a connection that is being closed it cannot.
   */
  async of({ local, address, remote }: Peer, port: number): Promise<number | undefined> {
    if (!local) return undefined
    return uidIn(await this.#tables(), remote, { address, port })
  }

  /** What is being read may be older than the connection: whoever comes meanwhile shares the next. */
  #tables(): Promise<string> {
    if (!this.#reading) return this.#read()
    this.#next ??= this.#reading.then(() => {
      this.#next = undefined
      return this.#read()
    })
    return this.#next
  }

  #read(): Promise<string> {
    const files = this.#files.map(file => readFile(file, 'latin1').catch(() => ''))
    this.#reading = Promise.all(files).then(texts => {
      this.#reading = undefined
      return texts.join('\n')
    })
    return this.#reading
  }
}

interface End {
  readonly address: string
  readonly port: number
}

/**
 * The user of the socket from `from` to `to`. A socket that its owner has closed is said to be
 * root's: only one that is established (state 01) and has an inode is to be believed.
 */
function uidIn(tables: string, from: End, to: End): number | undefined {
  const [mine, theirs] = [forms(from), forms(to)]
  const rows = mine.flatMap((form, at) => {
    const row = new RegExp(`: ${form} ${theirs[at]} 01 \\S+ \\S+ \\S+ +(\\d+) +\\d+ +([1-9]\\d*) `)
    return row.exec(tables) ?? []
  })
  const uid = Number(rows[1])
  return rows.length === 0 || uid === NOBODY ? undefined : uid
}

/** An address and port as the kernel prints them: of a socket of its own family, and of one of IPv6. */
function forms({ address, port }: End): string[] {
  const end = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  if (!isIPv4(address)) return [words(groupsOf(address).map(group => group.padStart(4, '0'))) + end]
  const word = words(address.split('.').map(byte => Number(byte).toString(16).padStart(2, '0')))
  return [word + end, `0000000000000000FFFF0000${word}${end}`]
}

/** Each word of 32 bits is printed as a number of this machine: little-endian. */
function words(parts: readonly string[]): string {
  const found = parts.join('').toUpperCase().match(/.{8}/g)!
  return found.map(word => word.match(/../g)!.toReversed().join('')).join('')
}
