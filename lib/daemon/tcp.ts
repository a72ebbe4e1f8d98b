import type { Socket } from 'node:net'
import { isOwn, plain } from '../address.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError } from '../errors.ts'
import {
  decode,
  encode,
  encodeAnswer,
  idOf,
  question,
  refusal,
  type Answer,
  type Id,
} from '../wire/protocol.ts'
import { refusable, type Handler, type Owner, type Peer } from './chain.ts'
import { LineSplitter } from '../wire/splitter.ts'

const debug = diagnostics('moniker:daemon:tcp')

export interface ServeOptions {
  answer: Handler
  /** Called when no more will be asked: whoever asked may have gone, and shall wait for nothing. */
  ended: (owner: Owner) => void
  /** Called once, when the connection has closed: its names are gone. */
  closed: (owner: Owner) => void
  /** Called for each question that is refused. */
  refused: (error: MonikerError) => void
  /** Whether the connection may stay although nothing comes: it holds names. */
  wanted: (owner: Owner) => boolean
  /** How long half a line may wait for its end, in ms. */
  patience: number
  /** How long a connection that holds no name may leave answers unread, in ms. */
  slowness: number
  /** How long a connection that holds no name may be silent, in ms. */
  idle: number
}

/** How long a refused connection is given to read why, in ms. */
const LINGER = 1_000

/** How many refused connections are given that. */
const MAX_LINGERING = 1_024

/** How many questions of one connection may be under way without an answer; no more are asked meanwhile. */
const MAX_WAITING = 16_384

/** How many bytes that it was told a connection may leave unread. */
const MAX_UNREAD = 1_048_576

/** A connection that is served. */
export interface Connection {
  readonly owner: Owner
  /** Tells it why it is served no longer, and closes it. */
  readonly refuse: (error: MonikerError) => void
}

/** Answers the questions that come over one connection, until it ends or errs. */
export function serve(socket: Socket, options: ServeOptions): Connection {
  const { answer, ended, closed, refused, wanted, patience, slowness, idle } = options
  const owner = ownerOf(socket)
  const peer = { ...peerOf(socket), owner }
  const splitter = new LineSplitter()
  let dribble: NodeJS.Timeout | undefined
  let late: NodeJS.Timeout | undefined
  let waiting = 0

  const close = (error: MonikerError, before = '', id: Id = null) => {
    // Closing already: the first reason stands.
    if (!socket.writable) return
    refused(error)
    socket.unpipe(splitter).resume()
    splitter.removeAllListeners('data')
    turnAway(socket, error, before, id)
  }

  const no = (id: Id, error: MonikerError) => {
    refused(error)
    return encode(id, refusal(error))
  }

  /** Answers once there is an answer; others that were asked later may be answered before. */
  const later = async (id: Id, promise: Promise<Answer>) => {
    waiting++
    const text = await promise.then(
      found => encodeAnswer(id, found),
      (thrown: unknown) => no(id, refusable(thrown)),
    )
    waiting--
    if (socket.writable) socket.write(text)
    if (splitter.readableEnded && waiting === 0) socket.end()
  }

  /** The answers to one read, in one write; those that are long, in several. */
  const reply = (lines: string[]) => {
    // Gone while others had their turn: it can hold nothing any more.
    if (!socket.writable) return
    let text = ''
    for (let at = 0; at < lines.length; at++) {
      if (text.length > MAX_UNREAD) return hold(socket.write(text), lines.slice(at))
      let id: Id = null
      try {
        const message = decode(lines[at]!)
        id = idOf(message)
        if (waiting >= MAX_WAITING) throw tooMany()
        const found = answer(question(message), peer)
        if (found instanceof Promise) void later(id, found)
        else text += encodeAnswer(id, found)
      } catch (thrown) {
        const error = refusable(thrown)
        if (isFatal(error)) return close(error, text, id)
        text += no(id, error)
      }
    }
    if (text !== '' && !socket.write(text)) hold(false, [])
  }

  /** The end of half a line may be late only while it would be read. */
  const watchLine = () => {
    if (splitter.partial && !splitter.isPaused()) {
      dribble ??= setTimeout(() => close(tooSlow(patience)), patience).unref()
    } else {
      clearTimeout(dribble)
      dribble = undefined
    }
  }

  /**
   * Whoever does not read the answers is asked to wait with the questions, but not for ever; and whoever
   * has asked for much, until others have had their turn.
   */
  const hold = (isRead: boolean, lines: string[]) => {
    splitter.pause()
    const goOn = () => {
      clearTimeout(late)
      splitter.resume()
      reply(lines)
      watchLine()
    }
    if (isRead) return void setImmediate(goOn)
    late = setTimeout(() => wanted(owner) || close(tooLazy(slowness)), slowness).unref()
    socket.once('drain', goOn)
  }

  socket
    .setKeepAlive(true, 15_000)
    .setNoDelay(true)
    .setTimeout(idle)
    .on('timeout', () => wanted(owner) || waiting > 0 || socket.destroy())
    .on('error', error => debug('%s: %s', socket.remoteAddress, error.message))
    .on('close', () => {
      clearTimeout(dribble)
      clearTimeout(late)
      closed(owner)
    })
  splitter
    .on('data', reply)
    .on('error', close)
    .on('end', () => {
      ended(owner)
      // A process that was killed ends so too: its names go at once.
      if (waiting === 0 || wanted(owner)) socket.end()
    })
  socket.pipe(splitter)
  // After the pipe's own listener: the splitter has seen the chunk by then.
  socket.on('data', watchLine)
  return { owner, refuse: close }
}

