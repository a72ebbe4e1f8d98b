import dns from 'node:dns'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { join } from 'node:path'
import { isThisHost, mayLead } from '../address.ts'
import { cancellable, type Signal } from '../async.ts'
import { diagnostics } from '../diagnostics.ts'
import type { Endpoint, Transport } from '../wire/protocol.ts'

const debug = diagnostics('moniker:fallback')

/**
 * Where to look on a host that has no daemon: in the DNS (`_http._tcp.theforce.net`), or in this
 * system's table of services (`http` is 80).
 */
export type Fallback = (typeof FALLBACKS)[number]

export const FALLBACKS = ['srv', 'well-known'] as const

export interface FallbackOptions {
  readonly service: string
  /** As it was asked for; `''` is this one. */
  readonly host: string
  readonly transports: readonly Transport[]
  /** In which order to look where. */
  readonly fallback: readonly Fallback[]
  /** Turns a host into addresses. */
  readonly look: (host: string) => Promise<readonly string[]> | readonly string[]
  readonly signal: Signal
}

type Found = Endpoint & { address: string }

/** How many records of the DNS are followed. */
const MAX_RECORDS = 8

/** How long one server of the DNS may take, in ms, and how often it is asked. */
const DNS = { timeout: 2_000, tries: 2 }

/**
 * Where a service is on a host without a daemon, best first, each endpoint with its `source`; none
 * where there is nothing to be known. Of the version nothing is: it is `''`. Fails with the reason of
 * `signal` alone.
 */
export async function fallBack(options: FallbackOptions): Promise<Found[]> {
  for (const source of options.fallback) {
    const found = await cancellable(ways[source](options).catch(none), options.signal)
    debug('%s at %s by %s: %o', options.service, options.host || 'this host', source, found)
    if (found.length > 0) return found
  }
  return []
}

const ways = { srv: fromDNS, 'well-known': fromTable } satisfies Record<
  Fallback,
  (options: FallbackOptions) => Promise<Found[]>
>

function none(error: Error): Found[] {
  debug('%s', error.message)
  return []
}

async function fromDNS(options: FallbackOptions): Promise<Found[]> {
  const { service, host, transports, look, signal } = options
  if (isThisHost(host) || isIP(host)) return []
  const resolver = new dns.promises.Resolver(DNS)
  // As the rest of this process does.
  resolver.setServers(dns.getServers())
  const abort = () => resolver.cancel()
  signal.addEventListener('abort', abort, { once: true })
  try {
    const all = await Promise.all(
      transports.map(async transport => {
        const records = await resolver
          .resolveSrv(`_${service}._${transport}.${host}`)
          .catch(() => [])
        const wanted = inTurn(records.filter(isService)).slice(0, MAX_RECORDS)
        const found = wanted.map(async ({ name, port }) => {
          const addresses = await Promise.resolve(look(name)).catch(() => [])
          // As a daemon, no other host sends us to our own loopback.
          const away = addresses.filter(address => mayLead('', address))
          return endpoints('srv', away, port, transport)
        })
        return (await Promise.all(found)).flat()
      }),
    )
    return all.flat()
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

async function fromTable({ service, host, transports, look }: FallbackOptions): Promise<Found[]> {
  const table = await readFile(tablePath(), 'utf8')
  const found = transports.map(async transport => {
    const port = portIn(table, service, transport)
    return port === undefined ? [] : endpoints('well-known', await look(host), port, transport)
  })
  return (await Promise.all(found)).flat()
}

function endpoints(
  source: Fallback,
  addresses: readonly string[],
  port: number,
  transport: Transport,
): Found[] {
  return addresses.map(address => {
    const instance = `${source} ${address} ${port}`
    return { transport, address, port, version: '', instance, source }
  })
}

/** The port that a table in the form of services(5) gives a name, or one of its aliases. */
export function portIn(table: string, service: string, transport: Transport): number | undefined {
  for (const line of table.split('\n')) {
    const [name, entry = '', ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/)
    const [port, kind] = entry.split('/')
    const isNamed = [name, ...aliases].some(one => one?.toLowerCase() === service)
    if (isNamed && kind === transport && isPort(Number(port))) return Number(port)
  }
  return undefined
}

interface Srv {
  readonly name: string
  readonly port: number
  readonly priority: number
  readonly weight: number
}

/** Records in the order in which to try them: by priority, and by lot among those of one, as RFC 2782 has it. */
export function inTurn<R extends Srv>(records: readonly R[], random = Math.random): R[] {
  const lots = records.map(record => ({ record, lot: random() ** (1 / (record.weight || 0.01)) }))
  return lots
    .sort((a, b) => a.record.priority - b.record.priority || b.lot - a.lot)
    .map(({ record }) => record)
}

/** `.` says that there is no such service there. */
function isService({ name, port }: Srv): boolean {
  return name !== '' && name !== '.' && isPort(port)
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536
}

function tablePath(): string {
  const { SystemRoot } = process.env
  return SystemRoot ? join(SystemRoot, 'System32', 'drivers', 'etc', 'services') : '/etc/services'
}
