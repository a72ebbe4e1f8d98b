import { EventEmitter, once } from 'node:events'
import { clearInterval, clearTimeout, nextTick, pause, setInterval, setTimeout } from '../clock.ts'
import { connectCall, namedCall, type TargetOptions } from '../options/connect.ts'
import {
  ASKED,
  OPTIONS,
  bad,
  checkOptions,
  keysOf,
  pick,
  type OptionsOf,
} from '../options/options.ts'
import { Backlog } from './reader.ts'
import { ANY_HOST, hostOfDaemon } from '../address.ts'
import { directoriesOf } from '../directories/directories.ts'
import { cancellable, deadline, type Signal } from '../async.ts'
import { Client, checkTold, type DaemonAddress } from './connection.ts'
import { accept, elsewhere } from './filter.ts'
import { TIMEOUT, designatedPort } from '../settings.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError, hasCode, located, type Details, type Reason } from '../errors.ts'
import { hostPolicy } from '../policy/host.ts'
import {
  MAX_WAIT,
  changeIn,
  listed,
  type Answer,
  type Asked,
  type Listed,
} from '../wire/protocol.ts'
import { addressesOf } from './ask.ts'
import { follow } from './follow.ts'
import { Roster, type Change, type Watched } from './roster.ts'
import { satisfies } from '../version.ts'

const debug = diagnostics('moniker:watch')

/** The services to watch; what is left out may be anything. */
export type WatchOptions = Partial<OptionsOf<'watch'>>

interface WatchEvents {
  up: [service: Watched]
  down: [service: Watched]
  ready: []
  lost: [error: unknown]
  error: [error: unknown]
  close: []
}

/** The first and the longest pause before a daemon that has gone is looked for again, in ms. */
const PAUSE = 20
const LONGEST = 1_000

/** Milliseconds without a word after which a daemon is asked for one: three times `timeout`, within these. */
const LIFE = { least: 1_000, longest: 15_000 }

/** The errors that asking again does not change. */
const FINAL: readonly Reason[] = ['EDENIED', 'ELIMIT', 'EARGUMENT', 'ENAME', 'EPOLICY']

function isFinal(error: unknown): boolean {
  return FINAL.includes((error as MonikerError).reason)
}

/**
 * The services that are up, and each that comes and goes, until it is closed. Emits `'up'` and `'down'` with the
 * service, `'ready'` when all that is there has been told, `'lost'` with the reason when the daemon
 * cannot be asked (it is looked for until it can), `'error'` when it refuses, and `'close'`. It can be
 * iterated over, at any time, too: each reader is told first of what is there at that time, and leaving
 * the loop closes the watch.
 */
export class Watch extends EventEmitter<WatchEvents> implements AsyncIterable<Change> {
  readonly #options: WatchOptions
  readonly #question: Asked
  readonly #details: Details & { host: string; port: number }
  readonly #range: string
  readonly #cancel = new AbortController()
  readonly #readers = new Set<Backlog>()
  readonly #roster = this.#newRoster()
  /** The services that directories tell of, one roster for each: they do not go with the daemon. */
  readonly #sighted: Roster[] = []
  /** Ends what is followed. */
  readonly #stops: (() => void)[] = []
  /** Does nothing but keep the process alive, whatever is being waited for. */
  readonly #awake = setInterval(() => {}, 0x7fff_ffff)
  #grace: NodeJS.Timeout | undefined
  #isLost = false

