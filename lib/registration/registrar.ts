import { setTimeout as wait } from 'node:timers/promises'
import { LOOPBACK } from '../address.ts'
import { cancellable, deadline, type Signal } from '../async.ts'
import { Client } from '../client/connection.ts'
import { TIMEOUT, designatedPort } from '../settings.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError, hasCode, located } from '../errors.ts'
import { Lease, type Keeper } from './lease.ts'
import type { Answer, Offer } from '../wire/protocol.ts'

const debug = diagnostics('moniker:registrar')

/**
 * How long a daemon may take to say whether a name is held again, in ms, before it is asked anew: twice
 * as long each time, as one that is busy has only more to do the more often it is asked.
 */
const SILENT = [1_000, 16_000] as const

/** How many daemons in a row may go as they are come to until the next is looked for at leisure. */
const HASTE = 3

/** How many times a daemon may go before it has answered. */
const TRIES = 5

/**
 * How long to wait for what, at random between the two, in ms: programs do not all come at once.
 * Where there are more than `CROWD` of them it takes longer in proportion, for a second at most.
 */
const PAUSES = {
  /** Before the daemon that has gone is looked for. */
  lost: [0, 20],
  /** Before the race for the designated port is run again, or a question that was lost is put again. */
  race: [10, 30],
  /** Before a daemon that is not there is looked for again. */
  absent: [50, 100],
  /** Before a name that was refused is asked for again. */
  refused: [500, 1_000],
} as const

const CROWD = 100
const LONGEST = 1_000

export interface RegisterOptions {
  /** Gives the registration up; the reason is the error. */
  signal?: Signal
  /** How long it may take in all, in ms. Default 5,000. */
  timeout?: number
  /** Called with the news of each peer that is sent to a guarded server. */
  expect?: (event: Answer) => void
}

/**
 * Keeps the names of this process registered, over one connection to this host's daemon. Where none
 * answers, now or once that daemon has gone, it starts one inside this process, for all the programs
 * on the host; the names are registered there again. Nothing here keeps the process alive: what
 * listens does, unless it is `unref`'d.
 */
export class Registrar implements Keeper {
  static readonly #all = new Map<number, Registrar>()
  readonly #port: number
  readonly #embed: (port: number) => Promise<void>
  readonly #leases = new Set<Lease>()
  /** Those that are to be registered again as soon as there is a daemon. */
  readonly #lost = new Set<Lease>()
  /** Those that somebody else holds: they are asked for again after a while. */
  readonly #refused = new Set<Lease>()
  #again: NodeJS.Timeout | undefined
  #opening: Promise<Client> | undefined
  #current: Client | undefined
  #waiting = 0
  /** How many connections the daemon has, or had when we knew last. */
  #crowd = 1
  #isRecovering = false

  /** `start` makes this process the daemon of the host; it fails with `EADDRINUSE` if another is. */
  constructor(port: number, start: (port: number) => Promise<void> = becomeDaemon) {
    this.#port = port
    this.#embed = start
  }

  /** The one registrar of this process for a designated port. */
  static at(port: number = designatedPort()): Registrar {
    let registrar = Registrar.#all.get(port)
    if (!registrar) Registrar.#all.set(port, (registrar = new Registrar(port)))
    return registrar
  }

