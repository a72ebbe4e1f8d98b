import { once, type EventEmitter } from 'node:events'
import { createRequire } from 'node:module'

/** As much of the npm package as is used here; it has no types. */
interface Seaport {
  createServer: () => Ports
  connect: (port: number, host: string) => Ports
}

interface Ports extends EventEmitter {
  listen: (port: number, host: string) => EventEmitter & { address: () => { port: number } }
  register: (role: string) => number
  get: (role: string, listener: (found: { port: number }[]) => void) => void
  close: () => void
}

const seaport = createRequire(import.meta.url)('seaport') as Seaport

/** A hub, and one service that has a port from it; says where the hub is. */
export async function hub(): Promise<number> {
  const server = seaport.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  seaport.connect(port, '127.0.0.1').register('bench@1.0.0')
  await find(port)
  return port
}

/** Joins the hub, asks for the service, and leaves. */
export async function find(port: number): Promise<void> {
  const ports = seaport.connect(port, '127.0.0.1')
  const [first] = await new Promise<{ port: number }[]>(resolve => ports.get('bench@1.x', resolve))
  if (!first || !(first.port > 0)) throw new Error(`seaport said ${JSON.stringify(first)}`)
  ports.close()
}
