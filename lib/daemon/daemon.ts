import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { resolve } from 'node:path'
import { isLoopback } from '../address.ts'
import { heard } from '../async.ts'
import { clock, pause, setTimeout, wallClock } from '../clock.ts'
import { designatedPort } from '../settings.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError } from '../errors.ts'
import { Descriptors } from '../node/descriptors.ts'
import { policyFiles } from '../policy/host.ts'
import type { Policies } from '../policy/policy.ts'
import { ProtectedNames } from '../policy/protected.ts'
import { VERSION, type Answer } from '../wire/protocol.ts'
import { Leases } from './leases.ts'
import { Subscriptions } from './subscriptions.ts'
import { Access } from './access.ts'
import { local } from './answer.ts'
import { Bucket } from './buckets.ts'
import {
  chain,
  inOrder,
  type Handler,
  type Owner,
  type Peer,
  type Share,
  type Step,
  type Steps,
} from './chain.ts'
import { Gateways, type Gateway } from './gateways.ts'
import { DEFAULTS as LIMITS, LatestBounds, Limits, type LimitsOptions } from './limits.ts'
import { Registry } from './registry.ts'
import {
  Arrival,
  NAMELESS,
  peerOf,
  type Dialect,
  type Dialects,
  type ServeOptions,
} from './dialect.ts'
import { json } from './json.ts'
import { DesignatedPort } from './port.ts'
import { Turns } from './turns.ts'
import { hold } from './hold.ts'

export type { Owner, Peer, Step, Steps } from './chain.ts'
export type { Connection, DatagramOptions, Dialect, Reply, ServeOptions } from './dialect.ts'

const debug = diagnostics('moniker:daemon')

export interface DaemonOptions {
  /** The designated port. Default `MONIKER_PORT`, else 6664; 0 is any free one. */
  port?: number
  /** The addresses to bind. Default all of them. */
  hosts?: readonly string[]
  /** True if it lives inside another program, and makes way for a daemon that stands alone. Default false. */
  embedded?: boolean
  /** True if it keeps its program, or thread, alive. Default true, unless it is embedded. */
  ref?: boolean
  /** True if programs on other hosts may list the services of this one. Default false. */
  publicList?: boolean
  /**
   * Milliseconds after its start for which it holds each question for a name that is not there: the names
   * that the daemon before it had are on their way. Default 300.
   */
  grace?: number
  /** Milliseconds for which a client may remember an answer. Default 30,000. */
  ttl?: number
  /** The most connections at once. Default 16,384. */
  maxConnections?: number
  /** The most names that one connection holds. Default 4,096. */
  maxNames?: number
  /** Further limits. */
  limits?: LimitsOptions
  /** A file with a policy, beside that of this host. Default none: see SECURITY.md. */
  policy?: string | undefined
  /** Milliseconds that a daemon that takes its place is given to bind the port. Default 1,000. */
  linger?: number
  /** Languages beside that of Moniker, told by the first byte of a connection or a datagram. Default none. */
  dialects?: readonly Dialect[]
  /** Steps in place of those of this daemon, by their names. */
  steps?: Partial<Steps>
  /**
   * Called with what is worth a line in a log: what the policy refused, a hundred in a row at most, and where the port
   * cannot be had over UDP.
   */
  log?: (text: string) => void
  /** Milliseconds for which half a line may wait for its end, and answers to be read. Default 10,000. */
  patience?: number
  /** Milliseconds for which a connection that is not in use may be silent. Default 300,000. */
  idle?: number
}

/** The defaults of `DaemonOptions`. */
export const DEFAULTS = {
  embedded: false,
  publicList: false,
  grace: 300,
  ttl: 30_000,
  maxConnections: LIMITS.connections,
  maxNames: LIMITS.names,
  linger: 1_000,
  patience: 10_000,
  idle: 300_000,
} satisfies DaemonOptions

