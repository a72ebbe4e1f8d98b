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

/** A program of somebody else, run as part of this one: our signals go to it. */
export class Program {
  readonly #words: readonly string[]
  readonly #env: NodeJS.ProcessEnv
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

  /** Runs it, and again for as long as it crashes and nobody has ended it; `tell` is told of each. */
  async persist(tell: (text: string) => void): Promise<number> {
    for (let wait = SOON; ; wait = Math.min(wait * 2, LATEST)) {
      const began = performance.now()
      const status = await this.run()
      if (status === 0 || this.#stop.signal.aborted) return status
      if (performance.now() - began > STEADY) wait = SOON
      tell(`${this.#words[0]} has crashed with status ${status}; again in ${wait} ms`)
      await pause(wait, undefined, this.#stop).catch(() => {})
      if (this.#stop.signal.aborted) return status
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
