import { EventEmitter } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import createDebug from 'debug'
import { LOOPBACK } from './address.ts'
import { cancellable, deadline } from './cancel.ts'
import { Client, accept } from './client.ts'
import { Daemon } from './daemon/daemon.ts'
import { TIMEOUT, designatedPort, embeddedHosts } from './defaults.ts'
import { MonikerError, located, type Details } from './errors.ts'
import { format } from './name.ts'
import type { Answer, Offer } from './protocol.ts'

const debug = createDebug('moniker:registrar')

/** How long to wait before the race for the designated port is run again, in ms. */
const AGAIN = 20

/**
 * A name that is held. Emits `'lost'` with the reason if the daemon goes: the name is then no
 * longer known.
 */
export class Lease extends EventEmitter<{ lost: [error: MonikerError] }> {
  readonly offer: Offer
  readonly registration: number
  readonly #client: Client
  readonly #registrar: Registrar

  constructor(offer: Offer, registration: number, client: Client, registrar: Registrar) {
    super()
    this.offer = offer
    this.registration = registration
    this.#client = client
    this.#registrar = registrar
  }

  /** Lets the name go; done when the daemon has said so. Never fails: a name that is lost is gone too. */
  async withdraw(): Promise<void> {
    if (!this.#registrar.drop(this)) return
    const { registration } = this
    try {
      const late = AbortSignal.timeout(TIMEOUT)
      await this.#client.ask({ op: 'unregister', registration }, late)
    } catch (error) {
      debug('%s: %s', format(this.offer), (error as Error).message)
    }
    this.#registrar.rest()
  }
}

export interface RegisterOptions {
  /** Gives the registration up; the reason is the error. */
  signal?: AbortSignal
  /** How long it may take in all, in ms. Default 5,000. */
  timeout?: number
}

/**
 * Keeps the names of this process registered, over one connection to this host's daemon. Where none
 * answers it starts one inside this process, for all the programs on the host. Nothing here keeps
 * the process alive: what listens does, unless it is `unref`'d.
 */
export class Registrar {
  static readonly #all = new Map<number, Registrar>()
  readonly #port: number
  readonly #embed: (port: number) => Promise<void>
  readonly #leases = new Set<Lease>()
  #opening: Promise<Client> | undefined
  #current: Client | undefined
  #waiting = 0

  /** `embed` makes this process the daemon of the host; it fails with `EADDRINUSE` if another is. */
  constructor(port: number, embed: (port: number) => Promise<void> = startEmbedded) {
    this.#port = port
    this.#embed = embed
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
    { signal, timeout: ms = TIMEOUT }: RegisterOptions = {},
  ): Promise<Lease> {
    const service = format(offer)
    const details = { service, host: 'localhost', port: this.#port, syscall: 'register' }
    const over = deadline(ms, () => new MonikerError('ESILENT', { ...details, ms }), signal, {
      quiet: true,
    })
    this.#waiting++
    const held = this.#hold(offer, details, over.signal).catch(error => {
      throw located(error, details)
    })
    try {
      return await held
    } finally {
      over.free()
      this.#waiting--
      this.rest()
    }
  }

  /** Stops watching over a lease. Says whether it was held. */
  drop(lease: Lease): boolean {
    return this.#leases.delete(lease)
  }

  /** Closes the connection once nothing is held or asked over it. */
  rest(): void {
    if (this.#leases.size > 0 || this.#waiting > 0) return
    this.#current?.close()
    this.#current = undefined
  }

  async #hold(offer: Offer, details: Details, signal: AbortSignal): Promise<Lease> {
    const client = await this.#connected(signal)
    const asked = client.ask({ op: 'register', pid: process.pid, ...offer })
    const registration = await this.#granted(asked, client, details, signal)
    const lease = new Lease(offer, registration, client, this)
    this.#leases.add(lease)
    debug('%s is registered on port %d', format(offer), offer.port)
    return lease
  }

  /** The number of the registration; one that comes when nobody wants it any more is undone. */
  #granted(
    asked: Promise<Answer>,
    client: Client,
    details: Details,
    signal: AbortSignal,
  ): Promise<number> {
    const granted = asked.then(answer => {
      const { registration } = accept(answer, details)
      if (typeof registration === 'number') return registration
      throw new MonikerError('EPROTOCOL', { ...details, text: 'the answer has no registration' })
    })
    const undo = async () => client.ask({ op: 'unregister', registration: await granted })
    return cancellable(granted, signal).catch(error => {
      if (signal.aborted) undo().catch(() => {})
      throw error
    })
  }

  /** The connection to the daemon, made if need be; all who ask meanwhile share one. */
  async #connected(signal: AbortSignal): Promise<Client> {
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
  async #open(signal: AbortSignal, embedded = false): Promise<Client> {
    try {
      return this.#watch(await this.#reach(signal))
    } catch (error) {
      // A daemon of our own that cannot be reached is no reason to start another.
      if (embedded || !hasCode(error, 'ECONNREFUSED')) throw error
    }
    return this.#open(signal, await this.#become(signal))
  }

  /** Whether this process is the daemon now; if not, another was faster. */
  async #become(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#embed(this.#port)
      debug('this process has become the daemon of this host, on port %d', this.#port)
      return true
    } catch (error) {
      if (!hasCode(error, 'EADDRINUSE')) throw error
      await pause(AGAIN, undefined, { signal, ref: false })
      return false
    }
  }

  async #reach(signal: AbortSignal): Promise<Client> {
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
      for (const lease of this.#leases) {
        this.#leases.delete(lease)
        const details = { service: format(lease.offer), host: 'localhost', port: this.#port }
        lease.emit('lost', new MonikerError('ELOST', { ...details, syscall: 'register' }))
      }
    })
  }
}

async function startEmbedded(port: number): Promise<void> {
  await new Daemon({ port, hosts: embeddedHosts(), embedded: true }).start()
}

function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code
}
