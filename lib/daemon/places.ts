import { networkOf } from '../address.ts'
import { MonikerError } from '../errors.ts'
import type { Share } from './chain.ts'

export interface PlacesOptions {
  /** The things that take a place, in words. */
  of: string
  /** The most of one other host. */
  host: number
  /** The most of all other hosts. */
  remote: number
}

/** The places that other hosts may take, so that this one has the rest. A host is known by its network. */
export class Places {
  readonly #options: PlacesOptions
  readonly #counts = new Map<string, number>()
  #used = 0

  constructor(options: PlacesOptions) {
    this.#options = options
  }

  /** The places that all of them have taken, of those that there are. */
  get share(): Share {
    const { of, remote: most } = this.#options
    return { of: `${of} from other hosts`, used: this.#used, most }
  }

  /** The host that has most of them, and their number. */
  get busiest(): [host: string | undefined, count: number] {
    let busiest: [string | undefined, number] = [undefined, 0]
    for (const one of this.#counts) if (one[1] > busiest[1]) busiest = one
    return busiest
  }

  /** Takes a place for the host with an address; what is returned is to be called once, to free it. Throws `ELIMIT`. */
  take(address: string): () => void {
    const { of, host: most, remote } = this.#options
    const host = networkOf(address)
    const count = this.#counts.get(host) ?? 0
    if (count >= most) throw full(`${count} ${of} from ${host} are open`)
    if (this.#used >= remote) throw full(`${remote} ${of} from other hosts are open`)
    this.#counts.set(host, count + 1)
    this.#used++
    return () => {
      this.#used--
      const left = this.#counts.get(host)! - 1
      if (left === 0) this.#counts.delete(host)
      else this.#counts.set(host, left)
    }
  }
}

function full(text: string): MonikerError {
  return new MonikerError('ELIMIT', { text })
}
