import { LOOPBACK, isThisHost } from '../address.ts'
import { cancellable, deadline } from '../async.ts'
import { Cache } from '../cache.ts'
import { Resolver } from '../client/resolver.ts'
import { diagnostics } from '../diagnostics.ts'
import { serviceAt } from '../directories/services.ts'
import { isWord } from '../name.ts'
import type { Resolution } from '../resolution.ts'
import type { Elsewhere } from './aim.ts'
import { isUnknown } from './names.ts'

const debug = diagnostics('moniker:gateway')

/** Milliseconds for which a host that has no daemon, or not the service, is not asked again. */
const ABSENT = 60_000

/** The services of the web, by the ports that a URI need not say. */
const WEB: Readonly<Record<number, string>> = { 80: 'http', 443: 'https' }

/**
 * The question that the paper has a program ask of any host: on which port is the service whose usual port is asked for?
 * It is asked by programs that know nothing of it, so none of them waits long for an answer.
 */
export class Asking {
  readonly #resolver: Resolver
  readonly #silence: number
  /** The hosts without a daemon, and the services that others do not have, with their host. */
  readonly #absent = new Cache<true>()

  /** Asks daemons at the designated port `port`. After `silence` ms the plain port goes ahead. */
  constructor(port: number, silence: number) {
    this.#resolver = new Resolver({ port })
    this.#silence = silence
  }

  /** The place of the service that a port stands for; `undefined` where that port itself is to be used. */
  async find({ host, port }: Elsewhere): Promise<Resolution | undefined> {
    if (isThisHost(host) || LOOPBACK.includes(host)) return undefined
    const service = WEB[port] ?? (await serviceAt(port))
    return isWord(service) ? this.#ask(service.toLowerCase(), host.toLowerCase()) : undefined
  }

  async #ask(service: string, host: string): Promise<Resolution | undefined> {
    const key = `${service} ${host}`
    if (this.#absent.get(host) || this.#absent.get(key)) return undefined
    const answer = this.#resolver.resolve({ namespace: '', service, version: '' }, { host })
    const { signal, free } = deadline(this.#silence, () => new Error('it is silent'))
    const found = await cancellable(answer, signal).catch((error: Error) => {
      debug('%s at %s: %s', service, host, error.message)
      this.#absent.set(isUnknown(error) ? key : host, true, ABSENT)
      // One that only took longer is asked the next time.
      answer.then(() => this.#absent.delete(host)).catch(() => {})
      return undefined
    })
    free()
    return found
  }
}
