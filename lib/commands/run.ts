import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { Command } from 'commander'
import { clearTimeout, clock, pause, setTimeout } from '../clock.ts'
import { listenCall } from '../options/listen.ts'
import { format } from '../name.ts'
import { freePort, isFree, listening, portsOf } from '../node/proc.ts'
import type { Metadata, Offer } from '../wire/protocol.ts'
import { PASS_ON, dropped } from './dropped.ts'
import { project } from '../project.ts'
import { Registrar } from '../registration/registrar.ts'
import { Resolver } from '../client/resolver.ts'
import { distinct, find, neighbour } from './env.ts'
import {
  daemonPortOption,
  metadataOption,
  meant,
  namespaceOption,
  portsOption,
  sharedOption,
  useNamespace,
  usePorts,
  toList,
  toPort,
  toVariables,
  waitOption,
} from './options.ts'
import { keepAlive, tell, tellLapses } from './terminal.ts'

/** Milliseconds until a command that does not listen yet is reported. */
const LATE = 10_000

/** Milliseconds from a crash to the next start: each pause is twice the last, up to the second number. */
const [SOON, LATEST] = [100, 30_000]

/** A program that has run for this long, in ms, is started again after the first pause. */
const STEADY = 10_000

interface Options {
  port?: number
  ports?: string
  env?: [name: string, value: string][]
  restart?: boolean
  with?: string[]
  wait: number
  daemonPort?: number
  namespace?: string
  metadata?: Metadata
  shared?: boolean
}

/** Work that goes on while a program runs, until `signal` aborts. Its failure ends the program. */
export type Beside = (pid: number, signal: AbortSignal) => Promise<void>

/** The call of a program. */
export interface ProgramCall {
  /** The command and its arguments. */
  readonly words: readonly string[]
  readonly env: NodeJS.ProcessEnv
}

export interface RestartOptions {
  /** Called with a line for each crash. */
  tell: (text: string) => void
  /** Finds the changes to the call for the next start. If it fails, the last one is made again. */
  renew: (signal: AbortSignal) => Promise<Partial<ProgramCall>>
}

export const runCommand = new Command('run')
  .description('Runs a command that serves on a port, under a name.')
  .usage('[options] <name> -- <command...>')
  .showHelpAfterError('(words after -- are for the command: moniker run web -- npm start)')
  .argument('<name>', 'such as web@1.0.0')
  .argument('<command...>', 'the command and its arguments')
  .option('--port <number>', 'the port for the command (default: a free one)', toPort)
  .addOption(portsOption().conflicts('port'))
  .option(
    '--env <name[=value]>',
    'another variable for the port beside PORT, or for a value with {port} in it; may be repeated',
    toVariables,
  )
  .option('--with <names>', 'services it needs, as for `moniker env`; may be repeated', toList)
  .addOption(waitOption().default(30_000, '30s'))
  .option('--restart', 'start it again when it crashes, after ever longer pauses (0.1 to 30 s)')
  .addOption(sharedOption())
  .addOption(metadataOption())
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addHelpText(
    'after',
    `
The command finds its port in $PORT and wherever {port} stands in its arguments. It is registered
once it listens there, and withdrawn when it ends. Signals are passed on to it; its exit status is passed
on. --with db sets DB_URL, DB_HOST, DB_PORT and DB_VERSION for it. For example:
  moniker run web -- python3 -m http.server {port}
  moniker run api --with db,cache -- node server.js
  moniker run site --env VITE_PORT --env ORIGIN=http://localhost:{port} -- npm start`,
  )
  .action(run)

async function run(
  text: string,
  command: string[],
  {
    port: fixedPort,
    env = [],
    restart = false,
    shared = false,
    with: needed = [],
    wait,
    ...options
  }: Options,
): Promise<void> {
  useNamespace(options.namespace)
  usePorts(options.ports)
  for (const one of await dropped(project())) tell(`${one}; ${PASS_ON}`)
  const { name, metadata } = listenCall([{ service: meant(text), metadata: options.metadata }])!
  const neighbours = distinct(needed.map(one => neighbour(one, options)))
  // Another program on the port would be taken for the command.
  if (fixedPort && !(await isFree(fixedPort))) {
    throw new Error(
      `port ${fixedPort} is taken by another program; stop it, or choose another port`,
    )
  }
  const known = { resolver: new Resolver(), wait, tell }
  const found = await find(neighbours, known)
  let port = fixedPort ?? (await freePort())
  const kind = { transport: 'tcp', shared } as const
  const offer = { ...name, ...kind, ...(metadata && { metadata }) }
  const call = (found: Record<string, string>): ProgramCall => {
    const fill = (text: string) => text.replaceAll('{port}', String(port))
    const variables = env.map(([variable, value]) => [variable, fill(value)])
    const own = { PORT: String(port), ...Object.fromEntries(variables) }
    return { words: command.map(fill), env: { ...process.env, ...found, ...own } }
  }
  const program = new Program(call(found), async (pid, signal) => {
    const address = await reached({ ...offer, port, pid }, signal)
    await hold({ ...offer, port, pid, address }, options.daemonPort, signal)
  })
  const renew = async (signal: AbortSignal) => {
    // Its old port may not be free yet, and one of its neighbours may have moved.
    port = fixedPort ?? (await freePort(port))
    return call(await find(neighbours, { ...known, signal }))
  }
  process.exitCode = await keepAlive(restart ? program.keepRunning({ tell, renew }) : program.run())
}

