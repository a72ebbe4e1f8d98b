import createDebug from 'debug'
import { Client, type Place } from './client.ts'
import { TIMEOUT } from './defaults.ts'

const debug = createDebug('moniker:session')

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
  readonly #sessions = new Map<string, Session>()
  readonly #options: Required<SessionsOptions>

  constructor({ often = 1_000, kept = 10_000 }: SessionsOptions = {}) {
    this.#options = { often, kept }
  }

  /** The connection to the daemon at `place`, if one is kept. */
  at(place: Place): Client | undefined {
    return this.#sessions.get(keyOf(place))?.client
  }

  /** Notes that the daemon at `place` has answered. */
  answered(place: Place): void {
    const key = keyOf(place)
    let session = this.#sessions.get(key)
    if (!session) {
      session = new Session(place, this.#options, () => this.#sessions.delete(key))
      this.#sessions.set(key, session)
    }
    session.answered()
  }
}

/** The sessions of this process. */
export const sessions = new Sessions()

class Session {
  client: Client | undefined
  readonly #place: Place
  readonly #kept: number
  readonly #closed: () => void
  readonly #idle: NodeJS.Timeout
  #answers = 0
  #isOpening = false

  constructor(place: Place, { often, kept }: Required<SessionsOptions>, closed: () => void) {
    this.#place = place
    this.#kept = kept
    this.#closed = closed
    this.#idle = setTimeout(closed, often).unref()
  }

  answered(): void {
    if (++this.#answers < 2 || this.#isOpening) return
    this.#isOpening = true
    clearTimeout(this.#idle)
    this.#open().catch((error: Error) => {
      debug('%s: %s', this.#place.address, error.message)
      this.#closed()
    })
  }

  async #open(): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT)
    const client = await Client.connect(this.#place, signal, { background: true })
    let asked = 0
    const idle = setInterval(() => {
      if (client.asked === asked) client.close()
      asked = client.asked
    }, this.#kept).unref()
    client.once('close', () => {
      clearInterval(idle)
      this.client = undefined
      this.#closed()
    })
    this.client = client
  }
}

function keyOf({ address, port }: Place): string {
  return `${port} ${address}`
}
