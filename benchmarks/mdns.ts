import { Bonjour } from 'bonjour-service'

const PORT = 4_567

/** Bound to one address it would hear nothing that is sent to all. */
const LOOPBACK = { interface: '127.0.0.1', bind: '0.0.0.0' }

/** Publishes a service for as long as the process lives. */
export async function publisher(): Promise<string> {
  const service = open().publish({ name: 'bench', type: 'bench', port: PORT })
  return new Promise(resolve => service.on('up', () => resolve('up')))
}

/** Asks everybody for the service, and is done when one has answered. */
export async function find(): Promise<void> {
  const bonjour = open()
  const port = await new Promise<number>(resolve => {
    bonjour.find({ type: 'bench' }, service => resolve(service.port))
  })
  if (port !== PORT) throw new Error(`mDNS said ${port}`)
  await new Promise<void>(resolve => bonjour.destroy(resolve))
}

function open(): Bonjour {
  return new Bonjour(LOOPBACK as never)
}