/** Counters of a daemon, since it started. */
export interface Counters {
  questions: number
  /** Questions, and connections, that were refused for whatever reason. */
  refused: number
  /** The refused ones that were too many. */
  limited: number
  /** Registrations and look-ups that the policy denied. */
  denied: number
  connections: number
}

/** The state of a daemon, as other hosts are told it. */
export type PublicStatus = Pick<DaemonStatus, 'protocol' | 'embedded' | 'port' | 'started'>

/** The state of a daemon, as its own user is told it. */
export interface DaemonStatus extends Counters {
  /** The version of the protocol. */
  protocol: number
  pid: number
  /** True if it lives inside another program. */
  embedded: boolean
  port: number
  /** When it started, in ms since 1970; also the `generation` of what it registers. */
  started: number
  /** The addresses that are answered at by UDP, those of the loopback interface first; 24 of them at most. */
  udp: string[]
  /** Those at which it cannot answer by UDP, as another program has the port there; 8 at most. */
  lost: string[]
  /** The path of the Unix socket at which programs of this host ask, if there is one; also while it is lost. */
  socket?: string
  /** The user that it runs as, where there are users. */
  uid?: number
  /** The files with the policies that it goes by; none whose path is longer than 256 bytes. */
  policies: string[]
  /** The use that is made of the bounds that all peers share. */
  shares: Share[]
  /** The bounds by which it has refused something in the last minute, in words; four of them at most. */
  full: string[]
  /** The gateways of this host; the first 8 at most. */
  gateways: Gateway[]
  /** The number of names that are held. */
  names: number
  /** The number of questions that are held, and of watches. */
  followers: number
  /** The number of answers whose clients are told of the first change. */
  leases: number
  /** The number of connections that are open. */
  open: number
}

/**
 * The one place on a host that knows which service has which port. A name lives as long as the
 * connection that registered it.
 */
