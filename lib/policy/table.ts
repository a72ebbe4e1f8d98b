import { readFileSync, statSync } from 'node:fs'
import { isWant } from '../errors.ts'

/** A table of the system, in a file that is read again only if it has changed. */
export class SystemTable<T> {
  readonly #file: string
  readonly #parse: (text: string) => T
  #content: T | undefined
  /** The state of the file when it was read last. */
  #state: string | undefined

  /** `parse` is given the text of the file; `''` if there is none, as on Windows. */
  constructor(file: string, parse: (text: string) => T) {
    this.#file = file
    this.#parse = parse
  }

  /**
   * The content now. Throws where the file cannot be read for want of descriptors or memory: that is no empty table.
   */
  get content(): T {
    const state = stateOf(this.#file)
    if (state !== this.#state || this.#content === undefined) {
      this.#content = this.#parse(textOf(this.#file))
      this.#state = state
    }
    return this.#content
  }
}

function stateOf(file: string): string {
  const info = statSync(file, { throwIfNoEntry: false })
  return info ? `${info.ino} ${info.mtimeMs} ${info.size}` : 'none'
}

/** The text of a file; `''` if there is none, or none for us. Throws for want of descriptors or memory alone. */
export function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (isWant(error)) throw error
    return ''
  }
}
