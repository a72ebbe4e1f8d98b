import { EventEmitter } from 'node:events'
import { cancellable, type Signal } from '../async.ts'
import type { Client } from '../client/connection.ts'
import { accept } from '../client/filter.ts'
import { TIMEOUT } from '../settings.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError, type Details, type Reason } from '../errors.ts'
import { format } from '../name.ts'
import { refusalIn, type Answer, type Offer } from '../wire/protocol.ts'

const debug = diagnostics('moniker:lease')

interface Held {
  readonly client: Client
  readonly registration: number
  /** What the client tells of it. */
  readonly told: (event: Answer) => void
}

/** Who watches over leases. */
export interface Keeper {
  /** Stops watching over a lease, unless it has already; what `drop` begins, `rest` ends. */
  drop(lease: Lease): boolean
  /** Somebody else has the name now: it is to be asked for again, some time. */
  evicted(lease: Lease): void
  /** Nothing more will be asked for a lease that was dropped. */
  rest(): void
}

/**
 * A name that is held, and wanted until it is withdrawn. Emits `'lost'` with the reason when it is
 * held no longer (the daemon has gone, or somebody has held it for longer), again should the reason
 * become another, and `'regained'` when it is held again.
 */
export class Lease extends EventEmitter<{ lost: [error: MonikerError]; regained: [] }> {
  readonly offer: Offer
  readonly #details: Details
  readonly #keeper: Keeper
  readonly #expect: ((event: Answer) => void) | undefined
  /** Where the name is held, and as what. */
  #held: Held | undefined
  /** When it was held first, in ms since 1970: whoever has held a name for longer keeps it. */
  #since: number | undefined
  #asking: Promise<unknown> | undefined
  #load: number | undefined
  /** Why it is not held, as far as anybody was told. */
  #why: Reason | undefined

  /** `expect` is called with the news of each peer that is sent to a guarded server. */
  constructor(offer: Offer, keeper: Keeper, port: number, expect?: (event: Answer) => void) {
    super()
    this.offer = offer
    // By what `net` or `dgram` would have failed.
    const syscall = offer.transport === 'tcp' ? 'listen' : 'bind'
    this.#details = { service: format(offer), host: 'localhost', port, syscall }
    this.#keeper = keeper
    this.#expect = expect
  }

  /** What its errors are about. */
  get details(): Details {
    return this.#details
  }

  /**
   * Has the name registered over `client`, for the first time or again. Fails with the refusal, if
   * the connection is lost, or with the reason of `signal`; what is granted after that is undone.
   * Says how many connections the daemon has.
   */
  obtain(client: Client, signal?: Signal): Promise<number> {
    const obtained = this.#ask(client, signal).finally(() => (this.#asking = undefined))
    this.#asking = obtained.catch(() => {})
    return obtained
  }

  /** Says how busy the service is, to this daemon and those to come. */
  report(load: number): void {
    this.#load = load
    if (!this.#held) return
    const { client, registration } = this.#held
    client
      .ask({ op: 'update', registration, load })
      .catch((error: Error) => debug('%s', error.message))
  }

  /** The name is known no longer. */
  lose(error: MonikerError): void {
    this.#held = undefined
    debug('%s', error.message)
    if (this.#why === error.reason) return
    this.#why = error.reason
    process.nextTick(() => this.emit('lost', error))
  }

  /** Lets the name go; done when the daemon has said so. Never fails: a name that is lost is gone too. */
  async withdraw(): Promise<void> {
    if (!this.#keeper.drop(this)) return
    await this.#asking
    const held = this.#held
    this.#held = undefined
    if (held) await unregister(held)
    this.#keeper.rest()
  }

  async #ask(client: Client, signal: Signal | undefined): Promise<number> {
    const age = this.#since !== undefined && { since: this.#since }
    const load = this.#load !== undefined && { load: this.#load }
    const told = (event: Answer) => this.#told(event, client)
    const offer = { op: 'register', pid: process.pid, ...this.offer, ...age, ...load } as const
    const asked = client.ask(offer, undefined, told)
    const granted = asked.then(answer => grantIn(answer, this.#details))
    try {
      const { registration, connections } = await cancellable(granted, signal)
      this.#hold({ client, registration, told })
      return connections
    } catch (error) {
      if (signal?.aborted)
        granted
          .then(({ registration }) => unregister({ client, registration, told }))
          .catch(() => {})
      throw error
    }
  }

  #hold(held: Held): void {
    this.#held = held
    this.#since ??= Date.now()
    debug('%s is registered on port %d', this.#details.service, this.offer.port)
    if (this.#why === undefined) return
    this.#why = undefined
    process.nextTick(() => this.emit('regained'))
  }

  #told(event: Answer, client: Client): void {
    // The first may come in one packet with the answer that says that the name is held.
    if (event.event === 'expect') return this.#expect?.(event)
    // By then the answer has been seen to, if both came in one packet.
    if (event.event === 'evicted') setImmediate(() => this.#evicted(event, client))
  }

  #evicted(event: Answer, client: Client): void {
    if (this.#held?.client !== client || this.#held.registration !== event.registration) return
    client.forget(this.#held.told)
    const text = refusalIn(event)?.message ?? 'held by somebody who had it before'
    this.lose(new MonikerError('ETAKEN', { ...this.#details, text }))
    this.#keeper.evicted(this)
  }
}

function grantIn(answer: Answer, details: Details): { registration: number; connections: number } {
  const { registration, connections } = accept(answer, details)
  if (typeof registration === 'number') {
    return { registration, connections: typeof connections === 'number' ? connections : 1 }
  }
  throw new MonikerError('EPROTOCOL', { ...details, text: 'the answer has no registration' })
}

async function unregister({ client, registration, told }: Held): Promise<void> {
  client.forget(told)
  try {
    await client.ask({ op: 'unregister', registration }, AbortSignal.timeout(TIMEOUT))
  } catch (error) {
    debug('%s', (error as Error).message)
  }
}
