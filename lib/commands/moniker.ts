import { Command, CommanderError } from 'commander'
import { version } from './version.ts'

/** The commands. Each is loaded when it is called, so that a call does not wait for the others to load. */
const COMMANDS: Record<string, () => Promise<Command>> = {
  listen: async () => (await import('./listen.ts')).listenCommand,
  connect: async () => (await import('./connect.ts')).connectCommand,
  run: async () => (await import('./run.ts')).runCommand,
  exec: async () => (await import('./exec.ts')).execCommand,
  register: async () => (await import('./register.ts')).registerCommand,
  ls: async () => (await import('./ls.ts')).lsCommand,
  watch: async () => (await import('./watch.ts')).watchCommand,
  resolve: async () => (await import('./resolve.ts')).resolveCommand,
  wait: async () => (await import('./wait.ts')).waitCommand,
  env: async () => (await import('./env.ts')).envCommand,
  status: async () => (await import('./status.ts')).statusCommand,
  doctor: async () => (await import('./doctor.ts')).doctorCommand,
  daemon: async () => (await import('./daemon.ts')).daemonCommand,
  gateway: async () => (await import('./gateway.ts')).gatewayCommand,
  open: async () => (await import('./open.ts')).openCommand,
  policy: async () => (await import('./policy.ts')).policyCommand,
  completion: async () => (await import('./completion.ts')).completionCommand,
}

/** The command line with the command `called`, or with all commands if that is none of them. */
export async function monikerCommand(called = ''): Promise<Command> {
  const moniker = new Command('moniker')
    .description('Names instead of port numbers, for every program that opens a socket.')
    .version(version)
    .enablePositionalOptions()
    .addHelpText(
      'after',
      '\nExit status: 0 done, 1 failed, 2 wrong usage; `run` and `exec` pass on that of their command.',
    )
  const isAlone = Object.hasOwn(COMMANDS, called)
  for (const [name, load] of Object.entries(COMMANDS)) {
    if (isAlone && name !== called) continue
    moniker.addCommand(await load())
  }
  return moniker
}

/**
 * Runs the command that `argv` calls. Fails as the command does; sets the exit status to 2 if the call itself is wrong.
 */
export async function run(argv: readonly string[]): Promise<void> {
  const moniker = await monikerCommand(argv[2])
  overrideExit(moniker)
  try {
    await moniker.parseAsync(argv)
  } catch (error) {
    // Commander has printed the error.
    if (!(error instanceof CommanderError)) throw error
    process.exitCode = error.exitCode && 2
  }
}

function overrideExit(command: Command): void {
  command.exitOverride()
  for (const below of command.commands) overrideExit(below)
}
