import { LOOPBACK, canonical, isHere } from '../address.ts'
import { deadline } from '../async.ts'
import { askStream, race } from '../client/ask.ts'
import { MonikerError } from '../errors.ts'
import { TIMEOUT } from '../settings.ts'
import type { Answer } from '../wire/protocol.ts'

/** The port of a gateway, if no other is given. */
export const GATEWAY_PORT = 6_680

/** The most gateways of an answer that are looked at. */
const MOST = 16

/** The place of a gateway. */
export interface Location {
  /** A host name or an address. */
  readonly host: string
  readonly port: number
}

/**
 * A gateway that this program may trust with what it sends: `MONIKER_GATEWAY`, else one of its own user, of root or of
 * the daemon's user, as the daemon of this host says. `undefined` if there is none. Fails as `Resolver.list` does, and
 * with `ERR_INVALID_ARG_VALUE` (`EARGUMENT`) if the variable is no URL of a gateway.
 */
export async function findGateway(daemonPort: number): Promise<Location | undefined> {
  return givenGateway() ?? askForGateway(daemonPort)
}

/** The gateway in `MONIKER_GATEWAY`; `undefined` if it is not set. Throws `EARGUMENT` on what is no URL of one. */
export function givenGateway(): Location | undefined {
  const text = process.env.MONIKER_GATEWAY
  if (!text) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  // What is left out is told by the whole: a user, a path, a query.
  if (url?.href === `http://${url?.host}/` && url.port !== '0') {
    const host = url.hostname.replaceAll(/[[\]]/g, '')
    return { host, port: Number(url.port || 80) }
  }
  throw new MonikerError('EARGUMENT', {
    text: `MONIKER_GATEWAY to be a URL such as http://localhost:6680, got ${JSON.stringify(text.slice(0, 80))}`,
  })
}

/**
 * The gateway that the daemon of this host tells this program of; it is at a loopback address. Fails with `ETIMEDOUT`
 * (`ESILENT`) if there is no answer in `ms`.
 */
export async function askForGateway(
  daemonPort: number,
  ms: number = TIMEOUT,
): Promise<Location | undefined> {
  const details = { host: 'localhost', port: daemonPort, syscall: 'gateways' }
  const late = () => new MonikerError('ESILENT', { ...details, ms })
  const limit = deadline(ms, late)
  try {
    const daemons = LOOPBACK.map(address => ({ address, port: daemonPort }))
    const { answer } = await race(
      daemons,
      daemon => askStream(daemon, { op: 'gateways' }, limit.signal),
      details,
    )
    return locations(answer).find(({ host }) => isHere(host))
  } finally {
    limit.free()
  }
}

/** The gateways in an answer. What else is in it may be anything. */
function locations({ gateways }: Answer): Location[] {
  const told: unknown[] = Array.isArray(gateways) ? gateways.slice(0, MOST) : []
  return told.flatMap(one => {
    const { address, port } = (one ?? {}) as { address?: unknown; port?: unknown }
    const host = typeof address === 'string' ? canonical(address) : undefined
    const isPort = Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536
    return host !== undefined && isPort ? [{ host, port: Number(port) }] : []
  })
}
