import { format } from '../name.ts'
import type { Listed } from '../wire/protocol.ts'
import type { Change } from '../client/roster.ts'
import { table } from './table.ts'
import { colour, printable } from './terminal.ts'

const HEAD = ['NAME', 'VERSION', 'TRANSPORT', 'ADDRESS', 'PORT', 'PROCESS']

/** How much of its metadata is shown of a service, in characters. */
const METADATA = 80

/** In the order in which they are shown: the host's own first, then namespace by namespace. */
export function sorted<T extends Listed>(services: readonly T[]): T[] {
  return services.toSorted(
    (one, other) =>
      one.namespace.localeCompare(other.namespace, 'en') ||
      one.service.localeCompare(other.service, 'en'),
  )
}

/** Services as a table, of which each namespace is a part of its own. */
export function servicesTable(services: readonly Listed[]): string[] {
  const all = sorted(services)
  const metadata = all.some(service => service.metadata)
  const [head = '', ...rows] = table(
    all.map(service => [...columns(service), ...(metadata ? [json(service)] : [])]),
    metadata ? [...HEAD, 'METADATA'] : HEAD,
  ).split('\n')
  const parted = rows.flatMap((row, index) => {
    const isFirst = index > 0 && all[index]!.namespace !== all[index - 1]!.namespace
    return isFirst ? ['', row] : [row]
  })
  return [head, ...parted]
}

/** What has happened to a service, in a line. */
export function changeLine(change: Change): string {
  const { event, namespace, service, version, transport, address, port } = change
  const name = format({ namespace, service, version })
  const shown = colour(event === 'up' ? 'green' : 'red', event.padEnd(4))
  return `${shown} ${[name, transport, address, port].map(printable).join(' ')}`
}

function columns({
  namespace,
  service,
  version,
  transport,
  address,
  port,
  pid,
}: Listed): unknown[] {
  return [format({ namespace, service }), version, transport, address, port, pid ?? '']
}

function json({ metadata }: Listed): string {
  const text = metadata ? JSON.stringify(metadata) : ''
  return text.length > METADATA ? `${text.slice(0, METADATA)}…` : text
}
