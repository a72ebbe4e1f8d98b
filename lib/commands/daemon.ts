import { once } from 'node:events'
import { Command, Option } from 'commander'
import { LOOPBACK, isHere, plain } from '../address.ts'
import { Daemon } from '../daemon/daemon.ts'
import { hasCode } from '../errors.ts'
import { designatedPort } from '../settings.ts'
import { takeOver } from '../registration/takeover.ts'
import { Resolver } from '../client/resolver.ts'
import { policyFiles } from '../policy/host.ts'
import { policyOption, toCount, toPort } from './options.ts'
import { version } from './version.ts'
import { say } from './terminal.ts'
import type { Gateway } from '../gateways/gateway.ts'

interface Options {
  port?: number
  host?: string[]
  ifNeeded?: boolean
  publicList?: boolean
  policy?: string
  userNames?: number
  gateway?: number | true
}

export const daemonCommand = new Command('daemon')
  .description('Runs the daemon of this host, for servers.')
  .addOption(
    new Option('--port <number>', 'the designated port (default: 6664)')
      .env('MONIKER_PORT')
      .argParser(toPort),
  )
  .option('--host <address...>', 'the addresses to bind beside the loopback ones (default: all)')
  .option('--if-needed', 'succeed if a daemon is already running')
  .option('--public-list', 'let programs on other hosts list the services')
  .addOption(policyOption())
  .option('--user-names <number>', 'the most names of one user but root (default: 524288)', toCount)
  .option('--gateway [port]', 'be a gateway too, at port 6680 unless told otherwise', toPort)
  .addHelpText(
    'after',
    `
An embedded daemon that has the port hands it over. SIGTERM and SIGINT stop the daemon; SIGHUP makes it
read the policy again. --port 1, the port of TCPMUX, needs privilege.`,
  )
  // `monikerd --version` calls this command.
  .version(version)
  .action(daemon)

async function daemon({
  port = designatedPort(),
  host,
  ifNeeded,
  publicList = false,
  policy,
  userNames,
  gateway: gatewayPort,
}: Options): Promise<void> {
  const log = (text: string) => say(`monikerd: ${text}`)
  const hosts = host && reachable(host.map(plain))
  const limits = userNames === undefined ? {} : { userNames }
  const daemon = new Daemon({ port, publicList, policy, log, limits, ...(hosts && { hosts }) })
  const gateway = gatewayPort && (await gatewayAt(gatewayPort, port))
  try {
    await (ifNeeded ? daemon.start() : takeOver(port, daemon))
  } catch (error) {
    if (gateway) await gateway.close()
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw absent(error)
    return occupied(port, hosts, ifNeeded)
  }
  // A reader of the log that has gone is no reason to go as well.
  process.stderr.on('error', () => {})
  const reload = () => void reread(daemon)
  process.on('SIGHUP', reload)
  const stopped = Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')])
  // After the handlers: a script that reads this line may send a signal at once.
  const files = policyFiles(policy)
  const where = `on port ${port} at ${hosts?.join(', ') ?? 'all addresses'}`
  log(
    `answering ${where}, process ${process.pid}${files.length > 0 ? `, by the policy of ${files.join(' and ')}` : ''}`,
  )
  if (gateway) log(`a gateway is at port ${gateway.port}`)
  await stopped
  process.off('SIGHUP', reload)
  if (gateway) await gateway.close()
  await daemon.stop()
}

/** Opens a gateway, which waits for the daemon. It is loaded where it is wanted. */
async function gatewayAt(port: number | true, daemonPort: number): Promise<Gateway> {
  const { openGateway } = await import('./gateway.ts')
  return openGateway({ daemonPort, ...(port !== true && { port }) })
}

/** The addresses to bind: those given, and the loopback addresses, at which programs of this host ask. */
function reachable(hosts: string[]): string[] {
  return hosts.some(isHere) ? hosts : [...hosts, ...LOOPBACK]
}

/** The error of a start that failed, with advice if an address is not one of this host. */
function absent(error: unknown): unknown {
  const {
    code,
    message,
    hostname,
    address = hostname,
  } = error as NodeJS.ErrnoException & {
    hostname?: string
    address?: string
  }
  if (code !== 'EADDRNOTAVAIL' && code !== 'ENOTFOUND') return error
  return new Error(`${address} is not an address of this host (${message}); see --host`)
}

/** Reads the policy again; the last good one stays if it is broken. */
async function reread(daemon: Daemon): Promise<void> {
  try {
    const files = await daemon.reload()
    if (files.length === 0) return say('monikerd: there is no policy to read again')
    say(`monikerd: the policy of ${files.join(' and ')} has been read again`)
  } catch (error) {
    say(`monikerd: ${(error as Error).message}; the policy stays as it was`)
  }
}

/** Reports which program has the port. With `--if-needed`, a daemon there is a success. */
async function occupied(port: number, hosts = [''], ifNeeded?: boolean): Promise<void> {
  const resolver = new Resolver({ port, timeout: 2_000 })
  const answers = hosts.map(host => resolver.status({ host }))
  const status = await Promise.any(answers).catch(isSilent)
  if (status === true) {
    throw new Error(
      `port ${port} is taken by a program that does not answer: a daemon that is stopped or busy, or none; \`ss -ltnp\` says which, or choose another with --port`,
    )
  }
  if (!status) {
    throw new Error(
      `port ${port} is taken by a program that is not a daemon; stop it, or choose another with --port`,
    )
  }
  const pid = String(status.pid)
  const where = status.embedded ? `inside process ${pid}` : `as process ${pid}`
  const text = `a daemon is already running on port ${port}, ${where}`
  if (!ifNeeded) throw new Error(text)
  say(`monikerd: ${text}`)
}

/** True if nobody has said anything in time: one that is no daemon cannot be told from one that is stopped. */
function isSilent({ errors }: AggregateError): boolean {
  return errors.some(error => hasCode(error, 'ETIMEDOUT'))
}