  /**
   * Holds a name. Fails with `EADDRINUSE` if it is taken, `ETIMEDOUT` if the daemon stays silent,
   * `EPROTO` if what has the designated port is no daemon, or the reason of `signal`.
   */
  async register(
    offer: Offer,
    { signal, timeout: ms = TIMEOUT, expect }: RegisterOptions = {},
  ): Promise<Lease> {
    const lease = new Lease(offer, this, this.#port, expect)
    const late = () => new MonikerError('ESILENT', { ...lease.details, ms })
    const over = deadline(ms, late, signal, { quiet: true })
    this.#waiting++
    const obtained = this.#obtain(lease, over.signal).catch(error => {
      throw located(error, lease.details)
    })
    try {
      await obtained
      this.#leases.add(lease)
      return lease
    } finally {
      over.free()
      this.rest()
    }
  }

  drop(lease: Lease): boolean {
    this.#lost.delete(lease)
    this.#refused.delete(lease)
    if (!this.#leases.delete(lease)) return false
    this.#waiting++
    return true
  }

  evicted(lease: Lease): void {
    this.#refused.add(lease)
    const [least, most] = PAUSES.refused
    clearTimeout(this.#again)
    this.#again = setTimeout(() => this.#askAgain(), between(least, most)).unref()
  }

  rest(): void {
    this.#waiting--
    this.#closeIfIdle()
  }

  /** Closes the connection once nothing is held or asked over it. */
  #closeIfIdle(): void {
    if (this.#leases.size > 0 || this.#waiting > 0) return
    this.#current?.close()
    this.#current = undefined
  }

  /** Has a name registered. Should the daemon go before it has answered, the next is asked. */
  async #obtain(lease: Lease, signal: Signal, tries = TRIES): Promise<void> {
    try {
      this.#crowd = await lease.obtain(await this.#connected(signal), signal)
      return
    } catch (error) {
      if (!hasCode(error, 'ECONNRESET') || tries <= 1) throw error
    }
    await cancellable(this.#pause('race'), signal)
    return this.#obtain(lease, signal, tries - 1)
  }

  /** The connection to the daemon, made if need be; all who ask meanwhile share one. */
  async #connected(signal?: Signal): Promise<Client> {
    if (this.#current) return this.#current
    this.#opening ??= this.#open(AbortSignal.timeout(TIMEOUT)).finally(
      () => (this.#opening = undefined),
    )
    return cancellable(this.#opening, signal)
  }

  /**
   * Connects to the daemon of this host. Several programs that find none all try to become it; the
   * kernel gives the designated port to one, and the others connect to that.
   */
  async #open(signal: Signal, embedded = false): Promise<Client> {
    try {
      return this.#watch(await this.#reach(signal))
    } catch (error) {
      // A daemon of our own that cannot be reached is no reason to start another.
      if (embedded || !hasCode(error, 'ECONNREFUSED')) throw error
    }
    return this.#open(signal, await this.#become(signal))
  }

  /** Whether this process is the daemon now; if not, another was faster. */
  async #become(signal: Signal): Promise<boolean> {
    try {
      await this.#embed(this.#port)
      debug('this process has become the daemon of this host, on port %d', this.#port)
      return true
    } catch (error) {
      if (!hasCode(error, 'EADDRINUSE')) throw error
      await this.#pause('race', signal)
      return false
    }
  }

  async #reach(signal: Signal): Promise<Client> {
    const [first, ...others] = LOOPBACK.map(address => ({ address, port: this.#port }))
    try {
      return await Client.connect(first!, signal, { quiet: true })
    } catch (error) {
      for (const place of others) {
        const client = await Client.connect(place, signal, { quiet: true }).catch(() => undefined)
        if (client) return client
      }
      throw error
    }
  }

  #watch(client: Client): Client {
    this.#current = client
    return client.once('close', () => {
      if (this.#current !== client) return
      this.#current = undefined
      this.#refused.clear()
      for (const lease of this.#leases) {
        this.#lost.add(lease)
        lease.lose(new MonikerError('ELOST', lease.details))
      }
      void this.#recover()
    })
  }

  #askAgain(): void {
    for (const lease of this.#refused) this.#lost.add(lease)
    this.#refused.clear()
    void this.#recover()
  }

  /** Has every name that is lost registered again, however long that takes. */
  async #recover(): Promise<void> {
    if (this.#isRecovering) return
    this.#isRecovering = true
    let silent: number = SILENT[0]
    let haste = HASTE
    await this.#pause('lost')
    while (this.#lost.size > 0) {
      const isThere = await this.#renewAll(silent)
      silent = Math.min(silent * 2, SILENT[1])
      if (this.#lost.size > 0) await this.#pause(isThere && haste-- > 0 ? 'lost' : 'absent')
    }
    this.#isRecovering = false
    this.#closeIfIdle()
  }

  /** Asks for all that is lost; whether there was a daemon to ask, if only for a moment. */
  async #renewAll(silent: number): Promise<boolean> {
    try {
      const client = await this.#connected()
      await Promise.all([...this.#lost].map(lease => this.#renew(lease, client, silent)))
      return true
    } catch (error) {
      // One that goes while we come to it is one that is lost, too.
      const isLost = hasCode(error, 'ECONNRESET')
      for (const lease of this.#lost) {
        const { details } = lease
        const why = isLost ? new MonikerError('ELOST', details) : located(error, details)
        lease.lose(why as MonikerError)
      }
      return isLost
    }
  }

  /** Waits for as long as befits what has happened; the process need not. */
  async #pause(what: keyof typeof PAUSES, signal?: Signal): Promise<void> {
    const [least, most] = PAUSES[what].map(ms => ms * Math.max(1, this.#crowd / CROWD))
    const ms = Math.min(between(least!, most!), between(LONGEST / 2, LONGEST))
    await cancellable(wait(ms, undefined, { ref: false }), signal)
  }

  async #renew(lease: Lease, client: Client, silent: number): Promise<void> {
    try {
      this.#crowd = await lease.obtain(client, AbortSignal.timeout(silent))
      this.#lost.delete(lease)
    } catch (error) {
      const refused = error as MonikerError
      // This daemon has gone as well, or says nothing: the next may know better.
      if (!(refused instanceof MonikerError) || refused.reason === 'ELOST') return client.close()
      this.#lost.delete(lease)
      lease.lose(refused)
      this.evicted(lease)
    }
  }
}

/** The daemon is loaded only where there is none yet: most programs find one. */
async function becomeDaemon(port: number): Promise<void> {
  const { embed } = await import('./embedded.ts')
  return embed(port)
}

function between(least: number, most: number): number {
  return least + Math.random() * (most - least)
}
