import { Command } from 'commander'
import { completeCommand, completionCommand } from './completion.ts'
import { connectCommand } from './connect.ts'
import { daemonCommand } from './daemon.ts'
import { doctorCommand } from './doctor.ts'
import { envCommand } from './env.ts'
import { listenCommand } from './listen.ts'
import { lsCommand } from './ls.ts'
import { policyCommand } from './policy.ts'
import { registerCommand } from './register.ts'
import { resolveCommand } from './resolve.ts'
import { runCommand } from './run.ts'
import { statusCommand } from './status.ts'
import { version } from './version.ts'
import { waitCommand } from './wait.ts'
import { watchCommand } from './watch.ts'

/** The whole command line. */
export const monikerCommand = new Command('moniker')
  .description('Names instead of port numbers, for every program that opens a socket.')
  .version(version)
  .enablePositionalOptions()
  .addHelpText(
    'after',
    '\nExit status: 0 done, 1 failed, 2 wrong usage; `run` passes on that of its command.',
  )

// As `monikerd --version`, which is this command.
daemonCommand.version(version)

const commands = [
  listenCommand,
  connectCommand,
  runCommand,
  registerCommand,
  lsCommand,
  watchCommand,
  resolveCommand,
  waitCommand,
  envCommand,
  statusCommand,
  doctorCommand,
  daemonCommand,
  policyCommand,
  completionCommand,
]
for (const command of commands) monikerCommand.addCommand(command)
monikerCommand.addCommand(completeCommand, { hidden: true })