export class Daemon {
  readonly #options: DaemonOptions & Required<Pick<DaemonOptions, keyof typeof DEFAULTS>>
  readonly #turns = new Turns()
  readonly #subscriptions = new Subscriptions({
    later: work => this.#turns.waitAgain(work),
    enter: owner => this.#limits.follow(owner),
    cutOff: owner => (owner as Partial<Owner>).drop?.(tooLate()),
  })
  readonly #leases = new Leases({ later: work => this.#turns.waitAgain(work) })
  readonly #gateways = new Gateways()
  readonly #registry = new Registry(
    (change, entry) => {
      this.#limits.observe(change, entry.owner)
      this.#leases.end(entry)
      this.#subscriptions.tell(change, entry)
    },
    entry => this.#leases.end(entry),
  )
  readonly #port: DesignatedPort
  readonly #limits: Limits
  readonly #descriptors = new Descriptors()
  readonly #access: Access
  readonly #logged = new Bucket({ perSecond: 10, burst: 100 })
  readonly #dialects: Dialects
  readonly #sockets = new Map<Socket, { arrival: Arrival; leave: () => void }>()
  readonly #counters: Counters = { questions: 0, refused: 0, limited: 0, denied: 0, connections: 0 }
  readonly #bounds = new LatestBounds()
  readonly #started = wallClock()
  #born = clock()
  /** The time at which a name of the daemon before came last. */
  #returned = this.#born
  /** Resolves once the names of the daemon before are here, or are late; `undefined` from then on. */
  #settled: Promise<void> | undefined
  readonly #answer: Handler
  readonly #serving: ServeOptions
  #starting: Promise<void> | undefined
  /** The files with the policies in force. */
  #policies: readonly string[] = []

  constructor(options: DaemonOptions = {}) {
    const { steps, dialects = [], limits } = options
    const set = { ...DEFAULTS, ...defined(options) }
    this.#dialects = [json, ...dialects]
    this.#options = set
    const given = { connections: set.maxConnections, names: set.maxNames, ...limits }
    this.#limits = new Limits(this.#registry, given, this.#subscriptions)
    this.#access = new Access({
      publicList: set.publicList,
      port: () => this.port,
      denied: text => this.#denied(text),
      limits: this.#limits,
      later: work => this.#turns.waitAgain(work),
      // The daemon of a program cannot tell what root would have said.
      protectedNames: options.embedded ? undefined : new ProtectedNames(),
      rivals: question => {
        const entries = this.#registry.rivals(question, question.reservation)
        return new Set(entries.map(({ owner }) => owner as Owner))
      },
    })
    this.#answer = chain(...inOrder({ ...this.#steps(set.ttl), ...steps }))
    this.#serving = this.#serveOptions()
    this.#port = new DesignatedPort({
      port: options.port ?? designatedPort(),
      hosts: options.hosts ?? ['::'],
      embedded: set.embedded,
      ref: this.#isRef,
      dialects: this.#dialects,
      answer: this.#answer,
      turns: this.#turns,
      refused: error => this.#refused(error),
      lost: address => this.#lost(address),
      connected: socket => this.#serve(socket, peerOf(socket)),
      asked: socket => this.#serve(socket, NAMELESS),
    })
  }

  #steps(ttl: number): Steps {
    const count: Step = (_question, _peer, next) => {
      this.#counters.questions++
      return next()
    }
    return {
      count,
      limits: this.#limits.step,
      access: this.#access.step,
      hold: hold(this.#subscriptions, { settled: () => this.#settled }),
      registry: local(this.#registry, {
        generation: this.#started,
        ttl,
        status: () => ({ ...this.status() }),
        oversees: this.#access.oversees,
        age: () => this.#age(),
        limit: owner => this.#limits.checkNames(owner),
        returned: () => (this.#returned = clock()),
        connections: () => this.#sockets.size,
        sees: this.#access.sees,
        mayResolve: this.#access.mayResolve,
        trusts: this.#access.trusts,
        findHolders: this.#access.findHolders,
        gateways: this.#gateways,
        userOf: this.#access.userOf,
        isTrusted: this.#access.isTrusted,
        subscriptions: this.#subscriptions,
        leases: this.#leases,
        // While a successor has the port, names come to it.
        mayFollow: peer => this.#port.isOpen && this.#access.isSettled(peer),
      }),
      handover: ({ op }, { owner }, next) => (op === 'handover' ? this.#handOver(owner!) : next()),
    }
  }

  #serveOptions(): ServeOptions {
    const { patience, idle } = this.#options
    return {
      answer: this.#answer,
      turns: this.#turns,
      seatOf: this.#access.seatOf,
      unread: this.#limits.unread,
      ended: owner => this.#release(owner),
      closed: owner => {
        this.#left(owner)
        this.#release(owner)
      },
      refused: error => this.#refused(error),
      isInUse: owner => this.#holds(owner) || this.#subscriptions.count(owner) > 0,
      patience,
      slowness: patience,
      idle,
    }
  }

  /**
   * Forgets what a connection has: its program may have been killed, and what it has let go be another's by now. True
   * if it had names.
   */
  #release(owner: Owner): boolean {
    this.#subscriptions.release(owner)
    this.#leases.release(owner)
    this.#gateways.release(owner)
    return this.#registry.release(owner) > 0
  }

  /** True if a connection holds a name, or is that of a gateway. */
  #holds(owner: Owner): boolean {
    return this.#registry.held(owner) > 0 || this.#gateways.has(owner)
  }

  /** The designated port; known for certain once `start` is done. */
  get port(): number {
    return this.#port.number
  }

  get #isRef(): boolean {
    const { embedded, ref = !embedded } = this.#options
    return ref
  }

  /** True if it has started, and neither stopped nor made way for another. */
  get isAnswering(): boolean {
    return this.#port.isOpen
  }

  /**
   * Makes way for a stand-alone daemon, or one in a thread of its own. At the first question the port is
   * freed, and connections and names are kept. At the second, over the same connection, all connections are
   * closed: programs come back to the successor.
   */
  #handOver(successor: Owner): Answer {
    if (this.#port.isGivenTo(successor)) {
      void this.stop()
      return { handover: true }
    }
    if (!this.#options.embedded) {
      throw new MonikerError('EDENIED', { text: 'only an embedded daemon hands over' })
    }
    this.#port.giveUp(successor)
    this.#leases.endAll()
    setTimeout(() => this.#left(successor), this.#options.linger).unref()
    return { handover: true }
  }

  /** The successor has disconnected, or did not bind in time. The port is bound again; no name was dropped. */
  #left(owner: Owner): void {
    if (!this.#port.isGivenTo(owner)) return
    const before = Promise.resolve(this.#starting).catch(() => {})
    const ours = before.then(() => this.#port.takeBack(owner)).catch(() => false)
    this.#starting = ours.then(isOurs => (isOurs ? undefined : this.#close()))
  }

  #age(): number {
    return clock() - this.#born
  }

  /**
   * Begins to answer. Once it does, `dismiss` has a daemon that has made way send its programs here: until
   * that is done this one is as young as when it started. Fails with `EADDRINUSE` if the designated port is
   * taken, and with `ERR_MONIKER_POLICY` if the policy is none.
   */
  start(dismiss?: () => Promise<void>): Promise<void> {
    this.#born = dismiss ? Infinity : clock()
    this.#starting = this.#start()
    const settled = this.#grow(dismiss && this.#starting.then(dismiss))
    this.#settled = settled
    void settled.then(() => {
      if (this.#settled === settled) this.#settled = undefined
    })
    return this.#starting
  }

  /**
   * Resolves once it has been young for long enough: `grace` ms from now, or from when `dismissed` is done; and as long
   * after the last name that came back, as a busy host takes its time, but for `MAX_GRACE` in all.
   */
  async #grow(dismissed?: Promise<void>): Promise<void> {
    const { grace } = this.#options
    await dismissed?.catch(() => {})
    this.#born = this.#returned = clock()
    const end = this.#born + Math.max(grace, MAX_GRACE)
    for (let left = grace; left > 0; left = Math.min(this.#returned + grace, end) - clock()) {
      await pause(left, undefined, { ref: false })
      // Of a program that was busy the timers come before what it has not read yet.
      await heard()
    }
  }

  /**
   * Reads the policy again: that of this host, if there is one, and that of the options. Fails with
   * `ERR_MONIKER_POLICY`, and goes by the old one, where a file has one that is broken. Connections stay. Returns the
   * files.
   */
  async reload(): Promise<readonly string[]> {
    const files = policyFiles(this.#options.policy)
    this.#access.policy = files.length > 0 ? await readPolicies(files) : undefined
    this.#policies = files.map(file => resolve(file))
    this.#leases.endAll()
    return files
  }

  /** Stops answering; every connection is closed and every name forgotten. */
  async stop(): Promise<void> {
    // An address that is still being bound could not be closed.
    await this.#starting?.catch(() => {})
    await this.#close()
  }

  async #start(): Promise<void> {
    try {
      await this.reload()
      await this.#port.open()
    } catch (error) {
      await this.#close()
      throw error
    }
  }

  async #close(): Promise<void> {
    for (const socket of this.#sockets.keys()) socket.destroy()
    await this.#port.close()
  }

  /** The answer to `status`. */
  status(): DaemonStatus {
    const { max, size } = this.#subscriptions
    const uid = process.getuid?.()
    return {
      protocol: VERSION,
      pid: process.pid,
      embedded: this.#options.embedded,
      port: this.port,
      started: this.#started,
      udp: firstOf(this.#port.addresses, 24),
      lost: firstOf(this.#port.lost, 8),
      ...(this.#port.path !== undefined && { socket: this.#port.path }),
      ...(uid !== undefined && { uid }),
      policies: this.#policies.filter(file => Buffer.byteLength(file) <= 256),
      shares: [...this.#limits.shares, { of: 'questions held and watches', used: size, most: max }],
      full: this.#bounds.texts,
      gateways: this.#gateways.all.slice(0, 8),
      names: this.#registry.size,
      followers: size,
      leases: this.#leases.size,
      open: this.#sockets.size,
      ...this.#counters,
    }
  }

  #serve(socket: Socket, peer: Peer): void {
    this.#turns.arrived()
    if (!this.#isRef) socket.unref()
    this.#counters.connections++
    let leave: () => void
    try {
      if (this.#descriptors.areScarce(socket, this.#sockets.size)) this.#spare(peer)
      leave = this.#limits.enter(peer, () => this.#makeRoom())
    } catch (error) {
      this.#refused(error as MonikerError)
      return this.#dialects[0].turnAway(socket, error as MonikerError)
    }
    socket.once('close', () => this.#leave(socket))
    const arrival = new Arrival(socket, peer, this.#dialects, this.#serving)
    this.#sockets.set(socket, { arrival, leave })
  }

  /** Frees the place of a connection, the first time that it is called. */
  #leave(socket: Socket): void {
    this.#sockets.get(socket)?.leave()
    this.#sockets.delete(socket)
  }

  /** Closes another connection for one of this host that has come where few descriptors are left; throws `ELIMIT`. */
  #spare({ local: isLocal }: Peer): void {
    if (isLocal && this.#makeRoom()) return
    throw new MonikerError('ELIMIT', { text: 'few descriptors are left; ask again in a moment' })
  }

  /**
   * Closes the oldest connection that holds nothing, for a new one of this host. A program that takes all
   * places takes them from itself first. False if there is none.
   */
  #makeRoom(): boolean {
    for (const [socket, { arrival }] of this.#sockets) {
      const { owner } = arrival
      if (owner && this.#holds(owner)) continue
      this.#leave(socket)
      const text = 'the connection made room for a new one'
      arrival.refuse(new MonikerError('ELIMIT', { text }))
      return true
    }
    return false
  }

  /** Says that another program has UDP of the port at an address. Nobody believes it, but hosts ask more slowly. */
  #lost(address: string): void {
    const where = `UDP of port ${this.port} at ${address}`
    this.#options.log?.(`cannot have ${where}: moniker doctor says which program has it`)
  }

  /** Logs a denial. A peer that asks for ever must not fill the disk. */
  #denied(text: string): void {
    this.#counters.denied++
    debug('%s', text)
    if (this.#logged.take()) this.#options.log?.(text)
  }

  #refused(error: MonikerError): void {
    this.#counters.refused++
    if (error.reason === 'ELIMIT') {
      this.#counters.limited++
      this.#bounds.note(error.text!)
    }
    debug('%s', error.message)
  }
}

/** Why a connection is cut off that waits for so much, or watches so much, that it is told too late. */
function tooLate(): MonikerError {
  const text = 'so much is waited for, or watched, over one connection that it is told too late'
  return new MonikerError('ELIMIT', { text })
}

/** The first of some addresses, those of the loopback interface before others: an answer is one short line. */
function firstOf(addresses: readonly string[], most: number): string[] {
  const isFar = (address: string) => Number(!isLoopback(address))
  return addresses.toSorted((one, other) => isFar(one) - isFar(other)).slice(0, most)
}

/** The most milliseconds for which a daemon is young, while names come back. */
const MAX_GRACE = 3_000

/** Most daemons have no policy, and need not load what reads one. */
async function readPolicies(files: readonly string[]): Promise<Policies> {
  const { loadPolicies } = await import('../policy/file.ts')
  return loadPolicies(files)
}

/** The options that are given: `undefined` leaves a default as it is. */
function defined(options: DaemonOptions): DaemonOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined)
  return Object.fromEntries(given) as DaemonOptions
}
