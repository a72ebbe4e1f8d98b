import { open, stat } from 'node:fs/promises'
import { isMap, type Document, type Node, type Pair } from 'yaml'
import { listenCall, type ListenCall, type ListenNameOptions } from '../options/listen.ts'
import type { Bindable, Spot } from '../node/proc.ts'
import { MAX_FILE, parseYaml } from '../policy/file.ts'

/** A port that somebody else serves, and the name it is to have. */
export interface Entry extends Spot, Pick<ListenCall, 'name' | 'shared' | 'metadata'> {}

/** What may be said of a port beside its number. */
export interface EntryOptions extends Pick<ListenNameOptions, 'shared' | 'metadata'> {
  port: number
  /** Whether it is a port of UDP. Default false. */
  udp?: boolean | undefined
}

/** The most names that one list may have. */
export const MAX_ENTRIES = 1_000

const FIELDS = ['port', 'udp', 'shared', 'metadata']

/** A name for a port, checked; throws what `listen` does. */
export function entry(service: string, { port, udp = false, ...options }: EntryOptions): Entry {
  const { name, shared, metadata } = listenCall([{ service, ...options }])!
  const transport: Bindable = udp ? 'udp' : 'tcp'
  return { name, shared, metadata, transport, port }
}

/** A list of names and ports in a file. */
export class Portlist {
  readonly #file: string
  #last: string | undefined

  constructor(file: string) {
    this.#file = file
  }

  /** What it says, if that is another thing than the last time. Throws, once, what is wrong with it. */
  async changed(): Promise<Entry[] | undefined> {
    const text = await readList(this.#file).catch((error: Error) => error)
    if (String(text) === this.#last) return undefined
    this.#last = String(text)
    if (text instanceof Error) throw text
    return parseList(text, this.#file)
  }
}

/**
 * Reads `name: port` lines, in YAML or JSON; instead of a port may stand what `EntryOptions` are.
 * Throws the line, and what is wrong with it.
 */
export function parseList(text: string, file: string): Entry[] {
  const { document, lineOf, wrong } = parseYaml(text)
  if (wrong) throw new Error(`${file}:${wrong.line}: ${wrong.message}`)
  const at = (offset: number, what: string) => new Error(`${file}:${lineOf(offset)}: ${what}`)

  const { contents } = document
  if (contents === null) return []
  if (!isMap<Node, Node>(contents)) throw at(0, 'expected lines such as "web: 8080"')
  if (contents.items.length > MAX_ENTRIES) throw at(0, `expected at most ${MAX_ENTRIES} names`)
  return contents.items.map(item => {
    try {
      return entryIn(item, document)
    } catch (error) {
      throw at(item.key.range![0], (error as Error).message)
    }
  })
}

/** The text of a list. Fails if it is no file, cannot be read, or is over `MAX_FILE` bytes. */
async function readList(file: string): Promise<string> {
  // To open a pipe would be to wait for its other end.
  if (!(await stat(file)).isFile()) throw new Error(`${file} is no file`)
  const handle = await open(file)
  try {
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(MAX_FILE + 1), 0, MAX_FILE + 1, 0)
    if (bytesRead <= MAX_FILE) return buffer.toString('utf8', 0, bytesRead)
    throw new Error(`expected ${file} to have at most ${MAX_FILE} bytes`)
  } finally {
    await handle.close()
  }
}

function entryIn({ key, value }: Pair<Node, Node>, document: Document): Entry {
  // An alias may stand for more than it seems to.
  const [name, said] = [key, value].map(
    node => node?.toJS(document, { maxAliasCount: 0 }) as unknown,
  )
  if (typeof name !== 'string') throw new Error(`expected a name, got ${shown(name)}`)
  const options = (isObject(said) ? said : { port: said }) as EntryOptions
  const { port, udp } = options
  if (!isPort(port)) throw new Error(`expected a port from 1 to 65535, got ${shown(port)}`)
  if (udp !== undefined && typeof udp !== 'boolean') {
    throw new Error(`expected udp to be true or false, got ${shown(udp)}`)
  }
  const stranger = Object.keys(options).find(field => !FIELDS.includes(field))
  if (stranger) throw new Error(`expected ${FIELDS.join(', ')}, got ${shown(stranger)}`)
  return entry(name, options)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isPort(value: unknown): value is number {
  return Number.isInteger(value) && Number(value) > 0 && Number(value) < 65_536
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'nothing').slice(0, 60)
}
