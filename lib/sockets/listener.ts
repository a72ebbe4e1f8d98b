import type { Socket as DatagramSocket } from 'node:dgram'
import net, { type AddressInfo } from 'node:net'
import { heard } from '../async.ts'
import {
  clearInterval,
  clearTimeout,
  clock,
  nextTick,
  pause,
  setInterval,
  setTimeout,
} from '../clock.ts'
import type { ListenCall } from '../options/listen.ts'
import { announce, clusterGroup, track, untrack, withExclusivePort } from '../node/cluster.ts'
import { portRange, shuffled, type PortRange } from '../ports.ts'
import { designatedPort } from '../settings.ts'
import { MonikerError, hasCode } from '../errors.ts'
import { Admission } from './admission.ts'
import { isBound } from '../node/adopt.ts'
import { handleOf } from '../node/handle.ts'
import { Shadow } from '../node/shadow.ts'
import { format } from '../name.ts'
import type { Offer } from '../wire/protocol.ts'
import type { Moniker } from '../resolution.ts'
import type { Lease } from '../registration/registrar.ts'
import { Registrar } from '../registration/registrar.ts'
import type { Beside } from '../transports/transport.ts'
import { listenBeside } from '../transports/transports.ts'

/** A server or a socket that can have a name. */
export type Listener = net.Server | DatagramSocket

/** The address of a listener that has a name. */
export interface NamedAddress extends AddressInfo {
  /** Such as `starwars@1.2.0`. */
  readonly moniker: string
}

/**
 * Milliseconds for which a peer that has said nothing may be waiting for the answer of the daemon, on a busy machine.
 * A peer that connects to where a name is likely to be, or was, says nothing before it has that answer.
 */
const CONFIRMATION_TIME = 500

/** Milliseconds from one look at such a peer to the next. */
const LOOK_INTERVAL = 10

/** Milliseconds from one report of a server's load to the next, at least. */
const REPORT_INTERVAL = 100

const namedListeners = new WeakMap<Listener, NamedListener>()

/** The name of a listener; `undefined` if it has none. */
export function monikerOf(listener: Listener): Moniker | undefined {
  return namedListeners.get(listener)?.moniker
}

/** Closes a listener that has a name; done when the name has gone, and the port with it. */
export async function withdraw(listener: Listener): Promise<void> {
  const named = namedListeners.get(listener)
  if (!named?.withdrawn) listener.close()
  await named?.withdrawn
}

/** Binds a listener to options, and has it call `callback` when it listens. */
type Bind = (options: ListenCall['options'], callback?: () => void) => void

/**
 * Gives `listener` a name. `bind` binds it to the options it is given, and what is bound is registered: no other
 * program can take the port in between. `registrar` is by default that of the process.
 */
export function publish(
  listener: Listener,
  call: ListenCall,
  bind: Bind,
  registrar?: Registering,
): void {
  if (call.guarded && !(listener instanceof net.Server)) {
    const text = 'options.guarded to be left out, as any program can forge the sender of a datagram'
    throw new MonikerError('EARGUMENT', { text })
  }
  if (!(listener instanceof net.Server) && call.transports.some(one => typeof one === 'object')) {
    const text = 'options.transports to be words alone, as this is a datagram socket'
    throw new MonikerError('EARGUMENT', { text })
  }
  // A listener that is taken says so itself.
  if (isTaken(listener)) return bind(call.options, call.callback)
  namedListeners.get(listener)?.makeWay()
  const named = new NamedListener(listener, call, bind, registrar)
  try {
    bind(named.nextOptions(), call.callback)
  } catch (error) {
    named.restore()
    throw error
  }
}

/** True of a peer that is there, and has neither said anything nor ended. */
function isSilent(peer: net.Socket | undefined): boolean {
  return peer?.bytesRead === 0 && !peer.readableEnded && !peer.destroyed
}

/** True if options of `listen` leave the port open, and come with no handle that has one. */
function isChosen(options: ListenCall['options']): boolean {
  return !isBound(options) && [undefined, null, 0, '0'].includes(options.port as number)
}

function isTaken(listener: Listener): boolean {
  return listener instanceof net.Server ? listener.listening : namedListeners.has(listener)
}

type Registering = Pick<Registrar, 'register'>

type OnClose = (error?: Error) => void

/** The phases of a listener that has a name, and those that may follow each of them. */
const TRANSITIONS = {
  /** It is being bound. */
  binding: ['registering', 'closing'],
  /** It is bound, and its name is asked for. The program has not been told that it listens. */
  registering: ['registered', 'failed', 'closing'],
  /** It listens, and its name is held or asked for again. */
  registered: ['closing'],
  /** Its name was refused. It is being closed, and the program is about to be told. */
  failed: ['closing'],
  /** It has been closed, moved to another thread before it had its name, or is to listen anew. */
  closing: [],
} as const satisfies Record<string, readonly string[]>

