import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { once } from 'node:events'
import { Command } from 'commander'
import { exactVersion, format, parse, type Name } from '../name.ts'
import { freePort, isFree, listening } from '../ports.ts'
import { Registrar, type Lease } from '../registrar.ts'
import { daemonPortOption, say, toPort } from './options.ts'

interface Options {
  port?: number
  daemonPort?: number
}

export const runCommand = new Command('run')
  .description('Runs a command that serves on a port, under a name.')
  .usage('[options] <name> -- <command...>')
  .argument('<name>', 'such as web@1.0.0')
  .argument('<command...>', 'the command, and what it is given')
  .option('--port <number>', 'the port to give it (default: a free one)', toPort)
  .addOption(daemonPortOption())
  .addHelpText(
    'after',
    `
The command finds its port in $PORT and wherever {port} stands in its arguments. It is registered
once it listens there, and withdrawn when it ends. Signals go to it; its exit status is ours.
For example: moniker run web -- python3 -m http.server {port}`,
  )
  .action(run)

async function run(
  text: string,
  command: string[],
  { port: wanted, daemonPort }: Options,
): Promise<void> {
  const parsed = parse(text)
  const name = { ...parsed, version: exactVersion(parsed.version) }
  const port = wanted ?? (await freePort())
  // Or its holder would be taken for the command.
  if (wanted && !(await isFree(wanted))) {
    throw new Error(`port ${wanted} is taken by another program; stop it, or choose another port`)
  }
  const [file, ...args] = command.map(word => word.replaceAll('{port}', String(port)))
  const child = spawn(file!, args, {
    stdio: 'inherit',
    env: { ...process.env, PORT: String(port) },
  })
  const over = new AbortController()
  const ended = once(child, 'exit').finally(() => over.abort())
  passSignals(child)
  const registered = register(name, port, daemonPort, child, over.signal)
  try {
    const [status, signal] = (await ended) as [number | null, NodeJS.Signals | null]
    process.exitCode ??= status ?? 128 + constants.signals[signal!]
  } catch (error) {
    throw new Error(`${file} cannot be run (${(error as Error).message}); is it installed?`)
  } finally {
    await (await registered)?.withdraw()
  }
}

/** Registers the command once it listens. One that cannot be known by its name is stopped. */
async function register(
  name: Name,
  port: number,
  daemonPort: number | undefined,
  child: ChildProcess,
  signal: AbortSignal,
): Promise<Lease | undefined> {
  try {
    const address = await listening(port, signal)
    const holder = { pid: child.pid!, shared: false }
    const offer = { ...name, transport: 'tcp', port, address, ...holder } as const
    const lease = await Registrar.at(daemonPort).register(offer, { signal })
    say(`moniker: ${format(name)} is port ${port}`)
    return lease.once('lost', error => say(`moniker: ${error.message}`))
  } catch (error) {
    if (signal.aborted) return undefined
    say(`moniker: ${(error as Error).message}`)
    process.exitCode = 1
    child.kill()
    return undefined
  }
}

function passSignals(child: ChildProcess): void {
  for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const) {
    process.on(signal, () => {
      // A terminal has sent it to the command as well.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
}
