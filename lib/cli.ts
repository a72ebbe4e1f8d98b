#!/usr/bin/env node
import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'
import { connectCommand } from './commands/connect.ts'
import { daemonCommand } from './commands/daemon.ts'
import { envCommand } from './commands/env.ts'
import { listenCommand } from './commands/listen.ts'
import { lsCommand } from './commands/ls.ts'
import { registerCommand } from './commands/register.ts'
import { resolveCommand } from './commands/resolve.ts'
import { runCommand } from './commands/run.ts'
import { statusCommand } from './commands/status.ts'
import { waitCommand } from './commands/wait.ts'

const { version } = createRequire(import.meta.url)('moniker-net/package.json') as {
  version: string
}

// As `monikerd --version`, which is this command.
daemonCommand.version(version)

const program = new Command('moniker')
  .description('Names instead of port numbers, for every program that opens a socket.')
  .version(version)
  .enablePositionalOptions()
  .addHelpText(
    'after',
    '\nExit status: 0 done, 1 failed, 2 wrong usage; `run` passes on that of its command.',
  )

const commands = [
  daemonCommand,
  lsCommand,
  resolveCommand,
  connectCommand,
  listenCommand,
  runCommand,
  registerCommand,
  envCommand,
  waitCommand,
  statusCommand,
]
for (const command of commands) program.addCommand(command.exitOverride())

try {
  await program.exitOverride().parseAsync()
} catch (error) {
  // Commander has said itself what was wrong with the call.
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode && 2
  } else {
    process.stderr.write(`moniker: ${(error as Error).message}\n`)
    process.exitCode = 1
  }
}
