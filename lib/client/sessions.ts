import { Cache } from '../cache.ts'
import { clearInterval, setInterval, timeLimit } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import type { Details } from '../errors.ts'
import { TIMEOUT } from '../settings.ts'
import type { Asked } from '../wire/protocol.ts'
import { Client, asksUsers, overSocket, type DaemonAddress, type HostAnswer } from './connection.ts'
import { accept } from './filter.ts'

const debug = diagnostics('moniker:sessions')

/** Milliseconds until a question that went over a session is asked as if there were none. */
const BESIDE = 250

export interface SessionsOptions {
  /** Milliseconds within which two answers of one daemon make it one that is asked often. Default 1,000. */
  often?: number
  /** Milliseconds for which a connection is kept although nothing is asked. Default 10,000. */
  kept?: number
}

/** The defaults of `SessionsOptions`. */
export const DEFAULTS = { often: 1_000, kept: 10_000 } satisfies SessionsOptions

/**
 * The connections that are kept to daemons which are asked often, shared by this process: a question is then a line
 * in a write that many share, not a packet of its own. None keeps the process alive but for a question under way.
 */
export class Sessions {
  /** `undefined` while it is being made. */
  readonly #clients = new Map<string, Client | undefined>()
  /** The daemons that have answered within the time that makes it often. */
  readonly #lately = new Cache<true>()
  readonly #often: number
  readonly #kept: number

  constructor({ often = DEFAULTS.often, kept = DEFAULTS.kept }: SessionsOptions = {}) {
    this.#often = often
    this.#kept = kept
  }

  /**
   * Asks over the session that is kept to one of the daemons of a host; `undefined` at once if there is none. The
   * answer is `undefined` if it does not come soon, or if another of the daemons may know better. With `follow` a
   * lease is asked for, which may not be granted.
   */
  ask(
    daemons: readonly DaemonAddress[],
    message: Asked,
    details: Details,
    { hurry, follow = false }: { hurry: boolean; follow?: boolean },
  ): Promise<HostAnswer | undefined> | undefined {
    for (const daemon of daemons) {
      const client = this.#clients.get(keyOf(daemon))
      if (!client) continue
      const lease = follow ? client.lease() : undefined
      return client.askSoon(message, BESIDE, { hurry, lease }).then(
        answer => {
          if (answer.truncated) {
            asksUsers(daemon)
            client.close()
          }
          const isLast = answer.truncated || (daemons.length > 1 && 'error' in answer)
          return isLast ? undefined : { daemon, answer: accept(answer, details), lease }
        },
        () => undefined,
      )
    }
    return undefined
  }

  /** The connection to a daemon, if one is kept. */
  at(daemon: DaemonAddress): Client | undefined {
    return this.#clients.get(keyOf(daemon))
  }

  /** Notes that a daemon has answered. */
  answered(daemon: DaemonAddress): void {
    const key = keyOf(daemon)
    if (this.#clients.has(key)) return
    if (!this.#lately.get(key)) return this.#lately.set(key, true, this.#often)
    this.#clients.set(key, undefined)
    this.#open(daemon, key).catch((error: Error) => {
      debug('%s: %s', daemon.address, error.message)
      this.#clients.delete(key)
    })
  }

  async #open(daemon: DaemonAddress, key: string): Promise<void> {
    const signal = timeLimit(TIMEOUT)
    const connect = (way: DaemonAddress) => Client.connect(way, signal, { background: true })
    const client = (await overSocket(daemon, connect)) ?? (await connect(daemon))
    let before = 0
    const idle = setInterval(() => {
      if (client.activity === before) client.close()
      before = client.activity
    }, this.#kept).unref()
    client.once('close', () => {
      clearInterval(idle)
      this.#clients.delete(key)
    })
    this.#clients.set(key, client)
  }
}

/** The sessions of this process. */
export const sessions = new Sessions()

function keyOf({ address, port }: DaemonAddress): string {
  return `${port} ${address}`
}
