import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { PADDED, encode } from '../lib/wire/protocol.ts'
import type { Script } from './script.ts'
import type { Volley } from './volley.ts'

/** The number of questions in one write. */
const EACH = 256

/** The names of a benchmark are numbered, and so are the ports they lead to. */
export function nameOf(at: number): string {
  return `service-${at}`
}

export function portOf(at: number): number {
  return (at % 65_535) + 1
}

const registration = (at: number) => ({
  op: 'register' as const,
  service: nameOf(at),
  version: '1.0.0',
  transport: 'tcp' as const,
  port: portOf(at),
})

const resolution = (at: number) => ({
  op: 'resolve' as const,
  service: nameOf(at),
  transports: ['tcp'] as const,
})

/** Holds the names from one number up to another, over one connection, which is all that holds them. */
export async function hold(socket: Socket, from: number, to: number): Promise<void> {
  for (let at = from; at < to; at += EACH) {
    const numbers = numbered(at, Math.min(to, at + EACH))
    socket.write(numbers.map(number => encode(number, registration(number))).join(''))
    const lines = await linesOf(socket, numbers.length)
    const wrong = lines.find(line => !line.includes('"registration":'))
    if (wrong) throw new Error(`the daemon said ${wrong}`)
  }
}

/** A connection to a daemon. */
export async function dial(port: number, host = '127.0.0.1'): Promise<Socket> {
  const socket = net.connect({ port, host, noDelay: true })
  await once(socket, 'connect')
  return socket
}

/**
 * Questions for those names, so many to a write, and what the daemon has answered to each, once, when
 * it was checked.
 */
export async function rehearse(port: number, numbers: number[], each = EACH): Promise<Script> {
  const socket = await dial(port)
  const script: Script = { writes: [], answers: [], each }
  for (let at = 0; at + each <= numbers.length; at += each) {
    const asked = numbers.slice(at, at + each)
    const text = asked.map((number, id) => encode(id, resolution(number))).join('')
    socket.write(text)
    const lines = await linesOf(socket, each)
    lines.forEach((line, id) => check(line, id, asked[id]!))
    script.writes.push(Buffer.from(text))
    script.answers.push(Buffer.from(lines.map(line => `${line}\n`).join('')))
  }
  socket.destroy()
  return script
}

/** The same by datagrams, of the names up to a number. */
export function datagrams(port: number, names: number): Volley {
  const questions = numbered(0, names).map(at =>
    Buffer.from(encode(at, resolution(at)).padEnd(PADDED)),
  )
  return {
    port,
    questions,
    slot: answer => Number.parseInt(answer.toString('latin1', '{"v":1,"id":'.length, 24), 10),
    check: (answer, at) => check(String(answer), at, at),
  }
}

/** The numbers from one up to another. */
export function numbered(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, at) => from + at)
}

function check(answer: string, id: number, number: number): void {
  const { id: given, endpoints } = JSON.parse(answer) as {
    id: number
    endpoints?: { port: number }[]
  }
  if (given !== id || endpoints?.[0]?.port !== portOf(number)) {
    throw new Error(`asked ${id} for ${nameOf(number)}, got ${answer}`)
  }
}

/** The next so many lines that come; there are no more. */
async function linesOf(socket: Socket, count: number): Promise<string[]> {
  let text = ''
  let found = 0
  while (found < count) {
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    text += String(chunk)
    found = text.split('\n').length - 1
  }
  return text.trimEnd().split('\n')
}
