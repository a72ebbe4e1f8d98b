import { Command } from 'commander'
import { Resolver } from '../client/resolver.ts'
import { daemonPortOption, hostArgument, jsonOption, type HostAndPort } from './options.ts'
import { table } from './table.ts'

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
  if (json) return console.log(JSON.stringify(status, undefined, 2))
  console.log(table(Object.entries(status).map(([key, value]) => [key, shown(key, value)])))
}

function shown(key: string, value: unknown): string {
  if (key === 'started') return new Date(Number(value)).toISOString()
  return Array.isArray(value) ? value.join(', ') : String(value)
}
