import { once } from 'node:events'
import { Command } from 'commander'
import { Gateway, type GatewayOptions } from '../gateways/gateway.ts'
import { GATEWAY_PORT } from '../gateways/location.ts'
import { DEFAULTS } from '../gateways/router.ts'
import { hasCode } from '../errors.ts'
import { askOption, daemonPortOption, namesOption, toDuration, toPort } from './options.ts'
import { say } from './terminal.ts'

interface Options {
  ask?: boolean
  port: number
  host?: string[]
  names?: string[]
  onlyNames?: boolean
  shared?: boolean
  domain: string
  wait?: number
  daemonPort?: number
}

export const gatewayCommand = new Command('gateway')
  .description('Leads programs that know nothing of names to them: by URL, and as their proxy.')
  .option('--port <number>', 'the port of the gateway', toPort, GATEWAY_PORT)
  .option('--host <address...>', 'addresses to bind beside the loopback ones')
  .addOption(namesOption())
  .addOption(askOption())
  .option('--only-names', 'refuse what is no name, as a proxy')
  .option('--shared', 'be a proxy to other hosts for all users of this host')
  .option('--domain <domain>', 'the domain of the names on all hosts', DEFAULTS.domain)
  .option(
    '--wait <time>',
    'how long to wait for a name that has just gone (default: 10s)',
    toDuration,
  )
  .addOption(daemonPortOption())
  .addHelpText(
    'after',
    `
With a gateway, a browser and curl find the server web at http://web.localhost:6680/, and with
  http_proxy=http://localhost:6680 ALL_PROXY=socks5h://localhost:6680
other programs find it at http://web/.`,
  )
  .action(gateway)

async function gateway({ host: hosts = [], ...options }: Options): Promise<void> {
  const gateway = await openGateway({ ...options, hosts })
  const stopped = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  const { port } = gateway
  say(
    `moniker: http://NAME.localhost:${port}/ leads to the server NAME; a proxy is at localhost:${port}`,
  )
  await stopped
  await gateway.close()
}

/** Opens a gateway; says what to do if its port is taken. */
export async function openGateway(options: GatewayOptions): Promise<Gateway> {
  const { port = GATEWAY_PORT } = options
  return Gateway.open(options).catch((error: unknown) => {
    if (!hasCode(error, 'EADDRINUSE')) throw error
    throw new Error(
      `port ${port} is taken, perhaps by another gateway (\`moniker doctor\` says whose); choose another port`,
    )
  })
}
