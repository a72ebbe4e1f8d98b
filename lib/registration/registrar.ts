import { EventEmitter } from 'node:events'
import { LOOPBACK } from '../address.ts'
import { cancellable, deadline, type Signal } from '../async.ts'
import {
  clearInterval,
  clearTimeout,
  clock,
  nextTick,
  pause,
  setImmediate,
  setInterval,
  setTimeout,
  timeLimit,
  wallClock,
} from '../clock.ts'
import { Client, type HostAnswer } from '../client/connection.ts'
import { accept } from '../client/filter.ts'
import { standings, type Standing } from '../client/standing.ts'
import { hostPolicy } from '../policy/host.ts'
import { pidNamespace } from '../node/spaces.ts'
import { TIMEOUT, designatedPort, reservationWord } from '../settings.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError, hasCode, located, type Details, type Reason } from '../errors.ts'
import { format } from '../name.ts'
import { refusalIn, type Answer, type Asked, type Offer } from '../wire/protocol.ts'

const debug = diagnostics('moniker:registrar')

/**
 * Milliseconds that a daemon may take to grant names again, the first time and at most, before it is asked
 * anew over another connection. They double each time: a busy daemon has only more to do the more often it
 * is asked.
 */
const RENEWAL_TIMEOUT = { first: 1_000, longest: 16_000 }

/** After this many daemons vanish while we connect, use the long pause instead of the short one. */
const QUICK_RETRIES = 3

/** The most daemons that are asked for a new name, where each goes before it has answered. */
const TRIES = 10

/**
 * Milliseconds of each pause, at random between the two, as programs are not to come all at once. With
 * more than `CROWD` connections to the daemon a pause is longer in proportion, up to `LONGEST`.
 */
const PAUSES = {
  /** Pause before the daemon that has gone is looked for. */
  lost: [0, 20],
  /** Pause before the race for the designated port is run again, or a lost question is asked again. */
  race: [10, 30],
  /** Pause before an absent daemon is looked for again. */
  absent: [50, 100],
  /** Pause before a refused name is asked for again. */
  refused: [500, 1_000],
} as const

const CROWD = 100
const LONGEST = 1_000

export interface RegisterOptions {
  /** Gives the registration up; the reason is the error. */
  signal?: Signal
  /** Milliseconds that it may take in all. Default 5,000. */
  timeout?: number
  /** Called with the daemon's notice of each peer that it sends to a guarded server. */
  expect?: ((event: Answer) => void) | undefined
  /** The reservation that the name takes the place of, unless another program has claimed that: then it is taken. */
  instead?: Lease | undefined
}

/** The defaults of `RegisterOptions`. */
export const DEFAULTS = { timeout: TIMEOUT } satisfies RegisterOptions

/**
 * The connection of this process to this host's daemon, and the leases that it holds over it. Where no
 * daemon answers, now or once that daemon has gone, it starts one inside this process, for all the
 * programs on the host; the names are registered there again. Nothing here keeps the process alive: a
 * listener does, unless it is `unref`'d.
 */
export class Registrar implements Standing {
  static readonly #all = new Map<number, Registrar>()
  readonly #port: number
  readonly #start: (port: number) => Promise<void>
  /** Each lease from its first request until it is released: the connection lasts as long. */
  readonly #leases = new Set<Lease>()
  #client: Client | undefined
  #opening: Promise<Client> | undefined
  /** Connections of the daemon, as of its last answer. */
  #connections = 1
  /** The number of times that another daemon has come, or the daemon gone. */
  #changes = 0
  /** Done when all names are held again; `undefined` while none is lost. */
  #recovering: Promise<void> | undefined
  #retryTimer: NodeJS.Timeout | undefined

  /** `start` makes this process the daemon of the host; it fails with `EADDRINUSE` if another is. */
  constructor(port: number, start: (port: number) => Promise<void> = becomeDaemon) {
    this.#port = port
    this.#start = start
  }

  /** The one registrar of this process for a designated port. */
  static at(port: number = designatedPort()): Registrar {
    let registrar = Registrar.#all.get(port)
    if (!registrar) Registrar.#all.set(port, (registrar = new Registrar(port)))
    return registrar
  }

  /**
   * Holds a name. Fails with `EADDRINUSE` if it is taken, `ETIMEDOUT` if the daemon stays silent, `EPROTO` if the
   * program at the designated port is no daemon, `ERR_MONIKER_POLICY` if the policy of the host is wrong, or the reason
   * of `signal`.
   */
  register(offer: Offer & { reservation?: string }, options: RegisterOptions = {}): Promise<Lease> {
    return this.#lease({ op: 'register', ...offer }, options)
  }

