import { once } from 'node:events'
import { clearTimeout, setTimeout } from '../clock.ts'
import type { MonikerError } from '../errors.ts'
import { format } from '../name.ts'
import { builtins } from '../node/builtins.ts'
import { listening, portsOf } from '../node/proc.ts'
import { Registrar, type Lease } from '../registration/registrar.ts'
import { reservationWord } from '../settings.ts'
import type { Offer } from '../wire/protocol.ts'
import { tell, tellLapses } from './terminal.ts'

/** Milliseconds until a command that does not listen yet is reported. */
const LATE = 10_000

/** The failure of a run whose name another program holds: nothing is started then. */
export class NameTaken extends Error {}

/** The hold that a run has on its name: it is reserved, then registered, unless the program registers it by itself. */
export class Claim {
  readonly #name: Omit<Offer, 'port' | 'address'>
  readonly #registrar: Registrar
  readonly #word = reservationWord() ?? builtins.crypto.randomBytes(16).toString('hex')
  #reserved: Lease | undefined
  /** True once the command has had its name. */
  wasHeld = false

  constructor(name: Omit<Offer, 'port' | 'address'>, daemonPort?: number) {
    this.#name = name
    this.#registrar = Registrar.at(daemonPort)
  }

  /** The variables by which the command gets the name. */
  get env(): Record<string, string> {
    return { MONIKER_RESERVATION: this.#word }
  }

  /** Reserves the name. A daemon that knows no reservations is used without. Fails with `NameTaken` if it is taken. */
  async reserve(force = false): Promise<void> {
    if (this.#reserved?.state === 'held') return
    const asked = { ...this.#name, reservation: this.#word, force }
    try {
      this.#reserved = await this.#registrar.reserve(asked)
    } catch (error) {
      const { reason, message } = error as MonikerError
      if (reason === 'ETAKEN') throw new NameTaken(`${message}; --force takes the name over`)
      const isOld = reason === 'ENOSYS' || reason === 'EPROTOCOL'
      if (!isOld || force) throw error
      this.#reserved = undefined
    }
  }

  /** Registers the name once the command listens, until `signal` aborts; lets go if the command does it by itself. */
  async accompany(
    command: Pick<Offer, 'port' | 'pid' | 'metadata'>,
    signal: AbortSignal,
  ): Promise<void> {
    const offer = { ...this.#name, ...command }
    const claimed = new AbortController()
    const reserved = this.#reserved
    const onClaimed = () => claimed.abort()
    reserved?.once('claimed', onClaimed)
    try {
      const address = await reached(offer, AbortSignal.any([signal, claimed.signal]))
      await this.#hold({ ...offer, address }, signal)
    } catch (error) {
      if (!claimed.signal.aborted) throw error
      this.#letGo()
      if (!signal.aborted) await once(signal, 'abort')
    } finally {
      reserved?.off('claimed', onClaimed)
    }
  }

  async #hold(offer: Offer, signal: AbortSignal): Promise<void> {
    const options = { signal, instead: this.#reserved }
    const lease = await this.#registrar.register(offer, options)
    this.wasHeld = true
    lease.once('claimed', () => this.#letGo())
    const name = format(offer)
    tell(`${name} is port ${offer.port}`)
    const cancel = tellLapses(lease, tell, `${name} is registered again`)
    if (!signal.aborted) await once(signal, 'abort')
    cancel()
    await lease.withdraw()
  }

  #letGo(): void {
    this.wasHeld = true
    tell(`${format(this.#name)} is registered by the command itself`)
  }

  /** Gives the name up, if it is still reserved. */
  async release(): Promise<void> {
    await this.#reserved?.withdraw()
  }
}

/** The address at which a command listens, once it does. Reports a command that takes its time. */
async function reached(offer: Omit<Offer, 'address'>, signal: AbortSignal): Promise<string> {
  const { port, pid } = offer
  let address: string | undefined
  const report = async () => {
    const others = await portsOf(pid!)
    if (!signal.aborted && !address) tell(`${format(offer)} ${notListening(port, others)}`)
  }
  const timer = setTimeout(() => void report(), LATE)
  address = await listening(port, signal).finally(() => clearTimeout(timer))
  return address
}

/** The report on a command that does not listen on `port`; `others` are the ports on which it does. */
function notListening(port: number, others: readonly number[]): string {
  const [other] = others
  const why = other
    ? `the command listens on port ${other}, not on ${port}`
    : `no program listens on port ${port}`
  return (
    `is not registered yet: ${why}, which the command finds in $PORT; does it want {port} among ` +
    `its arguments, another variable (--env), or ${other ? `--port ${other}` : 'its own port (--port)'}?`
  )
}
