import type { Listed } from '../wire/protocol.ts'

/** A service that is watched: as the daemon of the host has it, or as a directory has seen it. */
export interface Watched extends Listed {
  /** The host at which a directory has seen it; left out by a daemon. */
  readonly host?: string
  /** The directory that has seen it; left out by a daemon. */
  readonly source?: string
}

/** A service that has come or gone. */
export interface Change extends Watched {
  readonly event: 'up' | 'down'
}

/**
 * The services that are up, by the changes that daemons tell, which come and go themselves. A name that went
 * with its daemon is in doubt: if it comes back, nothing has happened.
 */
export class Roster {
  readonly #tell: (event: Change['event'], service: Watched) => void
  #weight = 0
  /** By instance, as the daemon of the moment has it; each as it was first told. */
  readonly #known = new Map<string, Watched>()
  readonly #doubted = new Map<string, Watched[]>()

  constructor(tell: (event: Change['event'], service: Watched) => void) {
    this.#tell = (event, service) => {
      this.#weight += JSON.stringify(service).length * (event === 'up' ? 1 : -1)
      tell(event, service)
    }
  }

  /** The services that are up, or were when their daemon went; each as it was first told. */
  get services(): Watched[] {
    return [...this.#known.values(), ...[...this.#doubted.values()].flat()]
  }

  /** The number of services that are up. */
  get size(): number {
    return this.#known.size
  }

  /** The characters of JSON that they all take, those in doubt among them. */
  get weight(): number {
    return this.#weight
  }

  /** True if a service that was up may have gone. */
  get isInDoubt(): boolean {
    return this.#doubted.size > 0
  }

  /** A service is there; told unless it was there already. */
  up(service: Watched): void {
    if (this.#known.has(service.instance)) return
    const again = this.#recall(service)
    this.#known.set(service.instance, again ?? service)
    if (!again) this.#tell('up', service)
  }

  /** A service has gone. */
  down({ instance }: Pick<Watched, 'instance'>): void {
    const service = this.#known.get(instance)
    if (!service) return
    this.#known.delete(instance)
    this.#tell('down', service)
  }

  /** The daemon has gone: of nothing is it known any more whether it is there. */
  doubt(): void {
    for (const service of this.#known.values()) {
      const key = identity(service)
      const alike = this.#doubted.get(key)
      if (alike) alike.push(service)
      else this.#doubted.set(key, [service])
    }
    this.#known.clear()
  }

  /** Drops the services that have not come back by now. */
  settle(): void {
    const gone = [...this.#doubted.values()].flat()
    this.#doubted.clear()
    for (const service of gone) this.#tell('down', service)
  }

  #recall(service: Watched): Watched | undefined {
    const key = identity(service)
    const alike = this.#doubted.get(key)
    const found = alike?.pop()
    if (alike?.length === 0) this.#doubted.delete(key)
    return found
  }
}

/** The part of a registration that is the same at the next daemon. */
function identity(listed: Watched): string {
  const { namespace, service, version, transport, address, port, pid, metadata } = listed
  return JSON.stringify([namespace, service, version, transport, address, port, pid, metadata])
}
