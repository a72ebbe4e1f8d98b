import { setTimeout as pause } from 'node:timers/promises'
import { Command } from 'commander'
import type { Metadata } from '../wire/protocol.ts'
import { Registrar } from '../registration/registrar.ts'
import { Holder } from './holder.ts'
import {
  daemonPortOption,
  metadataOption,
  namespaceOption,
  sharedOption,
  toPort,
  useNamespace,
} from './options.ts'
import { Portlist, entry } from './portlist.ts'
import { keepAlive, stopSignal, tell } from './terminal.ts'

interface Options {
  udp?: boolean
  file?: string
  daemonPort?: number
  namespace?: string
  metadata?: Metadata
  shared?: boolean
}

/** How often the ports, and the list, are looked at, in ms. */
const ROUND = 1_000

export const registerCommand = new Command('register')
  .description('Holds a name for a port of another program, such as a container or a database.')
  .usage('[options] <name> <port>\n       moniker register [options] --file <file>')
  .argument('[name]', 'such as db@16.1.0')
  .argument('[port]', 'the port it is served on', toPort)
  .option('--udp', 'it is a port of UDP')
  .option('--file <file>', 'read names and ports from a file, and again whenever it changes')
  .addOption(sharedOption())
  .addOption(metadataOption())
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addHelpText(
    'after',
    `
The name is registered while somebody answers on the port and this command runs. A list is YAML or
JSON, a name and its port a line:
  db@16.1.0: 5432
  clock: { port: 123, udp: true }
  web: { port: 8080, shared: true, metadata: { path: /api } }`,
  )
  .action(register)

async function register(
  name: string | undefined,
  port: number | undefined,
  { udp, file, namespace, metadata, shared, daemonPort }: Options,
  command: Command,
): Promise<void> {
  if ((file === undefined) === (port === undefined)) {
    command.error("error: expected a name and a port, or '--file' alone")
  }
  useNamespace(namespace)
  const holder = new Holder({ registrar: Registrar.at(daemonPort), tell })
  const list = file === undefined ? undefined : new Portlist(file)
  holder.want((await list?.changed()) ?? [entry(name!, { port: port!, udp, metadata, shared })])
  await keepAlive(hold(holder, list))
}

/** Goes its rounds until it is stopped. */
async function hold(holder: Holder, list: Portlist | undefined): Promise<void> {
  const signal = stopSignal()
  try {
    for (;;) {
      await holder.round(signal)
      await pause(ROUND, undefined, { signal })
      await refresh(holder, list)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    await holder.close()
  }
}

/** Has `holder` go by a list that has changed; by the last good one while it is broken. */
async function refresh(holder: Holder, list: Portlist | undefined): Promise<void> {
  try {
    const entries = await list?.changed()
    if (entries) holder.want(entries)
  } catch (error) {
    tell(`${(error as Error).message}; the list as it was stays in force`)
  }
}
