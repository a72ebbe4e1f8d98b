import type { Entry } from './registry.ts'

/** The service that a lease is on, in the namespaces where it was looked for. */
export interface Leased {
  readonly service: string
  readonly namespaces: readonly string[]
}

export interface LeasesOptions {
  /** The most leases. Default 32,768, half of what may wait or watch. */
  max?: number
  /** The most leases of one owner. Default 8,192, half of what one may wait for or watch. */
  maxOwned?: number
  /** Calls a function when all others have had their turn. Default at once. */
  later?: (work: () => void) => void
}

/** The defaults of `LeasesOptions`. */
export const DEFAULTS = { max: 32_768, maxOwned: 8_192 } satisfies LeasesOptions

/** The number of leases whose end is told in one turn; of fewer it is told at once. */
const PORTION = 64

interface Lease {
  readonly owner: object
  readonly rows: readonly Row[]
  /** Tells its owner that it is over. */
  readonly tell: () => void
}

/** The leases on a service of one namespace: all of them end with its first change. */
class Row extends Set<Lease> {
  readonly key: string
  isStale = false

  constructor(key: string) {
    super()
    this.key = key
  }
}

/** The leases of one owner, and how many changes it had been told of when it last asked. */
interface Owned {
  readonly leases: Set<Lease>
  seen: number
}

/**
 * The answers that clients take for true until they are told otherwise, once. As the registry it knows nothing of
 * sockets: an owner is any object. Leases are apart from subscriptions, so that they take no place of those who wait
 * or watch.
 */
export class Leases {
  readonly #max: number
  readonly #maxOwned: number
  readonly #later: (work: () => void) => void
  readonly #rows = new Map<string, Row>()
  readonly #owners = new Map<object, Owned>()
  /** The rows that are stale, while not all of their owners have been told. */
  readonly #stale = new Set<Row>()
  #untold: Iterator<Lease> | undefined
  /** Counts the changes that are told in turns. */
  #changes = 0
  #size = 0

  constructor({
    max = DEFAULTS.max,
    maxOwned = DEFAULTS.maxOwned,
    later = work => work(),
  }: LeasesOptions = {}) {
    this.#max = max
    this.#maxOwned = maxOwned
    this.#later = later
  }

  /** The number of leases. */
  get size(): number {
    return this.#size
  }

  /** Grants a lease; `tell` is called once when it is over, unless its owner goes. False if there are too many. */
  grant(owner: object, { service, namespaces }: Leased, tell: () => void): boolean {
    const owned = this.#owners.get(owner) ?? { leases: new Set(), seen: this.#changes }
    if (this.#size >= this.#max || owned.leases.size >= this.#maxOwned) return false
    const rows = [...new Set(namespaces)].map(one => this.#rowAt(keyOf(one, service)))
    const lease = { owner, rows, tell }
    for (const row of rows) row.add(lease)
    this.#owners.set(owner, owned)
    owned.leases.add(lease)
    this.#size++
    return true
  }

  /** Ends the leases on the service of `entry`, of which a name has come, gone or changed. */
  end({ namespace, service }: Pick<Entry, 'namespace' | 'service'>): void {
    if (this.#size === 0) return
    const row = this.#rows.get(keyOf(namespace, service))
    if (row) this.#expire([row])
  }

  /** Ends all leases. */
  endAll(): void {
    this.#expire([...this.#rows.values()])
  }

  /** Tells `owner` at once of its leases that are over, as it is about to be answered: it hears of the change first. */
  catchUp(owner: object): void {
    if (this.#stale.size === 0) return
    const owned = this.#owners.get(owner)
    if (!owned || owned.seen === this.#changes) return
    owned.seen = this.#changes
    for (const lease of owned.leases) {
      if (lease.rows.some(row => row.isStale)) this.#end(lease)
    }
  }

  /** Forgets all leases of `owner`: its connection has closed. */
  release(owner: object): void {
    for (const lease of this.#owners.get(owner)?.leases ?? []) this.#forget(lease)
  }

  #rowAt(key: string): Row {
    const row = this.#rows.get(key) ?? new Row(key)
    this.#rows.set(key, row)
    return row
  }

  /** Tells of a few at once, and of many in turns: no lease that comes from now on is among them. */
  #expire(rows: readonly Row[]): void {
    let count = 0
    for (const row of rows) {
      row.isStale = true
      this.#rows.delete(row.key)
      count += row.size
    }
    if (count < PORTION) {
      for (const row of rows) for (const lease of row) this.#end(lease)
      return
    }
    this.#changes++
    for (const row of rows) this.#stale.add(row)
    if (this.#untold) return
    this.#untold = this.#walk()
    this.#later(() => this.#goOn())
  }

  *#walk(): Generator<Lease, undefined> {
    for (const row of this.#stale) {
      yield* row
      this.#stale.delete(row)
    }
  }

  #goOn(): void {
    for (let told = 0; told < PORTION; told++) {
      const { value: lease } = this.#untold!.next() as IteratorResult<Lease, undefined>
      if (!lease) return void (this.#untold = undefined)
      this.#end(lease)
    }
    this.#later(() => this.#goOn())
  }

  #end(lease: Lease): void {
    this.#forget(lease)
    lease.tell()
  }

  #forget(lease: Lease): void {
    const { owner, rows } = lease
    for (const row of rows) {
      row.delete(lease)
      if (row.size === 0 && !row.isStale) this.#rows.delete(row.key)
    }
    const { leases } = this.#owners.get(owner)!
    leases.delete(lease)
    if (leases.size === 0) this.#owners.delete(owner)
    this.#size--
  }
}

/** No word has a `:` in it. */
function keyOf(namespace: string, service: string): string {
  return `${namespace}:${service}`
}
