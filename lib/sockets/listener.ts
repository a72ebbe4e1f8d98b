import type { Socket as DatagramSocket } from 'node:dgram'
import net, { type AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import type { ListenCall } from '../options/listen.ts'
import { announce, apart, dismiss, enlist, together } from '../node/cluster.ts'
import { designatedPort } from '../settings.ts'
import { MonikerError } from '../errors.ts'
import { Gate } from './admission.ts'
import { handleOf, still } from '../node/handle.ts'
import { Shadow } from '../node/shadow.ts'
import { format } from '../name.ts'
import type { Offer } from '../wire/protocol.ts'
import type { Moniker } from '../resolution.ts'
import type { Lease } from '../registration/registrar.ts'
import { Registrar } from '../registration/registrar.ts'
import { canOpenBeside, firstPath, openBeside, type Beside } from '../transports/unix.ts'

/** What can be known by a name. */
export type Listener = net.Server | DatagramSocket

/** The address of what is known by a name. */
export interface NamedAddress extends AddressInfo {
  /** Such as `starwars@1.2.0`. */
  readonly moniker: string
}

/**
 * How long a peer that has not been heard of may be waiting for the daemon's word, in ms: one who goes
 * to where a name is likely to be, or was, says nothing before it has that.
 */
const CONFIRMING = 100

/** Milliseconds from one report of a server's load to the next, at least. */
const REPORT_INTERVAL = 100

const publications = new WeakMap<Listener, Publication>()

/** What name a listener is known by; `undefined` if by none. */
export function monikerOf(listener: Listener): Moniker | undefined {
  return publications.get(listener)?.moniker
}

/** Closes a listener that is known by a name; done when the name has gone, and the port with it. */
export async function withdraw(listener: Listener): Promise<void> {
  const publication = publications.get(listener)
  if (!publication?.withdrawn) listener.close()
  await publication?.withdrawn
}

/**
 * Makes `listener` known by a name: `bind` is to bind it to the options it is given. It is bound
 * first, and what was bound is registered: nobody can take the port in between.
 */
export function publish(
  listener: Listener,
  call: ListenCall,
  bind: (options: ListenCall['options']) => void,
): void {
  if (call.guarded && !(listener instanceof net.Server)) {
    const text = 'options.guarded to be left out, as a datagram comes from whoever it says'
    throw new MonikerError('EARGUMENT', { text })
  }
  // What is taken already says so itself.
  if (isTaken(listener)) return bind(call.options)
  publications.get(listener)?.makeWay()
  const publication = new Publication(listener, call)
  try {
    bind(publication.options)
  } catch (error) {
    publication.restore()
    throw error
  }
}

function isTaken(listener: Listener): boolean {
  return listener instanceof net.Server ? listener.listening : publications.has(listener)
}

/**
 * A name on its way to, or in, the registry, for one listener. While it lasts, the listener's
 * `emit`, `close` and `address` are ours; afterwards they are its own again.
 */
class Publication {
  readonly #listener: Listener
  readonly #call: ListenCall
  readonly #giveUp = new AbortController()
  /** Whoever has just connected is not to be waited for. */
  readonly #hurry = new AbortController()
  readonly #shadow: Shadow
  #stopCounting: (() => void) | undefined
  /** Who waits for the name to be withdrawn; once it is, the listener answers by itself. */
  #closes: (((error?: Error) => void) | undefined)[] | undefined = []
  readonly #emit: Listener['emit']
  readonly #close: (callback?: (error?: Error) => void) => unknown
  /** Who is let in, where not everybody is. */
  readonly #gate: Gate | undefined
  /** Under way since `close` was called, where there was a name to withdraw. */
  withdrawn: Promise<void> | undefined
  #lease: Lease | undefined
  /** Who has connected last, and when. */
  #latest: net.Socket | undefined
  #since = 0
  /** Those who have connected before it was known to listen. */
  readonly #early: ((isWanted: boolean) => void)[] = []
  /** The abstract Unix socket beside the port of a server. */
  #beside: Beside | undefined
  #state: 'binding' | 'registering' | 'registered' | 'failed' | 'closing' = 'binding'

  constructor(listener: Listener, call: ListenCall) {
    this.#listener = listener
    this.#call = call
    if (call.guarded) this.#gate = new Gate()
    this.#emit = listener.emit
    this.#close = listener.close
    const { address } = listener
    this.#shadow = new Shadow(listener)
    this.#shadow.put('emit', (event: string, ...args: unknown[]) => this.#emitted(event, args))
    this.#shadow.put('close', (callback?: (error?: Error) => void) => this.#withdraw(callback))
    this.#shadow.put('address', () => this.#named(address.call(listener)))
    /* c8 ignore next -- Node 26 calls it, and its tests run there. */
    this.#shadow.putTransfer(transfer => this.#handOver(transfer))
    publications.set(listener, this)
    enlist(listener, this.options)
  }

  get moniker(): Moniker {
    return { ...this.#call.name, host: '' }
  }

  /** What to bind to. */
  get options(): ListenCall['options'] {
    return apart(this.#call.options)
  }

  /** Gives the listener its own methods back. */
  restore(): void {
    this.#beside?.close()
    this.#stopCounting?.()
    this.#shadow.remove()
    publications.delete(this.#listener)
    dismiss(this.#listener)
  }

  /** Holds `'listening'` back until the name is registered. */
  #emitted(event: string, args: unknown[]): boolean {
    // That of a `listen` before the last `close` may come as late as now.
    if (event === 'listening' && this.#state === 'registering') return false
    if (event === 'listening' && this.#state === 'binding') {
      this.#state = 'registering'
      void this.#register()
      return this.#listener.listenerCount(event) > 0
    }
    if (event === 'connection' && this.#isEarly) return this.#hold(args as [net.Socket])
    if (event === 'connection') return this.#connected(args as [net.Socket])
    if (event === 'close' && this.#state === 'failed') return false
    // A datagram that comes after `close` is not for anybody any more.
    if (event === 'message' && this.#state === 'closing') return false
    if (this.#isOver(event)) {
      this.#letGo()
      this.restore()
    }
    return this.#pass(event, args)
  }

  /** Whether it could not bind, or is closed and may listen anew; what it was before may close as late as now. */
  #isOver(event: string): boolean {
    if (event !== 'close' && event !== 'error') return false
    if (this.#state === 'closing' || this.#state === 'failed') return event === 'close'
    if (!(this.#listener instanceof net.Server))
      return event === 'close' || this.#state === 'binding'
    return event === (this.#state === 'binding' ? 'error' : 'close') && !handleOf(this.#listener)
  }

  /** Closed behind our back, by the `close` of `net` itself, it lets its name go all the same. */
  #letGo(): void {
    if (this.#state === 'registered') void this.#lease!.withdraw()
    else if (this.#state === 'registering') this.#abandon()
  }

  /** There is to be no name, nor anybody to let in. */
  #abandon(): void {
    this.#state = 'closing'
    dismiss(this.#listener)
    this.#giveUp.abort()
    this.#release(false)
  }

  #connected(args: [net.Socket]): boolean {
    this.#latest = args[0]
    this.#since = performance.now()
    if (!this.#gate) return this.#pass('connection', args)
    this.#gate.admit(args[0], () => this.#pass('connection', args))
    return true
  }

  /** Whether nobody has been told yet that it listens. */
  get #isEarly(): boolean {
    return this.#state === 'binding' || this.#state === 'registering'
  }

  /** Nobody is told of a connection before he is told that there is a server. */
  #hold(args: [net.Socket]): boolean {
    const [socket] = args
    const go = still(socket)
    const ignore = () => {}
    socket.on('error', ignore)
    this.#early.push(isWanted => {
      socket.off('error', ignore)
      if (!isWanted || socket.destroyed) return void socket.destroy()
      go()
      this.#emitted('connection', args)
    })
    return true
  }

  /** Lets those in who came early, or turns them away. */
  #release(isWanted: boolean): void {
    for (const release of this.#early.splice(0)) release(isWanted)
  }

  #pass(event: string, args: unknown[]): boolean {
    return Reflect.apply(this.#emit, this.#listener, [event, ...args]) as boolean
  }

  async #register(): Promise<void> {
    const { daemonPort } = this.#call
    const gate = this.#gate
    try {
      this.#beside = await this.#openBeside()
      if (this.#state !== 'registering') return this.#beside?.close()
      const lease = await Registrar.at(daemonPort).register(this.#offer(), {
        signal: this.#giveUp.signal,
        ...(gate && { expect: event => gate.told(event) }),
      })
      // In a turn of its own: what a listener throws is not for us to catch.
      process.nextTick(() => this.#registered(lease))
    } catch (error) {
      // What was closed meanwhile does not listen, and has not failed.
      if (this.#state === 'registering') this.#fail(error as Error)
    }
  }

  #registered(lease: Lease): void {
    // Closed at the very moment the answer came.
    if (this.#state !== 'registering') return void lease.withdraw()
    this.#state = 'registered'
    this.#lease = lease
    lease.on('lost', error => this.#lost(error))
    lease.on('regained', () => Reflect.apply(this.#emit, this.#listener, ['registered']))
    if (this.#call.load && this.#listener instanceof net.Server) {
      this.#stopCounting = countConnections(this.#listener, load => lease.report(load))
    }
    announce(this.#listener)
    process.nextTick(() => this.#release(this.#state === 'registered'))
    this.#listener.emit('listening')
  }

  /** The faster road for those on this host, for nobody to guess where not all are to go to this server. */
  async #openBeside(): Promise<Beside | undefined> {
    const { name, transports, guarded, shared, daemonPort } = this.#call
    const listener = this.#listener
    const isServer = listener instanceof net.Server && transports.includes('unix')
    if (!isServer || !canOpenBeside(listener)) return undefined
    const isAlone = !guarded && !shared && !together
    const port = daemonPort ?? designatedPort()
    return openBeside(listener, isAlone ? firstPath(name, port) : undefined)
  }

  #offer(): Offer {
    const { name, shared, guarded, metadata, load } = this.#call
    const { address, port } = this.#listener.address() as AddressInfo
    return {
      ...name,
      transport: this.#listener instanceof net.Server ? 'tcp' : 'udp',
      port,
      address,
      ...(this.#beside && { path: this.#beside.path }),
      shared: shared || together,
      ...(guarded && { guarded }),
      ...(metadata && { metadata }),
      ...(load && { load: 0 }),
    }
  }

  /**
   * As when it cannot be bound: an `'error'`, and a server that does not listen and did not close. A
   * datagram socket stays, as its owner is going to close it.
   */
  #fail(error: Error): void {
    this.#state = 'failed'
    this.#release(false)
    // Nobody has called a `close` of a class of the program's own.
    if (this.#listener instanceof net.Server) net.Server.prototype.close.call(this.#listener)
    process.nextTick(() => {
      this.restore()
      this.#listener.emit('error', error)
    })
  }

  /** A daemon that goes is replaced in no time; that the name is somebody else's has to be known. */
  #lost(error: MonikerError): void {
    const isKnown = Reflect.apply(this.#emit, this.#listener, ['unregistered', error]) as boolean
    if (!isKnown && error.reason !== 'ELOST') process.emitWarning(error)
  }

  /** The name goes first: nobody is sent to a port that is closed, or somebody else's by then. */
  #withdraw(callback?: (error?: Error) => void): Listener {
    const listener = this.#listener
    const lease = this.#lease
    const isFirst = this.#state !== 'closing'
    if (!isFirst && !(listener instanceof net.Server)) {
      // `dgram` itself closes one whose signal aborts, unless it is closed.
      if (this.#call.signal?.aborted && !callback) return listener
      if (callback) listener.once('close', callback)
      throw notRunning()
    }
    this.#abandon()
    if (!lease || !this.#closes) {
      this.#beside?.close()
      return this.#close.call(listener, callback) as Listener
    }
    this.#closes.push(callback)
    if (isFirst) {
      lease.removeAllListeners()
      this.#shadow.put(Symbol.asyncDispose, async () => {})
      if (listener instanceof net.Server) {
        this.#shadow.put('listening', false)
        this.#shadow.put('listen', (...args: unknown[]) => {
          this.makeWay()
          return Reflect.apply(listener.listen, listener, args)
        })
      }
      this.withdrawn = this.#confirmed()
        .then(() => lease.withdraw())
        .then(() => this.#closeAll())
    }
    return listener
  }

  /**
   * For who cannot wait for the name to be let go before the listener is something else: as with `net`,
   * it is closed at once.
   */
  makeWay(): void {
    this.#hurry.abort()
    if (this.#state === 'closing') this.#closeAll()
    this.#letGo()
    this.restore()
  }

  /** When whoever has just connected knows that it is here; else the daemon would deny it. */
  async #confirmed(): Promise<void> {
    const left = this.#since + CONFIRMING - performance.now()
    if (left <= 0 || this.#latest?.bytesRead !== 0) return
    await pause(left, undefined, { signal: this.#hurry.signal }).catch(() => {})
  }

  /** Each `close` is answered in the words of the listener itself, the second as the first. */
  #closeAll(): void {
    this.#beside?.close()
    const closes = this.#closes ?? []
    this.#closes = undefined
    for (const callback of closes) this.#close.call(this.#listener, callback)
  }

  /* c8 ignore start -- see above. */
  /** Another thread takes the port, and with it all connections; the name stays ours. */
  #handOver(transfer: () => unknown): unknown {
    this.#beside?.close()
    // What has no name yet gets none: its port is not ours any more.
    if (this.#state !== 'registered') this.#abandon()
    return transfer.call(this.#listener)
  }
  /* c8 ignore stop */

  #named(address: AddressInfo | string | null): NamedAddress | string | null {
    if (typeof address !== 'object' || !address) return address
    // To `net` a server that is being closed has none any more.
    if (this.#state === 'closing' && this.#listener instanceof net.Server) return null
    return { ...address, moniker: format(this.#call.name) }
  }
}

/** What `dgram` says to who uses a socket that is closed. */
export function notRunning(): Error {
  return Object.assign(new Error('Not running'), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' })
}

/**
 * Reports how many connections `server` has each time that the number changes, from 0 on, until the returned function
 * is called. A change within `ms` of the last report is reported after that time.
 */
export function countConnections(
  server: net.Server,
  report: (count: number) => void,
  ms = REPORT_INTERVAL,
): () => void {
  let count = 0
  let reported = 0
  let timer: NodeJS.Timeout | undefined
  const reportChange = () => {
    timer = undefined
    if (count === reported) return
    reported = count
    report(count)
    timer = setTimeout(reportChange, ms).unref()
  }
  const add = (by: number) => {
    count += by
    if (!timer) reportChange()
  }
  const onConnection = (socket: net.Socket) => {
    add(1)
    socket.once('close', () => add(-1))
  }
  server.on('connection', onConnection)
  return () => {
    clearTimeout(timer)
    server.off('connection', onConnection)
  }
}
