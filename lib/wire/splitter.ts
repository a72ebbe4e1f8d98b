import { Transform } from 'readable-stream'
import { LineReader } from './lines.ts'

/**
 * Bytes in; out comes, for each chunk that ended at least one line, the array of its lines, so that
 * one read can be answered by one write. Fails with `EPROTO` on a line over `MAX_LINE` bytes.
 */
export class LineSplitter extends Transform {
  readonly #reader: LineReader

  /** `reader` may have read before. */
  constructor(reader = new LineReader()) {
    super({ readableObjectMode: true })
    this.#reader = reader
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
