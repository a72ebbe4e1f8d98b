import { setTimeout as pause } from 'node:timers/promises'
import { Bonjour } from 'bonjour-service'

const PORT = 4_567

/** Milliseconds for which an answer is waited for. */
const PATIENCE = 5_000

/** Bound to one address it would hear nothing that is sent to all. */
const LOOPBACK = { interface: '127.0.0.1', bind: '0.0.0.0' }

/** Publishes a service for as long as the process lives; nobody objects to its name within a second. */
export async function publisher(): Promise<string> {
  open().publish({ name: 'bench', type: 'bench', port: PORT })
  return 'published'
}

/** Asks everybody for the service, and is done when one has answered; fails if nobody does. */
export async function find(): Promise<void> {
  const bonjour = open()
  try {
    const found = new Promise<number>(resolve => {
      bonjour.find({ type: 'bench' }, service => resolve(service.port))
    })
    const port = await Promise.race([found, pause(PATIENCE, undefined, { ref: false })])
    if (port === undefined) throw new Error('nobody answers by multicast here')
    if (port !== PORT) throw new Error(`mDNS said ${port}`)
  } finally {
    await new Promise<void>(resolve => bonjour.destroy(resolve))
  }
}

function open(): Bonjour {
  return new Bonjour(LOOPBACK as never)
}
