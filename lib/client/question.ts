import { randomUUID } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { isLoopback, literally } from '../address.ts'
import { Halt, type Signal } from '../async.ts'
import { Client, type Place } from './connection.ts'
import { diagnostics } from '../diagnostics.ts'
import { MAX_LINE } from '../wire/lines.ts'
import { persist } from '../retry.ts'
import { PADDED, decode, encode, type Answer, type Asked, type Id } from '../wire/protocol.ts'

const debug = diagnostics('moniker:question')

/** How long a datagram is waited for before it is sent again, and TCP tried as well, in ms; each pause is twice the last. */
const PAUSE = 200

/** How long a daemon of this host that has gone is asked for, in ms: another is taking its place. */
const VACANCY = 200

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

/** The same, for who keeps the process alive by himself, or does not. */
export function askQuietly(place: Place, message: Asked, signal: Signal): Promise<Answer> {
  return askOverStream(place, message, signal, true)
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

async function askOverStream(
  place: Place,
  message: Asked,
  signal: Signal,
  quiet = false,
): Promise<Answer> {
  const client = await Client.connect(place, signal, { quiet })
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
