import { EventEmitter, once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { LOOPBACK, isLoopback } from '../address.ts'
import { cancellable, type Signal } from '../async.ts'
import { Cache } from '../cache.ts'
import { clearInterval, clearTimeout, setImmediate, setInterval, setTimeout } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError } from '../errors.ts'
import { localSockets } from '../node/localsocket.ts'
import { LineReader } from '../wire/lines.ts'
import { decode, encode, type Answer, type Asked, type Id } from '../wire/protocol.ts'
import { Lease, type Keeper } from './lease.ts'

const debug = diagnostics('moniker:client')

/** The place where a daemon can be reached. */
export interface DaemonAddress {
  /** An IP address. */
  readonly address: string
  /** The designated port. */
  readonly port: number
  /** The path of its Unix socket, where it is to be asked by that. */
  readonly path?: string
}

/** The daemons of this host whose answers depend on who asks. */
const askers = new Cache<true>()

/** Milliseconds for which that is remembered. */
const REMEMBERED = 60_000

/** Notes that a daemon of this host wants to know who asks: a Unix socket does not tell it. */
export function asksUsers({ port }: DaemonAddress): void {
  askers.set(String(port), true, REMEMBERED)
}

/**
 * The result of `how` over a Unix socket of a daemon, tried one after the other; `undefined` unless one leads to it.
 * Only that of this host has some.
 */
export async function overSocket<T>(
  daemon: DaemonAddress,
  how: (way: DaemonAddress) => Promise<T>,
): Promise<T | undefined> {
  const { address, port } = daemon
  if (address !== LOOPBACK[0] || askers.get(String(port))) return undefined
  for (const path of localSockets(port)) {
    try {
      return await how({ ...daemon, path })
    } catch (error) {
      debug('%s: %s', path, (error as Error).message)
    }
  }
  return undefined
}

/** The answer of a host, and the daemon that gave it. */
export interface HostAnswer {
  readonly daemon: DaemonAddress
  readonly answer: Answer
  /** The lease that came with it, if one was asked for and granted; it may be over by now. */
  readonly lease?: Lease | undefined
}

/** The most leases over one connection, asked for or held; beyond it names are asked for each time. */
const MAX_LEASES = 1_024

/**
 * The most that a daemon may tell of services in one list, or to one watch, in characters of JSON: that of this host
 * has as much as a million names take, and another could fill the memory of a program that asks it.
 */
export const MAX_TOLD = { here: 1_073_741_824, elsewhere: 33_554_432 }

/** Throws `ELIMIT` if a daemon has told so much of services that a program should not keep it. */
export function checkTold(
  { address: host, port }: DaemonAddress,
  { service }: Asked,
  size: number,
): void {
  const most = isLoopback(host) ? MAX_TOLD.here : MAX_TOLD.elsewhere
  if (size <= most) return
  const text = `it tells of services in more than ${most} characters`
  throw new MonikerError('ELIMIT', { host, port, text, ...(service !== undefined && { service }) })
}

interface Pending {
  readonly message: Asked
  resolve: (answer: Answer) => void
  reject: (error: unknown) => void
  /** The services told so far, while `more` are to come. */
  services: unknown[]
  /** The characters of what has come by now, changes among it. */
  size: number
}

/**
 * A kept connection to a daemon, over which any number of questions may be under way. It keeps the
 * process alive only while one is. Emits `'close'` once.
 */
export class Client extends EventEmitter<{ close: [] }> implements Keeper {
  readonly #socket: Socket
  /** The place where it was reached. */
  readonly daemon: DaemonAddress
  /** True if it is of this host. */
  readonly #isHere: boolean
  #isQuiet: boolean
  readonly #pending = new Map<Id, Pending>()
  readonly #onEvent = new Map<Id, (event: Answer) => void>()
  /** The leases that were asked for and not refused, by the id of the question. */
  readonly #leases = new Map<Id, Lease>()
  /** The number of times that leases were used. */
  #uses = 0
  #last = 0
  /** The number of times that something has come. */
  #heard = 0
  /** The questions of this turn, to go out in one write. */
  #unsent = ''
  /** The error by which the connection closed, if there was one. */
  #why: Error | undefined

