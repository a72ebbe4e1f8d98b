import net, { type NetConnectOpts, type SocketConnectOpts } from 'node:net'
import createDebug from 'debug'
import { connectCall, type ConnectCall, type ConnectNameOptions } from './args.ts'
import { MonikerError } from './errors.ts'
import { format } from './name.ts'
import type { Endpoint } from './protocol.ts'
import { Resolver, type Resolution } from './resolver.ts'

const debug = createDebug('moniker:socket')

/** What name a socket has gone to, or a server is known by. */
export interface Moniker {
  readonly namespace: string
  readonly service: string
  /** The version found, or offered. */
  readonly version: string
  /** The host as it was asked for; `''` is this one. */
  readonly host: string
}

export type ConnectOptions = (ConnectNameOptions & Partial<NetConnectOpts>) | NetConnectOpts

const resolver = new Resolver()

/** Never a real host: the look-up that is given beside it does not answer. */
const PLACEHOLDER = { host: 'moniker.invalid', port: 1, family: 4, lookup: () => {} }

/**
 * A `net.Socket` whose `connect` takes a name where it takes a port. From that call on it is a
 * connecting socket: what is written waits, and `end`, `destroy`, `setTimeout`, `ref` and the like
 * work as they do while `net` looks a host up. Emits `'resolve'` with the endpoint, once, before
 * `'connect'`. Errors have the codes of `net`, and `reason`, `service` and `host`; see `MonikerError`.
 */
// oxlint-disable-next-line no-unsafe-declaration-merging -- both members exist; only their types are widened
export class MonikerSocket extends net.Socket {
  /** What name this socket has gone to; `undefined` until it is resolved, or if it went to a port. */
  moniker: Moniker | undefined
  #question: AbortController | undefined

  override connect(target: string | URL, listener?: () => void): this
  override connect(target: string, host: string, listener?: () => void): this
  override connect(
    options: ConnectNameOptions & Partial<SocketConnectOpts>,
    listener?: () => void,
  ): this
  override connect(options: SocketConnectOpts, listener?: () => void): this
  override connect(port: number, host: string, listener?: () => void): this
  override connect(port: number, listener?: () => void): this
  override connect(...args: unknown[]): this {
    this.#question?.abort()
    this.#question = undefined
    this.moniker = undefined
    const call = connectCall(args)
    if (!call) return Reflect.apply(super.connect, this, args) as this
    this.#begin(call)
    return this
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#question?.abort()
    super._destroy(error, callback)
  }

  /**
   * Makes a connecting socket of this one without a place to connect to: `net` then makes the
   * handle, checks the options, and does for us all that it does during the look-up of a host.
   */
  #begin(call: ConnectCall): void {
    const { name, options, callback } = call
    const { lookup, host, resolver: own = resolver, ...others } = options
    checkLookup(lookup)
    super.connect({ ...others, ...PLACEHOLDER } as SocketConnectOpts, callback)
    Object.assign(this, { _host: null })

    const question = new AbortController()
    this.#question = question
    const found = own.resolve(name, {
      ...pick(options, ['daemonPort', 'transports', 'family', 'hints']),
      ...(host !== undefined && { host }),
      ...(lookup && { lookup }),
      signal: question.signal,
    })
    const wanted = () => this.#question === question && this.connecting
    found.then(
      resolution => wanted() && this.#dial(resolution, others),
      (error: Error) => wanted() && this.destroy(error),
    )
  }

  #dial({ name, host, endpoints }: Resolution, options: object): void {
    const endpoint = endpoints[0]!
    const { address, port, version } = endpoint
    debug('%s at %s is port %d of %s', format(name), host || 'this host', port, address)
    this.moniker = { ...name, version, host }
    const question = this.#question
    this.emit('resolve', endpoint)
    // A listener may have destroyed the socket, or sent it elsewhere.
    if (!this.connecting || this.#question !== question) return
    super.connect({ ...options, host: address, port })
  }
}

// As an event map of an interface cannot be widened, the one event more is declared beside it.
// oxlint-disable-next-line no-unsafe-declaration-merging
export interface MonikerSocket {
  on: net.Socket['on'] & ((event: 'resolve', listener: (endpoint: Endpoint) => void) => this)
  once: net.Socket['once'] & ((event: 'resolve', listener: (endpoint: Endpoint) => void) => this)
}

function checkLookup(lookup: unknown): void {
  if (lookup === undefined || lookup === null || typeof lookup === 'function') return
  throw new MonikerError('EARGUMENT', {
    text: `options.lookup to be a function, got ${typeof lookup}`,
  })
}

/** Those of `keys` that `object` has, and has defined. */
function pick<T extends object, K extends keyof T>(
  object: T,
  keys: K[],
): { [P in K]?: NonNullable<T[P]> } {
  const entries = keys.map(key => [key, object[key]]).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as { [P in K]?: NonNullable<T[P]> }
}

/** A socket on its way to a name, or to anything that `net.connect` takes. */
export function connect(target: string | URL, listener?: () => void): MonikerSocket
export function connect(target: string, host: string, listener?: () => void): MonikerSocket
export function connect(options: ConnectOptions, listener?: () => void): MonikerSocket
export function connect(port: number, host: string, listener?: () => void): MonikerSocket
export function connect(port: number, listener?: () => void): MonikerSocket
export function connect(...args: unknown[]): MonikerSocket {
  const [first] = args
  const options =
    typeof first === 'object' && first !== null && !(first instanceof URL) ? first : {}
  const socket = new MonikerSocket(options)
  const { timeout } = options as { timeout?: number }
  if (timeout) socket.setTimeout(timeout)
  return Reflect.apply(socket.connect, socket, args) as MonikerSocket
}
