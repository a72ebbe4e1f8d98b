import { GATEWAY_PORT } from '../gateways/location.ts'
import { usersOf } from '../node/proc.ts'
import { UserTable } from '../policy/users.ts'
import { bad, fine, holders, type Finding, type ToldStatus } from './findings.ts'

export interface GatewayPort {
  /** The port. Default 6680. */
  port?: number
  /** The number of this user. */
  own?: number | undefined
}

/**
 * The finding for the usual port of a gateway, if anybody has it: whoever that is sees what is sent to names at that port.
 * Root is told whose it is, and given no hint.
 */
export async function checkGateway(
  daemons: readonly ToldStatus[],
  { port = GATEWAY_PORT, own = process.getuid?.() }: GatewayPort = {},
): Promise<Finding[]> {
  const told = daemons.flatMap(({ gateways = [] }) => gateways).filter(one => one.port === port)
  const known = told.flatMap(({ uid = [] }) => uid)
  const users = [...new Set([...(await usersOf({ transport: 'tcp', port })), ...known])]
  if (told.length === 0 && users.length === 0) return []
  const trusted = [0, own, ...daemons.map(({ uid }) => uid)]
  const kind = told.length > 0 ? 'the gateway' : 'the program'
  const whose = users.length > 0 ? users.map(shown).join(' and of ') : 'a user that cannot be known'
  const text = `${kind} on port ${port} is of ${whose}${await holders('tcp', port)}`
  if (own === 0 || users.every(uid => trusted.includes(uid))) return [fine(GATEWAY, text)]
  return [bad(GATEWAY, text, `that user sees what is sent to names there: ${OWN}`)]
}

const GATEWAY = 'gateway'

const OWN = 'use a gateway of your own, as with moniker gateway --port 6681'

/** A user by name and number, or by number alone. */
function shown(uid: number): string {
  const [name] = [...new UserTable().users].find(([, uids]) => uids.has(uid)) ?? []
  return name === undefined ? `user ${uid}` : `user ${name} (${uid})`
}
