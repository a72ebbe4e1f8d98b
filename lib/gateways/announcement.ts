import { once } from 'node:events'
import { LOOPBACK } from '../address.ts'
import { Abort, backoff } from '../async.ts'
import { Client } from '../client/connection.ts'
import { diagnostics } from '../diagnostics.ts'
import { TIMEOUT } from '../settings.ts'

const debug = diagnostics('moniker:announcement')

/** The first and the longest pause before a daemon that has gone is looked for again, in ms. */
const PAUSE = 20
const LONGEST = 1_000

/** Milliseconds after which a daemon that has refused is told again. */
const REFUSED = 60_000

export interface AnnouncementOptions {
  /** The port of the gateway, at the loopback addresses. */
  port: number
  /** The designated port of the daemon that is told. */
  daemonPort: number
}

/**
 * The word of a gateway to the daemon of this host that it is there, until it is closed. Each daemon that takes the
 * place of another is told as well. Without a daemon, and if it refuses, nothing fails.
 */
export class Announcement {
  readonly #options: AnnouncementOptions
  readonly #cancel = new Abort()

  constructor(options: AnnouncementOptions) {
    this.#options = options
    void this.#run()
  }

  /** Takes it back. */
  close(): void {
    this.#cancel.abort(undefined)
  }

  async #run(): Promise<void> {
    let wait = PAUSE
    while (!this.#cancel.aborted) {
      try {
        await this.#tell()
        wait = PAUSE
      } catch (error) {
        debug('%s', (error as Error).message)
        wait = Math.min(wait * 2, LONGEST)
      }
      // Those who lost the same daemon do not all come back at once.
      const some = wait * (0.5 + Math.random() / 2)
      await backoff(some, this.#cancel, true).catch(() => {})
    }
  }

  /** Tells the daemon, and waits until that is to be done again. Fails if there is none. */
  async #tell(): Promise<void> {
    const { port, daemonPort } = this.#options
    const daemon = { address: LOOPBACK[0]!, port: daemonPort }
    const client = await Client.connect(daemon, this.#cancel, { quiet: true })
    const close = () => client.close()
    this.#cancel.addEventListener('abort', close)
    try {
      this.#cancel.throwIfAborted()
      const closed = once(client, 'close')
      const { gateway: isTold, error } = await client.askSoon({ op: 'gateway', port }, TIMEOUT)
      if (isTold === true) return void (await closed)
      debug('the daemon refuses: %o', error)
      await Promise.race([closed, backoff(REFUSED, this.#cancel, true)])
    } finally {
      this.#cancel.removeEventListener('abort', close)
      client.close()
    }
  }
}
