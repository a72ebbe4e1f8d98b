import { Buffer } from 'node:buffer'
import { MonikerError } from '../errors.ts'

/** The longest line or datagram, in bytes. */
export const MAX_LINE = 4_096

/**
 * The whole lines at the front of `bytes`, and the rest. Throws `EPROTO` if either holds a line
 * over `MAX_LINE` bytes.
 */
export function split(bytes: Buffer): { lines: string[]; rest: Buffer } {
  const end = bytes.lastIndexOf(LF) + 1
  const rest = bytes.subarray(end)
  const lines = end === 0 ? [] : bytes.toString('utf8', 0, end - 1).split('\n')
  if (rest.length > MAX_LINE || lines.some(isTooLong)) {
    const text = `expected a line of at most ${MAX_LINE} bytes, got a longer one`
    throw new MonikerError('EPROTOCOL', { text })
  }
  return { lines, rest }
}

/** The lines of what comes in pieces: it remembers the rest. */
export class LineReader {
  #rest: Buffer = NOTHING

  /** True if half a line is waiting for its end. */
  get partial(): boolean {
    return this.#rest.length > 0
  }

  /** The lines that `chunk` ends. Throws `EPROTO` on a line over `MAX_LINE` bytes. */
  read(chunk: Buffer): string[] {
    const { lines, rest } = split(
      this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk,
    )
    // A view of no bytes, too, would keep the chunk in memory for as long as the connection is silent.
    this.#rest = rest.length > 0 ? rest : NOTHING
    return lines
  }
}

const LF = 0x0a

const NOTHING = Buffer.alloc(0)

function isTooLong(line: string): boolean {
  // A character is at most three bytes of UTF-8 for each unit of its length.
  return line.length * 3 > MAX_LINE && Buffer.byteLength(line) > MAX_LINE
}
