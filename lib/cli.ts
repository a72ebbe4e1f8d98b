#!/usr/bin/env node
import { keepCompiled } from './commands/compilecache.ts'
import { version } from './commands/version.ts'

const { argv, stdout, stderr } = process
const [first, ...others] = argv.slice(2)

/** The program that speaks in messages. */
const speaker = first === 'daemon' ? 'monikerd' : 'moniker'

/** The reasons for errors in the call itself, whichever host it is about. */
const USAGE = ['ENAME', 'EARGUMENT']

// A reader that has closed our output is no failure; any other error in writing it is one.
stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') fail(error.message, 1)
})

// The daemon runs for long, and as root: it neither needs nor trusts a cache of compiled code.
if (first !== 'daemon') keepCompiled()
void main()

/**
 * Runs what is asked for. A shell waits for completion at each key, and scripts for the version: neither loads the
 * command line.
 */
async function main(): Promise<void> {
  if (first === 'complete') {
    const { complete } = await import('./commands/complete.ts')
    return complete(others[0] === '--' ? others.slice(1) : others)
  }
  if ((first === '--version' || first === '-V') && others.length === 0) {
    stdout.write(`${version}\n`)
    return
  }
  const { run } = await import('./commands/moniker.ts')
  try {
    await run(argv)
  } catch (error) {
    const { printable } = await import('./errors.ts')
    const { message, reason } = error as { message: string; reason?: string }
    fail(printable(message), reason && USAGE.includes(reason) ? 2 : 1)
  }
}

function fail(message: string, status: number): void {
  stderr.write(`${speaker}: ${message}\n`)
  process.exitCode = status
}
