import { SystemTable, textOf } from './table.ts'

export interface ProtectedNamesOptions {
  /** The system's table of services. Default `/etc/services`. */
  table?: string
  /** The file with the first port that any user may bind. Default that of Linux. */
  setting?: string
}

/** A name that is not for everybody. */
export interface ProtectedName {
  /** The port that the table gives the name. */
  readonly port: number
  /** The first port that any user may bind. */
  readonly start: number
}

/**
 * The names that go with ports which the kernel keeps for root: `ssh` is 22. Where a system has no table of services,
 * or no such rule, there are none.
 */
export class ProtectedNames {
  readonly #ports: SystemTable<ReadonlyMap<string, number>>
  readonly #setting: string

  constructor({
    table = '/etc/services',
    setting = '/proc/sys/net/ipv4/ip_unprivileged_port_start',
  }: ProtectedNamesOptions = {}) {
    this.#ports = new SystemTable(table, portsIn)
    this.#setting = setting
  }

  /** The protection of a service, if it has one. An administrator may change table and setting at any time. */
  of(service: string): ProtectedName | undefined {
    const port = this.#ports.content.get(service.toLowerCase())
    if (port === undefined) return undefined
    const start = this.#start()
    return port < start ? { port, start } : undefined
  }

  #start(): number {
    return Number.parseInt(textOf(this.#setting) || '0', 10)
  }
}

/** The lowest port of each name in a table in the form of services(5). Aliases do not count. */
function portsIn(text: string): ReadonlyMap<string, number> {
  const ports = new Map<string, number>()
  for (const [, name = '', number] of text.matchAll(
    /^[ \t]*([^\s#]+)[ \t]+(\d{1,5})\/(?:tcp|udp)\b/gim,
  )) {
    const key = name.toLowerCase()
    ports.set(key, Math.min(Number(number), ports.get(key) ?? Infinity))
  }
  return ports
}
