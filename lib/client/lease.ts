/** The connection over which the end of a lease is told. */
export interface Keeper {
  /** Notes that one of its leases was used. */
  used(): void
}

/**
 * An answer that the daemon of this host vouches for, until it tells otherwise or the connection closes. It is asked
 * for with a question, and may not be granted.
 */
export class Lease {
  readonly #keeper: Keeper
  #state: 'asked' | 'held' | 'over' = 'asked'
  /** Called once, when a lease that was held is over. */
  onOver: (() => void) | undefined

  constructor(keeper: Keeper) {
    this.#keeper = keeper
  }

  /** True from when it is granted until it is over. */
  get isHeld(): boolean {
    return this.#state === 'held'
  }

  /** Notes that it was granted, unless it is over by then. */
  grant(): void {
    if (this.#state === 'asked') this.#state = 'held'
  }

  end(): void {
    this.#state = 'over'
    this.onOver?.()
  }

  /** Notes that it was used: its connection is kept open for that. */
  use(): void {
    this.#keeper.used()
  }
}
