import http, {
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
  type ServerResponse,
} from 'node:http'
import https from 'node:https'
import type { Duplex } from 'node:stream'
import type tls from 'node:tls'
import { isIP } from '../address.ts'
import { setImmediate } from '../clock.ts'
import { MonikerError, hasCode } from '../errors.ts'

/** The methods that may be repeated: RFC 9110, 9.2.2. */
const REPEATABLE = ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']

/** The longest body that is kept, to be sent again, in bytes. */
const MAX_BODY = 65_536

/** The headers that are for one connection alone: RFC 9110, 7.6.1. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
])

/** A header, and its value. */
type Header = readonly [name: string, value: string]

/** A request as it is sent on. */
export interface Onward {
  readonly method: string
  readonly path: string
  /** Names and values in turn. */
  readonly headers: readonly string[]
  /** The protocol that is spoken to the service. */
  readonly scheme: 'http' | 'https'
  /** The options by which the connection is made. */
  readonly options: RequestOptions
}

/** The ways in which a request that was sent on can fail before a byte of the answer. */
export type Failure = Error & { isLost?: boolean }

/** True of a request that may be sent again. */
export function isRepeatable({ method = '' }: IncomingMessage): boolean {
  return REPEATABLE.includes(method)
}

/** The body of a request that may be sent again, once it has come; `undefined` of one that is passed on as it comes. */
export async function keptBody(request: IncomingMessage): Promise<Buffer | undefined> {
  const { headers } = request
  if (!isRepeatable(request)) return undefined
  if (headers['transfer-encoding'] !== undefined) return undefined
  const length = Number(headers['content-length'] ?? 0)
  if (length === 0) return NOTHING
  if (length > MAX_BODY) return undefined
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

const NOTHING = Buffer.alloc(0)

/** True of a host that may stand in quotes. */
function isPlain(host: string): boolean {
  return /^[\w.:[\]-]+$/.test(host)
}

/** True of a header that is set anew, or that only HTTP/2 has. */
function isReplaced(name: string): boolean {
  const isTold = name.startsWith('x-forwarded-') || name === 'forwarded' || name === 'x-real-ip'
  return isTold || name === 'host' || name.startsWith(':')
}

/** The headers of a message without those that are for one connection, and those that are dropped: names and values in turn. */
export function endToEnd(
  raw: readonly string[],
  isDropped: (name: string) => boolean = () => false,
): string[] {
  const named = connectionOptions(raw)
  const kept: string[] = []
  // A loop, as it is done for each message.
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at]!.toLowerCase()
    if (HOP_BY_HOP.has(name) || named.has(name) || isDropped(name)) continue
    kept.push(raw[at]!, raw[at + 1]!)
  }
  return kept
}

/** The host that a request is for, and its port; `''` if it does not say. */
export function authorityOf({ headers }: IncomingMessage): string {
  return headers.host ?? (headers as Record<string, string | undefined>)[':authority'] ?? ''
}

/** The headers of a request as they go on: with who has asked, by which way, and by which protocol. */
export function onwardHeaders(
  request: IncomingMessage,
  { address, via, host }: { address: string; via: string; host: string },
): string[] {
  const { headers, rawHeaders, httpVersion } = request
  const kept = endToEnd(rawHeaders, isReplaced)
  const node = address.includes(':') ? `"[${address}]"` : address
  const added: Header[] = [
    ['Host', host],
    ['X-Forwarded-For', address],
    ['X-Forwarded-Proto', 'http'],
    ...(host === '' ? [] : [['X-Forwarded-Host', host] as const]),
    ['Forwarded', `for=${node};proto=http${isPlain(host) ? `;host="${host}"` : ''}`],
    ['Via', `${httpVersion} ${via}`],
  ]
  if (headers.te?.includes('trailers')) added.push(['TE', 'trailers'])
  if (headers['transfer-encoding'] !== undefined) added.push(['Transfer-Encoding', 'chunked'])
  return [...kept, ...added].flat()
}

/**
 * Sends a request on, and its answer back; done when that has ended. Fails if nothing of an answer has come: with
 * `isLost` if the connection was refused, reset or closed.
 */
