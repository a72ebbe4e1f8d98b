import { Command, Option } from 'commander'
import { Resolver } from '../client/resolver.ts'
import {
  daemonPortOption,
  namespaceOption,
  targetOf,
  tellUnused,
  toDuration,
  useNamespace,
} from './options.ts'
import { tell } from './terminal.ts'

interface Options {
  timeout: number
  daemonPort?: number
  namespace?: string
}

export const waitCommand = new Command('wait')
  .description('Waits until services are registered, for scripts and containers.')
  .argument('<name...>', 'such as db, cache@^7, or web://theforce.net')
  .addOption(
    new Option('--timeout <time>', 'the longest wait, such as 90s, 5m or 1h')
      .argParser(toDuration)
      .default(30_000, '30s'),
  )
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addHelpText(
    'after',
    '\nEnds with 0, and no output, once all are registered. When the time is up, names the missing ones and ends with 1.',
  )
  .action(wait)

async function wait(names: string[], { timeout, ...options }: Options): Promise<void> {
  useNamespace(options.namespace)
  const targets = names.map(name => targetOf(name, undefined, options))
  targets.forEach(tellUnused)
  const resolver = new Resolver()
  const transports = ['tcp', 'udp'] as const
  const waits = targets.map(({ name, at }) =>
    resolver.resolve(name, { ...at, transports, wait: timeout }),
  )
  const missing = (await Promise.allSettled(waits)).filter(wait => wait.status === 'rejected')
  for (const { reason } of missing) tell((reason as Error).message)
  if (missing.length > 0) process.exitCode = 1
}
