import { isIP, type Socket } from 'node:net'
import { ANY_HOST, LOOPBACK } from '../address.ts'
import type { Call } from '../options/connect.ts'
import { diagnostics } from '../diagnostics.ts'
import { disguise, undisguise } from '../node/disguise.ts'
import { MonikerError } from '../errors.ts'
import {
  dial,
  exchange,
  forsake,
  handleOf,
  isWrapped,
  redial,
  type Progress,
} from '../node/handle.ts'
import { format } from '../name.ts'
import type { Road } from '../wire/protocol.ts'
import { choose } from '../client/filter.ts'
import { askPlainly, resolver } from '../client/resolver.ts'
import type { Moniker, OnLookup, Reachable, Resolution, SocketQuestion } from '../resolution.ts'
import { abstract, firstPath } from '../transports/unix.ts'

const debug = diagnostics('moniker:socket')

/** A socket that knows what name it has gone to. */
export interface NamedSocket extends Socket {
  moniker: Moniker | undefined
  connecting: boolean
}

/** Never a real host, nor a real port: the look-up beside them is for us to answer. */
const PLACEHOLDER = { host: 'moniker.invalid', port: 1, path: undefined, family: 4 }

type Looked = (error: null, address: string, family: number) => void

/**
 * One call of `connect` to a name, until the socket is connected or has failed. From the start `net`
 * takes the socket for one whose host is being looked up. Where an answer is remembered, or the service
 * is likely to be at the first Unix socket of its name on this host, the connection and a fresh question
 * leave together, and nobody hears of the connection, nor does a byte pass, before the answer has
 * confirmed that this is the place: what is remembered may be a stranger's by now. The question may be
 * one that another call has under way: its answer is then older than this call by less than a round
 * trip, as that to any question is once it has come.
 */
export class Dial {
  readonly #socket: NamedSocket
  readonly #call: Call
  /** What `net` is told; the place in it changes. */
  readonly #options: Record<string, unknown>
  readonly #roads: readonly Road[]
  readonly #isGiven: boolean
  #leave: (() => void) | undefined
  /** Does nothing but keep the process alive while a name is waited for: the question does not. */
  #awake: NodeJS.Timeout | undefined
  /** What the socket connects to, or is connected to. */
  #place: Reachable | undefined
  #state: 'asking' | 'confirmed' | 'over' = 'asking'
  /** Over the abstract Unix socket of the place. */
  #isUnix = false
  #isConnected = false
  #failure: Error | undefined
  /** Answers the look-up under way, and so connects. */
  #looked: Looked | undefined

  constructor(socket: NamedSocket, call: Call) {
    this.#socket = socket
    this.#call = call
    // In Node 20 a key behind a spread takes microseconds.
    this.#options = Object.assign({}, call.net as object, PLACEHOLDER)
    // The handle of somebody else, be it bound to a port, is not ours to exchange.
    this.#isGiven = handleOf(socket) !== null
    this.#roads = this.#isGiven ? TCP : call.where.transports!
  }

