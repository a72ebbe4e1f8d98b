import { LOOPBACK } from './address.ts'
import { MonikerError } from './errors.ts'
import { project } from './project.ts'

/** The designated port: "MONI" on a telephone keypad, unassigned by IANA, not blocked by browsers. */
export const PORT = 6664

/** Milliseconds that a question may take in all. */
export const TIMEOUT = 5_000

/** The designated port of this process: `MONIKER_PORT`, else that of its project, else 6664. */
export function designatedPort(): number {
  const text = process.env.MONIKER_PORT
  if (!text) return project().port ?? PORT
  const port = Number(text)
  if (Number.isInteger(port) && port > 0 && port < 65_536) return port
  throw new MonikerError('EARGUMENT', {
    text: `MONIKER_PORT to be a port from 1 to 65535, got ${JSON.stringify(text)}`,
  })
}

/** Ports from `first` to `last`. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

/** The range of the ports that are chosen for this process: `MONIKER_PORTS`; `undefined` if it is not set. */
export function portRange(): PortRange | undefined {
  const text = process.env.MONIKER_PORTS
  if (!text) return undefined
  const range = toPortRange(text)
  if (range) return range
  throw new MonikerError('EARGUMENT', {
    text: `MONIKER_PORTS to be ${PORT_RANGE}, got ${JSON.stringify(text.slice(0, 80))}`,
  })
}

/**
 * The word by which this program gets the name that was reserved for it before it was started: `MONIKER_RESERVATION`,
 * which `moniker run` sets.
 */
export function reservationWord(): string | undefined {
  const text = process.env.MONIKER_RESERVATION
  return isReservation(text) ? text : undefined
}

/** True of a word that may reserve a name: nobody can guess it. */
export function isReservation(value: unknown): value is string {
  return typeof value === 'string' && /^[\w-]{16,64}$/.test(value)
}

/** The form of a range, for messages. */
export const PORT_RANGE = 'a range of ports such as 20000-20999'

/** Reads `first-last`; `undefined` if `text` is no range of ports. */
export function toPortRange(text: string): PortRange | undefined {
  const [, first, last] = (/^(\d{1,5})-(\d{1,5})$/.exec(text) ?? []).map(Number)
  const isRange = first !== undefined && first > 0 && first <= last! && last! < 65_536
  return isRange ? { first, last: last! } : undefined
}

/** Each port of a range once, in random order. */
export function* shuffled({ first, last }: PortRange): Generator<number, void> {
  /** The ports that have taken the place of those that are gone. */
  const moved = new Map<number, number>()
  for (let end = last; end >= first; end--) {
    const at = first + Math.floor(Math.random() * (end - first + 1))
    yield moved.get(at) ?? at
    moved.set(at, moved.get(end) ?? end)
  }
}

/**
 * The addresses that an embedded daemon binds: the loopback addresses, and those in `MONIKER_HOST` (separated by
 * commas), of which `::` and `0.0.0.0` are all there are.
 */
export function embeddedHosts(): readonly string[] {
  const hosts = process.env.MONIKER_HOST?.split(',').map(host => host.trim()) ?? []
  const all = hosts.find(host => host === '::' || host === '0.0.0.0')
  return all ? [all] : [...new Set([...LOOPBACK, ...hosts.filter(Boolean)])]
}

/** The file with the policy of a host. Each program there obeys it, whatever its environment says. */
export const HOST_POLICY = '/etc/moniker/policy.yml'

/** The file with a policy beside that of the host: `MONIKER_POLICY`, if it is set. */
export function policyFile(): string | undefined {
  return process.env.MONIKER_POLICY || undefined
}
