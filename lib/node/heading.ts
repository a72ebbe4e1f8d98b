import { AsyncResource } from 'node:async_hooks'
import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { clearTimeout, setTimeout } from '../clock.ts'
import { begin, flush, shownPort } from './disguise.ts'
import { isWrapped } from './handle.ts'

// The heading of a connection over a Unix socket: the port that its client shows, so that both ends show the same. The
// program at neither end sees it, nor is it among the bytes that it counts.

/** The bytes of a heading: three letters, `@` to `_`, of five bits each. */
export const HEADING = 3

/** Milliseconds that a client may take for it. */
const PATIENCE = 10_000

/**
 * Has a disguised socket that has connected send its heading: with what the program has written by then, or alone, and
 * at once. From now on the program may have TLS, or another process, write past the methods of the handle.
 */
export function sendHeading(socket: Socket): void {
  const port = shownPort(socket)
  const letters = [port >> 10, port >> 5, port].map(bits => 0x40 | (bits & 0x1f))
  begin(socket, String.fromCharCode(...letters))
  if (isWrapped(socket) || !Reflect.get(socket, '_pendingData')) flush(socket)
}

/** The port in a heading; `undefined` if it is none. */
function portIn(head: Buffer): number | undefined {
  if (head.length < HEADING) return undefined
  const letters = [...head.subarray(0, HEADING)]
  if (letters.some(letter => letter >> 5 !== 2)) return undefined
  return letters.reduce((port, letter) => (port << 5) | (letter & 0x1f), 0)
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
