import { seconds } from './measure.ts'
import { peer, type Peer } from './process.ts'

/** Bytes that a daemon takes. */
export interface Memory {
  /** On the heap, once the collector has been. */
  heap: number
  resident: number
}

/** The state of a daemon as it was settled. */
export interface Settled {
  /** Seconds that it took to open all connections, and then to register all names. */
  connected: number
  registered: number
  /** Bytes of heap that all connections take, and all names; and those of the whole process. */
  memory: { connections: number; names: number; resident: number }
}

/** The costs of many that watch. */
export interface Watched {
  /** Bytes of heap that all take, beside their connections. */
  memory: number
  /** Seconds from a registration until all had heard. */
  told: number
}

/** A daemon in a process of its own, and those who hold names there in another. */
export class Populace {
  readonly #daemon: Peer<{ port: number; ms: number }>
  #holders: Peer<string> | undefined
  /** The number of names. */
  size = 0

  private constructor(daemon: Peer<{ port: number; ms: number }>) {
    this.#daemon = daemon
  }

  /** A daemon that nobody has asked anything yet. */
  static async found(): Promise<Populace> {
    return new Populace(await peer('state', { node: ['--expose-gc'] }))
  }

  get port(): number {
    return this.#daemon.ready.port
  }

  /** Milliseconds that the daemon took to start. */
  get started(): number {
    return this.#daemon.ready.ms
  }

  /** Has so many names held, by connections that hold as many `each`. */
  async settle(size: number, each: number): Promise<Settled> {
    const holders = await peer<string>('crowd', { port: this.port })
    this.#holders = holders
    this.size = size
    const before = await this.#memory()
    const connected = await holders.ask<number>({ dial: Math.ceil(size / each) })
    const between = await this.#memory()
    const registered = await holders.ask<number>({ hold: each })
    const { heap, resident } = await this.#memory()
    const memory = {
      connections: between.heap - before.heap,
      names: heap - between.heap,
      resident,
    }
    return { connected, registered, memory }
  }

  /** Has so many connections watch one name, and then that name come. */
  async watch(count: number): Promise<Watched> {
    const watchers = await peer<string>('crowd', { port: this.port })
    this.#holders = watchers
    await watchers.ask({ dial: count })
    const before = await this.#memory()
    await watchers.ask('watch')
    const { heap } = await this.#memory()
    return { memory: heap - before.heap, told: await watchers.ask<number>('hear') }
  }

  /** All who hold names end at once; how many seconds it takes until no name is left. */
  async perish(): Promise<number> {
    const empty = this.#daemon.ask('empty')
    return seconds(async () => {
      await this.#holders?.stop()
      await empty
    })
  }

  /** Stops the daemon; how many seconds it took. */
  stop(): Promise<number> {
    return this.#daemon.ask<number>('stop')
  }

  /** Ends all processes. */
  async leave(): Promise<void> {
    await Promise.all([this.#holders?.stop(), this.#daemon.stop()])
  }

  #memory(): Promise<Memory> {
    return this.#daemon.ask<Memory>('memory')
  }
}
