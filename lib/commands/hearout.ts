import type { Readable } from 'node:stream'
import { TIMEOUT } from '../settings.ts'

/** A socket, as far as it matters here. */
interface Half {
  readonly writableNeedDrain: boolean
  once(event: 'close', listener: () => void): unknown
  off(event: 'close', listener: () => void): unknown
}

/**
 * Calls `done` when `input`, which is piped to a socket whose other side has ended, has had its say: at
 * once if it is a terminal, else when nothing more has come, and nothing had to wait, for `pause` ms
 * (5,000). A socket that closes, as it does when the input ends, is done with anyway.
 */
export function hearOut(
  input: Readable & { isTTY?: boolean },
  socket: Half,
  done: () => void,
  pause = TIMEOUT,
): void {
  if (input.isTTY || input.readableEnded) return done()
  const more = () => timer.refresh()
  const stop = () => {
    clearTimeout(timer)
    input.off('data', more)
    socket.off('close', stop)
  }
  const timer: NodeJS.Timeout = setTimeout(() => {
    if (socket.writableNeedDrain) return more()
    stop()
    return done()
  }, pause)
  input.on('data', more)
  socket.once('close', stop)
}
