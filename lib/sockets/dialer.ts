import { isIPv4, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { ANY_HOST, isIP } from '../address.ts'
import { clearInterval, nextTick, setImmediate, setInterval } from '../clock.ts'
import type { Call } from '../options/connect.ts'
import { diagnostics } from '../diagnostics.ts'
import { undisguise } from '../node/disguise.ts'
import { MonikerError } from '../errors.ts'
import { attach, isAttachable } from '../node/attach.ts'
import {
  dial,
  replaceHandle,
  forgetHost,
  closePolitely,
  handleOf,
  isWrapped,
  type Progress,
  redial,
} from '../node/handle.ts'
import { format } from '../name.ts'
import { choose } from '../client/filter.ts'
import { askPlainly, resolver } from '../client/resolver.ts'
import type {
  Asking,
  Leased,
  Moniker,
  OnLookup,
  Resolution,
  SocketQuestion,
} from '../resolution.ts'
import { OtherFamily, hasOtherFamily } from './families.ts'
import { tcp } from '../transports/tcp.ts'
import type { NetWay, OpenWay, Transport, Way } from '../transports/transport.ts'
import { fault } from '../transports/transports.ts'
import type { Reachable } from '../wire/protocol.ts'

const debug = diagnostics('moniker:socket')

/** A socket that knows what name it has gone to. */
export interface NamedSocket extends Socket {
  moniker: Moniker | undefined
  connecting: boolean
}

/** Options for `net`: never a real host, nor a real port. The look-up is for the dial to answer. */
const PLACEHOLDER = { host: 'moniker.invalid', port: 1, path: undefined, family: 4 }

type OnFound = (error: null, address: string, family: number) => void

/** A connection, which is hidden from the program until the daemon has confirmed that its place is the right one. */
interface Guess {
  place: Reachable
  readonly transport: Transport
  /** The key of the place. */
  readonly key: string
  /** True as long as nobody has said that the service is there: it is where the first of its name would be. */
  isLikely: boolean
  readonly way: Way
  /** Answers the look-up of `net`, which connects it. */
  onFound: OnFound | undefined
  isConnected: boolean
  failure: Error | undefined
}

/**
 * One call of `connect` to a name, until the socket is connected or has failed. From the start `net`
 * takes the socket for one whose host is being looked up. Where an answer is remembered, or a transport
 * knows where the service is likely to be, the connection and a fresh question leave together. The program is told of
 * no connection, and no byte passes, before the answer has confirmed that this is the place: what is remembered may be
 * a stranger's by now. The question may be one that another call has under way: its answer is then older than this
 * call by less than a round trip, as that to any question is once it has come.
 *
 * Where the daemon vouches for a place until it tells otherwise, and the way there proves whose it is, nobody is asked.
 * The connection is told once all that had come before it has been read: this program may have been busy, or asleep, and
 * the daemon have told otherwise meanwhile. Then, and if the connection fails, it is as above.
 */
export class Dial {
  readonly #socket: NamedSocket
  readonly #call: Call
  /** The options that `net` is told; the place in them changes. */
  readonly #options: Record<string, unknown>
  readonly #transports: readonly Transport[]
  /** True if the handle is the program's own, be it bound to a port: it is not exchanged. */
  readonly #isGiven: boolean
  #phase: 'sure' | 'asking' | 'confirmed' | 'done' = 'asking'
  /** The place that the daemon vouches for, where nobody was asked; `isCalling` while `connect` is called. */
  #sure: { readonly leased: Leased; isCalling: boolean } | undefined
  /** The connection under way, once it is dialled. */
  #guess: Guess | undefined
  /** The failure of a transport of the program's own: that of the call, if no other leads there. */
  #fault: MonikerError | undefined
  #leave: (() => void) | undefined
  /** True if a guess may still be made, should there be a hint. */
  #takesHints = false
  /** The way by the other family of addresses, while the connection to a confirmed place of another host is made. */
  #otherFamily: OtherFamily | undefined
  /** Does nothing but keep the process alive while a name is waited for: the question does not. */
  #awake: NodeJS.Timeout | undefined

  constructor(socket: NamedSocket, call: Call) {
    this.#socket = socket
    this.#call = call
    // In Node 20 a key behind a spread takes microseconds.
    this.#options = Object.assign({}, call.net as object, PLACEHOLDER)
    this.#isGiven = handleOf(socket) !== null
    this.#transports = this.#isGiven ? TCP : call.transports
  }

  start(): void {
    const { net, isThisHost, callback } = this.#call
    const { lookup, host = '', select, wait } = net
    const { blockList } = net as { blockList?: unknown }
    // `net` refuses a `lookup` that is no function at once, where it would have used it.
    if (lookup && typeof lookup !== 'function' && !isIP(host))
      return dial(this.#socket, this.#options)
    const isPlain = isThisHost && !lookup && !this.#isGiven
    // No guess if the caller filters or selects: only a fresh list will do. No guess with `wait` either: it would hold
    // a server's connection open for up to an hour.
    const isChoosy = Boolean(lookup || select || blockList || wait || this.#isGiven)
    if (isPlain && !isChoosy && this.#goSurely()) return
    const { known, port, sent } = this.#ask(isPlain ? this.#call.where : this.#question(isChoosy))
    try {
      const guess = isChoosy ? undefined : this.#guessFrom(known, port)
      this.#takesHints = !isChoosy && !guess
      // A connection that is made elsewhere may send bytes at once.
      this.#wait(guess && 'net' in guess.way ? guess : undefined, sent, callback)
    } catch (error) {
      this.abandon()
      throw error
    }
  }

  /** Goes where the daemon vouches for the place, and the way proves whose it is. False if there is no such place. */
  #goSurely(): boolean {
    const { name, net, where, callback } = this.#call
    const proof = this.#transports.find(({ proves }) => proves)
    // A socket whose signal was aborted before is on its way to its end, although Node does not call it destroyed.
    if (!proof || net.signal?.aborted) return false
    const leased = (net.resolver ?? resolver).leased?.(name, where)
    const guess = leased && this.#guessAt(leased.resolution.endpoints[0]!, [proof])
    if (!guess || !('net' in guess.way)) return false
    this.#phase = 'sure'
    this.#sure = { leased, isCalling: true }
    this.#guess = guess
    const socket = this.#socket
    undisguise(socket)
    dial(socket, Object.assign(this.#options, guess.way.net), callback)
    forgetHost(socket)
    this.#sure.isCalling = false
    begun(socket, guess)
    return true
  }

  /** Tells of an attempt to connect once the caller of `connect` has the socket; as after a look-up, it could listen. */
  delays(attempt: unknown[]): boolean {
    if (!this.#sure?.isCalling) return false
    const socket = this.#socket
    nextTick(() => !socket.destroyed && socket.emit('connectionAttempt', ...attempt))
    return true
  }

  /** Asks the daemon; what it says comes later, and what is remembered is returned. */
  #ask(where: SocketQuestion): Pick<Asking, 'known' | 'port' | 'sent'> {
    const { name, net } = this.#call
    const { select, wait, resolver: own = resolver } = net
    const { known, answer, leave, port, sent } = own.ask
      ? own.ask(name, where)
      : askPlainly(own, name, where)
    this.#phase = 'asking'
    this.#leave = leave
    if (wait) this.#awake = setInterval(() => {}, 0x7fff_ffff)
    const chosen = select ? answer.then(found => choose(found, select)) : answer
    chosen
      // In a turn of its own: an error of a listener is the program's.
      .then(found => nextTick(() => this.#answered(found)))
      .catch((error: unknown) => this.#failed(error as Error))
    return { known, port, sent }
  }

  /** The question where a look-up is to be told of, or the handle is the program's own. */
  #question(isChoosy: boolean): SocketQuestion {
    const { where, isThisHost, net } = this.#call
    const isTold = net.lookup || !isThisHost
    const onLookup: OnLookup = (error, address, family) =>
      void this.#socket.emit('lookup', error, address, family, net.host || 'localhost')
    const onHint = isChoosy ? undefined : (hint: Resolution) => this.#hinted(hint)
    const given = this.#isGiven && { transports: ['tcp'] }
    return Object.assign({}, where, given, isTold && { onLookup, onHint })
  }

  /** Goes where a hint leads: the connection is there by the time that the answer is, if it was right. */
  #hinted(hint: Resolution): void {
    if (!this.#takesHints || this.#phase !== 'asking') return
    this.#takesHints = false
    const guess = this.#guessFrom(hint, undefined)
    // A connection that is made elsewhere may send bytes at once.
    if (guess && 'net' in guess.way) this.#knock(guess)
  }

  #failed(error: Error): void {
    clearInterval(this.#awake)
    if (this.#phase === 'done') return
    debug('%s', error.message)
    // For the program, it is `connect` that has failed.
    if (error instanceof MonikerError) Object.assign(error, { syscall: 'connect' })
    this.#socket.destroy(error)
  }

  /** The place where the name led before; else where it is likely to lead, if no version is asked for. */
  #guessFrom(known: Resolution | undefined, port: number | undefined): Guess | undefined {
    const { name } = this.#call
    const place = known?.endpoints[0]
    // Of those that tell how busy they are, only a fresh list says which is the least busy.
    if (place) return place.load === undefined ? this.#guessAt(place) : undefined
    if (port === undefined || name.version !== '') return undefined
    for (const transport of this.#transports) {
      const guess = this.#guessBy(transport, port)
      if (guess) return Object.assign(guess, { isLikely: true })
    }
    return undefined
  }

  /** The connection to where a transport takes the service to be. */
  #guessBy(transport: Transport, port: number): Guess | undefined {
    try {
      const likely = transport.likely?.(this.#call.name, port)
      return likely && this.#guessAt(likely, [transport])
    } catch (error) {
      this.#fault = faultOf(this.#call, transport, error)
      return undefined
    }
  }

  /** The connection to a place by the first of some transports that leads there; one that throws does not. */
  #guessAt(place: Reachable, transports = this.#transports): Guess | undefined {
    for (const transport of transports) {
      try {
        const key = transport.key(place)
        if (key === undefined) continue
        const way = transport.dial(place, this.#call)
        const { net, open } = way as Partial<NetWay & OpenWay>
        if (!net && !open) throw new TypeError(NO_WAY)
        return {
          place,
          transport,
          key,
          isLikely: false,
          way,
          onFound: undefined,
          isConnected: false,
          failure: undefined,
        }
      } catch (error) {
        this.#fault = faultOf(this.#call, transport, error)
      }
    }
    return undefined
  }

  /**
   * Makes a connecting socket of this one: `net` makes the handle, checks the options, and behaves as during the
   * look-up of a host. The dial answers that look-up, once at most: with a place on this host that is known.
   *
   * A server may take the knock for the one connection that it was there for, and withdraw its name. So the knock waits
   * until the question has left.
   */
  #wait(
    guess: Guess | undefined,
    sent: Promise<void> | undefined,
    callback: (() => void) | undefined,
  ): void {
    const options = this.#options
    const isByLookup = guess?.transport === tcp && this.#call.isThisHost
    if (isByLookup) Object.assign(options, { host: 'localhost', port: guess.place.port })
    options.lookup = (_name: string, _options: object, onFound: OnFound) => {
      if (isByLookup) guess.onFound = onFound
    }
    undisguise(this.#socket)
    dial(this.#socket, options, callback)
    options.lookup = options.family = undefined
    forgetHost(this.#socket)
    if (!guess) return
    if (sent) void sent.then(() => this.#knock(guess))
    else this.#knock(guess)
  }

  #knock(guess: Guess): void {
    nextTick(() => this.#dialGuess(guess))
  }

  /** The progress of the hidden connection. The program has not been told of it. */
  get progress(): Progress {
    const guess = this.#guess
    // One that is made elsewhere has no handle of the socket's.
    if (!guess || guess.failure || 'open' in guess.way) return 'nowhere'
    return guess.isConnected ? 'connected' : 'connecting'
  }

  /** True while the handle of the socket is on its way to somewhere, or there, and the program does not know. */
  get isUnderWay(): boolean {
    return this.#phase !== 'done' && this.#guess !== undefined
  }

  /** Has it keep the process alive while it waits for a name, or not. It does so from the beginning. */
  keepAlive(isRef: boolean): void {
    if (isRef) this.#awake?.ref()
    else this.#awake?.unref()
  }

  /** Gives up: the socket is destroyed, or goes elsewhere. */
  abandon(): void {
    clearInterval(this.#awake)
    if (this.#phase === 'done') return
    this.#finish()
    this.#leave?.()
  }

  #finish(): void {
    this.#phase = 'done'
    this.#otherFamily?.stop()
  }

  /** Gives up, as the socket is destroyed. A server that was called may be the wrong one: it hears an end. */
  closePolitely(): void {
    const isGuessing = this.#isUncertain
    this.abandon()
    if (isGuessing && !isWrapped(this.#socket)) closePolitely(this.#socket, this.progress)
  }

  /** True if the program must not be told yet that the socket is connected, or ready. */
  suppresses(event: 'connect' | 'ready'): boolean {
    const guess = this.#guess
    // An event of a connection that the socket had before is told.
    if (event === 'ready') return this.#isUncertain && guess?.isConnected === true
    // The bytes that had come by then are read in this turn of the loop, before its immediates.
    if (this.#phase === 'sure') setImmediate(() => this.#arrived(guess!))
    if (this.#phase === 'confirmed') this.#finish()
    if (this.#phase === 'done' || !guess) return false
    guess.isConnected = true
    // The program sees a connecting socket, and bytes that are written wait.
    this.#socket.connecting = true
    return true
  }

  /** True if the program must not see this error: another transport is left, or the daemon has not answered yet. */
  recoversFrom(error: NodeJS.ErrnoException): boolean {
    const guess = this.#guess
    if (this.#phase === 'done' || !guess || !this.#isOurs(error, guess)) return false
    const { place, transport, isLikely } = guess
    if (this.#phase === 'sure') this.#ask(this.#call.where)
    const isLast = isLikely || isWrapped(this.#socket)
    const next = isLast ? undefined : this.#guessAt(place, this.#after(transport))
    if (!next && this.#phase === 'confirmed' && !this.#otherFamily?.try()) return false
    this.#socket.connecting = true
    debug('%s', error.message)
    guess.failure = error
    if (next) this.#dial(next)
    return true
  }

  /** True if a failure is that of the connection under way, and not one that the program gave to `destroy`. */
  #isOurs(
    error: NodeJS.ErrnoException & { address?: string; port?: number },
    { way }: Guess,
  ): boolean {
    if (error.syscall !== 'connect' || 'open' in way) return false
    const { net } = way
    if ('path' in net) return error.address === net.path
    return error.address === net.host && error.port === net.port
  }

  /** Dials the guess, unless the handle was taken or wrapped meanwhile: it may need another. */
  #dialGuess(guess: Guess): void {
    const { place, onFound, isLikely } = guess
    const isTaken = handleOf(this.#socket) === null || isWrapped(this.#socket)
    if (this.#phase !== 'asking' || isTaken) return
    if (onFound) {
      this.#guess = guess
      return onFound(null, place.address, isIPv4(place.address) ? 4 : 6)
    }
    if (!isLikely) this.#tellLookup(place)
    // A listener may have destroyed the socket, or sent it elsewhere.
    if (this.#isWanted) this.#dial(guess)
  }

  /** Goes where the answer leads, unless a program has taken the handle, as one that sends it to another process. */
  #answered(found: Resolution): void {
    clearInterval(this.#awake)
    const socket = this.#socket
    if (this.#phase === 'done' || handleOf(socket) === null) return
    const { endpoints } = found
    const guess = this.#guess
    const confirmed = guess && confirmedIn(endpoints, guess)
    const next = confirmed ? undefined : this.#guessAmong(endpoints)
    const place = confirmed ?? next?.place
    if (!place) return this.#failed(this.#fault ?? unreachable(this.#call))
    if (!guess || guess.isLikely || this.#sure) this.#tellLookup(place)
    if (!this.#isWanted || !this.#tellPlace(found, place)) return
    this.#phase = 'confirmed'
    if (next) return this.#redirect(next)
    this.#confirm(guess!, place)
  }

  /** True while it is not known that the place is the right one. */
  get #isUncertain(): boolean {
    return this.#phase === 'asking' || this.#phase === 'sure'
  }

  /** The connection is there, and nobody was asked: tells the program, unless the daemon has told otherwise. */
  #arrived(guess: Guess): void {
    if (this.#phase !== 'sure') return
    const { leased } = this.#sure!
    if (!leased.isHeld) return void this.#ask(this.#call.where)
    this.#tellLookup(guess.place)
    if (!this.#isWanted || !this.#tellPlace(leased.resolution, guess.place)) return
    this.#phase = 'confirmed'
    this.#confirm(guess, guess.place)
  }

  /** Tells the program where the name leads. False if the socket is not wanted any more. */
  #tellPlace({ name, host: foundAt }: Resolution, place: Reachable): boolean {
    const { host = '' } = this.#call.net
    const { namespace, service } = name
    const { version, source } = place
    debug('%s at %s is %o', service, host, place)
    const at = host === ANY_HOST ? foundAt : host
    this.#socket.moniker = Object.assign(
      { namespace, service, version, host: at, source },
      this.#call.rest,
    )
    this.#socket.emit('resolve', place)
    return this.#isWanted
  }

  /** The connection to the first of some places that a transport leads to. */
  #guessAmong(places: readonly Reachable[]): Guess | undefined {
    for (const place of places) {
      const guess = this.#guessAt(place)
      if (guess) return guess
    }
    return undefined
  }

  get #isWanted(): boolean {
    return this.#phase !== 'done'
  }

  /** Tells the program of the connection, or the failure, that was hidden from it: the place was the right one. */
  #confirm(guess: Guess, place: Reachable): void {
    const socket = this.#socket
    try {
      if (place.port !== guess.place.port) guess.transport.dress?.(socket, place)
    } catch (error) {
      return this.#failed(faultOf(this.#call, guess.transport, error))
    }
    guess.place = place
    guess.isLikely = false
    if (guess.isConnected && !guess.failure) {
      this.#phase = 'done'
      socket.connecting = false
      socket.emit('connect')
      socket.emit('ready')
      return
    }
    this.#raceFamilies(guess)
    if (guess.failure) socket.destroy(guess.failure)
  }

  /** Goes on to the other family of the host's addresses, where `net` would. */
  #raceFamilies({ transport, place }: Guess): void {
    const socket = this.#socket
    // Another try is another handle.
    if (transport !== tcp || this.#isGiven || isWrapped(socket) || !hasOtherFamily(this.#call))
      return
    this.#otherFamily = new OtherFamily(this.#call, place, other => {
      const isFree = handleOf(socket) !== null && !isWrapped(socket)
      const next = other && isFree ? this.#guessAt(other, TCP) : undefined
      const { failure } = this.#guess!
      if (next) this.#dial(next)
      else if (failure) socket.destroy(failure)
    })
  }

  /** Goes from what was a wrong guess to where the name leads. */
  #redirect(to: Guess): void {
    const guess = this.#guess
    const isKept = isWrapped(this.#socket)
    if (isKept && guess) return void this.#socket.destroy(moved(this.#call, guess))
    // A handle that TLS has wrapped cannot be replaced, and it is one of TCP.
    const isFit = !isKept || to.transport === tcp
    const next = isFit
      ? to
      : this.#guessAt(
          to.place,
          this.#transports.filter(one => one === tcp),
        )
    if (!next) return this.#failed(this.#fault ?? unreachable(this.#call))
    this.#dial(next)
    this.#raceFamilies(next)
  }

  /** Emits `'lookup'` as `net` does for this host, although nothing was looked up. */
  #tellLookup(place: Reachable): void {
    const { isThisHost, net } = this.#call
    if (net.lookup || !isThisHost) return
    this.#socket.emit('lookup', null, place.address, isIPv4(place.address) ? 4 : 6, 'localhost')
  }

  /** Has a transport make the connection elsewhere, and makes it that of the socket. */
  async #open(guess: Guess, way: OpenWay): Promise<void> {
    const { place, transport } = guess
    const cancel = new AbortController()
    this.#leave = () => cancel.abort()
    try {
      const made = await way.open(cancel.signal)
      if (!isAttachable(made)) throw faultOf(this.#call, transport, new TypeError(NO_STREAM))
      // In a turn of its own: an error of a listener is the program's.
      nextTick(() => this.#opened(guess, made))
    } catch (thrown) {
      if (!this.#isWanted) return
      const error = isError(thrown) ? thrown : faultOf(this.#call, transport, thrown)
      debug('%s', error.message)
      const next = this.#guessAt(place, this.#after(transport))
      if (next) this.#dial(next)
      else this.#failed(error)
    }
  }

  #opened(guess: Guess, made: Duplex): void {
    const socket = this.#socket
    const isWanted = this.#isWanted && handleOf(socket) !== null
    if (isWanted && !isWrapped(socket)) {
      this.#phase = 'done'
      return attach(socket, made)
    }
    made.on('error', () => {}).destroy()
    if (isWanted) socket.destroy(moved(this.#call, guess))
  }

  #after(transport: Transport): readonly Transport[] {
    return this.#transports.slice(this.#transports.indexOf(transport) + 1)
  }

  /** Connects to the place of a guess; a handle that has been used, or is of another kind, is replaced. */
  #dial(guess: Guess): void {
    const socket = this.#socket
    const options = this.#options
    const isUsed = this.#guess !== undefined
    const progress = isUsed ? this.progress : 'nowhere'
    this.#guess = guess
    const { way } = guess
    if ('open' in way) return void this.#open(guess, way)
    Object.assign(options, { path: undefined }, way.net)
    try {
      if (isUsed || 'path' in way.net) {
        replaceHandle(socket, () => redial(socket, options), progress)
      } else redial(socket, options)
      // It may have failed at once, and another be on its way.
      if (this.#guess === guess) begun(socket, guess)
    } catch (error) {
      this.#failed(faultOf(this.#call, guess.transport, error))
    }
  }
}

/** Lets a transport have its way with a socket that has begun to connect. */
function begun(socket: NamedSocket, { transport, place }: Guess): void {
  transport.dress?.(socket, place)
  transport.greet?.(socket)
}

/** The one of `endpoints` that was guessed. One that is only likely has to be the first, and there. */
function confirmedIn(endpoints: Resolution['endpoints'], guess: Guess): Reachable | undefined {
  const { transport, key, isLikely, failure } = guess
  try {
    const same = endpoints.find(endpoint => transport.key(endpoint) === key)
    if (!same || !isLikely) return same
    return same === endpoints[0] && !failure ? same : undefined
  } catch {
    // A way to the first of them is looked for, and the failure is noted there.
    return undefined
  }
}

const NO_WAY = 'its dial gave no way: expected { net } or { open }'
const NO_STREAM = 'its open gave no stream'

/** The error of a call by a transport that has thrown something. */
function faultOf({ name, net }: Call, transport: Transport, thrown: unknown): MonikerError {
  return fault(transport, thrown, { service: format(name), host: net.host || 'localhost' })
}

/** True of an error of whatever realm. */
function isError(thrown: unknown): thrown is Error {
  return typeof (thrown as Error | undefined)?.message === 'string'
}

const TCP: readonly Transport[] = [tcp]

function moved({ name, net }: Call, { place, isLikely }: Guess): MonikerError {
  const { address, port } = place
  return new MonikerError('EMOVED', {
    service: format(name),
    host: net.host || 'localhost',
    syscall: 'connect',
    text: isLikely ? 'where it is likely to be' : `port ${port} of ${address}`,
  })
}

function unreachable({ name, net }: Call): MonikerError {
  return new MonikerError('EPROTOCOL', {
    service: format(name),
    host: net.host || 'localhost',
    text: 'the answer has no endpoint that a transport of this call leads to',
  })
}