/** Says why, and closes: whoever does not read it in time has had it, and so have too many at once. */
export function turnAway(socket: Socket, error: MonikerError, before = '', id: Id = null): void {
  socket.on('error', () => {}).end(before + encode(id, refusal(error)))
  if (lingering >= MAX_LINGERING) return void socket.destroy()
  lingering++
  const over = setTimeout(() => socket.destroy(), LINGER).unref()
  socket.on('close', () => {
    clearTimeout(over)
    lingering--
  })
}

/** How many refused connections have not closed yet. */
let lingering = 0

function ownerOf(socket: Socket): Owner {
  return {
    get isOpen() {
      return !socket.destroyed
    },
    get isBehind() {
      return socket.writableLength > MAX_UNREAD / 2
    },
    tell: teller(socket),
  }
}

/**
 * Tells what happens in one turn by one write, and after what is being answered. Whoever does not
 * read what it is told has had it.
 */
function teller(socket: Socket): Owner['tell'] {
  let text = ''
  const flush = () => {
    if (socket.writableLength > MAX_UNREAD) socket.destroy()
    else if (socket.writable && text !== '') socket.write(text)
    text = ''
  }
  return (id, event) => {
    if (text === '') process.nextTick(flush)
    text += encode(id, event)
    if (text.length > MAX_UNREAD) flush()
  }
}

/** Who is at the other end of a connection. */
export function peerOf(socket: Socket): Peer {
  const { remoteAddress = '', remotePort = 0, localAddress = '' } = socket
  return {
    local: isOwn(remoteAddress, localAddress),
    address: plain(localAddress),
    remote: { address: plain(remoteAddress), port: remotePort },
  }
}

/** Whether whoever sent this cannot be trusted to send sense next. */
function isFatal({ reason }: MonikerError): boolean {
  return reason === 'EPROTOCOL' || reason === 'ENAME'
}

function tooMany(): MonikerError {
  return new MonikerError('ELIMIT', { text: `${MAX_WAITING} questions are waiting for an answer` })
}

function tooLazy(slowness: number): MonikerError {
  return new MonikerError('ELIMIT', { text: `the answers were not read within ${slowness} ms` })
}

function tooSlow(patience: number): MonikerError {
  return new MonikerError('EPROTOCOL', { text: `expected the end of a line within ${patience} ms` })
}
