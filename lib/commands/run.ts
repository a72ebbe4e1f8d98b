import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { Command } from 'commander'
import { clock, pause } from '../clock.ts'
import { askForGateway, givenGateway } from '../gateways/location.ts'
import { listenCall } from '../options/listen.ts'
import { isScoped, type Name } from '../name.ts'
import { MAX, toWord, workTree } from '../namespace.ts'
import { builtins } from '../node/builtins.ts'
import { bound, freePort, isFree, portFor } from '../node/proc.ts'
import type { Metadata } from '../wire/protocol.ts'
import { PASS_ON, dropped } from './dropped.ts'
import { project } from '../project.ts'
import { Resolver } from '../client/resolver.ts'
import { designatedPort } from '../settings.ts'
import { Claim, NameTaken } from './claim.ts'
import { distinct, find, neighbour, type Neighbour } from './env.ts'
import { flagged } from './flags.ts'
import {
  daemonPortOption,
  meant,
  metadataOption,
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
import {
  MARK,
  end,
  endingWithUs,
  marked,
  newMark,
  orphans,
  watchOver,
  wordsFor,
} from './orphans.ts'
import { packageAt } from './package.ts'
import { keepAlive, tell } from './terminal.ts'
import { webURL } from './weburl.ts'

/** Milliseconds from a crash to the next start: each pause is twice the last, up to the second number. */
const [SOON, LATEST] = [100, 30_000]

/** Milliseconds that the daemon may take to tell of a gateway: a program starts without one as well. */
const BRIEFLY = 1_000

/** A program that has run for this long, in ms, is started again after the first pause. */
const STEADY = 10_000

interface Options {
  port?: number
  ports?: string
  flags: boolean
  force?: boolean
  strict?: boolean
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
  /**
   * Finds the changes to the call for the next start. If it fails, the last one is made again; with `NameTaken` nothing
   * is started any more.
   */
  renew: (signal: AbortSignal) => Promise<Partial<ProgramCall>>
  /** The clock, in ms. Default `clock`. */
  now?: () => number
}

export const runCommand = new Command('run')
  .description('Runs a command that serves on a port, under a name.')
  .usage('[options] [name] -- <command...>')
  .showHelpAfterError('(words after -- are for the command: moniker run web -- npm start)')
  .argument('[name]', 'such as web@1.0.0 (default: that of package.json, or of the folder)')
  .argument('[command...]', 'the command and its arguments')
  .option(
    '--port <number>',
    'the port for the command (default: a free one, the same each time for this name and folder)',
    toPort,
  )
  .addOption(portsOption().conflicts('port'))
  .option(
    '--env <name[=value]>',
    'another variable for the port beside PORT, or for a value with {port} in it; may be repeated',
    toVariables,
  )
  .option(
    '--no-flags',
    'leave a tool that may ignore PORT, such as vite, without flags for the port',
  )
  .option('--with <names>', 'services it needs, as for `moniker env`; may be repeated', toList)
  .option('--strict', 'look for these in the namespace alone, not in the host’s own too')
  .addOption(waitOption().default(30_000, '30s'))
  .option('--force', 'take the name from another program of the same user')
  .option('--restart', 'start it again when it crashes, after ever longer pauses (0.1 to 30 s)')
  .addOption(sharedOption())
  .addOption(metadataOption())
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addHelpText(
    'after',
    `
The command finds its port in $PORT and wherever {port} stands in its arguments. Some tools, such as vite,
next or rails, are given their own flag. The name is reserved before the command is
started, registered once it listens, and withdrawn when it ends. Signals are passed on to it; its exit
status is passed on. --with db sets DB_URL, DB_HOST, DB_PORT and DB_VERSION for it, and with a gateway
(see moniker gateway) MONIKER_URL is its own address by that. For example:
  moniker run web -- python3 -m http.server {port}
  moniker run -- npm run dev
  moniker run api --with db,cache -- node server.js
  moniker run site --env VITE_PORT --env ORIGIN=http://localhost:{port} -- npm start`,
  )
  .action((...args: Parameters<typeof run>) => keepAlive(run(...args)))

async function run(
  first: string | undefined,
  others: string[],
  { port: fixedPort, env = [], restart = false, shared = false, wait, ...options }: Options,
  command: Command,
): Promise<void> {
  useNamespace(options.namespace)
  usePorts(options.ports)
  for (const one of await dropped(project())) tell(`${one}; ${PASS_ON}`)
  const { text, words } = wordsOf(command, first, others)
  const { name, metadata } = listenCall([
    { service: meant(text ?? ownName()), metadata: options.metadata },
  ])!
  const neighbours = distinct((options.with ?? []).map(one => neighbourOf(one, options)))
  // Another program on the port would be taken for the command.
  if (fixedPort && !(await isFree(fixedPort))) {
    throw new Error(
      `port ${fixedPort} is taken by another program; stop it, or choose another port`,
    )
  }
  warnAsInit()
  // Elsewhere a run that is killed leaves no watcher behind.
  const ended = process.platform === 'linux' ? [] : await end(orphans)
  if (ended.length > 0) tell(`ended ${wordsFor(ended)}, which a run that has ended had left`)
  const known = { resolver: new Resolver(), wait, tell }
  const found = await find(neighbours, known)
  const kind = { transport: 'tcp', shared } as const
  const claim = new Claim({ ...name, ...kind }, options.daemonPort)
  await claim.reserve(options.force)
  const mark = newMark()
  // Of several that share a name each needs a port of its own.
  const usual = shared ? undefined : usualPort(name, options.daemonPort)
  let port = fixedPort ?? (await freePort(usual))
  let url = await ownURL(name, options)
  const template = withFlags(words, options.flags)
  const call = (found: Record<string, string>): ProgramCall => {
    const fill = (text: string) => text.replaceAll('{port}', String(port))
    const variables = env.map(([variable, value]) => [variable, fill(value)])
    const given = Object.fromEntries(variables)
    const own = { PORT: String(port), MONIKER_URL: url, ...given, ...claim.env, [MARK]: mark }
    return { words: template.map(fill), env: { ...process.env, ...found, ...own } }
  }
  const program = new Program(call(found), (pid, signal) =>
    claim.accompany({ port, pid, ...(metadata && { metadata }) }, signal),
  )
  const renew = async (signal: AbortSignal) => {
    await claim.reserve()
    // One of its neighbours may have moved, and its old port may not be free yet.
    const found = await find(neighbours, { ...known, signal })
    port = fixedPort ?? (await freePort(port))
    url = await ownURL(name, options)
    return call(found)
  }
  const release = await watchOver(mark)
  try {
    const status = await (restart ? program.keepRunning({ tell, renew }) : program.run())
    // A tool such as npm leaves what it has started when it is told to stop.
    if (program.isStopped) await end(() => marked(mark))
    process.exitCode = status === 0 ? await leftBehind(mark, port, claim) : status
  } finally {
    release()
    await claim.release()
  }
}

/** The name, if one is given, and the words of the command. Commander tells them from each other by number alone. */
function wordsOf(
  command: Command,
  first: string | undefined,
  others: string[],
): { text: string | undefined; words: string[] } {
  const raw = Reflect.get(command.parent ?? command, 'rawArgs') as string[]
  const at = raw.indexOf('--')
  const all = first === undefined ? [] : [first, ...others]
  const isNamed = at === -1 || all.length > raw.length - at - 1
  const [text, ...words] = isNamed ? all : [undefined, ...all]
  if (words.length === 0)
    command.error('error: expected a command, as in moniker run web -- npm start')
  return { text, words: words as string[] }
}

/** The name of what is run here, where none is given: that of the package, or of the folder. */
function ownName(): string {
  const { name, isNamed } = packageAt(process.cwd())
  const word = (part: string) => toWord(part).slice(0, MAX)
  const text = isScoped(name) ? name.replaceAll(/[^@/]+/g, word) : word(name)
  tell(`the name is ${text}, that of ${isNamed ? 'package.json' : 'the folder'}`)
  return text
}

function neighbourOf(
  text: string,
  { strict = false, ...options }: Pick<Options, 'strict' | 'daemonPort' | 'namespace'>,
): Neighbour {
  const one = neighbour(text, options)
  const { also: _, ...at } = one.at
  return strict ? { ...one, at } : one
}

/** The port that a name has in this work tree, or folder, each time: bookmarks and redirects depend on it. */
function usualPort({ namespace, service }: Name, daemonPort = designatedPort()): number {
  const folder = workTree(process.cwd()) ?? process.cwd()
  // Two daemons know nothing of each other's names, and would give one port to both.
  const seed = `${daemonPort} ${namespace}:${service} ${folder}`
  return portFor(builtins.crypto.createHash('sha256').update(seed).digest().readUInt32BE())
}

/** The URL of what is run by a gateway, if there is one. Throws `EARGUMENT` if `MONIKER_GATEWAY` is no URL of one. */
async function ownURL(
  name: Name,
  { metadata, daemonPort = designatedPort() }: Pick<Options, 'metadata' | 'daemonPort'>,
): Promise<string | undefined> {
  const gateway =
    givenGateway() ?? (await askForGateway(daemonPort, BRIEFLY).catch(() => undefined))
  return gateway && webURL(gateway, name, { metadata })
}

/** The command with the flags of its tool. */
function withFlags(words: readonly string[], isWanted: boolean): readonly string[] {
  const found = isWanted ? flagged(words, packageAt(process.cwd()).scripts) : undefined
  if (!found) return words
  tell(
    `${found.tool} is given ${found.flags.join(' ')}, as it may ignore PORT; --no-flags leaves that out`,
  )
  return found.words
}

/** Warns of what a run that is process 1 of a container cannot do. */
function warnAsInit(): void {
  if (process.pid !== 1) return
  tell('this is process 1, and ends no orphans of its command: start the container with --init')
}

/** The status of a command that has ended with 0: 1 if it has put itself into the background, where it has no name. */
async function leftBehind(mark: string, port: number, claim: Claim): Promise<number> {
  const [address] = await bound([{ transport: 'tcp', port }])
  const left = address || !claim.wasHeld ? await marked(mark) : []
  if (!address && left.length === 0) return 0
  const who = wordsFor(left)
  tell(
    `the command has ended, but ${who || `a program on port ${port}`} goes on in the background, without the name; ` +
      'have it stay in the foreground, or use moniker register',
  )
  return 1
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

  /** True once a signal of ours was to end it. */
  get isStopped(): boolean {
    return this.#stop.signal.aborted
  }

  /** Runs it once, and returns its exit status, or 128 and the number of the signal that ended it. */
  async run(): Promise<number> {
    const { words, env } = this.#call
    const [file, ...args] = endingWithUs(words)
    const child = spawn(file!, args, { stdio: 'inherit', env })
    this.#child = child
    const done = new AbortController()
    const ended = endOf(child, words[0]!).finally(() => done.abort())
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

  /**
   * Runs it again and again, until it exits with 0 or a signal of ours ends it; returns its last exit status. Fails
   * with `NameTaken` if its name is another program's by the time of a start.
   */
  async keepRunning(options: RestartOptions): Promise<number> {
    const { signal } = this.#stop
    let wait = SOON
    const { now = clock } = options
    let began = now()
    let status = await this.run()
    while (status !== 0 && !signal.aborted) {
      if (now() - began > STEADY) wait = SOON
      options.tell(`${this.#call.words[0]} has crashed with status ${status}; again in ${wait} ms`)
      await this.#recover(wait, options)
      wait = Math.min(wait * 2, LATEST)
      began = now()
      // A signal may have come between two runs.
      status = signal.aborted ? status : await this.run()
    }
    return status
  }

  /** Pauses, and finds the call for the next start. Fails with `NameTaken` alone. */
  async #recover(wait: number, { tell, renew }: RestartOptions): Promise<void> {
    const { signal } = this.#stop
    try {
      await pause(wait, undefined, { signal })
      this.#call = { ...this.#call, ...(await renew(signal)) }
    } catch (error) {
      if (signal.aborted) return
      if (error instanceof NameTaken) throw error
      tell((error as Error).message)
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
