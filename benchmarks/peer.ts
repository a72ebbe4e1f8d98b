// The other process of a benchmark: peer daemon | echo | sink | first
import { once } from 'node:events'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer } from '../index.ts'
import { Daemon } from '../lib/daemon/daemon.ts'
import { block, firstConnect } from './traffic.ts'

/** Sends back what it gets. */
function echo(socket: Socket): void {
  socket
    .setNoDelay(true)
    .on('error', () => {})
    .pipe(socket)
}

/** Compares every byte with the one that should come, and says at the end how many there were. */
function sink(socket: Socket): void {
  let size = 0
  socket.on('error', () => {})
  socket.on('data', (chunk: Buffer) => {
    for (let at = 0; at < chunk.length;) {
      const from = (size + at) % block.length
      const length = Math.min(chunk.length - at, block.length - from)
      if (block.compare(chunk, at, at + length, from, from + length) !== 0) {
        return socket.destroy(new Error('damaged'))
      }
      at += length
    }
    size += chunk.length
  })
  socket.on('end', () => socket.end(String(size)))
}

/** The same handler, to be had by name and by number. */
async function serve(handler: (socket: Socket) => void): Promise<number> {
  const options = { allowHalfOpen: true }
  const named = createServer(options, handler).listen({ service: 'bench', host: '127.0.0.1' })
  const plain = net.createServer(options, handler).listen(0, '127.0.0.1')
  await Promise.all([once(named, 'listening'), once(plain, 'listening')])
  return portOf(plain)
}

async function daemon(): Promise<number> {
  const daemon = new Daemon({ port: 0, hosts: ['127.0.0.1'], maxNames: 10_000 })
  await daemon.start()
  return daemon.port
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port
}

const roles: Record<string, () => Promise<unknown>> = {
  daemon,
  echo: () => serve(echo),
  sink: () => serve(sink),
  first: () => firstConnect(process.argv[3]),
}

process.once('disconnect', () => process.exit())
process.send?.(await roles[process.argv[2]!]!())
