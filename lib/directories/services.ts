import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Reachable, ServiceTransport } from '../wire/protocol.ts'
import { placesOf, type FallbackQuestion } from './directory.ts'

/** The places of a service at the port that this system's table of services gives it: `http` is 80. */
export async function wellKnown({
  service,
  host,
  transports,
  look,
}: FallbackQuestion): Promise<Reachable[]> {
  const table = await readFile(tablePath(), 'utf8')
  const found = transports.map(async transport => {
    const port = portIn(table, service, transport)
    return port === undefined ? [] : placesOf('well-known', await look(host), port, transport)
  })
  return (await Promise.all(found)).flat()
}

/** The port that a table in the form of services(5) gives a name, or one of its aliases. */
export function portIn(
  table: string,
  service: string,
  transport: ServiceTransport,
): number | undefined {
  for (const line of table.split('\n')) {
    const [name, entry = '', ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/)
    const [port, kind] = entry.split('/')
    const isNamed = [name, ...aliases].some(one => one?.toLowerCase() === service)
    if (isNamed && kind === transport && isPort(Number(port))) return Number(port)
  }
  return undefined
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536
}

function tablePath(): string {
  const { SystemRoot } = process.env
  return SystemRoot ? join(SystemRoot, 'System32', 'drivers', 'etc', 'services') : '/etc/services'
}
