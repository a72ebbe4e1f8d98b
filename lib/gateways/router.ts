import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { isAll, plain } from '../address.ts'
import { clock } from '../clock.ts'
import { MonikerError, hasCode } from '../errors.ts'
import { format, formatURI } from '../name.ts'
import type { Resolution } from '../resolution.ts'
import { connect } from '../sockets/socket.ts'
import type { Listed } from '../wire/protocol.ts'
import { aimOfAuthority, type Aim, type AimOptions, type Elsewhere, type Named } from './aim.ts'
import { Asking } from './asking.ts'
import { DOMAIN } from './hostnames.ts'
import { Names, isUnknown } from './names.ts'
import { Refusal } from './pages.ts'
import type { Visitor } from './visitor.ts'

/** Seconds after which a page that waits for a name loads itself again, and a program may ask again. */
const AGAIN = 1

export interface RouterOptions {
  /** True to ask the daemons of other hosts for the service that a usual port stands for. Default false. */
  ask?: boolean
  /** The addresses to bind beside the loopback ones. Default none. */
  hosts?: readonly string[]
  /** The designated port of the daemon that is asked. Default `MONIKER_PORT`, else 6664. */
  daemonPort?: number
  /** The domain of the names on all hosts. Default `moniker.internal`. */
  domain?: string
  /** Names without a dot that go by name, whoever holds them. Default none. */
  names?: readonly string[]
  /** True to refuse what is no name. Default false. */
  onlyNames?: boolean
  /** True to proxy for every user of this host. Default for the gateway's own user. */
  shared?: boolean
  /** Milliseconds after which a port goes ahead of a daemon that was asked and has said nothing. Default 250. */
  silence?: number
  /** Milliseconds for which a name that has just gone is waited for. Default 10,000. */
  wait?: number
  /** Milliseconds that a service may take to begin its answer to a request. Default 120,000. */
  timeout?: number
}

/** The defaults of `RouterOptions`. */
export const DEFAULTS = {
  ask: false,
  hosts: [],
  domain: DOMAIN,
  names: [],
  onlyNames: false,
  shared: false,
  silence: 250,
  wait: 10_000,
  timeout: 120_000,
} satisfies RouterOptions

type Settled = Required<RouterOptions>

export interface FindOptions {
  /** The time, by our clock, until which a name that has just gone is waited for. */
  until: number
  /** True to be told at once that it is waited for. Default false. */
  isTold?: boolean
}

/** The places that visitors may go to. */
export class Router {
  readonly #options: Settled
  readonly #names: Names
  readonly #asking: Asking | undefined

  constructor(options: Settled) {
    this.#options = options
    this.#names = new Names(options.daemonPort)
    this.#asking = options.ask ? new Asking(options.daemonPort, options.silence) : undefined
  }

  /** Milliseconds that a service may take to begin its answer. */
  get timeout(): number {
    return this.#options.timeout
  }

  /** The time until which a name is waited for that is asked for now. */
  get until(): number {
    return clock() + this.#options.wait
  }

  close(): void {
    this.#names.close()
  }

  /** The options by which the aim of a visitor is read. */
  aimOptions({ at }: Visitor): AimOptions {
    const { domain, hosts } = this.#options
    const isBound = hosts.some(host => isAll(host) || plain(host) === at)
    return { domain, at: isBound ? at : undefined }
  }

  /** The names that a visitor may list; none where it cannot be asked. */
  async list(visitor: Visitor): Promise<readonly Listed[]> {
    return this.#names.list(visitor).catch(() => [])
  }

