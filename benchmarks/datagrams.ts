import dgram from 'node:dgram'
import { once } from 'node:events'
import { createSocket } from '../index.ts'
import { percentile } from './measure.ts'

/** The destination of a datagram: a number, or a name and the port of the daemon that knows it. */
export type Destination = number | { service: string; daemonPort: number }

/** Milliseconds that all of them may take. */
const PATIENCE = 30_000

/** The median time of so many datagrams there and back, one after the other, in µs. */
export async function pingPong(to: Destination, count: number): Promise<number> {
  const socket = typeof to === 'number' ? dgram.createSocket('udp4') : createSocket('udp4')
  const send = (message: Buffer) => {
    if (typeof to === 'number') socket.send(message, to, '127.0.0.1')
    else (socket as ReturnType<typeof createSocket>).send(message, to)
  }
  const taken: number[] = []
  const late = setTimeout(() => socket.emit('error', new Error('a datagram was lost')), PATIENCE)
  try {
    for (let sent = 0; sent < count; sent++) {
      const message = Buffer.from(String(sent))
      const start = performance.now()
      send(message)
      const [answer] = (await once(socket, 'message')) as [Buffer]
      taken.push(performance.now() - start)
      if (!answer.equals(message)) throw new Error(`sent ${sent}, got ${String(answer)}`)
    }
  } finally {
    clearTimeout(late)
    socket.close()
  }
  return percentile(taken, 0.5) * 1000
}
