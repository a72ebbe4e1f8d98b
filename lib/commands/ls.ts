import { Command } from 'commander'
import { format } from '../name.ts'
import type { Listed } from '../protocol.ts'
import { Resolver } from '../resolver.ts'
import { daemonPortOption, jsonOption } from './options.ts'
import { table } from './table.ts'

interface Options {
  daemonPort?: number
  namespace?: string
  json?: boolean
}

export const lsCommand = new Command('ls')
  .description('Lists the services of a host.')
  .argument('[host]', 'default: this host')
  .option('--namespace <name>', 'only those of one namespace')
  .addOption(daemonPortOption())
  .addOption(jsonOption())
  .action(ls)

async function ls(host: string | undefined, { json, ...options }: Options): Promise<void> {
  const services = await new Resolver().list({ ...options, ...(host && { host }) })
  services.sort((a, b) => nameOf(a).localeCompare(nameOf(b), 'en'))
  console.log(json ? JSON.stringify(services, undefined, 2) : shown(services))
}

function nameOf({ namespace, service }: Listed): string {
  return format({ namespace, service })
}

function shown(services: readonly Listed[]): string {
  const head = ['NAME', 'VERSION', 'TRANSPORT', 'ADDRESS', 'PORT', 'PROCESS']
  const rows = services.map(listed => {
    const { version, transport, address, port, pid = '' } = listed
    return [nameOf(listed), version, transport, address, port, pid]
  })
  return table(rows, head)
}