  /**
   * The place of a name; `undefined` of a name without a dot that is to be taken for the name of a host. One that has
   * been there lately is waited for. Fails with a `Refusal`.
   */
  async find(
    aim: Named,
    visitor: Visitor,
    { until, isTold = false }: FindOptions,
  ): Promise<Resolution | undefined> {
    const { name, host, daemonPort, isBare } = aim
    const { onlyNames, names } = this.#options
    const trusted = isBare && !names.includes(format(name))
    const where = { host, daemonPort, trusted }
    const find = (wait: number) => this.#names.find(name, visitor, { ...where, wait })
    try {
      return await find(0)
    } catch (error) {
      const isComing =
        isUnknown(error) && host === '' && visitor.isOurs && this.#names.wasThere(name)
      if (!isComing && isBare && !onlyNames) return undefined
      if (!isComing) throw refusalAt(aim, error)
      if (isTold) throw restarting(aim)
    }
    return find(Math.max(until - clock(), 1)).catch(() => {
      throw restarting(aim)
    })
  }

  /** A connection to a place that was found. */
  dial(
    found: Resolution,
    { host }: Pick<Named, 'host'>,
    { allowHalfOpen = false }: { allowHalfOpen?: boolean } = {},
  ): Socket {
    const { namespace, service } = found.name
    const { daemonPort } = this.#options
    const resolver = { resolve: async () => found }
    return connect({ service, namespace, host, daemonPort, resolver, allowHalfOpen })
  }

  /** The connection to the host and port that a program asks its proxy for. Fails with a `Refusal`, or as `net` does. */
  async reach(authority: string, visitor: Visitor): Promise<Socket> {
    const aim = aimOfAuthority(authority, this.aimOptions(visitor))
    const socket = await this.#dialTo(aim, authority, visitor)
    await once(socket, 'connect')
    return socket
  }

  async #dialTo(aim: Aim, authority: string, visitor: Visitor): Promise<Socket> {
    if (aim.to === 'name') {
      const found = await this.find(aim, visitor, { until: this.until })
      if (found) return this.dial(found, aim, { allowHalfOpen: true })
    }
    const place = aim.to === 'elsewhere' ? aim : asHost(aim as Named, authority)
    const { host, port } = place
    this.assertProxied(host, visitor)
    const found = await this.ask(place)
    if (found) return this.dial(found, place, { allowHalfOpen: true })
    return net.connect({ host, port, allowHalfOpen: true })
  }

  /** The place that the daemon of another host says instead of a port; `undefined` if it is not to be asked. */
  async ask(place: Elsewhere): Promise<Resolution | undefined> {
    return this.#asking?.find(place)
  }

  /** Refuses to be an open proxy. */
  assertProxied(host: string, { isLocal, isOurs }: Visitor): void {
    const { onlyNames, shared } = this.#options
    if (onlyNames) {
      throw new Refusal(404, `${host} is no name, and this gateway leads to names alone.`)
    }
    if (isOurs || (shared && isLocal)) return
    throw new Refusal(403, 'Other hosts are reached for programs of the gateway’s own user alone.')
  }
}

/** A name without a dot, as the host name that it is too. */
export function asHost({ name }: Named, authority: string): Elsewhere {
  const [, port = '80'] = /:(\d+)$/.exec(authority) ?? []
  return { to: 'elsewhere', host: name.service, port: Number(port) }
}

/** The refusal that an error on the way to a name is. */
export function refusalAt({ name, host }: Named, error: unknown): Refusal {
  const text = host === '' ? format(name) : formatURI({ ...name, host })
  if (isUnknown(error)) return new Refusal(404, `There is no ${text} here.`)
  return refusalOf(error, `${text}: `)
}

/** The refusal that an error is. */
export function refusalOf(error: unknown, prefix = ''): Refusal {
  if (error instanceof Refusal) return error
  const text = `${prefix}${(error as Error).message}`
  if (error instanceof MonikerError && error.reason === 'EDENIED') return new Refusal(403, text)
  return new Refusal(hasCode(error, 'ETIMEDOUT') ? 504 : 502, text)
}

function restarting({ name }: Named): Refusal {
  return new Refusal(503, `${format(name)} is restarting.`, { retryAfter: AGAIN })
}
