import { randomUUID } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { EventEmitter, once } from 'node:events'
import { connect, isIPv6, type Socket } from 'node:net'
import createDebug from 'debug'
import { isLoopback, literally } from './address.ts'
import { cancellable, Halt, type Signal } from './cancel.ts'
import { MonikerError, isReason, type Details } from './errors.ts'
import { persist } from './persist.ts'
import { LineSplitter, MAX_LINE } from './lines.ts'
import { PADDED, decode, encode, refusalIn, type Answer, type Asked, type Id } from './protocol.ts'

const debug = createDebug('moniker:client')

/** A daemon's whereabouts. */
export interface Place {
  /** An IP address. */
  readonly address: string
  /** The designated port. */
  readonly port: number
}

/** How long a datagram is waited for before it is sent again, and TCP tried as well, in ms; each pause is twice the last. */
const PAUSE = 200

/** How long a daemon of this host that has gone is asked for, in ms: another is taking its place. */
const VACANCY = 200

/** How many services one list may have before we stop believing it. */
const MAX_LIST = 5_000_000

interface Pending {
  resolve: (answer: Answer) => void
  reject: (error: unknown) => void
  /** The services told so far, while `more` are to come. */
  services: unknown[]
}

/**
 * A kept connection to a daemon, over which any number of questions may be under way. It keeps the
 * process alive only while one is. Emits `'close'` once.
 */
export class Client extends EventEmitter<{ close: [] }> {
  readonly #socket: Socket
  readonly #place: Place
  readonly #isQuiet: boolean
  readonly #pending = new Map<Id, Pending>()
  readonly #told = new Map<Id, (event: Answer) => void>()
  #last = 0
  /** The questions of this turn, to go out in one write. */
  #unsent = ''
  /** Why the connection closed, if it was not closed in peace. */
  #why: Error | undefined

  private constructor(socket: Socket, place: Place, isQuiet: boolean) {
    super()
    this.#socket = socket
    this.#place = place
    this.#isQuiet = isQuiet
    const splitter = new LineSplitter()
    splitter
      .on('data', (lines: string[]) => this.#read(lines))
      .on('error', error => socket.destroy(error))
    socket.on('error', error => {
      debug('%s: %s', place.address, error.message)
      this.#why = error
    })
    socket.on('close', () => this.#closed())
    socket.unref().pipe(splitter)
  }

  /**
   * Connects to the daemon at `place`; fails as `net.connect` does. A `quiet` one never keeps the
   * process alive: the server it asks for does, or is not to; one in the `background` does so only
   * for its questions.
   */
  static async connect(
    place: Place,
    signal?: Signal,
    { quiet = false, background = false }: { quiet?: boolean; background?: boolean } = {},
  ): Promise<Client> {
    const { address: host, port } = place
    const keep = { keepAlive: true, keepAliveInitialDelay: 15_000 }
    const socket = connect({ host, port, noDelay: true, ...keep })
    if (quiet || background) socket.unref()
    try {
      await cancellable(once(socket, 'connect'), signal)
    } catch (error) {
      socket.destroy()
      throw error
    }
    return new Client(socket, place, quiet)
  }

  /** How many questions it has been asked. */
  get asked(): number {
    return this.#last
  }

  /**
   * The answer to a question, be it a refusal. Fails if the connection closes first. What the daemon
   * has to say of it later is `told`, for as long as the connection lasts.
   */
  async ask(message: Asked, signal?: Signal, told?: (event: Answer) => void): Promise<Answer> {
    signal?.throwIfAborted()
    if (this.#socket.destroyed) throw this.#lost()
    const id = ++this.#last
    if (told) this.#told.set(id, told)
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, services: [] })
    })
    const abort = () => this.#settle(id)?.reject(signal!.reason)
    signal?.addEventListener('abort', abort, { once: true })
    if (!this.#isQuiet && this.#pending.size === 1) this.#socket.ref()
    this.#send(encode(id, message))
    try {
      return await answer
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /**
   * The same, if it comes within `ms`; else fails with `ESILENT`. What is in a `hurry` does not wait for
   * others to share a write with.
   */
  async askSoon(message: Asked, ms: number, { hurry = false } = {}): Promise<Answer> {
    const answer = this.ask(message)
    const id = this.#last
    if (hurry) this.#flush()
    const { address: host, port } = this.#place
    const late = () => this.#settle(id)?.reject(new MonikerError('ESILENT', { host, port, ms }))
    const timer = setTimeout(late, ms)
    try {
      return await answer
    } finally {
      clearTimeout(timer)
    }
  }

  /** Closes the connection; questions under way fail. */
  close(): void {
    this.#socket.destroy()
  }

  #send(line: string): void {
    if (this.#unsent === '') setImmediate(() => this.#flush())
    this.#unsent += line
  }

  #flush(): void {
    if (this.#unsent === '') return
    if (!this.#socket.destroyed) this.#socket.write(this.#unsent)
    this.#unsent = ''
  }

  #read(lines: string[]): void {
    try {
      for (const line of lines) this.#take(decode(line))
    } catch (error) {
      this.#socket.destroy(error as Error)
    }
  }

  #take(answer: Answer): void {
    const { id, services, more } = answer as { id: Id; services?: unknown; more?: unknown }
    const pending = this.#pending.get(id)
    if ('event' in answer) return this.#told.get(id)?.(answer)
    // Nobody waits any longer, or the daemon could not read who asked.
    if (!pending) return debug('nobody asked: %o', answer)
    if (!Array.isArray(services)) return this.#settle(id)?.resolve(answer)
    for (const service of services) pending.services.push(service)
    if (more && pending.services.length < MAX_LIST) return
    this.#settle(id)?.resolve({ ...answer, services: pending.services })
  }

  #settle(id: Id): Pending | undefined {
    const pending = this.#pending.get(id)
    this.#pending.delete(id)
    if (this.#pending.size === 0) this.#socket.unref()
    return pending
  }

  #closed(): void {
    const error = this.#why instanceof MonikerError ? this.#why : this.#lost()
    for (const id of this.#pending.keys()) this.#settle(id)?.reject(error)
    this.emit('close')
  }

  #lost(): MonikerError {
    const { address: host, port } = this.#place
    return new MonikerError('ELOST', { host, port })
  }
}

