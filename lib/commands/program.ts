import { spawn, type ChildProcess } from 'node:child_process'
import { constants } from 'node:os'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'

/** How long after a crash a program is started again, in ms; each pause is twice the last. */
const [SOON, LATEST] = [100, 30_000]

/** What ran for so long, in ms, does not crash at once. */
const STEADY = 10_000

/** What is done while a program runs, until `signal` aborts; its failure ends the program. */
export type Beside = (pid: number, signal: AbortSignal) => Promise<void>

export interface PersistOptions {
  /** Is told of each crash, in a line. */
  tell: (text: string) => void
  /** What its environment is by now, before each new start; that of before where it fails. */
  renew: (signal: AbortSignal) => Promise<NodeJS.ProcessEnv>
}

/** A program of somebody else, run as part of this one: our signals go to it. */
export class Program {
  readonly #words: readonly string[]
  #env: NodeJS.ProcessEnv
  readonly #beside: Beside
  readonly #stop = new AbortController()
  readonly #passed = new Set<NodeJS.Signals>()
  #child: ChildProcess | undefined

  /** `words` are the command and its arguments. */
  constructor(words: readonly string[], env: NodeJS.ProcessEnv, beside: Beside) {
    this.#words = words
    this.#env = env
    this.#beside = beside
    for (const signal of ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const) {
      process.on(signal, () => this.#pass(signal))
    }
  }

  /** Runs it once; its exit status, or 128 and the number of the signal that ended it. */
  async run(): Promise<number> {
    const [file, ...args] = this.#words
    const child = spawn(file!, args, { stdio: 'inherit', env: this.#env })
    this.#child = child
    const over = new AbortController()
    const ended = endOf(child, file!).finally(() => over.abort())
    const beside = this.#accompany(child, over.signal)
    // It is looked at once the program has ended.
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

  /** Runs it, and again for as long as it crashes and nobody has ended it; its last exit status. */
  async persist(options: PersistOptions): Promise<number> {
    const { signal } = this.#stop
    let wait = SOON
    let began = performance.now()
    let status = await this.run()
    while (status !== 0 && !signal.aborted) {
      if (performance.now() - began > STEADY) wait = SOON
      options.tell(`${this.#words[0]} has crashed with status ${status}; again in ${wait} ms`)
      await this.#recover(wait, options)
      wait = Math.min(wait * 2, LATEST)
      began = performance.now()
      // Told to end while it was not there.
      status = signal.aborted ? status : await this.run()
    }
    return status
  }

  /** Pauses, and readies the next start. Never fails. */
  async #recover(wait: number, { tell, renew }: PersistOptions): Promise<void> {
    const { signal } = this.#stop
    try {
      await pause(wait, undefined, { signal })
      this.#env = await renew(signal)
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
    // Programs may take SIGHUP for a wish to start afresh, not to end.
    if (signal === 'SIGTERM' || signal === 'SIGINT' || !this.#child) this.#stop.abort()
    // A terminal has sent it to the command as well.
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
