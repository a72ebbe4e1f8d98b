import { readFileSync, statSync } from 'node:fs'
import { MonikerError, hasCode, isWant } from '../errors.ts'

/** A table of the system, in a file that is read again only if it has changed. */
export class SystemTable<T> {
  readonly #file: string
  readonly #parse: (text: string) => T
  #content: T | undefined
  /** The state of the file when it was read last. */
  #state: string | undefined

  /** `parse` is given the text of the file; `''` if there is none, as on Windows. What it throws is not remembered. */
  constructor(file: string, parse: (text: string) => T) {
    this.#file = file
    this.#parse = parse
  }

  /** The content now. Throws as `textOf` does: a file that cannot be read is no empty table. */
  get content(): T {
    const state = stateOf(this.#file)
    if (state !== this.#state || this.#content === undefined) {
      this.#content = this.#parse(textOf(this.#file))
      this.#state = state
    }
    return this.#content
  }
}

/**
 * The text of a file; `''` only if there is none. Throws the error of the system for want of descriptors or memory, and
 * `EDENIED` where it cannot be read for another reason.
 */
export function textOf(file: string): string {
  return known(file, () => readFileSync(file, 'utf8')) ?? ''
}

function stateOf(file: string): string | undefined {
  const info = known(file, () => statSync(file))
  return info && `${info.ino} ${info.mtimeMs} ${info.size}`
}

/** The result of a look at a file; `undefined` if there is none. */
function known<T>(file: string, look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    if (isWant(error)) throw error
    const text = `${file} cannot be read, and says what is allowed: ${(error as Error).message}`
    throw new MonikerError('EDENIED', { text, cause: error })
  }
}