type Phase = keyof typeof TRANSITIONS

/** The decision on an event: it is dropped, or the method of that name handles it. */
type Rule = 'drop' | 'register' | 'hold' | 'admit' | 'end' | 'endIfUnbound'

/** The rules for the events of a listener in each phase. Any other event is passed on to the program. */
type Rules = Readonly<Record<Phase, Readonly<Record<string, Rule>>>>

/**
 * The events of a server. `'listening'` and `'close'` may also come late, from before it was closed and listened
 * anew: such a `'listening'` is dropped, and such a `'close'` passed on.
 */
const SERVER: Rules = {
  binding: { listening: 'register', connection: 'hold', error: 'endIfUnbound' },
  registering: { listening: 'drop', connection: 'hold', close: 'endIfUnbound' },
  registered: { connection: 'admit', close: 'endIfUnbound' },
  failed: { connection: 'admit', close: 'drop' },
  closing: { connection: 'admit', close: 'end' },
}

/** The events of a datagram socket, which is bound once. A datagram that comes after `close` is not passed on. */
const DATAGRAM: Rules = {
  binding: { listening: 'register', error: 'end', close: 'end' },
  registering: { listening: 'drop', close: 'end' },
  registered: { close: 'end' },
  failed: { close: 'drop' },
  closing: { message: 'drop', close: 'end' },
}

/**
 * A listener with a name that is on its way to the registry, or in it. While that lasts, its `emit`, `close` and
 * `address` are ours; afterwards they are its own again.
 */
class NamedListener {
  readonly #listener: Listener
  readonly #call: ListenCall
  readonly #bind: Bind
  /** The range of the port, if it is ours to choose; and its ports that may still be tried. */
  readonly #range: PortRange | undefined
  readonly #ports: Generator<number, void> | undefined
  readonly #registrar: Registering | undefined
  readonly #rules: Rules
  readonly #shadow: Shadow
  readonly #emit: Listener['emit']
  readonly #close: (callback?: OnClose) => unknown
  readonly #admission: Admission
  #phase: Phase = 'binding'
  /** Aborts the registration. */
  readonly #registration = new AbortController()
  /** Keeps the process alive while the name is registered, as a host look-up does, be the listener `unref`'d. */
  #awake: NodeJS.Timeout | undefined
  /** True if the last peer is not waited for: the listener is to be something else. */
  #isHurried = false
  #lease: Lease | undefined
  /** The transports that are open beside a server. */
  #beside: Beside | undefined
  #stopCounting: (() => void) | undefined
  /** The last connection, and the time when it came. */
  #latest: net.Socket | undefined
  #since = 0
  /** The calls of `close` that wait for the name to be withdrawn; afterwards `undefined`. */
  #pendingCloses: (OnClose | undefined)[] | undefined = []
  /** Under way since `close` was called, if there was a name to withdraw. */
  withdrawn: Promise<void> | undefined

  constructor(
    listener: Listener,
    call: ListenCall,
    bind: Bind,
    registrar: Registering | undefined,
  ) {
    this.#listener = listener
    this.#call = call
    this.#bind = bind
    this.#range = isChosen(call.options) ? portRange() : undefined
    this.#ports = this.#range && shuffled(this.#range)
    this.#registrar = registrar
    this.#rules = listener instanceof net.Server ? SERVER : DATAGRAM
    this.#admission = new Admission({ guarded: call.guarded })
    this.#emit = listener.emit
    this.#close = listener.close
    const { address } = listener
    this.#shadow = new Shadow(listener)
    this.#shadow.put('emit', (event: string, ...args: unknown[]) => this.#onEmit(event, args))
    this.#shadow.put('close', (callback?: OnClose) => this.#onClose(callback))
    this.#shadow.put('address', () => this.#named(address.call(listener)))
    /* c8 ignore next -- Node 24.22 and 26 call it, and their tests run there. */
    this.#shadow.putTransfer(transfer => this.#onTransfer(transfer))
    namedListeners.set(listener, this)
    track(listener, withExclusivePort(call.options))
  }

