import { once } from 'node:events'
import type { Socket } from 'node:net'
import { timeLimit } from '../clock.ts'

// SOCKS5 as a client asks by it for a host name and a port: RFC 1928. It says nothing of itself but that, as who it is
// the kernel says.

/** Milliseconds within which a client is to say what it wants. */
const PATIENCE = 10_000

/** The first byte of each message. */
const VERSION = 5

/** The command that connects, and the kinds of address. */
const CONNECT = 1
const [IPV4, NAME, IPV6] = [1, 3, 4]

/** The replies, by the status of the refusal that each stands for. */
const REPLIES: Readonly<Record<number, number>> = { 200: 0, 403: 2, 404: 4, 502: 5, 504: 4 }

/** The host and port that a client asks for; `undefined` if it has asked for something else, which is refused. */
export async function askedBySocks(socket: Socket): Promise<string | undefined> {
  const signal = timeLimit(PATIENCE)
  const read = (length: number) => readBytes(socket, length, signal)
  const [, methods = 0] = await read(2)
  const offered = await read(methods)
  if (!offered.includes(0)) return void socket.end(Buffer.from([VERSION, 0xff]))
  socket.write(Buffer.from([VERSION, 0]))
  const [version, command, , kind] = await read(4)
  if (version !== VERSION || command !== CONNECT) {
    return void socket.end(reply(7))
  }
  const host = await hostIn(kind, read)
  if (host === undefined) return void socket.end(reply(8))
  const port = await read(2)
  return `${host}:${port.readUInt16BE()}`
}

/** Tells a client that its connection is there, or by the status of the refusal that it is not. */
export function replyBySocks(socket: Socket, status: number): void {
  socket.write(reply(REPLIES[status] ?? 1))
}

function reply(code: number): Buffer {
  return Buffer.from([VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0])
}

async function hostIn(
  kind: number | undefined,
  read: (length: number) => Promise<Buffer>,
): Promise<string | undefined> {
  if (kind === IPV4) return [...(await read(4))].join('.')
  if (kind === NAME) {
    const [length = 0] = await read(1)
    return (await read(length)).toString('latin1')
  }
  if (kind !== IPV6) return undefined
  const bytes = await read(16)
  const groups = Array.from({ length: 8 }, (_, at) => bytes.readUInt16BE(2 * at).toString(16))
  return `[${groups.join(':')}]`
}

/** Reads so many bytes. Fails when the connection ends before, or in time. */
async function readBytes(socket: Socket, length: number, signal: AbortSignal): Promise<Buffer> {
  if (length === 0) return Buffer.alloc(0)
  for (;;) {
    const bytes = socket.read(length) as Buffer | null
    if (bytes?.length === length) return bytes
    if (bytes || socket.readableEnded || socket.destroyed) throw new Error('it has ended')
    await once(socket, 'readable', { signal })
  }
}
