import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { LOOPBACK, isAll, isIP, isLoopback, plain } from '../address.ts'
import { clearTimeout, setTimeout } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { isMissing } from '../errors.ts'
import type { Identities } from '../node/proc.ts'
import { designatedPort } from '../settings.ts'
import { Announcement } from './announcement.ts'
import { join } from './forward.ts'
import { GATEWAY_PORT } from './location.ts'
import { Opening, type Kind } from './opening.ts'
import { DEFAULTS, Router, refusalOf, type RouterOptions } from './router.ts'
import { askedBySocks, replyBySocks } from './socks.ts'
import { Visitors } from './visitor.ts'
import { Web, refuse } from './web.ts'

const debug = diagnostics('moniker:gateway')

/** Milliseconds within which a connection is to say what it wants. */
const PATIENCE = 60_000

export interface GatewayOptions extends RouterOptions {
  /** The port. Default 6680; 0 is any free one. */
  port?: number
  /** True of one that is for one program, of which the daemon is not told. Default false. */
  isPrivate?: boolean
  /** Finds the user of a connection. Default as the kernel says. */
  identities?: Pick<Identities, 'of'> | undefined
}

/**
 * A way in for programs that know nothing of names: one port for HTTP by host name, and for programs that ask a proxy,
 * by HTTP, CONNECT or SOCKS5. Each visitor is judged as who it is, never as the gateway.
 */
export class Gateway {
  readonly #router: Router
  readonly #visitors: Visitors
  readonly #web: Web
  readonly #servers: Server[] = []
  readonly #sockets = new Set<Socket>()
  #announcement: Announcement | undefined

  private constructor(options: Required<RouterOptions>, visitors: Visitors) {
    this.#router = new Router(options)
    this.#visitors = visitors
    this.#web = new Web(this.#router, this.#visitors)
    this.#web.onConnect = (request, socket, head) => void this.#connect(request, socket, head)
  }

  /** Opens a gateway. Fails with `EADDRINUSE` if another program has the port. */
  static async open(given: GatewayOptions = {}): Promise<Gateway> {
    const { port = GATEWAY_PORT, isPrivate = false, identities, ...others } = given
    const options = { daemonPort: designatedPort(), ...DEFAULTS, ...others }
    const gateway = new Gateway(options, new Visitors(identities))
    try {
      await gateway.#open(port, options.hosts)
      if (!isPrivate) gateway.#announce(options)
    } catch (error) {
      await gateway.close()
      throw error
    }
    return gateway
  }

  get port(): number {
    return (this.#servers[0]!.address() as AddressInfo).port
  }

  /** The addresses that it is bound to. */
  get addresses(): string[] {
    return this.#servers.map(server => (server.address() as AddressInfo).address)
  }

  /** Closes it, and all connections through it. */
  async close(): Promise<void> {
    const closed = this.#servers.map(server => once(server.close(), 'close'))
    for (const socket of this.#sockets) socket.destroy()
    this.#announcement?.close()
    this.#router.close()
    this.#web.close()
    await Promise.all(closed)
  }

  async #open(port: number, hosts: readonly string[]): Promise<void> {
    let number = port
    for (const host of addressesOf(hosts)) {
      const server = net.createServer(CONNECTIONS, socket => this.#accept(socket))
      server.listen({ port: number, host, ipv6Only: true, exclusive: true })
      try {
        await once(server, 'listening')
      } catch (error) {
        /* c8 ignore next -- a host may be without IPv6, and those of our tests are not. */
        if (host === LOOPBACK[1] && isMissing(error)) continue
        throw error
      }
      this.#servers.push(server)
      number = (server.address() as AddressInfo).port
    }
  }

  #announce({ daemonPort }: Required<RouterOptions>): void {
    this.#announcement = new Announcement({ port: this.port, daemonPort })
  }

  /** Serves a connection by what it speaks, which its first bytes tell. */
  #accept(socket: Socket): void {
    this.#sockets.add(socket)
    const timer = setTimeout(() => socket.destroy(), PATIENCE)
    socket.on('error', () => {})
    socket.on('close', () => {
      clearTimeout(timer)
      this.#sockets.delete(socket)
    })
    // It is looked for while the first bytes are on their way.
    void this.#visitors.of(socket)
    const opening = new Opening()
    const onReadable = () => {
      const chunk = socket.read() as Buffer | null
      const kind = chunk ? opening.read(chunk) : undefined
      if (!kind) return
      clearTimeout(timer)
      socket.off('readable', onReadable).off('end', onEnd)
      socket.unshift(opening.head)
      this.#serve(socket, kind, opening.uri)
    }
    const onEnd = () => socket.destroy()
    socket.on('readable', onReadable).on('end', onEnd)
  }

  #serve(socket: Socket, kind: Kind, uri: string | undefined): void {
    if (kind === 'refused') socket.end(REFUSED)
    else if (kind === 'socks') void this.#socks(socket)
    else this.#web.serve(socket, kind, uri)
  }

  async #connect(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => {})
    try {
      const visitor = await this.#visitors.of(request.socket)
      const upstream = await this.#router.reach(request.url!, visitor)
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      socket.unshift(head)
      join(socket, upstream)
    } catch (error) {
      refuse(socket, refusalOf(error))
    }
  }

  async #socks(socket: Socket): Promise<void> {
    try {
      const visitor = await this.#visitors.of(socket)
      const authority = await askedBySocks(socket)
      if (authority === undefined) return
      const upstream = await this.#router.reach(authority, visitor)
      replyBySocks(socket, 200)
      join(socket, upstream)
    } catch (error) {
      debug('socks: %s', (error as Error).message)
      replyBySocks(socket, refusalOf(error).status)
      socket.end()
    }
  }
}

/** The addresses to bind: the loopback ones, unless one that stands for all of the family has them, and those given. */
function addressesOf(hosts: readonly string[]): string[] {
  const others = hosts.map(plain).filter(host => !isLoopback(host))
  const isWithin = (address: string) =>
    others.some(other => isAll(other) && isIP(other) === isIP(address))
  return [...LOOPBACK.filter(address => !isWithin(address)), ...others]
}

/** As `http` has them: an answer in two writes would wait for the other end to acknowledge the first. */
const CONNECTIONS = { allowHalfOpen: true, noDelay: true }

const REFUSED = 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
