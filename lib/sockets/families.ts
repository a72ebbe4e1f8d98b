import {
  getDefaultAutoSelectFamily,
  getDefaultAutoSelectFamilyAttemptTimeout,
  type TcpSocketConnectOpts,
} from 'node:net'
import { ANY_HOST, isIP } from '../address.ts'
import { clearTimeout, nextTick, setTimeout } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import type { Call } from '../options/connect.ts'
import { resolver } from '../client/resolver.ts'
import type { Reachable } from '../wire/protocol.ts'

const debug = diagnostics('moniker:families')

/**
 * The second of the two families of addresses that a host may have. `net` goes on to it where the first has failed, or
 * has not been reached in 250 ms. So do we, but to an address whose own daemon has confirmed the service.
 */
export class OtherFamily {
  readonly #call: Call
  readonly #place: Reachable
  readonly #onDone: (place: Reachable | undefined) => void
  readonly #timer: NodeJS.Timeout
  #cancel: AbortController | undefined

  /** `onDone` is called once, unless it is stopped, with the place of the service there, if there is one. */
  constructor(call: Call, place: Reachable, onDone: (place: Reachable | undefined) => void) {
    this.#call = call
    this.#place = place
    this.#onDone = onDone
    const { autoSelectFamilyAttemptTimeout: ms = getDefaultAutoSelectFamilyAttemptTimeout() } =
      call.net as Partial<TcpSocketConnectOpts>
    this.#timer = setTimeout(() => this.try(), ms).unref()
  }

  /** Asks now; false if it has been asked before. */
  try(): boolean {
    clearTimeout(this.#timer)
    if (this.#cancel) return false
    this.#cancel = new AbortController()
    void this.#ask(this.#cancel.signal)
    return true
  }

  stop(): void {
    clearTimeout(this.#timer)
    this.#cancel ??= new AbortController()
    this.#cancel.abort()
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const { name, where, net } = this.#call
    const { resolver: own = resolver } = net
    const family = isIP(this.#place.address) === 4 ? 6 : 4
    const question = Object.assign({}, where, { family, signal, wait: undefined })
    const found = await own.resolve(name, question).catch((error: Error) => {
      debug('%s', error.message)
    })
    if (signal.aborted) return
    const place = found?.endpoints.find(one => isSame(one, this.#place))
    // In a turn of its own: an error of a listener is the program's.
    nextTick(() => signal.aborted || this.#onDone(place))
  }
}

/** True if it is the same service, and not that of another host which has the same name. */
function isSame(one: Reachable, other: Reachable): boolean {
  return one.instance === other.instance && one.port === other.port && one.address !== other.address
}

/** True if `net` would go on to the other family. */
export function hasOtherFamily({ isThisHost, net }: Call): boolean {
  const {
    host = '',
    family,
    localAddress,
    localPort,
    autoSelectFamily = getDefaultAutoSelectFamily(),
  } = net as Partial<TcpSocketConnectOpts>
  const isNamed = !isThisHost && host !== ANY_HOST && !isIP(host)
  return isNamed && autoSelectFamily && !family && !localAddress && !localPort
}
