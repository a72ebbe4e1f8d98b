// One of the demo's two services, a program of its own: demo-service archive | mirror
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createServer } from '../index.ts'

/** What the parent is told once the service can be reached, by name and, to compare, by number. */
export interface Ready {
  pid: number
  address: net.AddressInfo
  plainPort: number
  /** SHA-256 of what the archive sends. */
  checksum: string
}

const CHUNK = 65_536
const archive = randomBytes(64 * 2 ** 20)

function* chunks(): Iterable<Buffer> {
  for (let at = 0; at < archive.length; at += CHUNK) yield archive.subarray(at, at + CHUNK)
}

const services = {
  /** Sends all it has. */
  archive: (socket: Socket) => pipeline(Readable.from(chunks()), socket),
  /** Sends back what it gets. */
  mirror: (socket: Socket) => pipeline(socket, socket),
}

const service = process.argv[2] as keyof typeof services
const serve = (socket: Socket) => {
  services[service](socket).catch((error: Error) => console.error(`${service}: ${error.message}`))
}

const named = createServer({ allowHalfOpen: true }, serve).listen(`demo:${service}@1.0.0`)
const plain = net.createServer({ allowHalfOpen: true }, serve).listen(0)
await Promise.all([once(named, 'listening'), once(plain, 'listening')])

process.send?.({
  pid: process.pid,
  address: named.address() as net.AddressInfo,
  plainPort: (plain.address() as net.AddressInfo).port,
  checksum: createHash('sha256').update(archive).digest('hex'),
} satisfies Ready)
process.once('disconnect', () => process.exit())
