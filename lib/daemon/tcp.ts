import type { Buffer } from 'node:buffer'
import type { Socket } from 'node:net'
import { clearTimeout, nextTick, setTimeout } from '../clock.ts'
import { MonikerError } from '../errors.ts'
import { RESERVE } from '../node/descriptors.ts'
import { LineReader } from '../wire/lines.ts'
import { LineSplitter } from '../wire/splitter.ts'
import {
  decode,
  encode,
  encodeAnswer,
  encodeServices,
  idOf,
  question,
  refusal,
  type Answer,
  type Id,
} from '../wire/protocol.ts'
import { refusable, type Answering, type Owner, type Peer } from './chain.ts'
import type { Connection, ServeOptions } from './dialect.ts'
import { isLong, pagesOf, type LongAnswer, type Page } from './listing.ts'
import type { Reader } from './unread.ts'

/** Milliseconds that a refused connection is given to read why. */
const LINGER = 1_000

/** The most refused connections that are given that: with their descriptors they leave half of the reserve. */
const MAX_LINGERING = RESERVE / 2

/** The most questions of one connection that may be under way without an answer. */
const MAX_WAITING = 16_384

/** The most questions of one connection that are answered before all others have their turn. */
const PORTION = 16

/** The names of a list that are as much work as a question. */
const LISTED = 4

/** The most bytes of events that a connection may leave unread. */
const MAX_UNREAD = 1_048_576

/** Answers the questions that come over one connection, a line each. */
export class LineConnection implements Connection, Reader {
  readonly owner: Owner
  readonly #socket: Socket
  readonly #peer: Peer
  readonly #options: ServeOptions
  readonly #reader = new LineReader()
  /** The events that have not been written yet, as lines. */
  #events = ''
  /** The stream of lines, from the second read on: most connections ask one question, and do without. */
  #splitter: LineSplitter | undefined
  /** Runs while half a line waits for its end. */
  #dribble: NodeJS.Timeout | undefined
  /** The number of questions under way. */
  #waiting = 0
  /** The long lists that are told, one after the other. */
  #lists = Promise.resolve()
  /** True while questions that have come wait for their turn, or for answers to be read. */
  #isHeld = false
  /** True while what was written waits to be read. */
  #isBehind = false
  /** True once no more will be asked. */
  #isEnded = false

