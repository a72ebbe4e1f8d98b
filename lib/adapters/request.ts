import type http from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { ConnectionOptions } from 'node:tls'
import type undici from 'undici'
import { agents, type NamedAgentOptions } from './agents.ts'
import { connector } from './undici.ts'
import { keyOf } from '../client/query.ts'
import { namedCall, type ConnectNameOptions } from '../options/connect.ts'
import { ASKED, checkOptions, keysOf, pick } from '../options/options.ts'
import { Cache } from '../cache.ts'
import { MonikerError } from '../errors.ts'
import { decoded, format, parseURI } from '../name.ts'

export interface SecureOptions {
  /** True to go over TLS, or the options of `tls.connect` to do so. Default false. */
  tls?: boolean | ConnectionOptions | undefined
}

/** Those of `http.request`, and of `connect` to a name. */
export type RequestOptions = http.RequestOptions & NamedAgentOptions & SecureOptions

/** The options of `fetch`, and those of `connect` that are not in the URI. */
export type FetchOptions = RequestInit &
  SecureOptions &
  Partial<
    Omit<ConnectNameOptions, 'service' | 'namespace' | 'version' | 'host' | 'signal' | 'timeout'>
  >

/** The options of `connect` that a URI does not say, and that `fetch` has not. */
const BESIDE = keysOf('connect').filter(
  key => !['service', 'namespace', 'version', 'host', 'signal', 'timeout'].includes(key),
)

type Answered = (response: IncomingMessage) => void

/** The agent whose connections are kept, with TLS and without. */
const kept: Partial<Record<'http' | 'https', http.Agent>> = {}

/** The agent of a request that names none. `false` means one of its own, as with `http`. */
function agentFor(scheme: 'http' | 'https', agent: http.RequestOptions['agent']): http.Agent {
  if (agent) return agent as http.Agent
  const { Agent, HttpsAgent } = agents()
  const make = (options?: object) =>
    scheme === 'https' ? new HttpsAgent(options) : new Agent(options)
  return agent === false ? make() : (kept[scheme] ??= make({ keepAlive: true }))
}

/**
 * `http.request` for a name: `request('web://theforce.net/path')`. The service is the scheme, and the
 * user is told as `auth`. Connections are kept and pooled by name.
 */
export function request(target: string | URL, callback?: Answered): ClientRequest
export function request(
  target: string | URL,
  options?: RequestOptions,
  callback?: Answered,
): ClientRequest
export function request(
  target: string | URL,
  options: RequestOptions | Answered = {},
  callback?: Answered,
): ClientRequest {
  if (typeof options === 'function') return request(target, {}, options)
  const { tls = false, agent, ...others } = options
  const { place, url, auth } = aimed(target)
  const { pathname, search } = url
  const scheme = tls ? 'https' : 'http'
  const all = {
    ...place,
    path: pathname + search,
    ...(auth && { auth }),
    ...(typeof tls === 'object' && tls),
    ...others,
    agent: agentFor(scheme, agent),
  }
  const { request: send } = process.getBuiltinModule(`node:${scheme}`) as typeof http
  return send(all, callback)
}

/** `http.get` for a name: a request that is sent as it is. */
export function get(target: string | URL, callback?: Answered): ClientRequest
export function get(
  target: string | URL,
  options?: RequestOptions,
  callback?: Answered,
): ClientRequest
export function get(target: string | URL, ...args: unknown[]): ClientRequest {
  const sent = Reflect.apply(request, undefined, [target, ...args]) as ClientRequest
  return sent.end()
}

/**
 * `fetch` for a name: `fetch('web://theforce.net/path')`. It is that of the package `undici`, which is
 * to be installed beside this one; without it fails with `ERR_MODULE_NOT_FOUND`. Connections are kept and
 * pooled by name; a redirect to another origin is followed as any `fetch` does.
 */
export const fetch = fetchBy()

/** `fetch` by the package that `load` gives. */
export function fetchBy(load?: () => Promise<object>) {
  const pools = new WeakMap<object, Cache<object>>()
  return async (target: string | URL, options: FetchOptions = {}): Promise<Response> => {
    checkOptions('connect', options)
    const { tls = false, headers, ...init } = options
    const { place: named, url, auth } = aimed(target)
    const place = { ...named, ...pick(options as Partial<ConnectNameOptions>, BESIDE) }
    if (tls) url.protocol = 'https:'
    const { Agent: Dispatcher, Pool, fetch } = await loaded(load, format(place))
    const pool = pooled(pools, typeof tls === 'object' ? tls : kept, keyOfPool(place, url), () => {
      const connect = connector({ ...place, ...(typeof tls === 'object' && { tls }) })
      return new Dispatcher({
        factory: (origin, given) =>
          new Pool(
            origin,
            String(origin) === url.origin ? { ...(given as object), connect } : given,
          ),
      })
    })
    const all = new Headers(headers)
    if (auth && !all.has('authorization')) {
      all.set('authorization', `Basic ${Buffer.from(auth).toString('base64')}`)
    }
    const more = { headers: [...all], dispatcher: pool }
    return (await fetch(url, { ...init, ...more } as object)) as unknown as Response
  }
}

/** The target of a request: the name, and the URL that `http` sees. */
function aimed(target: string | URL) {
  const { path, userinfo, host } = parseURI(target)
  const { name, net } = namedCall(target)
  const place = { ...name, ...pick(net, ASKED), host: host || 'localhost' }
  // A zone is this host's business.
  const shown = host.includes(':') ? `[${host.replace(/%.*/, '')}]` : place.host
  // However it begins, a path leads to no other host.
  const url = new URL(`http://${shown}${path.startsWith('/') ? '' : '/'}${path}`)
  return { place, url, auth: decoded(userinfo) }
}

/** The limit of names whose connections are kept. */
const POOLS = { max: 256 }

function pooled<T extends object>(
  pools: WeakMap<object, Cache<object>>,
  kind: object,
  key: string,
  make: () => T,
): T {
  let cache = pools.get(kind)
  if (!cache) pools.set(kind, (cache = new Cache<object>(POOLS)))
  const known = cache.get(key)
  if (known) return known.value as T
  const made = make()
  cache.set(key, made, Infinity)
  return made
}

function keyOfPool(place: ConnectNameOptions, { origin }: URL): string {
  return `${origin} ${keyOf(place, keysOf('connect'))}`
}

async function loaded(load: (() => Promise<object>) | undefined, service: string) {
  try {
    // Within a `try` bundlers know that it may be missing.
    return (load ? await load() : await import('undici')) as typeof undici
  } catch (cause) {
    throw new MonikerError('EMODULE', { service, text: 'undici', cause })
  }
}
