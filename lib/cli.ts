#!/usr/bin/env node
import { CommanderError } from 'commander'
import { monikerCommand } from './commands/moniker.ts'

for (const command of [monikerCommand, ...monikerCommand.commands]) command.exitOverride()

try {
  await monikerCommand.parseAsync()
} catch (error) {
  // Commander has said itself what was wrong with the call.
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode && 2
  } else {
    process.stderr.write(`moniker: ${(error as Error).message}\n`)
    process.exitCode = 1
  }
}
