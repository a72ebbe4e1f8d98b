import { answers, patiently, program } from './program.ts'
import type { Script } from './script.ts'
import type { Volley } from './volley.ts'

/** It knows no other. */
const PORT = 111

/** Questions in one datagram each, or in one write. */
const QUESTIONS = 1_000
const EACH = 256

/** The port mapper of Sun RPC, asked for the port it has itself. */
export interface Rpcbind {
  pid: number
  port: number
  volley: Volley
  script: Script
  stop: () => Promise<void>
}

/** An `rpcbind` of our own, at loopback addresses alone; or why there is none. */
export async function rpcbind(): Promise<Rpcbind | string> {
  // That of somebody else may go at any time.
  if (await answers(PORT)) return `port ${PORT}, the only one that rpcbind knows, is taken`
  // It is at 127.0.0.1 as well, unasked; told so, version 1.2.6 frees the address twice and aborts.
  const started = await program('rpcbind', ['-f', '-h', '127.0.0.2'], 'rpcbind')
  if (typeof started === 'string') return started
  try {
    const socket = await patiently(PORT, started)
    socket.destroy()
  } catch {
    return `rpcbind does not start: it needs root, and port ${PORT} to be free`
  }
  const { pid, stop } = started
  return { pid, port: PORT, volley, script, stop }
}

const slot = (answer: Buffer) => answer.readUInt32BE(0)

const volley: Volley = {
  port: PORT,
  questions: Array.from({ length: QUESTIONS }, (_, id) => question(id)),
  slot,
  check: (bytes, id) => {
    if (!bytes.equals(answer(id))) throw new Error(`rpcbind said ${bytes.toString('hex')}`)
  },
}

const ids = Array.from({ length: EACH }, (_, id) => id)

const script: Script = {
  writes: [Buffer.concat(ids.map(id => record(question(id))))],
  answers: [Buffer.concat(ids.map(id => record(answer(id))))],
  each: EACH,
}

/** PMAPPROC_GETPORT: a call of RPC 2 to program 100000, version 2, procedure 3, for itself over UDP. */
function question(id: number): Buffer {
  return words(id, 0, 2, 100_000, 2, 3, 0, 0, 0, 0, 100_000, 2, 17, 0)
}

/** A reply that was accepted, and succeeded with a port. */
function answer(id: number): Buffer {
  return words(id, 1, 0, 0, 0, 0, PORT)
}

/** Over TCP a message is a record of one fragment. */
function record(message: Buffer): Buffer {
  return Buffer.concat([words((2 ** 31 + message.length) >>> 0), message])
}

function words(...numbers: number[]): Buffer {
  const bytes = Buffer.alloc(numbers.length * 4)
  numbers.forEach((number, at) => bytes.writeUInt32BE(number, at * 4))
  return bytes
}
