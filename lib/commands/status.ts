import { Command } from 'commander'
import { Resolver } from '../client/resolver.ts'
import type { Share } from '../daemon/chain.ts'
import type { Gateway } from '../daemon/gateways.ts'
import { printableJSON } from '../errors.ts'
import { daemonPortOption, hostArgument, jsonOption, type HostAndPort } from './options.ts'
import { table } from './table.ts'
import { printJSON, timeOf } from './terminal.ts'

interface Options {
  daemonPort?: number
  json?: boolean
}

export const statusCommand = new Command('status')
  .description('Prints the state and the counters of the daemon of a host.')
  .addArgument(hostArgument())
  .addOption(daemonPortOption())
  .addOption(jsonOption())
  .action(status)

async function status(at: HostAndPort | undefined, { json, ...options }: Options): Promise<void> {
  const status = await new Resolver().status({ ...options, ...at })
  if (json) return printJSON(status)
  console.log(table(Object.entries(status).map(([key, value]) => [key, shown(key, value)])))
}

/** A field for people. The daemon may be that of a stranger, and the field be anything. */
function shown(key: string, value: unknown): string {
  if (key === 'started' && typeof value === 'number') return timeOf(value)
  return Array.isArray(value) ? value.map(worded).join(', ') : worded(value)
}

/** True of a share, as a daemon tells it. */
export function isShare(value: unknown): value is Share {
  const { of, used, most } = (value ?? {}) as Partial<Share>
  return typeof of === 'string' && [used, most].every(Number.isInteger)
}

/** True of a gateway, as a daemon tells it. */
export function isGateway(value: unknown): value is Gateway {
  const { address, port } = (value ?? {}) as Partial<Gateway>
  return typeof address === 'string' && Number.isInteger(port)
}

function worded(value: unknown): string {
  if (isGateway(value)) {
    const { address, port, uid } = value
    const whose = uid === undefined ? 'a user that cannot be known' : `user ${printableJSON(uid)}`
    return `${address.includes(':') ? `[${address}]` : address}:${port} of ${whose}`
  }
  if (isShare(value)) return `${value.used} of ${value.most} ${value.of}`
  return typeof value === 'string' ? value : printableJSON(value)
}