  constructor(options: WatchOptions) {
    super()
    const { namespace, also, service, version = '', daemonPort: port, signal } = options
    const host = hostOfDaemon(options.host)
    this.#options = options
    this.#range = version
    const interest = {
      ...(namespace !== undefined && { namespace }),
      ...(also !== undefined && { also }),
      ...(service !== undefined && { service }),
    }
    this.#question = { op: 'watch', ...interest }
    const where = { host: host || 'localhost', port: port ?? designatedPort(), syscall: 'watch' }
    this.#details = service === undefined ? where : { ...where, service }
    // The program has had no time yet to listen for errors.
    nextTick(() => {
      this.#followDirectories()
      void this.#run()
    })
    if (signal?.aborted) this.#abort()
    else signal?.addEventListener('abort', this.#abort, { once: true })
  }

  /** The services that are up, as far as is known. */
  get services(): Watched[] {
    return [this.#roster, ...this.#sighted].flatMap(roster => roster.services)
  }

  /** Keeps the process alive, as it does from the beginning. */
  ref(): this {
    this.#awake.ref()
    return this
  }

  /** No longer keeps the process alive. */
  unref(): this {
    this.#awake.unref()
    return this
  }

  /** Ends the watch. */
  close(): void {
    this.#end()
  }

  [Symbol.dispose](): void {
    this.#end()
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<Change, undefined> {
    const reader: Backlog = new Backlog(this.services, () => this.#end())
    if (this.#cancel.signal.aborted) reader.end()
    else this.#readers.add(reader)
    return reader
  }

  readonly #abort = () => this.#end(this.#options.signal!.reason)

  #end(error?: unknown): void {
    if (this.#cancel.signal.aborted) return
    this.#options.signal?.removeEventListener('abort', this.#abort)
    this.#cancel.abort()
    clearInterval(this.#awake)
    clearTimeout(this.#grace)
    for (const stop of this.#stops) stop()
    for (const reader of this.#readers) reader.end(error)
    this.#soon('close')
  }

  /** A reader hears of an error where it reads. */
  #fail(error: unknown): void {
    if (this.#readers.size === 0 || this.listenerCount('error') > 0) this.#soon('error', error)
    this.#end(error)
  }

  /** In a turn of its own: what a listener throws is not for us to catch. */
  #soon<K extends keyof WatchEvents>(event: K, ...args: WatchEvents[K]): void {
    nextTick(() => Reflect.apply(this.emit, this, [event, ...args]))
  }

  #newRoster(): Roster {
    return new Roster((event, service) => this.#tell(event, service))
  }

  #tell(event: Change['event'], service: Watched): void {
    for (const reader of this.#readers) reader.push(event, service)
    this.#soon(event, service)
  }

  /** Follows the directories of a watch of any host. */
  #followDirectories(): void {
    const { host, directories = [] } = this.#options
    if (host !== ANY_HOST) return
    for (const directory of directoriesOf(directories)) {
      if (!directory.follow || this.#cancel.signal.aborted) continue
      const roster = this.#newRoster()
      this.#sighted.push(roster)
      const stop = follow(directory, {
        roster,
        isWanted: service => this.#isWanted(service),
        lost: error => this.#soon('lost', error),
        details: { ...this.#details, host },
      })
      this.#stops.push(stop)
    }
  }

  /** True of what the daemon would tell as well. */
  #isWanted({ namespace, service, version }: Watched): boolean {
    const { namespace: own, also = [], service: wanted = service } = this.#question
    const isThere = own === undefined || [own, ...also].includes(namespace)
    return isThere && wanted === service && satisfies(version, this.#range)
  }

  async #run(): Promise<void> {
    const { signal } = this.#cancel
    let wait = PAUSE
    while (!signal.aborted) {
      const lost = this.#follow(() => (wait = PAUSE))
      const error = await lost.catch((thrown: unknown) => located(thrown, this.#details))
      if (signal.aborted) return
      if (isFinal(error)) return this.#fail(error)
      this.#lost(error)
      // Those who lost the same daemon do not all come back at once.
      const some = wait * (0.5 + Math.random() / 2)
      await pause(some, undefined, { signal, ref: false }).catch(() => {})
      wait = Math.min(wait * 2, LONGEST)
    }
  }

  /** Is told for as long as there is a connection; then fails, or says why there is none any more. */
  async #follow(onReady: () => void): Promise<unknown> {
    const details = this.#details
    const { timeout: ms = TIMEOUT } = this.#options
    const late = () => new MonikerError('ESILENT', { ...details, ms })
    const limit = deadline(ms, late, this.#cancel.signal, { quiet: true })
    const early: Answer[] = []
    let onEvent = (event: Answer): void => void early.push(event)
    let client: Client | undefined
    try {
      await hostPolicy()
      client = await this.#reach(limit.signal)
      const closed = once(client, 'close', { signal: this.#cancel.signal })
      closed.catch(() => {})
      const asked = client.ask(this.#question, limit.signal, event => onEvent(event))
      const { daemon } = client
      const { address } = daemon
      for (const service of elsewhere(listed(accept(await asked, details)), address)) {
        this.#hear('up', service, daemon)
      }
      onEvent = event => {
        const change = changeIn(event)
        const [service] = change ? elsewhere([change.service], address) : []
        if (service) this.#hear(change!.event, service, daemon)
      }
      for (const event of early) onEvent(event)
      limit.free()
      onReady()
      this.#found()
      client.expectLife(Math.min(LIFE.longest, Math.max(LIFE.least, 3 * ms)), ms)
      await closed
      const { failure } = client
      if (failure && isFinal(failure)) throw failure
      return failure && hasCode(failure, 'ETIMEDOUT') ? late() : new MonikerError('ELOST', details)
    } finally {
      limit.free()
      client?.close()
    }
  }

  async #reach(signal: Signal): Promise<Client> {
    const { lookup, family, hints } = this.#options
    const host = hostOfDaemon(this.#options.host)
    const { port } = this.#details
    const found = addressesOf(host, { lookup, family, hints }, this.#details)
    const addresses = await cancellable(Promise.resolve(found), signal)
    const failures: unknown[] = []
    for (const address of addresses) {
      try {
        return await Client.connect({ address, port }, signal, { quiet: true })
      } catch (error) {
        failures.push(error)
      }
    }
    throw failures[0]
  }

  /** Throws `ELIMIT` if the daemon has told of more than a program should keep. */
  #hear(event: Change['event'], service: Listed, daemon: DaemonAddress): void {
    if (!satisfies(service.version, this.#range)) return
    this.#roster[event](service)
    checkTold(daemon, this.#question, this.#roster.weight)
  }

  #found(): void {
    debug('watching %o at %s', this.#question, this.#details.host)
    this.#isLost = false
    clearTimeout(this.#grace)
    // Their programs have yet to find the daemon too.
    if (this.#roster.isInDoubt) this.#wait()
    this.#soon('ready')
  }

  #lost(error: unknown): void {
    debug('%s', (error as Error).message)
    if (this.#isLost) return
    this.#isLost = true
    this.#roster.doubt()
    this.#wait()
    this.#soon('lost', error)
  }

  #wait(): void {
    const { grace = OPTIONS.grace.default } = this.#options
    clearTimeout(this.#grace)
    this.#grace = setTimeout(() => this.#roster.settle(), grace).unref()
  }
}

/** Watches the services of a host: a name or a URI, or all that is in `options`. */
export function watch(
  target: string | URL,
  options?: Omit<WatchOptions, 'service' | 'namespace' | 'version'>,
): Watch
export function watch(options?: WatchOptions): Watch
export function watch(target: string | URL | WatchOptions = {}, more: WatchOptions = {}): Watch {
  const isName = typeof target === 'string' || target instanceof URL
  if (!isName && (typeof target !== 'object' || target === null)) {
    const text = `a name, a URI or options, got ${JSON.stringify(target) ?? String(target)}`
    throw new MonikerError('EARGUMENT', { text })
  }
  return new Watch(checked(isName ? aimed(target, more) : { ...target, ...more }))
}

/** The options that a name or a URI stands for, and those beside it. */
function aimed(target: string | URL, more: WatchOptions): WatchOptions {
  const { name, net } = namedCall(target, undefined, pick(more, WATCHED) as TargetOptions)
  return { ...more, ...name, ...pick(net, ASKED) }
}

/** The options, checked as those of `connect` are. */
function checked(options: WatchOptions): WatchOptions {
  checkOptions('watch', options)
  const { service, namespace, timeout = TIMEOUT } = options
  if (!(timeout >= 0 && timeout <= MAX_WAIT)) {
    throw bad('timeout', `a number of ms from 0 to ${MAX_WAIT}`, timeout)
  }
  const question = pick(options, WATCHED)
  if (service !== undefined) {
    const call = connectCall([question])!
    return { ...options, ...call.name, also: call.net.also }
  }
  const { name } = connectCall([{ ...question, service: 'any' }])!
  // Of all services those of all namespaces, unless it says which.
  return { ...options, namespace: namespace === undefined ? undefined : name.namespace }
}

/** The options that `connect` reads as well. */
const WATCHED = keysOf('watch').filter(key => key !== 'grace')
