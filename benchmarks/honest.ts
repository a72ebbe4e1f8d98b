import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { Resolver, createServer } from '../index.ts'
import { Registrar } from '../lib/registration/registrar.ts'
import { touch, unknown } from './traffic.ts'

/** The name that honest programs register, each another version of it: those who attack know it. */
export const HONEST = 'honest'

/** Milliseconds from the beginning of one task to that of the next of its kind. */
export const PACE = 20

/** Milliseconds that a daemon may take to get over an attack. */
const RECOVERY = 30_000

/** The number of quick answers in a row that tell that it is. */
const CALM = 10

/** The times of tasks, in ms, and the codes of those that failed. */
export interface Taken {
  times: number[]
  failures: string[]
}

/** The kinds of what honest programs do. */
export const KINDS = ['question', 'registration', 'connect'] as const

export type Kind = (typeof KINDS)[number]

/** The program that asks what others ask for; it is a server as well. */
export class Honest {
  readonly #port: number
  readonly #serverPort: number
  #versions = 0

  private constructor(port: number, serverPort: number) {
    this.#port = port
    this.#serverPort = serverPort
  }

  /** An honest program of the daemon that has `port`. */
  static async settle(port: number): Promise<Honest> {
    const server = createServer(socket => socket.on('error', () => {}).pipe(socket))
    server.listen({ service: 'bench', daemonPort: port })
    await once(server, 'listening')
    return new Honest(port, (server.address() as AddressInfo).port)
  }

  /** Does each kind of task for so many milliseconds. */
  async work(ms: number): Promise<Record<Kind, Taken>> {
    const [question, registration, connect] = await Promise.all([
      atPace(() => this.#ask(), ms, PACE),
      atPace(() => this.#register(), ms, PACE),
      atPace(() => this.#connect(), ms, PACE),
    ])
    return { question, registration, connect }
  }

  /** Waits until nothing is left of an attack, and the daemon answers as before; how many seconds that took. */
  async recover(): Promise<number> {
    const start = performance.now()
    const resolver = new Resolver({ port: this.#port, timeout: RECOVERY })
    for (let calm = 0; calm < CALM;) {
      const asked = performance.now()
      const { names, followers } = await resolver.status()
      const answered = performance.now()
      calm = names === 1 && followers === 0 && answered - asked < PACE ? calm + 1 : 0
      if (answered - start > RECOVERY) {
        throw new Error(
          `the daemon still has ${String(names)} names and ${String(followers)} waits`,
        )
      }
      await pause(PACE)
    }
    return (performance.now() - start) / 1_000
  }

  async #ask(): Promise<void> {
    const { endpoints } = await new Resolver({ port: this.#port }).resolve('bench')
    if (endpoints[0]?.port !== this.#serverPort) throw new Error('the answer was wrong')
  }

  /** A program that has just started: the connection is its own. */
  async #register(): Promise<void> {
    const lease = await new Registrar(this.#port, forbidden).register({
      namespace: '',
      service: HONEST,
      version: `1.0.${this.#versions++}`,
      transport: 'tcp',
      port: this.#serverPort,
      address: '127.0.0.1',
      shared: false,
    })
    void lease.withdraw()
  }

  async #connect(): Promise<void> {
    await touch(unknown([this.#port]))
  }
}

async function forbidden(): Promise<never> {
  throw new Error('the daemon has gone')
}

/**
 * Begins a task every `pace` ms, for so many ms, whether or not those before are done: no moment of a stall is missed.
 * Each is timed from when it was due.
 */
export async function atPace(task: () => Promise<void>, ms: number, pace: number): Promise<Taken> {
  const times: number[] = []
  const failures: string[] = []
  const timed = async (due: number) => {
    try {
      await task()
      times.push(performance.now() - due)
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException
      failures.push(code ?? message)
    }
  }
  const begun: Promise<void>[] = []
  const start = performance.now()
  for (let due = start; due < start + ms; due += pace) {
    const early = due - performance.now()
    if (early > 0) await pause(early)
    begun.push(timed(due))
  }
  await Promise.all(begun)
  return { times, failures }
}