/** The address at which a command listens, once it does. Reports a command that takes its time. */
async function reached(
  offer: Omit<Offer, 'address'> & { pid: number },
  signal: AbortSignal,
): Promise<string> {
  const { port, pid } = offer
  let address: string | undefined
  const report = async () => {
    const others = await portsOf(pid)
    if (!signal.aborted && !address) tell(`${format(offer)} ${notListening(port, others)}`)
  }
  const timer = setTimeout(() => void report(), LATE)
  address = await listening(port, signal).finally(() => clearTimeout(timer))
  return address
}

/** Registers the name of a command, until `signal` aborts. */
async function hold(
  offer: Offer,
  daemonPort: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const lease = await Registrar.at(daemonPort).register(offer, { signal })
  tell(`${format(offer)} is port ${offer.port}`)
  const cancel = tellLapses(lease, tell, `${format(offer)} is registered again`)
  if (!signal.aborted) await once(signal, 'abort')
  cancel()
  await lease.withdraw()
}

/** The report on a command that does not listen on `port`; `others` are the ports on which it does. */
function notListening(port: number, others: readonly number[]): string {
  const [other] = others
  const why = other
    ? `the command listens on port ${other}, not on ${port}`
    : `no program listens on port ${port}`
  return (
    `is not registered yet: ${why}, which the command finds in $PORT; does it want {port} among ` +
    `its arguments, another variable (--env), or ${other ? `--port ${other}` : 'its own port (--port)'}?`
  )
}

/** Another program, run as part of this one: it gets our signals. */
export class Program {
  #call: ProgramCall
  readonly #beside: Beside
  readonly #stop = new AbortController()
  readonly #passed = new Set<NodeJS.Signals>()
  #child: ChildProcess | undefined

  constructor(call: ProgramCall, beside: Beside) {
    this.#call = call
    this.#beside = beside
    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const) {
      process.on(signal, () => this.#pass(signal))
    }
  }

  /** Runs it once, and returns its exit status, or 128 and the number of the signal that ended it. */
  async run(): Promise<number> {
    const { words, env } = this.#call
    const [file, ...args] = words
    const child = spawn(file!, args, { stdio: 'inherit', env })
    this.#child = child
    const done = new AbortController()
    const ended = endOf(child, file!).finally(() => done.abort())
    const beside = this.#accompany(child, done.signal)
    // Its failure is thrown below, once the program has ended.
    beside.catch(() => {})
    try {
      const [status, signal] = await ended
      if (signal && this.#passed.has(signal)) this.#stop.abort()
      return status ?? 128 + constants.signals[signal!]
    } finally {
      this.#child = undefined
      await beside
    }
  }

  /** Runs it again and again, until it exits with 0 or a signal of ours ends it; returns its last exit status. */
  async keepRunning(options: RestartOptions): Promise<number> {
    const { signal } = this.#stop
    let wait = SOON
    let began = clock()
    let status = await this.run()
    while (status !== 0 && !signal.aborted) {
      if (clock() - began > STEADY) wait = SOON
      options.tell(`${this.#call.words[0]} has crashed with status ${status}; again in ${wait} ms`)
      await this.#recover(wait, options)
      wait = Math.min(wait * 2, LATEST)
      began = clock()
      // A signal may have come between two runs.
      status = signal.aborted ? status : await this.run()
    }
    return status
  }

  /** Pauses, and finds the call for the next start. Never fails. */
  async #recover(wait: number, { tell, renew }: RestartOptions): Promise<void> {
    const { signal } = this.#stop
    try {
      await pause(wait, undefined, { signal })
      this.#call = { ...this.#call, ...(await renew(signal)) }
    } catch (error) {
      if (!signal.aborted) tell((error as Error).message)
    }
  }

  async #accompany(child: ChildProcess, signal: AbortSignal): Promise<void> {
    try {
      await this.#beside(child.pid!, signal)
    } catch (error) {
      if (signal.aborted) return
      this.#stop.abort()
      child.kill()
      throw error
    }
  }

  #pass(signal: NodeJS.Signals): void {
    this.#passed.add(signal)
    // A program may read its configuration again at SIGHUP, and go on.
    if (signal === 'SIGTERM' || signal === 'SIGINT' || !this.#child) this.#stop.abort()
    // A terminal has sent SIGINT to the program as well.
    if (signal !== 'SIGINT' || !process.stdin.isTTY) this.#child?.kill(signal)
  }
}

/** The status and the signal with which a program ends. */
async function endOf(
  child: ChildProcess,
  file: string,
): Promise<[number | null, NodeJS.Signals | null]> {
  try {
    return (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  } catch (error) {
    throw new Error(`${file} cannot be run (${(error as Error).message}); is it installed?`)
  }
}