  /**
   * Keeps a name for a program that is about to be started: what registers with the word gets it, and the lease emits
   * `'claimed'`. `force` takes it from another program of the same user, once. Fails as `register` does, with `ENOSYS`
   * if the daemon knows no reservations, or with `EACCES` where nothing may be taken.
   */
  reserve(
    { force = false, ...offer }: Omit<Offer, 'port' | 'address'> & Reservation,
    options: RegisterOptions = {},
  ): Promise<Lease> {
    const asked = { op: 'reserve', ...offer, port: 0, address: '::' } as const
    return this.#lease(force ? { ...asked, force } : asked, options)
  }

  async #lease(
    offer: Wanted,
    { signal, timeout: ms = DEFAULTS.timeout, expect, instead }: RegisterOptions,
  ): Promise<Lease> {
    const lease = new Lease(offer, this.#port, instead, {
      onExpect: expect,
      onRefused: () => this.#retryLater(),
      onReleased: () => this.#remove(lease),
    })
    this.#leases.add(lease)
    standings.set(this.#port, this)
    await Promise.resolve(hostPolicy())
      .then(() => this.#obtain(lease, ms, signal))
      .catch(error => {
        this.#remove(lease)
        throw located(error, lease.details)
      })
    return lease
  }

  /** Has a name registered. Should the daemon go before it has answered, the next is asked, and has as much time. */
  async #obtain(lease: Lease, ms: number, signal?: Signal, tries = TRIES): Promise<void> {
    const late = () => new MonikerError('ESILENT', { ...lease.details, ms })
    const limit = deadline(ms, late, signal, { quiet: true })
    const before = this.#changes
    try {
      this.#connections = await lease.request(await this.#connected(limit.signal), limit.signal)
      return
    } catch (error) {
      signal?.throwIfAborted()
      const isSilent = (error as MonikerError).reason === 'ESILENT'
      // It was not one daemon that was silent, where they come and go.
      const isWorth = hasCode(error, 'ECONNRESET') || (isSilent && this.#changes > before)
      if (!isWorth || tries <= 1) throw error
    } finally {
      limit.free()
    }
    await cancellable(this.#pause('race'), signal)
    return this.#obtain(lease, ms, signal, tries - 1)
  }

  /**
   * Asks the daemon, and the next one if it goes, once all names of this process are held there. Keeps the process
   * alive meanwhile.
   */
  async ask(message: Asked, signal: Signal): Promise<HostAnswer> {
    const awake = setInterval(() => {}, 0x7fff_ffff)
    try {
      while (this.#leases.size > 0) {
        await cancellable(Promise.resolve(this.#recovering), signal)
        const client = await this.#connected(signal)
        const answer = await client.ask(message, signal).catch(ifReset)
        if (answer) return { answer, daemon: client.daemon }
      }
      throw new MonikerError('ENODAEMON', { host: 'localhost', port: this.#port })
    } finally {
      clearInterval(awake)
    }
  }

  #remove(lease: Lease): void {
    this.#leases.delete(lease)
    this.#closeIfIdle()
  }

  #closeIfIdle(): void {
    if (this.#leases.size > 0) return
    if (standings.get(this.#port) === this) standings.delete(this.#port)
    this.#client?.close()
    this.#client = undefined
  }

  /** The connection to the daemon, made if need be; all requests meanwhile share one. */
  async #connected(signal?: Signal): Promise<Client> {
    if (this.#client) return this.#client
    this.#opening ??= this.#open().finally(() => {
      this.#opening = undefined
      // The last lease may have been given up while we connected.
      this.#closeIfIdle()
    })
    return cancellable(this.#opening, signal)
  }

  /**
   * Connects to the daemon of this host. Several programs that find none all try to become it; the
   * kernel gives the designated port to one, and the others connect to that. A program that has the port and lets
   * nobody connect is given up after a while.
   */
  async #open(): Promise<Client> {
    const since = clock()
    let isEmbedded = false
    for (;;) {
      try {
        return this.#watch(await this.#reach(timeLimit(TIMEOUT)))
      } catch (error) {
        const isOver = clock() - since > TIMEOUT || this.#leases.size === 0
        // A daemon of our own that cannot be reached is no reason to start another.
        if (isEmbedded || isOver || !hasCode(error, 'ECONNREFUSED')) throw error
      }
      isEmbedded = await this.#become()
    }
  }

  /** True if this process is the daemon now; false if another was faster. */
  async #become(): Promise<boolean> {
    try {
      await this.#start(this.#port)
      debug('this process has become the daemon of this host, on port %d', this.#port)
      return true
    } catch (error) {
      if (!hasCode(error, 'EADDRINUSE')) throw error
      this.#changes++
      await this.#pause('race')
      return false
    }
  }

  async #reach(signal: Signal): Promise<Client> {
    const [first, ...others] = LOOPBACK.map(address => ({ address, port: this.#port }))
    try {
      return await Client.connect(first!, signal, { quiet: true })
    } catch (error) {
      for (const other of others) {
        const client = await Client.connect(other, signal, { quiet: true }).catch(() => undefined)
        if (client) return client
      }
      throw error
    }
  }

  #watch(client: Client): Client {
    this.#client = client
    return client.once('close', () => {
      if (this.#client !== client) return
      this.#client = undefined
      this.#changes++
      for (const lease of this.#leases) lease.lose(new MonikerError('ELOST', lease.details))
      this.#recover()
    })
  }

  /** Asks for all refused names again, a pause after the latest refusal. */
  #retryLater(): void {
    const retry = () => {
      for (const lease of this.#leases) lease.retry()
      this.#recover()
    }
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(retry, between(...PAUSES.refused)).unref()
  }

  #recover(): void {
    this.#recovering ??= this.#regainAll()
  }

  /** Has every lost name registered again, however long that takes. Never fails. */
  async #regainAll(): Promise<void> {
    let timeout = RENEWAL_TIMEOUT.first
    let quickRetries = QUICK_RETRIES
    await this.#pause('lost')
    while (this.#lost.length > 0) {
      const isThere = await this.#renewAll(timeout)
      timeout = Math.min(timeout * 2, RENEWAL_TIMEOUT.longest)
      if (this.#lost.length > 0) {
        await this.#pause(isThere && quickRetries-- > 0 ? 'lost' : 'absent')
      }
    }
    this.#recovering = undefined
  }

  get #lost(): Lease[] {
    return [...this.#leases].filter(({ state }) => state === 'lost')
  }

  /** Asks for all lost names; true if there was a daemon to ask, if only for a moment. */
  async #renewAll(timeout: number): Promise<boolean> {
    try {
      const client = await this.#connected()
      await Promise.all(this.#lost.map(lease => this.#renew(lease, client, timeout)))
      return true
    } catch (error) {
      // A daemon that goes while we connect is lost, too.
      const isLost = hasCode(error, 'ECONNRESET')
      for (const lease of this.#lost) {
        const { details } = lease
        const why = isLost ? new MonikerError('ELOST', details) : located(error, details)
        lease.lose(why as MonikerError)
      }
      return isLost
    }
  }

  async #renew(lease: Lease, client: Client, timeout: number): Promise<void> {
    try {
      this.#connections = await lease.request(client, timeLimit(timeout))
    } catch (error) {
      const refused = error as MonikerError
      // This daemon has gone as well, or says nothing: the next may know better.
      if (!(refused instanceof MonikerError) || refused.reason === 'ELOST') return client.close()
      lease.refuse(refused)
    }
  }

  /** Waits between two tries; the process need not. */
  async #pause(before: keyof typeof PAUSES, signal?: Signal): Promise<void> {
    const [least, most] = PAUSES[before].map(ms => ms * Math.max(1, this.#connections / CROWD))
    const ms = Math.min(between(least!, most!), between(LONGEST / 2, LONGEST))
    await cancellable(pause(ms, undefined, { ref: false }), signal)
  }
}

/** The daemon is loaded only where there is none yet: most programs find one. */
async function becomeDaemon(port: number): Promise<void> {
  const { embed } = await import('./embedded.ts')
  return embed(port)
}

/** Answers that the daemon has gone by `undefined`; fails with all else. */
function ifReset(error: unknown): undefined {
  if (!hasCode(error, 'ECONNRESET')) throw error
}

function between(least: number, most: number): number {
  return least + Math.random() * (most - least)
}

/** The states of a lease, and those that may follow each of them; any other change is ignored. */
const TRANSITIONS = {
  /** Asked for the first time: the program does not have the lease yet. */
  asking: ['held'],
  /** Granted by the daemon, which tells clients of it. */
  held: ['lost', 'refused', 'released'],
  /** Asked for as soon as there is a daemon. It may be lost again, for another reason. */
  lost: ['held', 'lost', 'refused', 'released'],
  /** Denied, or held by another program: asked for again after a pause. */
  refused: ['lost', 'released'],
  /** Withdrawn by the program. */
  released: [],
} as const satisfies Record<string, readonly string[]>

export type LeaseState = keyof typeof TRANSITIONS

/** A registration that the daemon has granted. */
interface Grant {
  readonly client: Client
  readonly registration: number
  /** The listener for what `client` tells of it. */
  readonly onEvent: (event: Answer) => void
}

interface LeaseHooks {
  /** Called with the daemon's notice of each peer that it sends to a guarded server. */
  onExpect: ((event: Answer) => void) | undefined
  /** Called when the name is refused, or taken away by a program that has held it for longer. */
  onRefused: () => void
  /** Called when the name is withdrawn, and nothing more is asked for it. */
  onReleased: () => void
}

/** The way in which a name is asked for, and the name. */
type Wanted = Offer & Partial<Reservation> & { readonly op: 'register' | 'reserve' }

/** The secret of a name that is reserved. */
export interface Reservation {
  readonly reservation: string
  readonly force?: boolean
}

/**
 * A name that is wanted until it is withdrawn. Emits `'lost'` with the reason when it is held no longer (the daemon has
 * gone, or another program has held it for longer), again should the reason become another, and `'regained'` when it is
 * held again. A name that was only reserved ends with `'claimed'`: the program that it was for has it.
 */
export class Lease extends EventEmitter<{
  lost: [error: MonikerError]
  regained: []
  claimed: []
}> {
  readonly offer: Wanted
  /** The subject of its errors. */
  readonly details: Details
  readonly #hooks: LeaseHooks
  #state: LeaseState = 'asking'
  #grant: Grant | undefined
  /** Milliseconds from 1970 to the first grant: the program that has held a name for longest keeps it. */
  #since: number | undefined
  #wasGranted = false
  /** The reservation that it takes the place of, until it has. */
  #instead: Lease | undefined
  #request: Promise<unknown> | undefined
  #load: number | undefined
  /** The reason of the last `'lost'`, until `'regained'`. */
  #reported: Reason | undefined

  /** `instead` is the reservation that it takes the place of. */
  constructor(offer: Wanted, port: number, instead: Lease | undefined, hooks: LeaseHooks) {
    super()
    this.#instead = instead
    this.offer = offer
    // The call of `net` or `dgram` that would have failed.
    const syscall = offer.transport === 'tcp' ? 'listen' : 'bind'
    this.details = { service: format(offer), host: 'localhost', port, syscall }
    this.#hooks = hooks
  }

  get state(): LeaseState {
    return this.#state
  }

  /**
   * Asks for the name over `client`, for the first time or again. Fails with the refusal, if the
   * connection is lost, or with the reason of `signal`; a grant that comes after that is undone.
   * Returns the number of connections that the daemon has.
   */
  request(client: Client, signal: Signal): Promise<number> {
    const request = this.#ask(client, signal).finally(() => (this.#request = undefined))
    this.#request = request.catch(() => {})
    return request
  }

  /** Tells how busy the service is, to this daemon and those to come. */
  report(load: number): void {
    this.#load = load
    if (!this.#grant) return
    const { client, registration } = this.#grant
    client
      .ask({ op: 'update', registration, load })
      .catch((error: Error) => debug('%s', error.message))
  }

  /** Marks the name as lost: the daemon has gone, or none can be reached. */
  lose(error: MonikerError): void {
    if (this.#enter('lost')) this.#tell(error)
  }

  /** Marks the name as denied, or held by another program. */
  refuse(error: MonikerError): void {
    if (!this.#enter('refused')) return
    this.#tell(error)
    this.#hooks.onRefused()
  }

  /** Has a refused name asked for again. */
  retry(): void {
    if (this.#state === 'refused') this.#enter('lost')
  }

  /** Lets the name go; done when the daemon has said so. Never fails: a name that is lost is gone too. */
  async withdraw(): Promise<void> {
    if (!this.#enter('released')) return
    // A grant that is on its way comes first.
    await this.#request
    const grant = this.#grant
    this.#grant = undefined
    if (grant) await unregister(grant)
    this.#hooks.onReleased()
  }

  /** Changes the state, which nothing else does; false if it may not follow. */
  #enter(state: LeaseState): boolean {
    const next: readonly LeaseState[] = TRANSITIONS[this.#state]
    if (!next.includes(state)) return false
    this.#state = state
    if (state === 'lost' || state === 'refused') this.#grant = undefined
    return true
  }

  async #ask(client: Client, signal: Signal): Promise<number> {
    const age = this.#since !== undefined && { since: this.#since }
    const load = this.#load !== undefined && { load: this.#load }
    const onEvent = (event: Answer) => this.#handleEvent(event, client)
    const place = placeOf(this.#instead, client)
    const offer = { ...processIds(), ...reservedFor(), ...this.#asked(), ...place, ...age, ...load }
    const answer = client.ask(offer, undefined, onEvent)
    const granted = answer.then(answer => grantIn(answer, this.details))
    try {
      const { registration, connections } = await cancellable(granted, signal)
      this.#hold({ client, registration, onEvent })
      return connections
    } catch (error) {
      if (signal.aborted)
        granted
          .then(({ registration }) => unregister({ client, registration, onEvent }))
          .catch(() => {})
      throw error
    }
  }

  #hold(grant: Grant): void {
    this.#grant = grant
    this.#wasGranted = true
    this.#instead?.end()
    this.#instead = undefined
    this.#since ??= wallClock()
    // Withdrawn meanwhile: `withdraw` gives the grant back.
    if (!this.#enter('held')) return
    debug('%s is registered on port %d', this.details.service, this.offer.port)
    if (this.#reported === undefined) return
    this.#reported = undefined
    nextTick(() => this.emit('regained'))
  }

  #tell(error: MonikerError): void {
    debug('%s', error.message)
    if (this.#reported === error.reason) return
    this.#reported = error.reason
    nextTick(() => this.emit('lost', error))
  }

  #handleEvent(event: Answer, client: Client): void {
    // The first may come in one packet with the answer that grants the name.
    if (event.event === 'expect') return this.#hooks.onExpect?.(event)
    // That answer has been handled by then, if both came in one packet.
    if (event.event === 'evicted') setImmediate(() => this.#handleEviction(event, client))
    if (event.event === 'claimed') setImmediate(() => this.#handleClaim(event, client))
  }

  /** The program that the name was reserved for has registered it. */
  #handleClaim(event: Answer, client: Client): void {
    if (this.#isGrantedBy(event, client) && this.end()) this.emit('claimed')
  }

  /** Ends without a question: the name has been registered. False if it had ended before. */
  end(): boolean {
    if (!this.#enter('released')) return false
    this.#grant?.client.forget(this.#grant.onEvent)
    this.#grant = undefined
    this.#hooks.onReleased()
    return true
  }

  /**
   * The number of this registration, if it is held over `client`. Throws `EADDRINUSE` if another program has claimed
   * it.
   */
  placeAt(client: Client): number | undefined {
    if (this.#state !== 'released')
      return this.#grant?.client === client ? this.#grant.registration : undefined
    const text = 'held by the program that it was reserved for'
    throw new MonikerError('ETAKEN', { ...this.details, text })
  }

  #isGrantedBy(event: Answer, client: Client): boolean {
    return this.#grant?.client === client && this.#grant.registration === event.registration
  }

  /** The question. A name is taken from another program once: later that program may have had its reasons. */
  #asked(): Wanted {
    const { force: _, ...offer } = this.offer
    return this.#wasGranted ? offer : this.offer
  }

  #handleEviction(event: Answer, client: Client): void {
    if (!this.#isGrantedBy(event, client)) return
    client.forget(this.#grant!.onEvent)
    // Another program has it now, by its age or by force: to a young daemon ours would be an older claim.
    this.#since = undefined
    const text = refusalIn(event)?.message ?? 'held by a program that had it before'
    this.refuse(new MonikerError('ETAKEN', { ...this.details, text }))
  }
}

/** The process, so that a clash can name it. */
function processIds(): Pick<Offer, 'pid' | 'pidNamespace'> {
  const space = pidNamespace()
  return { pid: process.pid, ...(space !== undefined && { pidNamespace: space }) }
}

/** The word with which the program that has started this one has reserved its name. */
function reservedFor(): { reservation?: string } {
  const word = reservationWord()
  return word === undefined ? {} : { reservation: word }
}

/** The field for the reservation that a name takes the place of, if that is held over `client`. */
function placeOf(reserved: Lease | undefined, client: Client): { instead?: number } {
  const instead = reserved?.placeAt(client)
  return instead === undefined ? {} : { instead }
}

function grantIn(answer: Answer, details: Details): { registration: number; connections: number } {
  const { registration, connections } = accept(answer, details)
  if (typeof registration === 'number') {
    return { registration, connections: typeof connections === 'number' ? connections : 1 }
  }
  throw new MonikerError('EPROTOCOL', { ...details, text: 'the answer has no registration' })
}

async function unregister({ client, registration, onEvent }: Grant): Promise<void> {
  client.forget(onEvent)
  try {
    await client.ask({ op: 'unregister', registration }, timeLimit(TIMEOUT))
  } catch (error) {
    debug('%s', (error as Error).message)
  }
}
