import { once } from 'node:events'
import type { Lease } from '../lib/registration/registrar.ts'
import { Registrar } from '../lib/registration/registrar.ts'
import { seconds } from './measure.ts'
import { nameOf } from './names.ts'
import { peer } from './process.ts'

/** In how many processes the programs are. */
const PROCESSES = 4

/** Programs that each hold a name, over a connection of their own, and do not become the daemon themselves. */
export class Flock {
  readonly #leases: readonly Lease[]

  private constructor(leases: readonly Lease[]) {
    this.#leases = leases
  }

  /** So many, at the daemon that has `port`; their names are those from the number `first` on. */
  static async settle(port: number, count: number, first: number): Promise<Flock> {
    const leases = Array.from({ length: count }, (_, at) =>
      new Registrar(port, forbidden).register({
        namespace: '',
        service: nameOf(first + at),
        version: '1.0.0',
        transport: 'tcp',
        port: 1_024 + at,
        address: '127.0.0.1',
        shared: false,
      }),
    )
    return new Flock(await Promise.all(leases))
  }

  /** Done when each name has been lost and is there again. */
  async back(): Promise<void> {
    await Promise.all(this.#leases.map(lease => once(lease, 'regained')))
  }
}

/**
 * Seconds until as many programs, of which each has a connection, have their names again once there is a daemon again,
 * after it was killed.
 */
export async function comeback(count: number): Promise<number> {
  const before = await peer<{ port: number }>('state')
  const { port } = before.ready
  const each = Math.ceil(count / PROCESSES)
  const flocks = await Promise.all(
    Array.from({ length: Math.ceil(count / each) }, (_, at) =>
      peer('flock', { port, args: [String(Math.min(each, count - at * each)), String(at * each)] }),
    ),
  )
  const back = Promise.all(flocks.map(flock => flock.ask('back')))
  await before.stop()
  const after = await peer('state', { args: [String(port)] })
  try {
    return await seconds(() => back)
  } finally {
    await Promise.all([after, ...flocks].map(one => one.stop()))
  }
}

async function forbidden(): Promise<never> {
  throw Object.assign(new Error('another is to be the daemon'), { code: 'EACCES' })
}
