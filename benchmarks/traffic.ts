import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { Resolver, connect } from '../index.ts'

/** The bytes that are sent, again and again: no two of them are alike by rule, so a lost one is found. */
export const block = Buffer.from(
  Array.from({ length: 65_536 }, (_, at) => (at * 2_654_435_761) >>> 11),
)

/** Opens a connection to the service `bench`, or to what stands in for it. */
export type Open = () => Socket

export interface Named {
  /** The designated port. */
  port: number
  host?: string
  /** True to go by TCP alone, and not by the faster road on one host. */
  tcp?: boolean
}

/** Opens a connection by name; what is known of the name is remembered. */
export function byName({ port: daemonPort, host, tcp }: Named): Open {
  return () =>
    connect({
      service: 'bench',
      daemonPort,
      ...(host && { host }),
      ...(tcp && { transports: ['tcp'] }),
    })
}

/**
 * Opens a connection by name at each of several daemons in turn, with nothing remembered: if none is
 * asked twice within a second, there is no connection kept to it either.
 */
export function unknown(daemonPorts: number[], host?: string): Open {
  let turn = 0
  return () =>
    connect({
      service: 'bench',
      daemonPort: daemonPorts[turn++ % daemonPorts.length]!,
      resolver: new Resolver(),
      ...(host && { host }),
    })
}

/** Opens a connection by number, with plain `net` over TCP. */
export function byNumber(port: number, host = '127.0.0.1'): Open {
  return () => net.connect(port, host)
}

/** The same over a Unix socket. */
export function byPath(path: string): Open {
  return () => net.connect(path)
}

/** The path of the Unix socket of the server that has a port. */
export function pathBeside(port: number): string {
  return join(tmpdir(), `moniker-bench-${port}`)
}

/** Milliseconds from the call until … */
export interface Touch {
  /** … it was connected. */
  connected: number
  /** … a byte had gone there and come back. */
  answered: number
}

/** Opens, sends one byte, gets it back, closes. */
export async function touch(open: Open): Promise<Touch> {
  const start = performance.now()
  const socket = open()
  await once(socket, 'connect')
  const connected = performance.now() - start
  socket.write('x')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  const answered = performance.now() - start
  if (String(answer) !== 'x') throw new Error(`sent x, got ${String(answer)}`)
  socket.destroy()
  await once(socket, 'close')
  return { connected, answered }
}

/** Ends what was sent, and asks how much of it came. */
export async function arrived(socket: Socket, size: number): Promise<void> {
  socket.end()
  const count = await text(socket)
  if (count !== String(size))
    throw new Error(`sent ${size} bytes, of which came ${count || 'none'}`)
}
