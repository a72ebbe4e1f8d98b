import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { encode, type Answer, type Asked } from '../lib/wire/protocol.ts'
import { monikerd } from './monikerd.ts'
import { peer, type Peer } from './process.ts'
import { freePort } from './program.ts'

/** A server, and the daemons that know its names. */
export interface Stage<Ready> {
  /** The kind of daemon, as a table says it. */
  daemon: string
  /** The daemon of what is asked for again and again. */
  port: number
  /** Those that are there to be asked for the first time. */
  others: number[]
  server: Peer<Ready>
  stop: () => Promise<void>
}

/** The role of the server's process, and how many daemons there are beside the first. */
export interface StageOptions {
  role: string
  others?: number
}

/** A server beside a `monikerd`; the other daemons have a process to themselves. */
export async function besideDaemon<Ready>(options: StageOptions): Promise<Stage<Ready>> {
  const { role, others = 0 } = options
  const port = await freePort()
  const first = await monikerd({ port })
  const rest = await peer<number[]>('daemons', { args: [String(others)] })
  const ports = [port, ...rest.ready]
  const server = await peer<Ready>(role, { port, args: [ports.join()] })
  const stop = async () => {
    await Promise.all([server, rest, first].map(process => process.stop()))
  }
  return { daemon: 'monikerd', port, others: rest.ready, server, stop }
}

/** A server that is its own daemon, in a thread, as all are that have lived for some seconds. */
export async function embedding<Ready>(options: StageOptions): Promise<Stage<Ready>> {
  const { role, others = 0 } = options
  const ports = await Promise.all(Array.from({ length: others + 1 }, freePort))
  const [port, ...rest] = ports as [number, ...number[]]
  const since = Date.now()
  const server = await peer<Ready>(role, { port, args: [ports.join()] })
  try {
    for (const one of ports) await inThread(one, since)
  } catch (error) {
    await server.stop()
    throw error
  }
  return { daemon: 'embedded', port, others: rest, server, stop: server.stop }
}

/** Milliseconds after which an embedded daemon moves to a thread, and that it may take. */
const [THREAD_AFTER, PATIENCE] = [2_000, 20_000]

/** Waits until the daemon of a process that was started at some time is a thread of it. */
async function inThread(port: number, since: number): Promise<void> {
  const late = AbortSignal.timeout(PATIENCE)
  for (;;) {
    const { embedded, started, names } = await statusOf(port).catch(() => NOBODY)
    if (embedded && (started as number) >= since + THREAD_AFTER && (names as number) > 0) return
    if (late.aborted) throw new Error(`no thread has become the daemon on port ${port}`)
    await pause(20)
  }
}

/** There is a moment at which neither has the port. */
const NOBODY: Answer = {}

/** The state of a daemon, which tells it over TCP. */
export function statusOf(port: number): Promise<Answer> {
  return question(connect(port, '127.0.0.1'), { op: 'status' })
}

/** Asks a daemon one question over a connection of its own. */
export async function question(socket: Socket, asked: Asked): Promise<Answer> {
  socket.end(encode(0, asked))
  return JSON.parse(await text(socket)) as Answer
}
