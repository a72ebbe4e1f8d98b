import { networkOf } from '../address.ts'
import type { Peer, Share } from './chain.ts'

/** A connection that is told more than it reads. */
export interface Reader {
  /** Cuts it off. */
  drop(): void
}

export interface UnreadOptions {
  /** The most bytes that all programs of this host together leave unread. */
  here: number
  /** The most that one other host does. */
  host: number
  /** The most that all other hosts do. */
  remote: number
}

/**
 * The accounts of what was written and waits to be read: of this host, of each other host, and of all others together.
 * Where one is full, it is cut off who has not read for the longest: a program that reads falls behind for moments.
 */
export class Unread {
  readonly #options: UnreadOptions
  readonly #here: Account
  readonly #remote: Account
  readonly #hosts = new Map<string, Account>()

  constructor(options: UnreadOptions) {
    this.#options = options
    this.#here = new Account(options.here)
    this.#remote = new Account(options.remote)
  }

  /** Notes how many bytes wait for a connection; 0 once it has read them, or has closed. */
  note({ local, remote }: Pick<Peer, 'local' | 'remote'>, reader: Reader, bytes: number): void {
    if (local) return this.#here.note(reader, bytes)
    const host = networkOf(remote.address)
    const account = this.#hosts.get(host) ?? new Account(this.#options.host)
    this.#hosts.set(host, account)
    account.note(reader, bytes)
    if (account.isEmpty) this.#hosts.delete(host)
    // It may have been cut off for its host.
    this.#remote.note(reader, account.of(reader))
  }

  /** The bytes that wait to be read by this host, and by all others. */
  get shares(): Share[] {
    return [
      this.#here.share('bytes not read by programs of this host'),
      this.#remote.share('bytes not read by other hosts'),
    ]
  }

  /** The number of other hosts that have not read all. */
  get hosts(): number {
    return this.#hosts.size
  }
}

/** The bytes that some connections have not read, up to a limit. */
class Account {
  readonly #max: number
  /** The bytes of each reader that is behind; the one that has been so for the longest comes first. */
  readonly #behind = new Map<Reader, number>()
  #bytes = 0

  constructor(max: number) {
    this.#max = max
  }

  get isEmpty(): boolean {
    return this.#behind.size === 0
  }

  share(of: string): Share {
    return { of, used: this.#bytes, most: this.#max }
  }

  of(reader: Reader): number {
    return this.#behind.get(reader) ?? 0
  }

  note(reader: Reader, bytes: number): void {
    this.#bytes += bytes - this.of(reader)
    if (bytes === 0) this.#behind.delete(reader)
    else this.#behind.set(reader, bytes)
    while (this.#bytes > this.#max) {
      const [lazy] = this.#behind.keys()
      this.note(lazy!, 0)
      lazy!.drop()
    }
  }
}
