import { Command } from 'commander'
import { printable } from '../errors.ts'
import type { Change } from '../client/roster.ts'
import { watch, type Watch } from '../client/watch.ts'
import { format } from '../name.ts'
import {
  daemonPortOption,
  hostArgument,
  jsonOption,
  type HostAndPort,
  targetOf,
  tellUnused,
  toNamespace,
} from './options.ts'
import { colour, printJSON, stopSignal, tell } from './terminal.ts'

interface Options {
  namespace?: string
  daemonPort?: number
  json?: boolean
}

export const watchCommand = new Command('watch')
  .description('Lists the services of a host, and then each change to them.')
  .argument('[name]', 'such as web, web@^1, or web://theforce.net (default: all)')
  .addArgument(hostArgument())
  .option('--namespace <name>', 'only those of one namespace, such as auto', toNamespace)
  .addOption(daemonPortOption())
  .addOption(jsonOption())
  .addHelpText(
    'after',
    `
A line begins with "up" or "down". A service that is back within 5 seconds after its daemon has gone is
neither. Another host must allow it: monikerd --public-list.`,
  )
  .action(run)

async function run(
  name: string | undefined,
  at: HostAndPort | undefined,
  { daemonPort, namespace, json }: Options,
): Promise<void> {
  const target = name === undefined ? undefined : targetOf(name, at?.host, { daemonPort, ...at })
  if (target) tellUnused(target)
  const options = target ? { ...target.name, ...target.at } : { daemonPort }
  await printChanges(watch({ ...options, ...(namespace !== undefined && { namespace }) }), json)
}

/** Prints a line for each change, until a signal, or until the reader of the output has closed it. */
export async function printChanges(watch: Watch, json = false): Promise<void> {
  closeInTime(watch)
  watch.on('lost', error => tell(reconnecting(error)))
  for await (const change of watch) {
    if (json) printJSON(change, 0)
    else console.log(changeLine(change))
  }
}

/** The message for the loss of the daemon: the error, and what the watch does about it. */
export function reconnecting(error: unknown): string {
  return `${(error as Error).message} (trying again)`
}

/** Closes a watch when the command is to stop. */
export function closeInTime(watch: Watch): void {
  const close = () => watch.close()
  stopSignal().addEventListener('abort', close)
  process.stdout.once('error', close)
  watch.once('close', () => process.stdout.off('error', close))
}

/** One line for a change to a service. */
export function changeLine(change: Change): string {
  const { event, namespace, service, version, transport, address, port } = change
  const name = format({ namespace, service, version })
  const shown = colour(event === 'up' ? 'green' : 'red', event.padEnd(4))
  return `${shown} ${[name, transport, address, port].map(printable).join(' ')}`
}
