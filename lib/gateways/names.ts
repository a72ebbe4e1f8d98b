import { LOOPBACK } from '../address.ts'
import { Cache } from '../cache.ts'
import { Client } from '../client/connection.ts'
import { accept, reachable } from '../client/filter.ts'
import { Resolver } from '../client/resolver.ts'
import { Watch } from '../client/watch.ts'
import { MonikerError, type Details } from '../errors.ts'
import { format, type Name } from '../name.ts'
import type { Resolution } from '../resolution.ts'
import { TIMEOUT } from '../settings.ts'
import { listed, type Answer, type Asked, type Listed } from '../wire/protocol.ts'
import type { Visitor } from './visitor.ts'

/** Milliseconds for which a name that has gone is taken to be coming back. */
const RECENT = 60_000

/** The transports by which a service is gone to. */
const TRANSPORTS = ['unix', 'tcp'] as const

export interface FindOptions {
  /** The host that is asked. `''` is this one. */
  host?: string
  /** The designated port of its daemon, where that is another than the usual one. */
  daemonPort?: number | undefined
  /** True to take only a name that root, the daemon's user or the visitor's own user holds. Default false. */
  trusted?: boolean
  /** Milliseconds to wait for a name that is not there. Default 0. */
  wait?: number
}

/**
 * The names that visitors may have. One of the gateway's own user has what the gateway has, and asks as fast. For any
 * other the daemon is asked by who it is, and tells what both may have.
 */
export class Names {
  readonly #port: number
  readonly #resolver: Resolver
  readonly #question: { readonly transports: readonly ['unix', 'tcp']; readonly host: '' }
  readonly #watch: Watch
  /** The names that have gone lately. */
  readonly #gone = new Cache<true>()
  #client: Promise<Client> | undefined

  constructor(port: number) {
    this.#port = port
    this.#resolver = new Resolver({ port })
    this.#question = Object.freeze({ transports: TRANSPORTS, host: '' })
    this.#watch = new Watch({ daemonPort: port })
    this.#watch
      .on('error', () => {})
      .on('up', service => this.#gone.delete(format({ ...service, version: '' })))
      .on('down', service => this.#gone.set(format({ ...service, version: '' }), true, RECENT))
  }

  /** True if a name of this host has been there in the last minute, as far as the gateway may know. */
  wasThere(name: Name): boolean {
    return this.#gone.get(format(name)) !== undefined
  }

  /** The places of a name for a visitor. Fails as `resolve` does, and with `EDENIED` of what is not for it. */
  async find(name: Name, visitor: Visitor, options: FindOptions = {}): Promise<Resolution> {
    const { host = '', daemonPort, trusted = false, wait = 0 } = options
    const waiting = wait > 0 ? { wait } : {}
    if (host !== '' || daemonPort !== undefined) {
      this.#assertLocal(name, host, visitor)
      return this.#resolver.resolve(name, { host, daemonPort, ...waiting })
    }
    if (!visitor.isOurs || trusted) return this.#findFor(name, visitor, trusted, wait)
    const leased = this.#resolver.leased(name, this.#question)
    return leased?.resolution ?? this.#resolver.resolve(name, { ...this.#question, ...waiting })
  }

  /** The names of this host that a visitor may list. */
  async list(visitor: Visitor): Promise<readonly Listed[]> {
    if (visitor.isOurs) return this.#resolver.list()
    return listed(await this.#ask({ op: 'list', for: asked(visitor) }, this.#detailsOf('list'), 0))
  }

  close(): void {
    this.#watch.close()
    void this.#client?.then(client => client.close()).catch(() => {})
  }

  #assertLocal(name: Name, host: string, { isLocal }: Visitor): void {
    if (isLocal) return
    const text = 'names of other hosts are for programs of the host of the gateway'
    throw new MonikerError('EDENIED', { service: format(name), host, text })
  }

  async #findFor(
    name: Name,
    visitor: Visitor,
    trusted: boolean,
    wait: number,
  ): Promise<Resolution> {
    const { namespace, service, version } = name
    const details = { service: format(name), ...this.#detailsOf('resolve') }
    const limits = { ...(trusted && { trusted }), ...(wait > 0 && { wait }) }
    const by = visitor.isOurs ? {} : { for: asked(visitor) }
    const transports = [...TRANSPORTS]
    const question = { op: 'resolve', namespace, service, version, transports } as const
    const answer = await this.#ask({ ...question, ...by, ...limits }, details, wait)
    if (trusted && answer.trusted !== true) {
      const text = 'the daemon is an older one, and does not tell by whom a name is held'
      throw new MonikerError('EDENIED', { ...details, text })
    }
    const { endpoints, ttl } = reachable(answer, LOOPBACK[0]!, details)
    const open = endpoints.filter(({ address }) => visitor.isLocal || isOpenTo(address, visitor))
    if (open.length === 0) throw new MonikerError('ENOSERVICE', details)
    return { name, host: '', endpoints: open, ttl }
  }

  #detailsOf(syscall: string): Details & { host: string; port: number } {
    return { host: 'localhost', port: this.#port, syscall }
  }

  /** The answer of the daemon of this host. One that does not tell what another may have is too old to be asked for it. */
  async #ask(message: Asked, details: Details, wait: number): Promise<Answer> {
    const client = await this.#connection()
    const answer = accept(await client.askSoon(message, wait + TIMEOUT), details)
    if (message.for && answer.for !== true) {
      const text = 'the daemon is an older one, and does not tell what another program may have'
      throw new MonikerError('EDENIED', { ...details, text })
    }
    return answer
  }

  /** The connection over which the daemon is asked for others. */
  #connection(): Promise<Client> {
    if (this.#client) return this.#client
    const made = Client.connect({ address: LOOPBACK[0]!, port: this.#port }, undefined, {
      background: true,
    })
    const forget = () => (this.#client = undefined)
    this.#client = made
    made.then(client => client.once('close', forget), forget)
    return made
  }
}

/** True if a program of another host could have come to a server at `address` itself. */
function isOpenTo(address: string, { at }: Visitor): boolean {
  return isAny(address) || address === at
}

/** True of what the daemon says of a service that is bound to every address: the address that it was asked at. */
function isAny(address: string): boolean {
  return LOOPBACK.includes(address)
}

function asked({ address, uid }: Visitor): { address: string; uid?: number } {
  return { address, ...(uid !== undefined && { uid }) }
}

/** True if nobody has the name that was asked for. */
export function isUnknown(error: unknown): boolean {
  return ['ENOSERVICE', 'EVERSION'].includes((error as MonikerError).reason)
}