  private constructor(socket: Socket, daemon: DaemonAddress, isQuiet: boolean) {
    super()
    this.#socket = socket
    this.daemon = daemon
    this.#isHere = isLoopback(daemon.address)
    this.#isQuiet = isQuiet
    const reader = new LineReader()
    socket.on('error', error => {
      debug('%s: %s', daemon.address, error.message)
      this.#why = error
    })
    // It closes only some turns of the loop later.
    socket.on('end', () => this.#endLeases())
    socket.on('close', () => this.#closed())
    socket.unref().on('data', (chunk: Buffer) => this.#read(reader, chunk))
  }

  /**
   * Connects to a daemon; fails as `net.connect` does. A `quiet` one never keeps the
   * process alive: the server it asks for does, or is not to; one in the `background` does so only
   * for its questions.
   */
  static async connect(
    daemon: DaemonAddress,
    signal?: Signal,
    { quiet = false, background = false }: { quiet?: boolean; background?: boolean } = {},
  ): Promise<Client> {
    const { address: host, port, path } = daemon
    const keep = { keepAlive: true, keepAliveInitialDelay: 15_000 }
    const socket = connect(path === undefined ? { host, port, noDelay: true, ...keep } : { path })
    if (quiet || background) socket.unref()
    try {
      await cancellable(once(socket, 'connect'), signal)
    } catch (error) {
      socket.destroy()
      throw error
    }
    return new Client(socket, daemon, quiet)
  }

  /** The error by which the connection closed; `undefined` while it is open, or if there was none. */
  get failure(): Error | undefined {
    return this.#why
  }

  /** The number of questions that it has been asked, and of uses of its leases. */
  get activity(): number {
    return this.#last + this.#uses
  }

  /** Counts a use of a lease. */
  used(): void {
    this.#uses++
  }

  /** A lease to ask for; `undefined` of a daemon of another host, and if there are too many. */
  lease(): Lease | undefined {
    const isFree = this.#leases.size < MAX_LEASES
    return isFree && this.#isHere ? new Lease(this) : undefined
  }

  /**
   * The answer to a question, be it a refusal. Fails if the connection closes first. Later events of the question go to
   * `onEvent`, unless it is refused, until `forget` is called.
   */
  async ask(message: Asked, signal?: Signal, onEvent?: (event: Answer) => void): Promise<Answer> {
    signal?.throwIfAborted()
    if (this.#socket.destroyed) throw this.#lost()
    const id = ++this.#last
    if (onEvent) this.#onEvent.set(id, onEvent)
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#pending.set(id, { message, resolve, reject, services: [], size: 0 })
    })
    const abort = () => this.#settle(id)?.reject(signal!.reason)
    signal?.addEventListener('abort', abort, { once: true })
    if (!this.#isQuiet && this.#pending.size === 1) this.#socket.ref()
    this.#send(encode(id, message))
    try {
      return await answer
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /**
   * The same, if it comes within `ms`; else fails with `ESILENT`. With `hurry` the question does not wait for others
   * to share a write with. A `lease` is asked for with it.
   */
  async askSoon(
    message: Asked,
    ms: number,
    { hurry = false, lease }: { hurry?: boolean; lease?: Lease | undefined } = {},
  ): Promise<Answer> {
    const answer = this.ask(lease ? { ...message, follow: true } : message)
    const id = this.#last
    // Of one that has been closed nothing is asked.
    if (lease && !this.#socket.destroyed) this.#leases.set(id, lease)
    if (hurry) this.flush()
    const { address: host, port } = this.daemon
    const late = () => this.#settle(id)?.reject(new MonikerError('ESILENT', { host, port, ms }))
    const timer = setTimeout(late, ms)
    try {
      return await answer
    } finally {
      clearTimeout(timer)
    }
  }

  /**
   * Closes the connection, with `ESILENT`, if the daemon hangs: one that has said nothing for `every` ms is asked for
   * its status, and has `ms` to answer. The kernel keeps the connections of a process that is stopped.
   */
  expectLife(every: number, ms: number): void {
    let heard = this.#heard
    const timer = setInterval(() => {
      if (heard === this.#heard && this.#pending.size === 0) void this.#expectAnswer(ms)
      heard = this.#heard
    }, every).unref()
    this.once('close', () => clearInterval(timer))
  }

  async #expectAnswer(ms: number): Promise<void> {
    const heard = this.#heard
    try {
      await this.askSoon({ op: 'status' }, ms)
    } catch (error) {
      // This process may have been stopped itself: it reads first what has come.
      setImmediate(() => heard === this.#heard && this.#socket.destroy(error as Error))
    }
  }

  /** Calls `onEvent` no more. */
  forget(onEvent: (event: Answer) => void): void {
    for (const [id, one] of this.#onEvent) if (one === onEvent) this.#onEvent.delete(id)
  }

  /** Keeps no process alive from now on. */
  unref(): void {
    this.#isQuiet = true
    this.#socket.unref()
  }

  /** Closes the connection; questions under way fail. */
  close(): void {
    this.#socket.destroy()
  }

  #send(line: string): void {
    if (this.#unsent === '') setImmediate(() => this.flush())
    this.#unsent += line
  }

  /** Sends the questions of this turn, which do not wait for others any longer. */
  flush(): void {
    if (this.#unsent === '') return
    if (!this.#socket.destroyed) this.#socket.write(this.#unsent)
    this.#unsent = ''
  }

  #read(reader: LineReader, chunk: Buffer): void {
    this.#heard++
    try {
      for (const line of reader.read(chunk)) this.#take(decode(line), line.length)
    } catch (error) {
      this.#socket.destroy(error as Error)
    }
  }

  #take(answer: Answer, size: number): void {
    const { id, services, more } = answer as { id: Id; services?: unknown; more?: unknown }
    const pending = this.#pending.get(id)
    const lease = this.#leases.get(id)
    if ('event' in answer) {
      if (pending) this.#grow(pending, size)
      if (lease && answer.event === 'stale') this.#endLease(id, lease)
      return this.#onEvent.get(id)?.(answer)
    }
    if (lease && answer.followed === true) lease.grant()
    else if (lease) this.#endLease(id, lease)
    // The question was given up, or the daemon could not read its id.
    if (!pending) return debug('nobody asked: %o', answer)
    if ('error' in answer) this.#onEvent.delete(id)
    if (!Array.isArray(services)) return this.#settle(id)?.resolve(answer)
    this.#grow(pending, size)
    for (const service of services) pending.services.push(service)
    if (more) return
    this.#settle(id)?.resolve({ ...answer, services: pending.services })
  }

  /** Notes how much of an answer has come, changes before its end among it. */
  #grow(pending: Pending, size: number): void {
    pending.size += size
    checkTold(this.daemon, pending.message, pending.size)
  }

  #settle(id: Id): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (this.#pending.size === 0) this.#socket.unref()
    return pending
  }

  #endLease(id: Id, lease: Lease): void {
    this.#leases.delete(id)
    lease.end()
  }

  #endLeases(): void {
    for (const [id, lease] of this.#leases) this.#endLease(id, lease)
  }

  #closed(): void {
    this.#endLeases()
    const error = this.#why instanceof MonikerError ? this.#why : this.#lost()
    for (const id of this.#pending.keys()) this.#settle(id)?.reject(error)
    this.emit('close')
  }

  #lost(): MonikerError {
    const { address: host, port } = this.daemon
    return new MonikerError('ELOST', { host, port })
  }
}
