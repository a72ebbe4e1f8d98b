// One of the programs that the demo starts: a process of its own, which never outlives the demo.
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Ready } from './demo-service.ts'

/** JavaScript, or TypeScript where that is what runs. */
const file = fileURLToPath(new URL(`./demo-service${extname(import.meta.url)}`, import.meta.url))

/** Milliseconds that a program has to say that it can be reached. */
const PATIENCE = 30_000

/** A program that serves one name. */
export class Program {
  readonly #service: string
  readonly #child: ChildProcess
  readonly #failed: (error: Error) => void
  readonly #ended: Promise<void>

  /** Starts it. `failed` is told when it is late, or ends; that it has been stopped counts, too. */
  constructor(service: string, megabytes: number, failed: (error: Error) => void) {
    this.#service = service
    this.#failed = failed
    this.#child = fork(file, [service, String(megabytes)], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    })
    this.#ended = this.#watched()
  }

  /** The words that it says once it can be reached. */
  async ready(signal: AbortSignal): Promise<Ready> {
    const late = () => this.#failed(new Error(`${this.#service} takes too long to start`))
    const timer = setTimeout(late, PATIENCE)
    try {
      const [ready] = (await once(this.#child, 'message', { signal })) as [Ready]
      return ready
    } finally {
      clearTimeout(timer)
    }
  }

  /** Nothing of it is left to tidy: a name goes with its program. */
  async stop(): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.#ended
  }

  async #watched(): Promise<void> {
    try {
      const [status, killer] = (await once(this.#child, 'exit')) as [number | null, string | null]
      this.#failed(new Error(`${this.#service} has ended (${killer ?? `exit status ${status}`})`))
    } catch (cause) {
      this.#failed(new Error(`${this.#service} could not be started`, { cause }))
    }
  }
}
