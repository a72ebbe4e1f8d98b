import { Command } from 'commander'
import { Resolver } from '../client/resolver.ts'
import { watch } from '../client/watch.ts'
import { printChanges } from './watch.ts'
import { daemonPortOption, hostArgument, jsonOption, type Place, toNamespace } from './options.ts'
import { showLive } from './live.ts'
import { servicesTable, sorted } from './services.ts'
import { colour } from './terminal.ts'

interface Options {
  daemonPort?: number
  namespace?: string
  json?: boolean
  watch?: boolean
}

export const lsCommand = new Command('ls')
  .description('Lists the services of a host, namespace by namespace.')
  .addArgument(hostArgument())
  .option('--namespace <name>', 'only those of one namespace, such as auto', toNamespace)
  .option('-w, --watch', 'show them as they come and go; in a pipe, in lines as `moniker watch`')
  .addOption(daemonPortOption())
  .addOption(jsonOption())
  .action(ls)

async function ls(
  place: Place | undefined,
  { json, watch: live, ...options }: Options,
): Promise<void> {
  const asked = { ...options, ...place }
  if (live && !json && process.stdout.isTTY) return showLive(watch(asked))
  if (live) return printChanges(watch(asked), json)
  const services = sorted(await new Resolver().list(asked))
  if (json) return console.log(JSON.stringify(services, undefined, 2))
  const [head = '', ...rows] = servicesTable(services)
  console.log([colour('bold', head), ...rows].join('\n'))
}