/**
 * Asks one question of the daemon at `place`: by UDP, again after growing pauses; by TCP at once
 * where UDP is refused or its answer truncated, and beside it where UDP stays silent. Fails when
 * both have, or with the reason of `signal`.
 */
export function ask(place: Place, message: Asked, signal: Signal): Promise<Answer> {
  return insist(() => askBoth(place, message, signal), place, signal)
}

/** Asks one question over a connection of its own. Fails as `net.connect` does, or when the connection is lost. */
export function askStream(place: Place, message: Asked, signal: Signal): Promise<Answer> {
  return insist(() => askOverStream(place, message, signal), place, signal)
}

/** Asks this host's own daemon again where there is none, but not for long. */
function insist(
  attempt: () => Promise<Answer>,
  { address }: Place,
  signal: Signal,
): Promise<Answer> {
  const worth = (error: unknown) =>
    ['ECONNREFUSED', 'ECONNRESET'].includes((error as NodeJS.ErrnoException).code!)
  return isLoopback(address) ? persist(attempt, VACANCY, { worth, first: 20, signal }) : attempt()
}

async function askBoth(place: Place, message: Asked, signal: Signal): Promise<Answer> {
  signal.throwIfAborted()
  const over = new Halt()
  const abort = () => over.abort(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    let datagram!: Promise<Answer>
    const early = await new Promise<Answer | undefined>(resolve => {
      const none = () => resolve(undefined)
      datagram = askDatagram(place, message, over, none)
      datagram.then(resolve, none)
    })
    return early ?? (await Promise.any([datagram, askOverStream(place, message, over)]))
  } catch (error) {
    signal.throwIfAborted()
    // What TCP met with says more than what UDP did.
    throw (error as AggregateError).errors.at(-1)
    /* c8 ignore next -- V8 counts a way out of a catch that always throws. */
  } finally {
    signal.removeEventListener('abort', abort)
    over.abort(undefined)
  }
}

/** `answer`, if it is none of a refusal; that is thrown as the error it is, with `details`. */
export function accept(answer: Answer, details: Details): Answer {
  const refused = refusalIn(answer)
  if (!refused) return answer
  const { code, message: text, offered } = refused
  const reason = isReason(code) ? code : 'EPROTOCOL'
  // By what name the daemon was reached, we know better than it does.
  throw new MonikerError(reason, { ...details, text, ...(offered && { offered }) })
}

async function askOverStream(place: Place, message: Asked, signal: Signal): Promise<Answer> {
  const client = await Client.connect(place, signal)
  try {
    return await client.ask(message, signal)
  } finally {
    client.close()
  }
}

/**
 * Asks by UDP, from a port of its own and with an id nobody can guess; what does not match is
 * somebody else's. Is it to be sent again, that is told to `silent`. Fails when the datagram is refused or
 * the answer truncated.
 */
export function askDatagram(
  { address, port }: Place,
  message: Asked,
  signal: Signal,
  silent?: () => void,
): Promise<Answer> {
  // Cheaper by far than as many bytes: Node keeps some in store.
  const id = randomUUID()
  const bytes = encode(id, message).padEnd(PADDED)
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', lookup: literally })
  let timer: NodeJS.Timeout | undefined

  const send = (wait: number) => {
    // A datagram that cannot be sent is as good as lost; a refusal comes as an 'error'.
    socket.send(bytes, () => {})
    timer = setTimeout(again, wait, wait * 2)
  }
  const again = (wait: number) => {
    silent?.()
    send(wait)
  }

  const answer = new Promise<Answer>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    socket
      .on('error', reject)
      .on('message', bytes => {
        const answer = matching(bytes, id)
        if (answer?.truncated) reject(new Error('the answer is too long for a datagram'))
        else if (answer) resolve(answer)
      })
      .connect(port, address)
    try {
      send(PAUSE)
    } catch {
      // What has not been connected says why by an 'error'.
    }
  })
  const over = () => {
    clearTimeout(timer)
    // Whoever waits goes on first.
    setImmediate(() => socket.close())
  }
  answer.then(over, over)
  return answer
}

/** The answer in a datagram, if it is one to the question `id`. */
function matching(bytes: Buffer, id: Id): Answer | undefined {
  if (bytes.length > MAX_LINE) return undefined
  try {
    const answer = decode(bytes.toString())
    return answer.id === id ? answer : undefined
  } catch (error) {
    debug('not an answer: %s', (error as Error).message)
    return undefined
  }
}
