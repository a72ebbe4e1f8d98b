import { Cache } from '../cache.ts'
import { Client, type Place } from './connection.ts'
import { TIMEOUT } from '../settings.ts'
import { diagnostics } from '../diagnostics.ts'

const debug = diagnostics('moniker:session')

export interface SessionsOptions {
  /** Two answers of one daemon within so many ms make it one that is asked often. Default 1,000. */
  often?: number
  /** How long a connection is kept although nothing is asked, in ms. Default 10,000. */
  kept?: number
}

/**
 * Kept connections to the daemons that are asked often, for all who ask in this process: a question
 * is then a line in a write that many share, not a packet of its own. None keeps the process alive
 * but for a question under way.
 */
export class Sessions {
  /** `undefined` while it is being made. */
  readonly #clients = new Map<string, Client | undefined>()
  /** Who has answered within the time that makes it often. */
  readonly #lately = new Cache<true>()
  readonly #often: number
  readonly #kept: number

  constructor({ often = 1_000, kept = 10_000 }: SessionsOptions = {}) {
    this.#often = often
    this.#kept = kept
  }

  /** The connection to the daemon at `place`, if one is kept. */
  at(place: Place): Client | undefined {
    return this.#clients.get(keyOf(place))
  }

  /** Notes that the daemon at `place` has answered. */
  answered(place: Place): void {
    const key = keyOf(place)
    if (this.#clients.has(key)) return
    if (!this.#lately.get(key)) return this.#lately.set(key, true, this.#often)
    this.#clients.set(key, undefined)
    this.#open(place, key).catch((error: Error) => {
      debug('%s: %s', place.address, error.message)
      this.#clients.delete(key)
    })
  }

  async #open(place: Place, key: string): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT)
    const client = await Client.connect(place, signal, { background: true })
    let asked = 0
    const idle = setInterval(() => {
      if (client.asked === asked) client.close()
      asked = client.asked
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

function keyOf({ address, port }: Place): string {
  return `${port} ${address}`
}