  get moniker(): Moniker {
    return { ...this.#call.name, host: '' }
  }

  /** The options to bind to, with the next port of the range, if there is one. Each call takes another. */
  nextOptions(): ListenCall['options'] {
    const options = withExclusivePort(this.#call.options)
    const port = this.#ports?.next().value
    return port ? { ...options, port } : options
  }

  /** Gives the listener its own methods back, once. */
  restore(): void {
    // The program may have given it another name meanwhile.
    if (namedListeners.get(this.#listener) !== this) return
    this.#beside?.close()
    this.#stopCounting?.()
    this.#shadow.remove()
    namedListeners.delete(this.#listener)
    untrack(this.#listener)
  }

  /** Has the listener closed at once, as with `net`: it is to be something else, and cannot wait for its name to go. */
  makeWay(): void {
    this.#isHurried = true
    if (this.#phase === 'closing') this.#closeAll()
    this.#dropName()
    this.restore()
  }

  /** Changes the phase, which nothing else does; false if it may not follow. */
  #enter(phase: Phase): boolean {
    const next: readonly Phase[] = TRANSITIONS[this.#phase]
    if (!next.includes(phase)) return false
    this.#phase = phase
    clearInterval(this.#awake)
    return true
  }

  /** Decides on an event of the listener. Returns what `emit` does: true if the program listens for it. */
  #onEmit(event: string, args: unknown[]): boolean {
    const isBinding = event === 'error' && this.#phase === 'binding'
    const isInUse = isBinding && this.#range && hasCode(args[0], 'EADDRINUSE')
    return isInUse ? this.#bindElsewhere() : this.#decide(event, args)
  }

  /** Binds to the next port of the range, or fails for want of one. */
  #bindElsewhere(): boolean {
    const options = this.nextOptions()
    if (!options.port) return this.#decide('error', [this.#noPort()])
    this.#bind(options)
    return true
  }

  #noPort(): MonikerError {
    const { name, daemonPort: port = designatedPort() } = this.#call
    const syscall = this.#listener instanceof net.Server ? 'listen' : 'bind'
    const { first, last } = this.#range!
    const text = `${first}-${last}`
    return new MonikerError('EPORTS', {
      service: format(name),
      host: 'localhost',
      port,
      syscall,
      text,
    })
  }

  #decide(event: string, args: unknown[]): boolean {
    switch (this.#rules[this.#phase][event]) {
      case 'drop':
        return false
      case 'register':
        void this.#register()
        return this.#listener.listenerCount(event) > 0
      case 'hold':
        return this.#hold(args as [net.Socket])
      case 'admit':
        return this.#admit(args as [net.Socket])
      case 'end':
        this.#end()
        break
      case 'endIfUnbound':
        if (!handleOf(this.#listener as net.Server)) this.#end()
        break
      case undefined:
    }
    return this.#pass(event, args)
  }

  #pass(event: string, args: unknown[]): boolean {
    return Reflect.apply(this.#emit, this.#listener, [event, ...args]) as boolean
  }

  /** The program is told that there is a server before it is told of a connection. */
  #hold(args: [net.Socket]): boolean {
    this.#admission.hold(args[0], () => void this.#onEmit('connection', args))
    return true
  }

  #admit(args: [net.Socket]): boolean {
    this.#latest = args[0]
    this.#since = clock()
    let isHeard = true
    this.#admission.admit(args[0], () => (isHeard = this.#pass('connection', args)))
    return isHeard
  }

  /** The listener could not be bound, or is closed and may listen anew. */
  #end(): void {
    this.#dropName()
    this.restore()
  }

  /** Lets the name go of a listener that was closed behind our back, by the `close` of `net` itself. */
  #dropName(): void {
    if (this.#phase === 'registered') void this.#lease!.withdraw()
    else if (this.#phase === 'registering') this.#stop()
  }

  /** Gives up the registration: the listener is closed, and the program sees no connection that came early. */
  #stop(): void {
    if (!this.#enter('closing')) return
    untrack(this.#listener)
    this.#registration.abort()
    this.#admission.refuse()
  }

  /** Has the name registered; until then `'listening'` is held back. */
  async #register(): Promise<void> {
    this.#enter('registering')
    this.#awake = setInterval(() => {}, 0x7fff_ffff)
    const { daemonPort, guarded } = this.#call
    const { signal } = this.#registration
    try {
      const offer = this.#offer()
      this.#beside = await this.#listenBeside(offer)
      if (this.#phase !== 'registering') return this.#beside?.close()
      const registrar = this.#registrar ?? Registrar.at(daemonPort)
      const lease = await registrar.register(Object.assign(offer, this.#beside?.adds), {
        signal,
        ...(guarded && { expect: event => this.#admission.onExpect(event) }),
      })
      // In a turn of its own: an error that a listener throws is not ours to catch.
      nextTick(() => this.#onRegistered(lease))
    } catch (error) {
      this.#onRefused(error as Error)
    }
  }

  #onRegistered(lease: Lease): void {
    // It may have been closed just as the answer came.
    if (!this.#enter('registered')) return void lease.withdraw()
    const listener = this.#listener
    this.#lease = lease
    lease.on('lost', error => this.#onLost(error))
    lease.on('regained', () => this.#pass('registered', []))
    if (this.#call.load && listener instanceof net.Server) {
      this.#stopCounting = countConnections(listener, load => lease.report(load))
    }
    announce(listener)
    nextTick(() => this.#admission.release())
    listener.emit('listening')
  }

  /**
   * Fails as if it could not be bound: with an `'error'`, and a server that does not listen and did not close. A
   * datagram socket stays; the program closes it.
   */
  #onRefused(error: Error): void {
    // A listener that was closed meanwhile does not listen, and has not failed.
    if (!this.#enter('failed')) return
    this.#admission.refuse()
    // The program has not called `close`: one of its own class must not run.
    if (this.#listener instanceof net.Server) net.Server.prototype.close.call(this.#listener)
    nextTick(() => {
      this.restore()
      this.#listener.emit('error', error)
    })
  }

  /** Tells the program, or warns, if another program has the name. A daemon that goes is replaced in no time. */
  #onLost(error: MonikerError): void {
    const isHeard = this.#pass('unregistered', [error])
    if (!isHeard && error.reason !== 'ELOST') process.emitWarning(error)
  }

  /** Opens the other transports of a server. */
  async #listenBeside(offer: Offer): Promise<Beside | undefined> {
    const { transports, daemonPort = designatedPort() } = this.#call
    const listener = this.#listener
    if (!(listener instanceof net.Server)) return undefined
    return listenBeside(transports, listener, offer, daemonPort)
  }

  #offer(): Offer {
    const { name, shared, guarded, metadata, load } = this.#call
    const { address, port } = this.#listener.address() as AddressInfo
    return {
      ...name,
      transport: this.#listener instanceof net.Server ? 'tcp' : 'udp',
      port,
      address,
      shared: shared || clusterGroup(),
      ...(guarded && { guarded }),
      ...(metadata && { metadata }),
      ...(load && { load: 0 }),
    }
  }

  /**
   * Withdraws the name, then closes the listener: no peer is sent to a port that is closed, or another program's by
   * then.
   */
  #onClose(callback?: OnClose): Listener {
    const listener = this.#listener
    const lease = this.#lease
    const isFirst = this.#phase !== 'closing'
    if (!isFirst && !(listener instanceof net.Server)) {
      // `dgram` itself closes a socket whose signal aborts, unless it is closed.
      if (this.#call.signal?.aborted && !callback) return listener
      if (callback) listener.once('close', callback)
      throw notRunning()
    }
    this.#stop()
    if (!lease || !this.#pendingCloses) {
      this.#beside?.close()
      return this.#close.call(listener, callback) as Listener
    }
    this.#pendingCloses.push(callback)
    if (isFirst) this.#withdraw(lease)
    return listener
  }

  /** Shows the program a closed listener from now on, which it is once its name has gone. */
  #withdraw(lease: Lease): void {
    const listener = this.#listener
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
      .then(() => this.#beside?.leave?.())
      .then(heard)
      .then(() => this.#closeAll())
  }

  /** Waits until the last peer knows that the name was here; without the name, the daemon would deny it. */
  async #confirmed(): Promise<void> {
    const until = this.#since + CONFIRMATION_TIME
    while (clock() < until && isSilent(this.#latest) && !this.#isHurried) {
      // The server is open until then, and keeps the process alive, or does not.
      await pause(LOOK_INTERVAL, undefined, { ref: false })
    }
  }

  /**
   * Closes the listener once for each call of `close`, so that each is answered in its words, the second as the first.
   */
  #closeAll(): void {
    this.#beside?.close()
    const closes = this.#pendingCloses ?? []
    this.#pendingCloses = undefined
    for (const callback of closes) this.#close.call(this.#listener, callback)
  }

  /* c8 ignore start -- Node 24.22 and 26 call it, and their tests run there. */
  /** Another thread takes the port, and with it all connections; the name stays ours. */
  #onTransfer(transfer: () => unknown): unknown {
    this.#beside?.close()
    // A listener that has no name yet gets none: its port is not ours any more.
    if (this.#phase !== 'registered') this.#stop()
    return transfer.call(this.#listener)
  }
  /* c8 ignore stop */

  #named(address: AddressInfo | string | null): NamedAddress | string | null {
    if (typeof address !== 'object' || !address) return address
    // A server that is being closed has no address any more, as with `net`.
    if (this.#phase === 'closing' && this.#listener instanceof net.Server) return null
    return { ...address, moniker: format(this.#call.name) }
  }
}

/** The error of `dgram` for a call on a socket that is closed. */
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
