import { Buffer } from 'node:buffer'
import { Transform } from 'readable-stream'
import { MonikerError } from './errors.ts'

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

/**
 * Bytes in; out comes, for each chunk that ended at least one line, the array of its lines, so that
 * one read can be answered by one write. Fails with `EPROTO` on a line over `MAX_LINE` bytes.
 */
export class LineSplitter extends Transform {
  #rest: Buffer = NOTHING

  constructor() {
    super({ readableObjectMode: true })
  }

  /** Whether half a line is waiting for its end. */
  get partial(): boolean {
    return this.#rest.length > 0
  }

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error) => void,
  ): void {
    try {
      const { lines, rest } = split(this.partial ? Buffer.concat([this.#rest, chunk]) : chunk)
      // Of no bytes too a view would keep what was read, for as long as the connection is silent.
      this.#rest = rest.length > 0 ? rest : NOTHING
      if (lines.length > 0) this.push(lines)
      done()
    } catch (error) {
      done(error as Error)
    }
  }
}

const LF = 0x0a

const NOTHING = Buffer.alloc(0)

function isTooLong(line: string): boolean {
  // A character is at most three bytes of UTF-8 for each unit of its length.
  return line.length * 3 > MAX_LINE && Buffer.byteLength(line) > MAX_LINE
}
