import http, { type IncomingMessage, type RequestOptions, type ServerResponse } from 'node:http'
import http2 from 'node:http2'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { diagnostics } from '../diagnostics.ts'
import { builtins } from '../node/builtins.ts'
import { format, formatURI } from '../name.ts'
import type { Resolution } from '../resolution.ts'
import { aimOfHost, aimOfURI, type Aim, type Elsewhere, type Named } from './aim.ts'
import {
  authorityOf,
  exchange,
  isRepeatable,
  keptBody,
  onwardHeaders,
  trustOf,
  upgrade,
  type Failure,
  type Onward,
} from './forward.ts'
import { hostnameOf } from './hostnames.ts'
import { Refusal, answerPage, isBrowser, type Link } from './pages.ts'
import { asHost, refusalAt, refusalOf, type Router } from './router.ts'
import type { Visitor, Visitors } from './visitor.ts'

const debug = diagnostics('moniker:gateway')

/** The most names that a page lists. */
const MOST_LISTED = 500

/** The most tries at one server: by a connection that was kept, and by two new ones. */
const MOST_TRIES = 3

/** The usual port of HTTP. */
const HTTP = 80

/** The schemes of a service that HTTP may be sent to. */
const WEB: readonly unknown[] = ['http', 'https']

/** A request, by whom it was sent, and where it is to go. */
interface Passage<A extends Aim = Aim> {
  readonly request: IncomingMessage
  readonly visitor: Visitor
  readonly aim: A
  readonly path: string
  /** The host that it is for, as it is told there. */
  readonly authority: string
}

