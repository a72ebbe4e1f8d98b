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
  const table = await readTable()
  const found = transports.map(async transport => {
    const port = portIn(table, service, transport)
    return port === undefined ? [] : placesOf('well-known', await look(host), port, transport)
  })
  return (await Promise.all(found)).flat()
}

/** The service that this system's table has for a port of TCP; `undefined` if it has none, or there is no table. */
export async function serviceAt(port: number): Promise<string | undefined> {
  return serviceIn(await readTable().catch(() => ''), port, 'tcp')
}

/** The port that a table in the form of services(5) gives a name, or one of its aliases. */
export function portIn(
  table: string,
  service: string,
  transport: ServiceTransport,
): number | undefined {
  for (const { names, port, kind } of entriesIn(table)) {
    const isNamed = names.some(one => one.toLowerCase() === service)
    if (isNamed && kind === transport) return port
  }
  return undefined
}

/** The name that such a table gives a port first. */
export function serviceIn(
  table: string,
  port: number,
  transport: ServiceTransport,
): string | undefined {
  for (const entry of entriesIn(table)) {
    if (entry.port === port && entry.kind === transport) return entry.names[0]
  }
  return undefined
}

/** A line of a table: the names of a port. */
interface Entry {
  readonly names: readonly string[]
  readonly port: number
  readonly kind: string | undefined
}

function* entriesIn(table: string): Generator<Entry> {
  for (const line of table.split('\n')) {
    const [name = '', entry = '', ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/)
    const [text, kind] = entry.split('/')
    const port = Number(text)
    if (isPort(port)) yield { names: [name, ...aliases], port, kind }
  }
}

function isPort(port: number): boolean {
  return Number.isInteger(port) && port > 0 && port < 65_536
}

function readTable(): Promise<string> {
  return readFile(tablePath(), 'utf8')
}

function tablePath(): string {
  const { SystemRoot } = process.env
  return SystemRoot ? join(SystemRoot, 'System32', 'drivers', 'etc', 'services') : '/etc/services'
}
