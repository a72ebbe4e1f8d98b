import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { open, stat } from 'node:fs/promises'
import { Command, Option } from 'commander'
import { isMap, type Document, type Node, type Pair } from 'yaml'
import { dialled, isIP, plain } from '../address.ts'
import { deadline } from '../async.ts'
import { pause } from '../clock.ts'
import { format } from '../name.ts'
import { bound, type Bindable, type Spot } from '../node/proc.ts'
import { listenCall, type ListenCall, type ListenNameOptions } from '../options/listen.ts'
import { MAX_FILE, parseYaml } from '../policy/file.ts'
import type { Lease } from '../registration/registrar.ts'
import { Registrar } from '../registration/registrar.ts'
import type { Metadata } from '../wire/protocol.ts'
import {
  daemonPortOption,
  metadataOption,
  meant,
  namespaceOption,
  sharedOption,
  toAddress,
  toPort,
  useNamespace,
} from './options.ts'
import { keepAlive, stopSignal, tell, tellLapses } from './terminal.ts'

/** Milliseconds between two looks at the ports and the list. */
const ROUND = 1_000

/** The most rounds until a registration that failed is tried again. */
const LONGEST = 32

/** The most names in one list. */
export const MAX_ENTRIES = 1_000

/** The fields of an entry in a list. */
const FIELDS = ['port', 'udp', 'address', 'shared', 'metadata']

interface Options {
  udp?: boolean
  address?: string
  check?: string
  file?: string
  daemonPort?: number
  namespace?: string
  metadata?: Metadata
  shared?: boolean
}

/** A port that another program serves, and the name for it. */
export interface Entry extends Spot, Pick<ListenCall, 'name' | 'shared' | 'metadata'> {
  /** The command that ends with 0 while the name may be held. */
  readonly check?: string | undefined
}

/** The port of an entry, and its options. */
export interface EntryOptions extends Pick<ListenNameOptions, 'shared' | 'metadata'> {
  port: number
  /** True if it is a port of UDP. Default false. */
  udp?: boolean | undefined
  /** The address at which it is. Default the one that most peers can reach. */
  address?: string | undefined
  /** A command for the shell: the name is held only while it ends with 0. Default none. */
  check?: string | undefined
}

export interface HolderOptions {
  registrar: Pick<Registrar, 'register'>
  /** Called with a line for each change to a name. */
  tell: (text: string) => void
}

export const registerCommand = new Command('register')
  .description('Holds a name for a port of another program, such as a container or a database.')
  .usage('[options] <name> <port>\n       moniker register [options] --file <file>')
  .argument('[name]', 'such as db@16.1.0')
  .argument('[port]', 'the port that the program listens on', toPort)
  .addOption(new Option('--udp', 'the port is one of UDP').conflicts('file'))
  .addOption(
    new Option('--address <address>', 'the address that clients are told (default: where it is)')
      .argParser(toAddress)
      .conflicts('file'),
  )
  .addOption(
    new Option('--check <command>', 'hold the name only while this command ends with 0').conflicts(
      'file',
    ),
  )
  .option('--file <file>', 'read names and ports from a file, and again whenever it changes')
  // In a list each line says this of its own name.
  .addOption(sharedOption().conflicts('file'))
  .addOption(metadataOption().conflicts('file'))
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addHelpText(
    'after',
    `
The name is registered while a program answers on the port and this command runs. The command of --check
runs in a shell every second, with HOST and PORT, and may take 5 seconds:
  moniker register db 5432 --check 'pg_isready -h $HOST -p $PORT'
A list is YAML or JSON, with a name and its port in each line:
  db@16.1.0: 5432
  clock: { port: 123, udp: true }
  web: { port: 8080, shared: true, metadata: { path: /api } }`,
  )
  .action(register)

async function register(
  name: string | undefined,
  port: number | undefined,
  { file, namespace, daemonPort, ...options }: Options,
  command: Command,
): Promise<void> {
  if ((file === undefined) === (port === undefined)) {
    command.error("error: expected a name and a port, or '--file' alone")
  }
  useNamespace(namespace)
  const holder = new Holder({ registrar: Registrar.at(daemonPort), tell })
  const list = file === undefined ? undefined : new Portlist(file)
  holder.hold((await list?.changed()) ?? [entry(name!, { port: port!, ...options })])
  await keepAlive(goRound(holder, list))
}

