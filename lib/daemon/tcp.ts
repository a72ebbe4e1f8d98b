import type { Socket } from 'node:net'
import createDebug from 'debug'
import { isOwn, plain } from '../address.ts'
import { MonikerError } from '../errors.ts'
import {
  LineSplitter,
  decode,
  encode,
  encodeAnswer,
  idOf,
  question,
  refusal,
  type Id,
} from '../protocol.ts'
import { refusable, type Handler, type Peer } from './handler.ts'

const debug = createDebug('moniker:daemon:tcp')

export interface ServeOptions {
  answer: Handler
  /** Called once, when the connection has closed: its names are gone. */
  closed: (owner: object) => void
  /** Called for each question that is refused. */
  refused: (error: MonikerError) => void
  /** Whether the connection may stay although nothing comes: it holds names. */
  wanted: (owner: object) => boolean
  /** How long half a line may wait for its end, in ms. */
  patience: number
  /** How long a connection that holds no name may be silent, in ms. */
  idle: number
}

/** How long a refused connection is given to read why, in ms. */
const LINGER = 1_000

/** Answers the questions that come over one connection, until it ends or errs. */
export function serve(socket: Socket, options: ServeOptions): void {
  const { answer, closed, refused, wanted, patience, idle } = options
  const peer = peerOf(socket)
  const splitter = new LineSplitter()
  let dribble: NodeJS.Timeout | undefined

  const close = (error: MonikerError, before = '', id: Id = null) => {
    // Closing already: the first reason stands.
    if (socket.writableEnded) return
    refused(error)
    socket.unpipe(splitter).resume()
    splitter.removeAllListeners('data')
    turnAway(socket, error, before, id)
  }

  /** The answers to one read, in one write. */
  const reply = (lines: string[]) => {
    let text = ''
    for (const line of lines) {
      let id: Id = null
      try {
        const message = decode(line)
        id = idOf(message)
        text += encodeAnswer(id, answer(question(message), peer))
      } catch (thrown) {
        const error = refusable(thrown)
        if (isFatal(error)) return close(error, text, id)
        refused(error)
        text += encode(id, refusal(error))
      }
    }
    if (socket.write(text)) return
    // Whoever does not read the answers is asked to wait with the questions.
    splitter.pause()
    socket.once('drain', () => splitter.resume())
  }

  socket
    .setKeepAlive(true, 15_000)
    .setNoDelay(true)
    .setTimeout(idle)
    .on('timeout', () => wanted(socket) || socket.destroy())
    .on('error', error => debug('%s: %s', socket.remoteAddress, error.message))
    .on('close', () => {
      clearTimeout(dribble)
      closed(socket)
    })
  splitter
    .on('data', reply)
    .on('error', close)
    .on('end', () => socket.end())
  socket.pipe(splitter)
  // After the pipe's own listener: the splitter has seen the chunk by then.
  socket.on('data', () => {
    if (splitter.partial) {
      dribble ??= setTimeout(() => close(tooSlow(patience)), patience).unref()
    } else {
      clearTimeout(dribble)
      dribble = undefined
    }
  })
}

/** Says why, and closes: whoever does not read it in time has had it. */
export function turnAway(socket: Socket, error: MonikerError, before = '', id: Id = null): void {
  socket.on('error', () => {}).end(before + encode(id, refusal(error)))
  setTimeout(() => socket.destroy(), LINGER).unref()
}

function peerOf(socket: Socket): Peer {
  const { remoteAddress = '', localAddress = '' } = socket
  return { local: isOwn(remoteAddress, localAddress), address: plain(localAddress), owner: socket }
}

/** Whether whoever sent this cannot be trusted to send sense next. */
function isFatal({ reason }: MonikerError): boolean {
  return reason === 'EPROTOCOL' || reason === 'ENAME'
}

function tooSlow(patience: number): MonikerError {
  return new MonikerError('EPROTOCOL', { text: `expected the end of a line within ${patience} ms` })
}
