import { spawn, type ChildProcess } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { Client } from '../lib/client.ts'
import { PADDED, encode, question } from '../lib/protocol.ts'
import { compare, seconds, times, type Benchmark, type Way } from './measure.ts'
import { peer } from './process.ts'

/** How many names the daemon holds, and which of them is asked for. */
const NAMES = 1_000
const PORT = 4_567

const resolve = (at: number) => ({ op: 'resolve' as const, service: `bench${at % NAMES}` })

/** Questions a second at a daemon, beside `epmd`, which does the same for Erlang. */
export const lookups: Benchmark = async options => {
  const { smoke } = options
  const daemon = await peer<number>('daemon')
  const place = { address: '127.0.0.1', port: daemon.ready }
  const holder = await Client.connect(place)
  for (let at = 0; at < NAMES; at++) {
    const { op: _, ...name } = question({ ...resolve(at), transports: ['tcp'] }) as never as {
      op: string
    }
    await holder.ask({ ...name, op: 'register', version: '1.0.0', transport: 'tcp', port: PORT })
  }
  const rival = await epmd()
  const rate = (name: string, count: number, work: (count: number) => Promise<void>): Way => ({
    name,
    run: async () => count / (await seconds(() => work(count))),
  })
  const streamed = rate('pipelined TCP', smoke ? 2_000 : 300_000, count =>
    overStream(daemon.ready, count),
  )
  const datagrams = rate('UDP', smoke ? 500 : 50_000, count => overDatagrams(daemon.ready, count))
  const notes = [
    `Each answer is checked. The daemon holds ${NAMES} names; the client is one process.`,
  ]
  try {
    if (!rival) {
      notes.push('epmd is not installed (Debian: erlang-base), so UDP stands beside TCP alone.')
      const comparison = await compare('questions', '1/s', [datagrams, streamed], options)
      return { measures: MEASURES, comparisons: [comparison], notes }
    }
    const count = smoke ? 200 : 10_000
    const other = rate('epmd, 32 at a time', count, () => times(count, 32, rival.ask))
    notes.push(
      'epmd answers one question a connection. Target: pipelined TCP at least 10 times its rate.',
    )
    return {
      measures: MEASURES,
      comparisons: [
        await compare('pipelined TCP', '1/s', [streamed, other], options),
        await compare('UDP', '1/s', [datagrams, other], options),
      ],
      notes,
    }
  } finally {
    rival?.stop()
    holder.close()
    await daemon.stop()
  }
}

const MEASURES = 'Questions a second that one daemon answers to one client; higher is better.'

/** Whether an answer is the right one: it has the port, and the id of its question. */
function check(answer: string, id: number): void {
  if (!answer.includes(`"port":${PORT},`) || !answer.includes(`"id":${id},`)) {
    throw new Error(`asked ${id}, got ${answer}`)
  }
}

/** Many questions to a write, and up to 1,024 under way, over one connection. */
async function overStream(port: number, count: number): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  let asked = 0
  let answered = 0
  const ask = (many: number) => {
    const end = Math.min(count, asked + many)
    let text = ''
    for (; asked < end; asked++) text += encode(asked, resolve(asked))
    if (text) socket.write(text)
  }
  await new Promise<void>((resolve, reject) => {
    let rest = ''
    socket
      .setEncoding('utf8')
      .on('error', reject)
      .on('data', data => {
        const lines = (rest + String(data)).split('\n')
        rest = lines.pop()!
        try {
          for (const line of lines) check(line, answered++)
        } catch (error) {
          reject(error as Error)
        }
        if (answered === count) resolve()
        ask(lines.length)
      })
    ask(1_024)
  })
  socket.destroy()
}

/** Up to 64 datagrams under way; one that is lost is sent again. */
async function overDatagrams(port: number, count: number): Promise<void> {
  const socket = createSocket('udp4')
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const waiting = new Set<number>()
  let asked = 0
  const ask = (at: number) => socket.send(encode(at, resolve(at)).padEnd(PADDED))
  const more = () => {
    if (asked === count) return
    waiting.add(asked)
    ask(asked++)
  }
  await new Promise<void>((resolve, reject) => {
    const lost = setInterval(() => waiting.forEach(ask), 200)
    const end = (error?: Error) => {
      clearInterval(lost)
      if (error) reject(error)
      else resolve()
    }
    socket.on('error', end).on('message', bytes => {
      const text = String(bytes)
      const { id } = JSON.parse(text) as { id: number }
      if (!waiting.delete(id)) return
      try {
        check(text, id)
      } catch (error) {
        return end(error as Error)
      }
      more()
      if (asked === count && waiting.size === 0) end()
    })
    for (let width = 0; width < 64; width++) more()
  })
  socket.close()
}

/** An `epmd` of our own that knows one name, or nothing where there is none to be had. */
async function epmd(): Promise<{ ask: () => Promise<void>; stop: () => void } | undefined> {
  const port = await freePort()
  const child = spawn('epmd', ['-port', String(port), '-address', '127.0.0.1'], { stdio: 'ignore' })
  const started = await Promise.race([
    once(child, 'spawn'),
    once(child, 'error').then(() => false),
  ]).catch(() => false)
  if (!started) return undefined
  const node = await register(port, child)
  const name = Buffer.from('zbench')
  const asked = Buffer.concat([Buffer.from([0, name.length]), name])
  // PORT_PLEASE2_REQ: the length of the rest, 'z', the name; answered by 119, 0 and the port.
  const ask = async () => {
    const socket = net.connect(port, '127.0.0.1')
    socket.write(asked)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    if (answer[0] !== 119 || answer[1] !== 0 || answer.readUInt16BE(2) !== PORT) {
      throw new Error(`epmd said ${answer.toString('hex')}`)
    }
    socket.destroy()
  }
  return {
    ask,
    stop: () => {
      node.destroy()
      child.kill()
    },
  }
}

/** Registers the node `bench`, which lives as long as this connection. */
async function register(port: number, child: ChildProcess): Promise<net.Socket> {
  const name = Buffer.from('bench')
  // ALIVE2_REQ: 'x', port, hidden node, TCP, versions 6 to 5, the name, nothing extra.
  const fields = Buffer.from([120, 0, 0, 77, 0, 0, 6, 0, 5, 0, name.length])
  fields.writeUInt16BE(PORT, 1)
  const body = Buffer.concat([fields, name, Buffer.from([0, 0])])
  for (;;) {
    const socket = net.connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      socket.write(Buffer.concat([Buffer.from([0, body.length]), body]))
      await once(socket, 'data')
      return socket
    } catch (error) {
      // It has not come to listen yet.
      if (child.exitCode !== null) throw error
    }
  }
}

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await once(server.close(), 'close')
  return port
}
