// One of the demo's two programs, a process of its own: demo-service archive | mirror MEGABYTES
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net, { type AddressInfo, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createServer } from '../index.ts'

/** The message to the demo once the service can be reached, by name and, to compare, by port. */
export interface Ready {
  pid: number
  /** The port that the system chose for the name. */
  port: number
  /** The port of the same service over plain `net`. */
  plainPort: number
  /** SHA-256 of what the service sends by itself. */
  checksum: string
}

const CHUNK = 62_500
const STEP = 1_000

const [service = '', megabytes = ''] = process.argv.slice(2)
const count = (Number(megabytes) * 1e6) / CHUNK
const noise = randomBytes(CHUNK + count * STEP)

/** No two alike, though all are cut from a few megabytes of noise: each starts a step later in it. */
function* archive(): Iterable<Buffer> {
  for (let at = 0; at < count * STEP; at += STEP) yield noise.subarray(at, at + CHUNK)
}

const services: Record<string, (socket: Socket) => Promise<void>> = {
  /** Sends all it has. */
  archive: socket => pipeline(Readable.from(archive()), socket.resume()),
  /** Sends back what it gets. */
  mirror: socket => pipeline(socket, socket),
}

/** A peer may leave when it has seen enough; the demo itself sees to it that all arrives. */
function serve(socket: Socket): void {
  socket.on('error', () => {})
  services[service]!(socket).catch(() => {})
}

function checksum(): string {
  const hash = createHash('sha256')
  for (const chunk of archive()) hash.update(chunk)
  return hash.digest('hex')
}

// The demo may have gone while this program was loading.
process.once('disconnect', () => process.exit())
if (!process.connected) process.exit()

const host = '127.0.0.1'
const options = { allowHalfOpen: true }
const named = createServer(options, serve).listen({ service: `${service}@1.0.0`, host })
const plain = net.createServer(options, serve).listen({ port: 0, host })
try {
  await Promise.all([once(named, 'listening'), once(plain, 'listening')])
} catch (error) {
  console.error(`${service}: ${(error as Error).message}`)
  process.exit(1)
}

process.send!({
  pid: process.pid,
  port: (named.address() as AddressInfo).port,
  plainPort: (plain.address() as AddressInfo).port,
  checksum: service === 'archive' ? checksum() : '',
} satisfies Ready)