export function exchange(
  request: IncomingMessage,
  response: ServerResponse,
  { method, path, headers, scheme, options }: Onward,
  body: Buffer | undefined,
): Promise<void> {
  const { request: send } = scheme === 'https' ? https : http
  return new Promise((resolve, reject) => {
    let isAnswered = false
    const out = send({ ...options, method, path, headers: [...headers], setHost: false } as object)
    const onClosed = () => {
      if (!response.writableFinished) out.destroy()
      resolve()
    }
    out
      .on('error', (error: Failure) => {
        response.off('close', onClosed)
        // Of one that has been answered it does no harm: the answer breaks off.
        reject(Object.assign(error, { isLost: isLost(error) }))
      })
      .on(
        'timeout',
        () => isAnswered || out.destroy(new MonikerError('ESILENT', { ms: options.timeout! })),
      )
      .on('response', answer => {
        isAnswered = true
        try {
          answerWith(response, answer)
        } catch (error) {
          // A service may say what cannot be said again, such as a status of 99.
          out.destroy(error as Error)
        }
      })
    response.once('close', onClosed)
    if (body) out.end(body)
    else request.pipe(out)
  })
}

/** True if a connection was refused, or ended before there was an answer. */
function isLost(error: Error): boolean {
  return ['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ENOENT'].some(code => hasCode(error, code))
}

function answerWith(response: ServerResponse, answer: IncomingMessage): void {
  const { statusCode = 502, statusMessage = '', rawHeaders } = answer
  const headers = endToEnd(rawHeaders)
  if (response.req.httpVersionMajor > 1) response.writeHead(statusCode, grouped(headers))
  else response.writeHead(statusCode, statusMessage, headers)
  // With what has come of the body; but of a stream of events nothing may come for long.
  setImmediate(() => response.flushHeaders())
  answer.on('aborted', () => response.destroy()).on('error', () => response.destroy())
  answer.on('end', () => addTrailers(response, answer))
  answer.pipe(response)
}

/** Adds the trailers of an answer, but for those that are for its connection alone. */
function addTrailers(response: ServerResponse, { trailers }: IncomingMessage): void {
  const kept = Object.entries(trailers).filter(([name]) => !HOP_BY_HOP.has(name))
  response.addTrailers(Object.fromEntries(kept) as NodeJS.Dict<string>)
}

/** Joins the two ends of a connection that has another protocol from now on. */
export function upgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  { method, path, headers, scheme, options }: Onward,
): Promise<void> {
  const { request: send } = scheme === 'https' ? https : http
  const { upgrade: protocol = '' } = request.headers
  const wanted = [...headers, 'Connection', 'Upgrade', 'Upgrade', protocol]
  return new Promise((resolve, reject) => {
    const out: ClientRequest = send({
      ...options,
      method,
      path,
      headers: wanted,
      setHost: false,
    } as object)
    socket.once('close', () => out.destroy())
    out
      .on('error', reject)
      .on('upgrade', (answer, upstream, first) => {
        socket.write(headOf(answer, answer.rawHeaders))
        upstream.unshift(first)
        socket.unshift(head)
        join(socket, upstream)
        resolve()
      })
      .on('response', answer => {
        socket.write(headOf(answer, [...endToEnd(answer.rawHeaders), 'Connection', 'close']))
        answer.pipe(socket)
        resolve()
      })
      .end()
  })
}

function headOf({ statusCode, statusMessage }: IncomingMessage, raw: readonly string[]): string {
  const lines = pairsIn(raw).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${statusCode} ${statusMessage}\r\n${lines.join('')}\r\n`
}

/** The options of TLS to a service of a host. One of this host, `''`, has proven who it is by its name. */
export function trustOf(host: string): tls.ConnectionOptions {
  if (host === '') return { rejectUnauthorized: false }
  // RFC 6066 lets no address be the name of a server.
  return { host, servername: isIP(host) ? '' : host }
}

/** Joins two connections: each ends as the other does. What has been written by then still goes out. */
export function join(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('error', () => to.destroy())
    from.on('close', () => from.readableEnded || to.destroy())
    from.pipe(to)
  }
}

function pairsIn(raw: readonly string[]): Header[] {
  return Array.from({ length: raw.length / 2 }, (_, at) => [raw[2 * at]!, raw[2 * at + 1]!])
}

/** The headers that the connection's own header names. */
function connectionOptions(raw: readonly string[]): ReadonlySet<string> {
  const names = new Set<string>()
  for (let at = 0; at < raw.length; at += 2) {
    if (raw[at]!.toLowerCase() !== 'connection') continue
    for (const name of raw[at + 1]!.toLowerCase().split(/[\s,]+/)) names.add(name)
  }
  return names
}

/** The headers as HTTP/2 takes them: each name once, in lower case. */
function grouped(raw: readonly string[]): Record<string, string[]> {
  const all: Record<string, string[]> = {}
  for (const [name, value] of pairsIn(raw)) (all[name.toLowerCase()] ??= []).push(value)
  return all
}
