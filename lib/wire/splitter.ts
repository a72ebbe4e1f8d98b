import { Transform } from 'readable-stream'
import { LineReader } from './lines.ts'

/**
 * Bytes in; out comes, for each chunk that ended at least one line, the array of its lines, so that
 * one read can be answered by one write. Fails with `EPROTO` on a line over `MAX_LINE` bytes.
 */
export class LineSplitter extends Transform {
  readonly #reader = new LineReader()

  constructor() {
    super({ readableObjectMode: true })
  }

  /** True if half a line is waiting for its end. */
  get partial(): boolean {
    return this.#reader.partial
  }

  override _transform(
    chunk: Buffer,
    _encoding: BufferEncoding,
    done: (error?: Error) => void,
  ): void {
    try {
      const lines = this.#reader.read(chunk)
      if (lines.length > 0) this.push(lines)
      done()
    } catch (error) {
      done(error as Error)
    }
  }
}
