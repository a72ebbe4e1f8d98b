import { Buffer } from 'node:buffer'
import { MonikerError } from '../errors.ts'
import { decode, encode, idOf, question, refusal, type Answer, type Id } from '../wire/protocol.ts'
import { refusable, type Peer } from './chain.ts'
import type { DatagramOptions, Dialect, Reply } from './dialect.ts'
import { LineConnection, turnAway } from './tcp.ts'

/** The protocol of Moniker: one JSON object a line, or a datagram. */
export const json: Dialect = {
  claims: firstByte => firstByte === BRACE,
  serve: (socket, head, peer, options) => new LineConnection(socket, head, peer, options),
  turnAway,
  datagram,
}

const BRACE = 0x7b

/**
 * Answers the question in a datagram. What is none gets no answer: two daemons could be made to answer each other's
 * errors for ever.
 */
function datagram(
  bytes: Buffer,
  peer: Peer,
  { answer, refused }: DatagramOptions,
): Reply | Promise<Reply> {
  const message = decode(bytes.toString())
  if (typeof message.op !== 'string') throw new MonikerError('EPROTOCOL', { text: 'no question' })
  const id = idOf(message)
  const fit = (found: Answer) => fitting(id, found, bytes.length)
  const refuse = (thrown: unknown) => {
    const error = refusable(thrown)
    refused(error)
    return fit(refusal(error))
  }
  try {
    const found = answer(question(message), peer)
    return found instanceof Promise ? found.then(fit, refuse) : fit(found)
  } catch (thrown) {
    return refuse(thrown)
  }
}

/** The answer, or word that it is longer than the question. */
function fitting(id: Id, answer: Answer, length: number): string {
  const text = encode(id, answer)
  return Buffer.byteLength(text) <= length ? text : encode(id, { truncated: true })
}
