import type { Lease } from '../registration/lease.ts'
import { format } from '../name.ts'
import { bound } from '../node/proc.ts'
import type { Registrar } from '../registration/registrar.ts'
import type { Entry } from './portlist.ts'
import { tellLapses } from './terminal.ts'

/** How many rounds pass at most before a name that could not be had is tried again. */
const LONGEST = 32

export interface HolderOptions {
  registrar: Pick<Registrar, 'register'>
  /** Is told, in a line, what becomes of each name. */
  tell: (text: string) => void
}

/** Holds names for the ports of other programs, each while somebody answers at its port. */
export class Holder {
  readonly #options: HolderOptions
  #all = new Map<string, Hold>()
  readonly #gone = new Set<Hold>()

  constructor(options: HolderOptions) {
    this.#options = options
  }

  /** Which names to hold, from the next `round` on. Those that stay as they were are not let go. */
  want(entries: readonly Entry[]): void {
    const before = this.#all
    const wanted = entries.map(entry => [JSON.stringify(entry), entry] as const)
    this.#all = new Map(
      wanted.map(([key, entry]) => [key, before.get(key) ?? new Hold(entry, this.#options)]),
    )
    for (const [key, hold] of before) if (!this.#all.has(key)) this.#gone.add(hold)
  }

  /**
   * Looks at every port, and lets go and registers what is to be, in this order. Fails only with the
   * reason of `signal`.
   */
  async round(signal: AbortSignal): Promise<void> {
    const holds = [...this.#all.values()]
    await this.#release()
    const addresses = await bound(holds.map(({ entry }) => entry))
    await Promise.all(holds.map((hold, index) => hold.settle(addresses[index], signal)))
    signal.throwIfAborted()
  }

  /** Lets go of everything. */
  async close(): Promise<void> {
    this.want([])
    await this.#release('we are told to stop')
  }

  async #release(why = 'it is not asked for any more'): Promise<void> {
    const gone = [...this.#gone]
    this.#gone.clear()
    await Promise.all(gone.map(hold => hold.withdraw(why)))
  }
}

/** One name, held or not. */
class Hold {
  readonly entry: Entry
  readonly #options: HolderOptions
  #lease: Lease | undefined
  /** Nothing more is told of it. */
  #over: (() => void) | undefined
  /** How many rounds to sit out, and how many after the next failure. */
  #rest = 0
  #pause = 1
  /** Nothing is said twice. */
  #said = ''

  constructor(entry: Entry, options: HolderOptions) {
    this.entry = entry
    this.#options = options
  }

  /** Brings the registration in line with the address at which the port answers, if it does. */
  async settle(address: string | undefined, signal: AbortSignal): Promise<void> {
    if (address === undefined) return this.#await()
    if (this.#lease?.offer.address === address) return
    if (this.#lease) await this.withdraw(`it is served at ${address} now`)
    if (this.#rest-- > 0) return
    try {
      await this.#register(address, signal)
    } catch (error) {
      this.#rest = this.#pause
      this.#pause = Math.min(this.#pause * 2, LONGEST)
      if (!signal.aborted) this.#tell(`${(error as Error).message}; it is tried again`)
    }
  }

  /** Lets the name go, if it is held, and says why. */
  async withdraw(why: string): Promise<void> {
    const lease = this.#lease
    if (!lease) return
    this.#lease = undefined
    this.#over!()
    await lease.withdraw()
    this.#tell(`${this.#name} is withdrawn: ${why}`)
  }

  async #await(): Promise<void> {
    const nobody = `nobody answers on ${this.#port}`
    if (this.#lease) return this.withdraw(nobody)
    // What becomes of a port that once answered has been said already.
    if (!this.#said) this.#tell(`${this.#name} is not registered yet: ${nobody}`)
    this.#rest = 0
  }

  async #register(address: string, signal: AbortSignal): Promise<void> {
    const { name, ...others } = this.entry
    const { metadata, ...offer } = { ...name, ...others, address }
    const full = { ...offer, ...(metadata && { metadata }) }
    const lease = await this.#options.registrar.register(full, { signal })
    const there = `${this.#name} is ${this.#port}`
    this.#over = tellLapses(lease, text => this.#tell(text), there)
    this.#lease = lease
    this.#pause = 1
    this.#tell(there)
  }

  #tell(text: string): void {
    if (text !== this.#said) this.#options.tell(text)
    this.#said = text
  }

  get #name(): string {
    return format(this.entry.name)
  }

  get #port(): string {
    const { transport, port } = this.entry
    return transport === 'udp' ? `port ${port} of UDP` : `port ${port}`
  }
}
