import { LOOPBACK, isAll, plain } from './address.ts'
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

/**
 * The addresses that an embedded daemon binds: the loopback addresses, and those in `MONIKER_HOST` (separated by
 * commas), of which `::` and `0.0.0.0` are all there are.
 */
export function embeddedHosts(): readonly string[] {
  const hosts = process.env.MONIKER_HOST?.split(',').map(host => plain(host.trim())) ?? []
  const all = hosts.find(isAll)
  return all ? [all] : [...new Set([...LOOPBACK, ...hosts.filter(Boolean)])]
}

/** The file with the policy of a host. Each program there obeys it, whatever its environment says. */
export const HOST_POLICY = '/etc/moniker/policy.yml'

/** The file with a policy beside that of the host: `MONIKER_POLICY`, if it is set. */
export function policyFile(): string | undefined {
  return process.env.MONIKER_POLICY || undefined
}
