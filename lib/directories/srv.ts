import { isThisHost, leadsHere, isIP } from '../address.ts'
import type { Reachable } from '../wire/protocol.ts'
import { placesOf, type FallbackQuestion } from './directory.ts'
import { builtins } from '../node/builtins.ts'

/** The most records of the DNS that are followed. */
const MAX_RECORDS = 8

/** Milliseconds that one server of the DNS may take, and how often it is asked. */
const DNS = { timeout: 2_000, tries: 2 }

/** A record of type SRV. */
interface Srv {
  readonly name: string
  readonly port: number
  readonly priority: number
  readonly weight: number
}

/** The places that the DNS has for a service of another host, as RFC 2782 says: `_http._tcp.theforce.net`. */
export async function srv({
  service,
  host,
  transports,
  look,
  signal,
}: FallbackQuestion): Promise<Reachable[]> {
  if (isThisHost(host) || isIP(host)) return []
  const { dns } = builtins
  const resolver = new dns.promises.Resolver(DNS)
  // The servers are those that the rest of this process asks.
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
          // No other host leads to loopback addresses of this one, as with a daemon.
          const away = addresses.filter(address => !leadsHere(address))
          return placesOf('srv', away, port, transport)
        })
        return (await Promise.all(found)).flat()
      }),
    )
    return all.flat()
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

/** Records in the order in which to try them: by priority, and by lot among those of one, as RFC 2782 has it. */
export function inTurn<R extends Srv>(records: readonly R[], random = Math.random): R[] {
  const lots = records.map(record => ({ record, lot: random() ** (1 / (record.weight || 0.01)) }))
  return lots
    .sort((a, b) => a.record.priority - b.record.priority || b.lot - a.lot)
    .map(({ record }) => record)
}

/** True if a record leads anywhere: `.` says that there is no such service there. */
function isService({ name, port }: Srv): boolean {
  return name !== '' && name !== '.' && port > 0
}
