import { printableJSON } from '../errors.ts'
import { format } from '../name.ts'
import type { Listed } from '../wire/protocol.ts'
import { table } from './table.ts'

const HEAD = ['NAME', 'VERSION', 'TRANSPORT', 'ADDRESS', 'PORT', 'PROCESS']

/** The most characters of its metadata that are shown of a service. */
const METADATA = 80

/** The services in the order in which they are shown: the host's own first, then namespace by namespace. */
export function sorted<T extends Listed>(services: readonly T[]): T[] {
  return services.toSorted(
    (one, other) =>
      one.namespace.localeCompare(other.namespace, 'en') ||
      one.service.localeCompare(other.service, 'en'),
  )
}

/** The lines of a table of services, with an empty line between namespaces. */
export function servicesTable(services: readonly Listed[]): string[] {
  const all = sorted(services)
  const hasMetadata = all.some(service => service.metadata)
  const [head = '', ...rows] = table(
    all.map(service => [...columns(service), ...(hasMetadata ? [metadataOf(service)] : [])]),
    hasMetadata ? [...HEAD, 'METADATA'] : HEAD,
  ).split('\n')
  const parted = rows.flatMap((row, index) => {
    const isFirst = index > 0 && all[index]!.namespace !== all[index - 1]!.namespace
    return isFirst ? ['', row] : [row]
  })
  return [head, ...parted]
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

function metadataOf({ metadata }: Listed): string {
  const text = metadata ? printableJSON(metadata) : ''
  return text.length > METADATA ? `${text.slice(0, METADATA)}…` : text
}
