import { Command } from 'commander'
import { watch } from '../client/watch.ts'
import { printChanges } from './changes.ts'
import { daemonPortOption, hostArgument, jsonOption, type Place, toNamespace } from './options.ts'
import { targetOf } from './target.ts'

interface Options {
  namespace?: string
  daemonPort?: number
  json?: boolean
}

export const watchCommand = new Command('watch')
  .description('Says what is there, and then what comes and goes.')
  .argument('[name]', 'such as web, web@^1, or web://theforce.net (default: all)')
  .addArgument(hostArgument())
  .option('--namespace <name>', 'only those of one namespace, such as auto', toNamespace)
  .addOption(daemonPortOption())
  .addOption(jsonOption())
  .addHelpText(
    'after',
    `
A line begins with "up" or "down"; what is back within 5 seconds after its daemon went is neither.
Another host has to allow it: monikerd --public-list.`,
  )
  .action(run)

async function run(
  name: string | undefined,
  place: Place | undefined,
  { daemonPort, namespace, json }: Options,
): Promise<void> {
  const target =
    name === undefined ? undefined : targetOf(name, place?.host, { daemonPort, ...place })
  const options = target ? { ...target.name, ...target.at } : { daemonPort }
  await printChanges(watch({ ...options, ...(namespace !== undefined && { namespace }) }), json)
}