  start(): void {
    const { name, net, callback } = this.#call
    const { lookup, host = '', select, wait, resolver: own = resolver } = net
    const { blockList } = net as { blockList?: unknown }
    // What is no look-up at all, `net` says at once, where it would have used it.
    if (lookup && typeof lookup !== 'function' && !isIP(host))
      return dial(this.#socket, this.#options)
    const where = this.#question()
    const { known, answer, leave, port } = own.ask
      ? own.ask(name, where)
      : askPlainly(own, name, where)
    this.#leave = leave
    if (wait) this.#awake = setInterval(() => {}, 0x7fff_ffff)
    const chosen = select ? answer.then(found => choose(found, select)) : answer
    chosen
      // In a turn of its own: what a listener throws is not for us to catch.
      .then(found => process.nextTick(() => this.#answered(found)))
      .catch((error: unknown) => this.#failed(error as Error))
    try {
      // Who is choosy chooses among those that are there now.
      // Whoever waits may do so for long, and nobody is to be held up meanwhile.
      const isChoosy = lookup || select || blockList || wait || this.#isGiven
      const guess = isChoosy ? undefined : (known?.endpoints[0] ?? this.#likely(port))
      this.#wait(guess?.load === undefined ? guess : undefined, callback)
    } catch (error) {
      this.abandon()
      throw error
    }
  }

  /** The question: that of the call, unless a look-up is to be told of, or the handle is the program's own. */
  #question(): Readonly<SocketQuestion> {
    const { where, isThisHost, net } = this.#call
    const isPlain = isThisHost && !net.lookup
    if (isPlain && !this.#isGiven) return where
    const onLookup: OnLookup = (error, address, family) =>
      void this.#socket.emit('lookup', error, address, family, net.host || 'localhost')
    return Object.assign({}, where, { transports: this.#roads }, !isPlain && { onLookup })
  }

  #failed(error: Error): void {
    clearInterval(this.#awake)
    if (!this.#isWanted) return
    // To whoever has called `connect` it is that which has failed.
    if (error instanceof MonikerError) Object.assign(error, { syscall: 'connect' })
    this.#socket.destroy(error)
  }

  /** Where the service is most likely to be, if nothing is known of it and no version is asked for. */
  #likely(port: number | undefined): Reachable | undefined {
    const { name } = this.#call
    if (port === undefined || name.version !== '') return undefined
    const path = this.#roads.includes('unix') ? firstPath(name, port) : undefined
    return path === undefined ? undefined : Object.assign({ path }, LIKELY)
  }

  /**
   * Makes a connecting socket of this one: `net` makes the handle, checks the options, and does for us
   * all that it does during the look-up of a host. That look-up is ours, and has one answer at most: the
   * place on this host that is known.
   */
  #wait(guess: Reachable | undefined, callback: (() => void) | undefined): void {
    const options = this.#options
    const isNear = guess && this.#call.isThisHost && !this.#hasUnix(guess)
    if (isNear) Object.assign(options, { host: 'localhost', port: guess.port })
    options.lookup = (_host: string, _options: object, looked: Looked) => {
      if (isNear) this.#looked = looked
    }
    undisguise(this.#socket)
    dial(this.#socket, options, callback)
    options.lookup = options.family = undefined
    Reflect.set(this.#socket, '_host', null)
    if (guess) process.nextTick(() => this.#guess(guess))
  }

  /** Whom the handle of the socket has reached, of which nobody knows yet. */
  get progress(): Progress {
    if (this.#place === undefined || this.#failure) return 'nowhere'
    if (this.#isConnected) return 'connected'
    // A Unix socket is connected in no time; what else is on its way may be so for long.
    return this.#isUnix ? 'connecting' : 'nowhere'
  }

  /** Whether the handle of the socket is on its way to somewhere, or there, and nobody knows yet. */
  get isUnderWay(): boolean {
    return this.#state !== 'over' && this.#place !== undefined
  }

  /** Whether it is to keep the process alive while it waits for a name, as it does from the beginning. */
  keepAlive(isRef: boolean): void {
    if (isRef) this.#awake?.ref()
    else this.#awake?.unref()
  }

  /** Gives up: the socket is destroyed, or goes elsewhere. */
  abandon(): void {
    clearInterval(this.#awake)
    if (this.#state === 'over') return
    this.#state = 'over'
    this.#leave?.()
  }

  /** Gives up, as the socket is destroyed, and leaves in peace whoever was called and may be the wrong one. */
  forsake(): void {
    const isGuessing = this.#state === 'asking'
    this.abandon()
    if (isGuessing && !isWrapped(this.#socket)) forsake(this.#socket, this.progress)
  }

  /** Whether nobody is to hear yet that the socket is connected, or ready. */
  holds(event: 'connect' | 'ready'): boolean {
    // News of a connection that the socket had before are for those who hear them.
    if (event === 'ready') return this.#state === 'asking' && this.#isConnected
    if (this.#state === 'confirmed') this.#state = 'over'
    if (this.#state === 'over' || this.#place === undefined) return false
    this.#isConnected = true
    // For all who ask, and for what is written meanwhile.
    this.#socket.connecting = true
    return true
  }

  /** Whether a failure is none of the socket's, as there is another way to go or an answer to wait for. */
  mends(error: NodeJS.ErrnoException): boolean {
    if (this.#state === 'over' || !this.#isOurs(error)) return false
    const isTCPLeft = this.#isUnix && !isLikely(this.#place!) && this.#roads.includes('tcp')
    const isAnotherWay = isTCPLeft && !isWrapped(this.#socket)
    if (!isAnotherWay && this.#state === 'confirmed') return false
    this.#socket.connecting = true
    debug('%s', error.message)
    this.#failure = error
    if (isAnotherWay) this.#dial(this.#place!, false)
    return true
  }

  /** Whether a failure is that of the connection under way, and not one that somebody gave to `destroy`. */
  #isOurs(error: NodeJS.ErrnoException & { address?: string; port?: number }): boolean {
    if (error.syscall !== 'connect' || !this.#place) return false
    const { path, address, port } = this.#place
    if (this.#isUnix) return error.address === abstract(path!)
    return error.address === address && error.port === port
  }

  get #isWanted(): boolean {
    return this.#state !== 'over'
  }

  /** Whether somebody has taken the handle, as whoever sends the socket to another process. */
  get #isGone(): boolean {
    return handleOf(this.#socket) === null
  }

  /** Goes where the name led before; not with a handle that somebody has wrapped, as it may need another. */
  #guess(place: Reachable): void {
    if (!this.#isWanted || this.#isGone || isWrapped(this.#socket)) return
    if (this.#looked) {
      this.#place = place
      return this.#looked(null, place.address, familyOf(place))
    }
    if (!isLikely(place)) this.#tellLookup(place)
    if (this.#isWanted) this.#dial(place)
  }

  #answered(found: Resolution): void {
    clearInterval(this.#awake)
    if (!this.#isWanted || this.#isGone) return
    const { name, endpoints } = found
    const socket = this.#socket
    const guess = this.#place
    const confirmed = guess && this.#confirmed(guess, endpoints)
    const place = confirmed ?? endpoints[0]!
    const { host = '' } = this.#call.net
    const { namespace, service } = name
    const { version, source } = place
    debug('%s at %s is %o', service, host, place)
    if (!guess || isLikely(guess)) this.#tellLookup(place)
    // A listener may have destroyed the socket, or sent it elsewhere.
    if (!this.#isWanted) return
    const at = host === ANY_HOST ? found.host : host
    socket.moniker = { namespace, service, version, host: at, source }
    socket.emit('resolve', place)
    if (!this.#isWanted) return
    this.#state = 'confirmed'
    if (!confirmed) return this.#redirect(place)
    this.#place = place
    if (place.port !== guess!.port) this.#disguise(place)
    if (this.#failure) socket.destroy(this.#failure)
    else if (this.#isConnected) this.#release()
  }

  /**
   * The one of `endpoints` that was guessed. A path is one server's at a time, be it that it has come
   * back since. What is only likely has to be the first, and there.
   */
  #confirmed(guess: Reachable, endpoints: Resolution['endpoints']): Reachable | undefined {
    const is = this.#isUnix ? hasPathOf : isSame
    const place = endpoints.find(place => is(place, guess))
    if (!place || !isLikely(guess)) return place
    return place === endpoints[0] && !this.#failure ? place : undefined
  }

  /** What was held back is told now. */
  #release(): void {
    this.#state = 'over'
    this.#socket.connecting = false
    this.#socket.emit('connect')
    this.#socket.emit('ready')
  }

  /** Goes from what was a wrong guess to where the name leads. */
  #redirect(place: Reachable): void {
    if (this.#place && isWrapped(this.#socket)) this.#socket.destroy(moved(this.#call, this.#place))
    else this.#dial(place)
  }

  /** What `net` tells of this host, which has not been looked up. */
  #tellLookup(place: Reachable): void {
    const { isThisHost, net } = this.#call
    if (net.lookup || !isThisHost) return
    this.#socket.emit('lookup', null, place.address, familyOf(place), 'localhost')
  }

  #hasUnix({ path }: Reachable): boolean {
    return path !== undefined && this.#roads.includes('unix')
  }

  /** Connects to `place`, over its Unix socket if it may; the handle that has been used is exchanged. */
  #dial(place: Reachable, mayUnix = this.#hasUnix(place)): void {
    const socket = this.#socket
    const { address, port } = place
    const isUnix = mayUnix && !isWrapped(socket)
    const isExchange = isUnix || this.#place !== undefined
    const { progress } = this
    this.#place = place
    this.#isUnix = isUnix
    this.#isConnected = false
    this.#failure = undefined
    const options = this.#options
    Object.assign(options, {
      host: address,
      port,
      path: isUnix ? abstract(place.path!) : undefined,
    })
    if (isExchange) exchange(socket, () => redial(socket, options), progress)
    else redial(socket, options)
    // It may have failed at once, and be on its way by TCP.
    if (isUnix && this.#isUnix) this.#disguise(place)
  }

  #disguise({ address, port }: Reachable): void {
    disguise(this.#socket, { address }, { address, port })
  }
}

function familyOf({ address }: Reachable): 4 | 6 {
  return address.includes(':') ? 6 : 4
}

/** What is not known of a place that is only likely. */
const LIKELY = {
  transport: 'tcp',
  port: 0,
  address: LOOPBACK[0]!,
  version: '',
  instance: '',
} as const

function isLikely({ port }: Reachable): boolean {
  return port === 0
}

/** Whether both are at one abstract Unix socket. */
function hasPathOf(one: Reachable, other: Reachable): boolean {
  return one.path === other.path
}

/** Whether both are one registration, be it that its host was reached at another address. */
function isSame(one: Reachable, other: Reachable): boolean {
  return one.instance === other.instance && one.port === other.port && one.path === other.path
}

const TCP: readonly Road[] = ['tcp']

function moved({ name, net }: Call, place: Reachable): MonikerError {
  const { address, port } = place
  return new MonikerError('EMOVED', {
    service: format(name),
    host: net.host || 'localhost',
    syscall: 'connect',
    text: isLikely(place) ? 'where it is likely to be' : `port ${port} of ${address}`,
  })
}
