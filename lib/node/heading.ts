import { AsyncResource } from 'node:async_hooks'
import { Buffer } from 'node:buffer'
import { writeSync } from 'node:fs'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { clearTimeout, setTimeout } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { shownPort } from './disguise.ts'
import { handleOf } from './handle.ts'

const debug = diagnostics('moniker:socket')

// The heading of a connection over a Unix socket: the port that its client shows, so that both ends show the same. The
// program at neither end sees it, nor is it among the bytes that it counts.

/** The bytes of a heading: three letters, `@` to `_`, of five bits each. */
export const HEADING = 3

/** Milliseconds that a client may take for it. */
const PATIENCE = 10_000

/**
 * Sends the heading of a disguised socket that has begun to connect. To a Unix socket that is done at once, and the server
 * has not woken up yet: so the heading wakes nobody, and is there when the connection is. It goes past the stream, which
 * would keep it until then.
 */
export function sendHeading(socket: Socket): void {
  const port = shownPort(socket)
  for (const at of [0, 1, 2]) heading[at] = 0x40 | ((port >> (10 - 5 * at)) & 0x1f)
  try {
    writeSync(Reflect.get(handleOf(socket)!, 'fd') as number, heading)
  } catch (error) {
    // That it could not be connected is told by itself.
    debug('%s', (error as Error).message)
  }
}

const heading = Buffer.alloc(HEADING)

/** The port in a heading; `undefined` if it is none. */
function portIn(head: Buffer): number | undefined {
  if (head.length < HEADING) return undefined
  let port = 0
  for (const letter of head.subarray(0, HEADING)) {
    if (letter >> 5 !== 2) return undefined
    port = (port << 5) | (letter & 0x1f)
  }
  return port
}

/** Calls `then` with the port in the heading of a connection that has come. One that has none, or is slow, is cut off. */
export function readHeading(socket: Socket, then: (port: number) => void): void {
  let head: Buffer | undefined
  // The async context of the server is that of its connections too, as `net` has it.
  const context = new AsyncResource('MONIKER')
  const timer = setTimeout(() => socket.destroy(), PATIENCE).unref()
  const done = () => {
    clearTimeout(timer)
    socket.off('error', done).off('close', done)
    // To delete it would make a slow object of the socket.
    Object.assign(socket, { push: Readable.prototype.push })
  }
  socket.on('error', done).on('close', done)
  socket.push = (chunk: Buffer | null) => {
    if (chunk) head = head ? Buffer.concat([head, chunk]) : chunk
    if (chunk && head!.length < HEADING) return true
    done()
    const port = head && portIn(head)
    if (port === undefined) {
      socket.destroy()
      return false
    }
    // The rest is there before anybody hears of the connection: TLS takes what was read by then, and nothing later.
    const isWanted = head!.length === HEADING || socket.push(head!.subarray(HEADING))
    context.runInAsyncScope(then, undefined, port)
    return isWanted
  }
}