/** The requests of HTTP that come in, by host name and as to a proxy, of HTTP/1 and HTTP/2. */
export class Web {
  readonly #router: Router
  readonly #visitors: Visitors
  readonly #http: http.Server
  readonly #h2c: http2.Http2Server
  /** The connections to services, which are kept. */
  readonly #agents = {
    http: new ServerAgent('http:'),
    https: new ServerAgent('https:'),
  }
  /** The absolute URIs by which connections began, where Node's parser would not read them. */
  readonly #uris = new WeakMap<object, string>()
  /** The name by which this gateway knows what it has sent on before. */
  readonly #via = `moniker-${builtins.crypto.randomBytes(8).toString('hex')}`

  constructor(router: Router, visitors: Visitors) {
    this.#router = router
    this.#visitors = visitors
    const answer = (request: IncomingMessage, response: ServerResponse) =>
      void this.#answer(request, response)
    // An upload may take as long as it likes.
    this.#http = http.createServer({ requireHostHeader: false, requestTimeout: 0 }, answer)
    this.#http.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head))
    // With this its limits of time begin, although it listens nowhere itself.
    this.#http.emit('listening')
    this.#h2c = http2.createServer(answer as never)
    this.#h2c.on('sessionError', error => debug('h2c: %s', (error as Error).message))
  }

  /** Called with each request to connect, as CONNECT asks for. */
  set onConnect(connect: (request: IncomingMessage, socket: Duplex, head: Buffer) => void) {
    this.#http.on('connect', connect)
  }

  /** Serves a connection. `uri` is what its first request asks for, where the parser has been given a path instead. */
  serve(socket: Socket, kind: 'http' | 'h2c', uri: string | undefined): void {
    if (uri !== undefined) this.#uris.set(socket, uri)
    const server = kind === 'http' ? this.#http : this.#h2c
    server.emit('connection', socket)
  }

  close(): void {
    this.#http.close()
    for (const agent of Object.values(this.#agents)) agent.destroy()
  }

  /** Answers a request: from where it is to go, or with a page that says why not. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => {})
    const visitor = await this.#visitors.of(socketOf(request))
    try {
      await this.#pass(this.#read(request, visitor), response)
    } catch (error) {
      if (response.headersSent || response.destroyed) return void response.destroy()
      await this.#refuse(request, response, visitor, refusalOf(error))
    }
  }

  async #refuse(
    request: IncomingMessage,
    response: ServerResponse,
    visitor: Visitor,
    { status, message: title, retryAfter, links: given }: Refusal,
  ): Promise<void> {
    const { accept } = request.headers
    const links = status === 404 ? await this.#links(request, visitor) : given
    // The rest of a body is not waited for.
    if (!request.complete && request.httpVersionMajor === 1) {
      response.setHeader('connection', 'close')
    }
    answerPage(response, status, { accept, title, links, retryAfter })
  }

  /** Reads where a request is to go. A URI that Node's parser cannot read is that of the first of its connection. */
  #read(request: IncomingMessage, visitor: Visitor): Passage {
    const options = this.#router.aimOptions(visitor)
    const { url = '/' } = request
    const uri = this.#uris.get(socketOf(request)) ?? (/^[a-z]+:/i.test(url) ? url : undefined)
    if (uri !== undefined) return { request, visitor, ...aimOfURI(uri, options) }
    const authority = authorityOf(request)
    return { request, visitor, aim: aimOfHost(authority, options), path: url, authority }
  }

  async #pass(passage: Passage, response: ServerResponse): Promise<void> {
    const { request, aim } = passage
    if (this.#uris.has(socketOf(request))) response.shouldKeepAlive = false
    if (aim.to === 'here') throw new Refusal(404, 'There is no such name here.')
    this.#assertFirst(request)
    if (aim.to === 'name') await this.#passToName({ ...passage, aim }, response)
    else await this.#passElsewhere({ ...passage, aim }, response)
  }

  /** Refuses a request that this gateway has sent on before. */
  #assertFirst({ headers }: IncomingMessage): void {
    if (!headers.via?.includes(this.#via)) return
    throw new Refusal(508, 'This request has come through this gateway before.')
  }

  /**
   * Sends a request on to a name. One that may be repeated is sent again, to wherever the name is then, if its connection
   * ends before a byte of the answer: the service may be restarting.
   */
  async #passToName(passage: Passage<Named>, response: ServerResponse): Promise<void> {
    const { request, aim, authority } = passage
    const body = await keptBody(request)
    const { until } = this.#router
    let last: string | undefined
    let tries = 0
    for (;;) {
      const found = await this.#find(passage, until)
      if (!found) {
        return this.#passElsewhere({ ...passage, aim: asHost(aim, authority) }, response, body)
      }
      try {
        return await exchange(request, response, this.#onward(passage, found), body)
      } catch (error) {
        const { instance } = found.endpoints[0]!
        tries = instance === last ? tries + 1 : 1
        last = instance
        if (!(error as Failure).isLost || !body || tries === MOST_TRIES) throw refusalAt(aim, error)
      }
    }
  }

  /** The place of a name, if the request may go there. */
  async #find({ request, aim, visitor }: Passage<Named>, until: number) {
    const isTold = isBrowser(request.headers.accept)
    const found = await this.#router.find(aim, visitor, { until, isTold })
    if (found) assertMayPass(request, found, aim)
    return found
  }

  /** The request to the place of a name. */
  #onward(
    { request, aim, path, visitor, authority }: Passage<Named>,
    found: Resolution,
    mayKeep = visitor.isOurs && isRepeatable(request),
  ): Onward {
    const { method = 'GET' } = request
    const scheme = schemeOf(found) === 'https' ? 'https' : 'http'
    const dial = () => this.#dial(found, aim, scheme)
    // One that is not to be sent twice goes over a connection of its own: a kept one may be at its end.
    const way = mayKeep
      ? { agent: this.#agents[scheme], dial, server: serverOf(found, aim) }
      : { createConnection: dial }
    const options: RequestOptions = { timeout: this.#router.timeout, ...way }
    return { method, path, scheme, options, headers: this.#headers(request, visitor, authority) }
  }

  #dial(found: Resolution, aim: Named, scheme: 'http' | 'https'): Socket {
    const socket = this.#router.dial(found, aim)
    return scheme === 'https' ? tls.connect({ socket, ...trustOf(aim.host) }) : socket
  }

  #headers(request: IncomingMessage, { address }: Visitor, host: string): string[] {
    return onwardHeaders(request, { address, via: this.#via, host })
  }

  /** Sends a request on to a host and port, as a proxy does. */
  async #passElsewhere(
    { request, aim, path, visitor, authority }: Passage<Elsewhere>,
    response: ServerResponse,
    body?: Buffer,
  ): Promise<void> {
    const { host, port } = aim
    this.#router.assertProxied(host, visitor)
    const { method = 'GET' } = request
    const headers = this.#headers(request, visitor, authority)
    const found = port === HTTP ? await this.#router.ask(aim) : undefined
    const { timeout } = this.#router
    const options =
      found && speaksHTTP(found)
        ? { timeout, createConnection: () => this.#router.dial(found, aim) }
        : ({ timeout, host, port, agent: false } as const)
    const kept = body ?? (await keptBody(request))
    await exchange(request, response, { method, path, headers, scheme: 'http', options }, kept)
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => {})
    try {
      const visitor = await this.#visitors.of(socketOf(request))
      const { aim, ...passage } = this.#read(request, visitor)
      if (aim.to !== 'name') throw new Refusal(404, 'There is no such name here.')
      this.#assertFirst(request)
      const named = { ...passage, aim }
      const found = await this.#find(named, this.#router.until)
      if (!found) throw new Refusal(404, 'There is no such name here.')
      await upgrade(request, socket, head, this.#onward(named, found, false))
    } catch (error) {
      refuse(socket, refusalOf(error))
    }
  }

  /** The names that a visitor may be told of, unless a page of another host has asked. */
  async #links(request: IncomingMessage, visitor: Visitor): Promise<Link[]> {
    if (isForeign(request)) return []
    const all = await this.#router.list(visitor)
    const names = new Map(
      all
        .filter(({ transport }) => transport === 'tcp')
        .map(service => [format({ ...service, version: '' }), service]),
    )
    const [port = ''] = /:\d+$/.exec(authorityOf(request)) ?? []
    return [...names]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .slice(0, MOST_LISTED)
      .map(([text, name]) => {
        const hostname = hostnameOf(name)
        return { text, href: hostname && `http://${hostname}${port}/` }
      })
  }
}

/** The options by which a connection to the server of a name is made, and found again. */
interface ServerOptions {
  readonly server: string
  readonly dial: () => Socket
}

/** The key of a server. No host can tell the instance of another's as its own. */
function serverOf({ name, endpoints }: Resolution, { host, daemonPort }: Named): string {
  return `${formatURI({ ...name, host, daemonPort })} ${endpoints[0]!.instance}`
}

/** Keeps connections, to be used for the next requests to the same server. */
class ServerAgent extends http.Agent {
  constructor(protocol: string) {
    super({ keepAlive: true })
    Object.assign(this, { protocol })
  }

  override getName(options?: object): string {
    return (options as ServerOptions).server
  }

  override createConnection(options: object): Socket {
    return (options as ServerOptions).dial()
  }
}

/** The connection under a request, of HTTP/2 too. */
function socketOf(request: IncomingMessage): Socket {
  const { stream } = request as { stream?: { session?: { socket: Socket } } }
  return stream?.session?.socket ?? request.socket
}

/** True if a page that is not of this gateway has started a request. */
function isForeign(request: IncomingMessage): boolean {
  const { origin, 'sec-fetch-mode': mode } = request.headers
  if (origin !== undefined) return !isOfGateway(origin, authorityOf(request))
  return isCrossing(request) && mode !== 'navigate'
}

/** True of a request by which a page leads to another site. */
function isCrossing({ headers: { 'sec-fetch-site': site } }: IncomingMessage): boolean {
  return site === 'cross-site' || site === 'same-site'
}

/** True of the origin of a page that has come through this gateway, by its port and a host name that no other has. */
function isOfGateway(origin: string, authority: string): boolean {
  const [, hostname = '', port = ''] = /^http:\/\/([^/:]+)(:\d+)?$/.exec(origin) ?? []
  const [own = ''] = /:\d+$/.exec(authority) ?? []
  return (hostname === 'localhost' || hostname.endsWith('.localhost')) && port === own
}

/**
 * Refuses what must not be sent to a service: to one that speaks no HTTP, and what pages of other sites ask of one that
 * does not say that it is for the web.
 */
function assertMayPass(request: IncomingMessage, found: Resolution, { name }: Named): void {
  const scheme = schemeOf(found)
  if (WEB.includes(scheme)) return
  const text = format(name)
  if (scheme !== undefined) {
    throw new Refusal(403, `${text} says that it speaks another protocol than HTTP.`)
  }
  if (isForeign(request)) {
    throw new Refusal(403, `A page of another site has asked for ${text}, which says no scheme.`)
  }
  if (!isCrossing(request)) return
  // A person is asked: the link is followed from a page of this origin.
  const links = [{ text: `Go to ${text}`, href: request.url }]
  throw new Refusal(403, `A page of another site leads to ${text}.`, { links })
}

/** True of the service `http` of another host, unless it says that it is none. */
function speaksHTTP(found: Resolution): boolean {
  return ['http', undefined].includes(schemeOf(found) as undefined)
}

function schemeOf({ endpoints }: Resolution): unknown {
  return endpoints[0]!.metadata?.scheme
}

/** Refuses what is no request for a page. */
export function refuse(socket: Duplex, { status, message }: Refusal): void {
  const body = `${message}\n`
  const lines = [
    `HTTP/1.1 ${status} ${http.STATUS_CODES[status]}`,
    'Content-Type: text/plain; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ]
  socket.end(`${lines.join('\r\n')}\r\n\r\n${body}`)
}
