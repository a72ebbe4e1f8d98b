import { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { clearTimeout, setTimeout } from '../clock.ts'
import { discount, shownPort } from './disguise.ts'

// The heading of a connection over a Unix socket: the two bytes of the port that its client shows, so that both ends
// show the same. The program at neither end sees them, nor are they among the bytes that it counts.

/** The bytes of a heading. */
export const HEADING = 2

/** Milliseconds that a client may take for it. */
const PATIENCE = 10_000

/** Sends the heading of a disguised socket that has connected, before anything that the program has written. */
export function sendHeading(socket: Socket): void {
  const port = shownPort(socket)
  discount(socket, 0, HEADING)
  const bytes = String.fromCharCode(port >> 8, port & 0xff)
  // As `net` does with what was written before: the stream has that already, and would send this after it.
  ;(socket as unknown as Writer)._writeGeneric(false, bytes, 'latin1', () => {})
}

interface Writer {
  _writeGeneric(isMany: false, data: string, encoding: 'latin1', done: () => void): void
}

/** Calls `then` with the port in the heading of a connection that has come. One that has none, or is slow, is cut off. */
export function readHeading(socket: Socket, then: (port: number) => void): void {
  let head: Buffer | undefined
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
    if (!head || head.length < HEADING) {
      socket.destroy()
      return false
    }
    then(head.readUInt16BE(0))
    return head.length === HEADING || socket.push(head.subarray(HEADING))
  }
}