  constructor(socket: Socket, head: Buffer, peer: Peer, options: ServeOptions) {
    const { closed, isInUse } = options
    const owner = ownerOf(socket, peer, this.#tell, this.#cutOff)
    this.owner = owner
    this.#socket = socket
    this.#peer = { ...peer, connection: owner, ...(!peer.nameless && { owner }) }
    this.#options = options
    socket
      .once('data', this.#second)
      .on('end', this.#end)
      .on('error', () => void options.ended(owner))
      .on('timeout', () => isInUse(owner) || this.#waiting > 0 || socket.destroy())
      .on('close', () => {
        clearTimeout(this.#dribble)
        closed(owner)
      })
    this.#read(head)
  }

  refuse(error: MonikerError, before = '', id: Id = null): void {
    const socket = this.#socket
    // Closing already: the first reason stands.
    if (!socket.writable) return
    this.#options.refused(error)
    if (this.#splitter) socket.unpipe(this.#splitter.removeAllListeners('data'))
    // The rest is read, and dropped.
    socket.off('data', this.#second).resume()
    turnAway(socket, error, before, id)
  }

  /** Cuts it off at once: what it has not read is too much. */
  drop(): void {
    this.#cutOff(tooLazy())
  }

  readonly #cutOff = (refusal: MonikerError): void => {
    this.#options.refused(refusal)
    this.#socket.destroy()
  }

  /** Answers what came first. */
  #read(chunk: Buffer): void {
    let lines: string[]
    try {
      lines = this.#reader.read(chunk)
    } catch (error) {
      return this.refuse(error as MonikerError)
    }
    if (lines.length > 0) this.#ask(lines)
    this.#watchLine()
  }

  /** Answers the questions of one read, in its turn. */
  #ask(lines: string[]): void {
    const { turns } = this.#options
    if (turns.takeAtOnce()) return this.#reply(lines)
    // A peer that asks for more than one turn lets all others go first.
    const isMuch = lines.length > PORTION
    const goOn = this.#pause(lines)
    if (isMuch) turns.waitAgain(goOn, this.#seat)
    else turns.wait(goOn, this.#seat)
  }

  get #seat(): unknown {
    return this.#options.seatOf(this.#peer) ?? this.owner
  }

  /** Serves what comes after the first read, in its turn: most connections ask one question, and need no stream. */
  readonly #second = (chunk: Buffer): void => {
    const { turns } = this.#options
    if (turns.takeAtOnce()) return this.#stream(chunk)
    const socket = this.#socket.pause()
    this.#isHeld = true
    turns.wait(() => {
      this.#isHeld = false
      // It may have come while this chunk waited, and comes again after all that was read.
      this.#isEnded = false
      socket.resume()
      if (socket.writable) this.#stream(chunk)
    }, this.#seat)
  }

  /** Serves all that comes from this chunk on. */
  #stream(chunk: Buffer): void {
    const socket = this.#socket.off('end', this.#end)
    const splitter = new LineSplitter(this.#reader)
      .on('data', (lines: string[]) => this.#ask(lines))
      .on('error', (error: MonikerError) => this.refuse(error))
      .on('end', this.#end)
    this.#splitter = splitter
    splitter.write(chunk)
    socket.pipe(splitter)
    // After the pipe's own listener: the splitter has seen the chunk by then.
    socket.on('data', () => this.#watchLine())
    this.#watchLine()
  }

  readonly #end = (): void => {
    this.#isEnded = true
    this.#finish()
  }

  /** Ends the connection, as the peer has: but what it has asked is answered, unless it had names and was killed. */
  #finish(): void {
    const hadNames = this.#options.ended(this.owner)
    if (!this.#isHeld && (hadNames || this.#waiting === 0)) this.#socket.end()
  }

  /** The source of lines, to be paused. */
  get #source(): Socket | LineSplitter {
    return this.#splitter ?? this.#socket
  }

  /** The answers to some questions, in one write; the rest have their turn later. */
  #reply(lines: string[]): void {
    const socket = this.#socket
    // Gone while others had their turn: it can hold nothing any more.
    if (!socket.writable) return
    let text = ''
    /** The work that is left for this turn, in questions. */
    let left = PORTION
    for (let at = 0; at < lines.length; at++, left--) {
      if (left <= 0 || text.length > MAX_UNREAD)
        return this.#hold(this.#write(text), lines.slice(at))
      let id: Id = null
      let said = ''
      try {
        const message = decode(lines[at]!)
        id = idOf(message)
        if (this.#waiting >= MAX_WAITING) throw tooMany()
        const found = this.#options.answer(question(message), this.#peer)
        if (found instanceof Promise) void this.#later(id, found)
        else if (isLong(found)) this.#tellList(id, found)
        else said = encodeAnswer(id, found)
        left -= listWork(found)
      } catch (thrown) {
        const error = refusable(thrown)
        if (isFatal(error) && !this.#isSpared(id)) return this.refuse(error, text, id)
        said = this.#no(id, error)
      }
      text += this.#takeEvents() + said
    }
    if (text !== '' && !this.#write(text)) this.#hold(false, [])
  }

  /** True if a connection outlives a bad question: names or watches depend on it, and the next can be told from it. */
  #isSpared(id: Id): boolean {
    return id !== null && this.#options.isInUse(this.owner)
  }

  /** Answers once there is an answer; others that were asked later may be answered before. */
  async #later(id: Id, promise: Promise<Answer>): Promise<void> {
    const socket = this.#socket
    this.#waiting++
    const text = await promise.then(
      found => {
        if (!isLong(found)) return encodeAnswer(id, found)
        this.#tellList(id, found)
        return ''
      },
      (thrown: unknown) => this.#no(id, refusable(thrown)),
    )
    if (socket.writable && text !== '') this.#write(text)
    this.#answered()
  }

  /** One question less is under way; after the last the connection ends, if the peer has ended it. */
  #answered(): void {
    this.#waiting--
    if (this.#isEnded && this.#waiting === 0 && !this.#isHeld) this.#socket.end()
  }

  /** Tells a long list after those that were asked for before. */
  #tellList(id: Id, list: LongAnswer): void {
    this.#waiting++
    const tell = () => this.#tellPages(id, list)
    this.#lists = this.#lists.then(tell).finally(() => this.#answered())
  }

  /** Tells a list, a few pages in each turn, as fast as they are read. */
  #tellPages(id: Id, list: LongAnswer): Promise<void> {
    const { turns } = this.#options
    const socket = this.#socket
    const pages = pagesOf(list.services)
    const encoded = ({ services, isLast }: Page) =>
      encodeServices(id, { ...list, services }, !isLast)
    return new Promise(resolve => {
      const tell = () => {
        if (!socket.writable) return resolve()
        const { value: page } = pages.next()
        const next = () => (page?.isLast ? resolve() : turns.waitAgain(tell, this.#seat))
        if (!page || this.#write(encoded(page))) next()
        else this.#onDrained(next)
      }
      tell()
    })
  }

  /** Tells what happens in one turn by one write, and before any answer that comes later. */
  readonly #tell = (id: Id, event: Answer): void => {
    if (this.#events === '') nextTick(() => this.#flush())
    this.#events += encode(id, event)
    if (this.#events.length > MAX_UNREAD) this.#flush()
  }

  /** Writes the events. A peer that does not read what it is told is closed. */
  #flush(): void {
    const socket = this.#socket
    if (socket.writableLength > MAX_UNREAD) socket.destroy()
    if (socket.writable && this.#events !== '') this.#write('')
    else this.#events = ''
  }

  #takeEvents(): string {
    const events = this.#events
    this.#events = ''
    return events
  }

  /** Writes what the peer is told now, after what has happened. False if it waits to be read. */
  #write(text: string): boolean {
    const socket = this.#socket
    if (socket.write(this.#takeEvents() + text)) return true
    this.#options.unread.note(this.#peer, this, socket.writableLength)
    if (!this.#isBehind) this.#watchReading()
    return false
  }

  /** Cuts off who does not read in time, whatever it is told. */
  #watchReading(): void {
    const { slowness, unread } = this.#options
    this.#isBehind = true
    const timer = setTimeout(() => this.refuse(tooLazy(slowness)), slowness).unref()
    this.#onDrained(() => {
      clearTimeout(timer)
      this.#isBehind = false
      unread.note(this.#peer, this, 0)
    })
  }

  /** Goes on when what was written has been read, or the connection has closed. */
  #onDrained(goOn: () => void): void {
    const socket = this.#socket
    const done = () => {
      socket.off('drain', done).off('close', done)
      goOn()
    }
    socket.on('drain', done).on('close', done)
  }

  #no(id: Id, error: MonikerError): string {
    this.#options.refused(error)
    return encode(id, refusal(error))
  }

  /** The end of half a line may be late only while it would be read. */
  #watchLine(): void {
    const { patience } = this.#options
    if (this.#reader.partial && !this.#source.isPaused()) {
      this.#dribble ??= setTimeout(() => this.refuse(tooSlow(patience)), patience).unref()
    } else {
      clearTimeout(this.#dribble)
      this.#dribble = undefined
    }
  }

  /**
   * A peer that does not read the answers is asked to wait with the questions, but not for ever; and one
   * that has asked for much, until others have had their turn.
   */
  #hold(isRead: boolean, lines: string[]): void {
    const goOn = this.#pause(lines)
    if (isRead) return this.#options.turns.waitAgain(goOn, this.#seat)
    this.#onDrained(goOn)
  }

  /** Reads no more until what is returned is called: it answers these questions, and goes on. */
  #pause(lines: string[]): () => void {
    const source = this.#source.pause()
    this.#isHeld = true
    return () => {
      this.#isHeld = false
      this.#reply(lines)
      if (this.#isHeld) return
      source.resume()
      if (this.#isEnded) this.#finish()
      this.#watchLine()
    }
  }
}

/** Says why, and closes: a peer that does not read it in time is cut off, and so are too many at once. */
export function turnAway(socket: Socket, error: MonikerError, before = '', id: Id = null): void {
  socket.on('error', () => {}).end(before + encode(id, refusal(error)))
  if (lingering >= MAX_LINGERING) return void socket.destroy()
  lingering++
  const timer = setTimeout(() => socket.destroy(), LINGER).unref()
  socket.on('close', () => {
    clearTimeout(timer)
    lingering--
  })
}

/** The number of refused connections that have not closed yet. */
let lingering = 0

function ownerOf(
  socket: Socket,
  { address, remote }: Peer,
  tell: Owner['tell'],
  drop: Owner['drop'] & {},
): Owner {
  return {
    ends: { address, remote },
    get isOpen() {
      return !socket.destroyed
    },
    get isEnded() {
      return socket.destroyed || socket.readableEnded
    },
    get isBehind() {
      return socket.writableLength > MAX_UNREAD / 2
    },
    tell,
    drop,
  }
}

/** The work of a list beside that of a question: of a long one the first names have been walked by now. */
function listWork(found: Answering): number {
  if (found instanceof Promise) return 0
  const { services } = found
  return isLong(found) ? PORTION : Array.isArray(services) ? services.length / LISTED : 0
}

/** True if the peer that sent this cannot be trusted to send sense next. */
function isFatal({ reason }: MonikerError): boolean {
  return reason === 'EPROTOCOL' || reason === 'ENAME'
}

function tooMany(): MonikerError {
  return new MonikerError('ELIMIT', { text: `${MAX_WAITING} questions are waiting for an answer` })
}

function tooLazy(slowness?: number): MonikerError {
  const when = slowness === undefined ? 'fast enough' : `within ${slowness} ms`
  return new MonikerError('ELIMIT', { text: `the answers were not read ${when}` })
}

function tooSlow(patience: number): MonikerError {
  return new MonikerError('EPROTOCOL', { text: `expected the end of a line within ${patience} ms` })
}
