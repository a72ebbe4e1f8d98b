#!/usr/bin/env node
import { CommanderError, type Command } from 'commander'
import { MonikerError } from './errors.ts'
import { monikerCommand } from './commands/moniker.ts'

const { argv, stdout, stderr } = process

/** What we are called by those who have called us. */
const speaker = argv[2] === 'daemon' ? 'monikerd' : 'moniker'

/** What is wrong with the words of a call themselves, whoever was to be asked. */
const USAGE = ['ENAME', 'EARGUMENT']

// That nobody reads any more is no failure; that what is read is not whole is one.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') fail(error, 1)
})

const moniker = await monikerCommand(argv[2])
overrideExit(moniker)

try {
  await moniker.parseAsync()
} catch (error) {
  // Commander has said itself what was wrong with the call.
  if (error instanceof CommanderError) process.exitCode = error.exitCode && 2
  else fail(error, error instanceof MonikerError && USAGE.includes(error.reason) ? 2 : 1)
}

function overrideExit(command: Command): void {
  command.exitOverride()
  for (const below of command.commands) overrideExit(below)
}

function fail(error: unknown, status: number): void {
  stderr.write(`${speaker}: ${(error as Error).message}\n`)
  process.exitCode = status
}
