#!/usr/bin/env node
import { CommanderError } from 'commander'
import { monikerCommand } from './commands/moniker.ts'

const moniker = await monikerCommand(process.argv[2])
for (const command of [moniker, ...moniker.commands]) command.exitOverride()

try {
  await moniker.parseAsync()
} catch (error) {
  // Commander has said itself what was wrong with the call.
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode && 2
  } else {
    process.stderr.write(`moniker: ${(error as Error).message}\n`)
    process.exitCode = 1
  }
}
