import { once } from 'node:events'
import type { Socket } from 'node:net'
import { timeLimit } from '../clock.ts'

// SOCKS5 as a client asks by it for a host name and a port: RFC 1928. Nobody is asked for a password, as the kernel says
// who it is.

/** Milliseconds within which a client is to say what it wants. */
const PATIENCE = 10_000

/** The first byte of each message. */
const VERSION = 5

/** The command that connects, and the kinds of address. */
const CONNECT = 1
const [IPV4, NAME, IPV6] = [1, 3, 4]

/** The replies to what cannot be done. */
const [NO_METHOD, NO_COMMAND, NO_ADDRESS] = [0xff, 7, 8]

/** The replies, by the status of the refusal that each stands for. */
const REPLIES: Readonly<Record<number, number>> = { 200: 0, 403: 2, 404: 4, 502: 5, 504: 4 }

/** The host and port that a client asks for; `undefined` if it has asked for something else, which is refused. */
export async function askedBySocks(socket: Socket): Promise<string | undefined> {
  const bytes = new Bytes(socket)
  const [, methods = 0] = await bytes.read(2)
  const offered = await bytes.read(methods)
  if (!offered.includes(0)) return void socket.end(Buffer.from([VERSION, NO_METHOD]))
  socket.write(Buffer.from([VERSION, 0]))
  const [version, command, , kind] = await bytes.read(4)
  if (version !== VERSION || command !== CONNECT) return void socket.end(reply(NO_COMMAND))
  const host = await hostIn(kind, bytes)
  if (host === undefined) return void socket.end(reply(NO_ADDRESS))
  const port = await bytes.read(2)
  bytes.giveBack()
  return `${host}:${port.readUInt16BE()}`
}

/** Tells a client that its connection is there, or by the status of the refusal that it is not. */
export function replyBySocks(socket: Socket, status: number): void {
  socket.write(reply(REPLIES[status] ?? 1))
}

function reply(code: number): Buffer {
  return Buffer.from([VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0])
}

async function hostIn(kind: number | undefined, bytes: Bytes): Promise<string | undefined> {
  if (kind === IPV4) return [...(await bytes.read(4))].join('.')
  if (kind === NAME) {
    const [length = 0] = await bytes.read(1)
    return (await bytes.read(length)).toString('latin1')
  }
  if (kind !== IPV6) return undefined
  const address = await bytes.read(16)
  const groups = Array.from({ length: 8 }, (_, at) => address.readUInt16BE(2 * at).toString(16))
  return `[${groups.join(':')}]`
}

/** The bytes of a connection, a few at a time, for no longer than a client may take. */
class Bytes {
  readonly #socket: Socket
  readonly #limit = timeLimit(PATIENCE)
  #rest: Buffer = Buffer.alloc(0)

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Reads so many bytes. Fails when the connection ends before, or the time. */
  async read(length: number): Promise<Buffer> {
    while (this.#rest.length < length) {
      // All is taken: a part that is left makes the stream say at once, again and again, that it is readable.
      const chunk = this.#socket.read() as Buffer | null
      if (chunk) this.#rest = Buffer.concat([this.#rest, chunk])
      else if (this.#socket.readableEnded || this.#socket.destroyed) throw new Error('it has ended')
      else await once(this.#socket, 'readable', { signal: this.#limit })
    }
    const bytes = this.#rest.subarray(0, length)
    this.#rest = this.#rest.subarray(length)
    return bytes
  }

  /** Leaves what has not been read to others. */
  giveBack(): void {
    this.#socket.unshift(this.#rest)
  }
}