/** Goes round the ports until a signal. */
async function goRound(holder: Holder, list: Portlist | undefined): Promise<void> {
  const signal = stopSignal()
  try {
    for (;;) {
      await holder.round(signal)
      await pause(ROUND, undefined, { signal })
      await refresh(holder, list)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    await holder.close()
  }
}

/** Gives `holder` the list if it has changed; keeps the last good one while the list is broken. */
async function refresh(holder: Holder, list: Portlist | undefined): Promise<void> {
  try {
    const entries = await list?.changed()
    if (entries) holder.hold(entries)
  } catch (error) {
    tell(`${(error as Error).message}; the last good list stays in force`)
  }
}

/** Holds names for the ports of other programs, each while a program is bound to its port. */
export class Holder {
  readonly #options: HolderOptions
  #all = new Map<string, Hold>()
  readonly #gone = new Set<Hold>()

  constructor(options: HolderOptions) {
    this.#options = options
  }

  /** Sets the names to hold from the next `round` on. Entries that stay as they were keep their names. */
  hold(entries: readonly Entry[]): void {
    const before = this.#all
    const keyed = entries.map(entry => [JSON.stringify(entry), entry] as const)
    this.#all = new Map(
      keyed.map(([key, entry]) => [key, before.get(key) ?? new Hold(entry, this.#options)]),
    )
    for (const [key, hold] of before) if (!this.#all.has(key)) this.#gone.add(hold)
  }

  /** Looks at every port, then withdraws names, then registers names. Fails only with the reason of `signal`. */
  async round(signal: AbortSignal): Promise<void> {
    const holds = [...this.#all.values()]
    await this.#release()
    const addresses = await bound(holds.map(({ entry }) => entry))
    await Promise.all(
      holds.map(async (hold, index) => {
        const address = addresses[index]
        const fault = address && (await faultOf(hold.entry, address, signal))
        await hold.settle(address, signal, fault)
      }),
    )
    signal.throwIfAborted()
  }

  /** Withdraws every name. */
  async close(): Promise<void> {
    this.hold([])
    await this.#release('moniker was told to stop')
  }

  async #release(why = 'the list no longer has it'): Promise<void> {
    const gone = [...this.#gone]
    this.#gone.clear()
    await Promise.all(gone.map(hold => hold.withdraw(why)))
  }
}

/** One name, registered or not. */
class Hold {
  readonly entry: Entry
  readonly #options: HolderOptions
  #lease: Lease | undefined
  /** Ends the reports on the lease. */
  #cancel: (() => void) | undefined
  /** Rounds to skip until the next try, and after the next failure. */
  #skip = 0
  #pause = 1
  /** The last line, which is not repeated. */
  #said = ''

  constructor(entry: Entry, options: HolderOptions) {
    this.entry = entry
    this.#options = options
  }

  /** Brings the registration in line with the address at which the port answers, if it does and has no `fault`. */
  async settle(address: string | undefined, signal: AbortSignal, fault?: string): Promise<void> {
    if (address === undefined) return this.#unserved(`no program answers on ${this.#port}`)
    if (fault) return this.#unserved(fault)
    if (this.#lease?.offer.address === address) return
    if (this.#lease) await this.withdraw(`it is served at ${address} now`)
    if (this.#skip-- > 0) return
    try {
      await this.#register(address, signal)
    } catch (error) {
      this.#skip = this.#pause
      this.#pause = Math.min(this.#pause * 2, LONGEST)
      if (!signal.aborted) this.#tell(`${(error as Error).message}; trying again`)
    }
  }

  /** Withdraws the name, if it is registered, and tells why. */
  async withdraw(why: string): Promise<void> {
    const lease = this.#lease
    if (!lease) return
    this.#lease = undefined
    this.#cancel!()
    await lease.withdraw()
    this.#tell(`${this.#name} is withdrawn: ${why}`)
  }

  async #unserved(why: string): Promise<void> {
    if (this.#lease) return this.withdraw(why)
    // A port that has answered before has been reported already.
    if (!this.#said) this.#tell(`${this.#name} is not registered yet: ${why}`)
    this.#skip = 0
  }

  async #register(address: string, signal: AbortSignal): Promise<void> {
    const { name, check: _, ...others } = this.entry
    const { metadata, ...offer } = { ...name, ...others, address }
    const full = { ...offer, ...(metadata && { metadata }) }
    const lease = await this.#options.registrar.register(full, { signal })
    const there = `${this.#name} is ${this.#port}`
    this.#cancel = tellLapses(lease, text => this.#tell(text), there)
    this.#lease = lease
    this.#pause = 1
    this.#tell(there)
  }

  #tell(text: string): void {
    if (text !== this.#said) this.#options.tell(text)
    this.#said = text
  }

  get #name(): string {
    return format(this.entry.name)
  }

  get #port(): string {
    const { transport, port } = this.entry
    return transport === 'udp' ? `port ${port} of UDP` : `port ${port}`
  }
}

/** The fault that the check of an entry finds; `undefined` if it finds none. Fails with the reason of `signal`. */
async function faultOf(
  { check, port }: Entry,
  address: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (check === undefined) return undefined
  const limit = deadline(CHECK_TIME, () => new Error('late'), signal)
  const host = dialled(address)
  const env = { ...process.env, HOST: host, PORT: String(port) }
  const child = spawn(check, { shell: true, stdio: 'ignore', env, detached: true })
  // The processes that the shell has started end with it.
  const end = () => kill(child)
  limit.signal.addEventListener('abort', end)
  const [status, by] = await once(child, 'close').catch((error: Error) => [error.message])
  const isLate = limit.signal.aborted
  limit.signal.removeEventListener('abort', end)
  limit.free()
  signal.throwIfAborted()
  if (status === 0) return undefined
  const how = isLate ? `took more than ${CHECK_TIME} ms` : `ended with ${status ?? by}`
  return `its check ${how}`
}

/** Kills a process that leads a group, with all of the group. */
function kill({ pid }: ChildProcess): void {
  try {
    process.kill(-pid!, 'SIGKILL')
    /* c8 ignore next 3 -- Only a program that ends in this very moment comes here. */
  } catch {
    // There is nothing left to kill.
  }
}

/** Milliseconds that a check may take. */
const CHECK_TIME = 5_000

/** An entry, checked; throws as `listen` does. */
export function entry(
  text: string,
  { port, udp = false, address, check, ...options }: EntryOptions,
): Entry {
  const service = meant(text)
  const { name, shared, metadata } = listenCall([{ service, ...options }])!
  const transport: Bindable = udp ? 'udp' : 'tcp'
  const more = { ...(address && { address: plain(address) }), ...(check && { check }) }
  return { name, shared, metadata, transport, port, ...more }
}

/** A list of names and ports in a file. */
export class Portlist {
  readonly #file: string
  #last: string | undefined

  constructor(file: string) {
    this.#file = file
  }

  /** The entries, if the file has changed since the last call. Fails once for each fault. */
  async changed(): Promise<Entry[] | undefined> {
    const text = await readList(this.#file).catch((error: Error) => error)
    if (String(text) === this.#last) return undefined
    this.#last = String(text)
    if (text instanceof Error) throw text
    return parseList(text, this.#file)
  }
}

/**
 * Reads lines of `name: port`, in YAML or JSON; `EntryOptions` may stand instead of the port. Throws an error with the
 * line and the fault.
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

/** Reads the text of a list. Fails if it is no file, cannot be read, or is over `MAX_FILE` bytes. */
async function readList(file: string): Promise<string> {
  // A pipe would make us wait for its other end.
  if (!(await stat(file)).isFile()) throw new Error(`${file} is not a file`)
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
  // An alias may stand for a very large value.
  const [name, given] = [key, value].map(
    node => node?.toJS(document, { maxAliasCount: 0 }) as unknown,
  )
  if (typeof name !== 'string') throw new Error(`expected a name, got ${shown(name)}`)
  const options = (isObject(given) ? given : { port: given }) as EntryOptions
  const { port, udp } = options
  if (!isPort(port)) throw new Error(`expected a port from 1 to 65535, got ${shown(port)}`)
  const { address } = options as { address?: unknown }
  if (address !== undefined && (typeof address !== 'string' || !isIP(address))) {
    throw new Error(`expected address to be an IP address, got ${shown(address)}`)
  }
  if (udp !== undefined && typeof udp !== 'boolean') {
    throw new Error(`expected udp to be true or false, got ${shown(udp)}`)
  }
  const unknown = Object.keys(options).find(field => !FIELDS.includes(field))
  if (unknown) throw new Error(`expected ${FIELDS.join(', ')}, got ${shown(unknown)}`)
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
