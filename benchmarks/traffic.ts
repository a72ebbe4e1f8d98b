import { fork } from 'node:child_process'
import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { connect } from '../index.ts'

/** What is sent, again and again: no two of its bytes are alike by rule, so a lost one is found. */
export const block = Buffer.from(
  Array.from({ length: 65_536 }, (_, at) => (at * 2_654_435_761) >>> 11),
)

const program = fileURLToPath(import.meta.resolve('./peer.js'))

/** The other process, and what it had to say once it was ready. It ends when it is stopped, or we do. */
export async function peer<T>(role: string, { port, args = [] }: PeerOptions = {}) {
  const env = { ...process.env, ...(port && { MONIKER_PORT: String(port) }) }
  const child = fork(program, [role, ...args], { env })
  const gone = once(child, 'exit').then(([status]) => {
    throw new Error(`the ${role} process has ended with ${status}`)
  })
  const [ready] = (await Promise.race([once(child, 'message'), gone])) as [T]
  gone.catch(() => {})
  return { ready, stop: () => child.kill() }
}

export interface PeerOptions {
  /** The designated port. */
  port?: number
  args?: string[]
}

/** Opens a connection by name. */
export function byName(daemonPort: number): () => Socket {
  return () => connect({ service: 'bench', daemonPort })
}

/** Opens a connection by number, with plain `net`. */
export function byNumber(port: number): () => Socket {
  return () => net.connect(port, '127.0.0.1')
}

/** Opens, sends one byte, gets it back, closes. */
export async function touch(open: () => Socket): Promise<void> {
  const socket = open()
  socket.write('x')
  const [answer] = (await once(socket, 'data')) as [Buffer]
  if (String(answer) !== 'x') throw new Error(`sent x, got ${String(answer)}`)
  socket.destroy()
  await once(socket, 'close')
}

/** Ends what was sent, and asks how much of it came. */
export async function arrived(socket: Socket, size: number): Promise<void> {
  socket.end()
  const count = await text(socket)
  if (count !== String(size))
    throw new Error(`sent ${size} bytes, of which came ${count || 'none'}`)
}

/** How many ms the first connect of a process takes, in µs: by name, or by the number given. */
export async function firstConnect(port: string | undefined): Promise<number> {
  const open = port ? byNumber(Number(port)) : () => connect('bench')
  const start = performance.now()
  await touch(open)
  return (performance.now() - start) * 1000
}
