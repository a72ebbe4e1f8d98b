import { createSocket } from 'node:dgram'
import type { LookupAddress, LookupOptions } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { LOOPBACK, dialled, isLoopback, isThisHost, literally, isIP, isIPv6 } from '../address.ts'
import { Abort, retry, type Signal } from '../async.ts'
import { Cache } from '../cache.ts'
import { clearTimeout, setImmediate, setTimeout } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError, hasCode, isMissing, located, saidIn, type Details } from '../errors.ts'
import type { LookupHostOptions, OnLookup } from '../resolution.ts'
import { MAX_LINE } from '../wire/lines.ts'
import { PADDED, decode, encode, type Answer, type Asked, type Id } from '../wire/protocol.ts'
import { Client, asksUsers, overSocket, type DaemonAddress, type HostAnswer } from './connection.ts'
import { accept } from './filter.ts'
import { builtins } from '../node/builtins.ts'

const debug = diagnostics('moniker:ask')

// One question to one host, in time:
//
//      0 ms  over the session, if one is kept to a daemon of the host
//            else, of this host, over the Unix socket of its daemon; where there is none, or its answer depends on who
//            asks, by TCP
//            else by TCP to its first address, and one datagram beside it: what that says is a hint
//  +  50 ms  no answer: the next address is asked as well, and so on (STAGGER)
//  + 200 ms  no answer to the datagram: it is sent again, after pauses that double (PAUSE)
//  + 250 ms  no answer over the session: the question is asked as if there were none (BESIDE, in `Sessions`)
//  + 250 ms  after the first refusal: the other addresses are no longer waited for (GRACE)
//  + 200 ms  no daemon on this host: it is asked again for so long, as another is taking its place (VACANCY)
//  +1,000 ms the same, where this process has been answered before (MISSED)
//  5,000 ms  the question fails (TIMEOUT of the resolver)
//
// While a daemon has TCP of the designated port, nobody else is believed: any program may take a port of UDP.

/** Milliseconds until the next address of a host is asked as well. */
export const STAGGER = 50

/** Milliseconds for which the other addresses are waited for once one daemon has refused. */
const GRACE = 250

/** Milliseconds until a datagram is sent again; each pause is twice the last. */
const PAUSE = 200

/** Milliseconds for which a daemon of this host that has gone is asked for: another is taking its place. */
const VACANCY = 200

/** Milliseconds for that, if the daemon there has answered this process: on a busy host the next one takes its time. */
const MISSED = 1_000

/** Milliseconds for which a daemon that has answered is remembered. */
const REMEMBERED = 60_000

/** The daemons of this host that have answered lately. */
const answered = new Cache<true>()

/** Asks one daemon; fails when it has refused, cannot be reached or stays silent. */
export type Ask = (daemon: DaemonAddress, message: Asked, signal: Signal) => Promise<Answer>

/** The addresses of a host that no look-up is needed for: an address, or this host. */
export function literalAddresses(
  host: string,
  { lookup, family = 0 }: LookupHostOptions,
): readonly string[] | undefined {
  if (isIP(host)) return [dialled(host)]
  if (!isThisHost(host) || lookup) return undefined
  return family === 0 ? LOOPBACK : LOOPBACK.filter(address => isIP(address) === family)
}

/**
 * The addresses of a host, in the order to ask them; at once where there is nothing to look up. Fails
 * with `ENOTFOUND`, or as the look-up does.
 */
export function addressesOf(
  host: string,
  {
    lookup,
    family = 0,
    hints,
    onLookup = () => {},
  }: LookupHostOptions & { onLookup?: OnLookup | undefined },
  details: Details,
): readonly string[] | Promise<readonly string[]> {
  const literal = literalAddresses(host, { lookup, family })
  if (literal) return literal
  const options: LookupOptions = { all: true, family, ...(hints !== undefined && { hints }) }
  const unknown = (cause: unknown) => new MonikerError('ENOHOST', { ...details, cause })
  return new Promise((resolve, reject) => {
    const look = lookup ?? (builtins.dns.lookup as LookupFunction)
    // A look-up of the program's own may not know `all`.
    look(
      host || 'localhost',
      options,
      (error, found: string | LookupAddress[], family?: number) => {
        const all = typeof found === 'string' ? [{ address: found, family }] : (found ?? [])
        if (error) onLookup(error)
        else for (const { address, family } of all) onLookup(null, address, family)
        const addresses = all.map(({ address }) => dialled(address))
        const isKnown = addresses.length > 0 && addresses.every(address => isIP(address))
        if (error && error.code !== 'ENOTFOUND') reject(error)
        else if (error || !isKnown) reject(unknown(error))
        else resolve(addresses)
      },
    )
  })
}

/**
 * Asks one daemon of a host after the other, not waiting long for any: the first that knows the name wins. A host of
 * which one family is out of reach so costs a moment, not the whole time-out.
 */
export async function race(
  daemons: readonly DaemonAddress[],
  how: (daemon: DaemonAddress) => Promise<Answer>,
  details: Details,
): Promise<HostAnswer> {
  const failures: unknown[] = []
  let next = 0
  let isSettled = false
  let stagger: NodeJS.Timeout | undefined
  let grace: NodeJS.Timeout | undefined
  try {
    return await new Promise<HostAnswer>((resolve, reject) => {
      const start = () => {
        clearTimeout(stagger)
        const daemon = daemons[next++]
        if (!daemon) return
        stagger = setTimeout(start, STAGGER)
        how(daemon)
          .then(answer => resolve({ daemon, answer: accept(answer, details) }))
          .catch(fail)
      }
      const fail = (error: unknown) => {
        if (isSettled) return
        failures.push(error)
        const reason = telling(failures, details)
        if (failures.length === daemons.length) return reject(reason)
        if (isAnswer(error)) grace ??= setTimeout(reject, GRACE, reason)
        start()
      }
      start()
    })
  } finally {
    isSettled = true
    clearTimeout(stagger)
    clearTimeout(grace)
  }
}

/**
 * The failure that says most: a daemon's refusal, else that a stranger has the port, else what the network said last of
 * addresses that this host can have.
 */
function telling(failures: unknown[], details: Details): unknown {
  const possible = failures.filter(error => !isMissing(error))
  const most = failures.find(isAnswer) ?? failures.find(isStrange) ?? possible.at(-1)
  return located(most ?? failures.at(-1), details)
}

/** True if something is there that speaks another language, or hangs up on a question. */
function isStrange(error: unknown): boolean {
  return hasCode(error, 'EPROTO') || hasCode(error, 'ECONNRESET')
}

function isAnswer(error: unknown): boolean {
  return error instanceof MonikerError && error.host !== undefined && error.reason !== 'ELOST'
}

/**
 * Asks one question of a daemon: that of this host over its Unix socket, if it has one, and else by TCP. Another is
 * asked by UDP as well, if there is an `onHint`, which is called with what that says; anybody may have said it.
 * `onLeft` is called when a question to this host has left, at least once. Fails as `net.connect` does, when the
 * connection is lost, or with the reason of `signal`.
 */
export function ask(
  daemon: DaemonAddress,
  message: Asked,
  signal: Signal,
  {
    onHint,
    onLeft,
  }: { onHint?: ((answer: HostAnswer) => void) | undefined; onLeft?: () => void } = {},
): Promise<Answer> {
  if (LOOPBACK.includes(daemon.address))
    return insist(() => askHere(daemon, message, signal, onLeft), daemon, signal)
  const how = onHint
    ? () => askWithHint(daemon, message, signal, onHint)
    : () => askOverStream(daemon, message, signal)
  return insist(how, daemon, signal)
}

/**
 * Asks one question over a connection of its own. Fails as `net.connect` does, or when the connection is lost. With
 * `ref: false` it does not keep the process alive, and a daemon that is not there is not asked again: the caller sees
 * to both.
 */
export function askStream(
  daemon: DaemonAddress,
  message: Asked,
  signal: Signal,
  { ref = true }: { ref?: boolean } = {},
): Promise<Answer> {
  const attempt = () => askOverStream(daemon, message, signal, { quiet: !ref })
  return ref ? insist(attempt, daemon, signal) : attempt()
}

/** Asks this host's own daemon again where there is none, but not for long. */
async function insist(
  attempt: () => Promise<Answer>,
  { address, port }: DaemonAddress,
  signal: Signal,
): Promise<Answer> {
  if (!isLoopback(address)) return attempt()
  const worth = (error: unknown) =>
    ['ECONNREFUSED', 'ECONNRESET'].includes((error as NodeJS.ErrnoException).code!)
  const key = `${address} ${port}`
  const ms = answered.get(key) ? MISSED : VACANCY
  const answer = await retry(attempt, ms, { worth, first: 20, signal })
  answered.set(key, true, REMEMBERED)
  return answer
}

/**
 * True if there is a daemon on this host, or has been within the last minute. It is known at once: one that is not there
 * is not waited for.
 */
export async function hasDaemon(port: number, signal?: Signal): Promise<boolean> {
  const isKnown = LOOPBACK.some(address => answered.get(`${address} ${port}`))
  for (const address of isKnown ? [] : LOOPBACK) {
    const client = await Client.connect({ address, port }, signal).catch(() => undefined)
    client?.close()
    if (client) return true
  }
  return isKnown
}

async function askHere(
  daemon: DaemonAddress,
  message: Asked,
  signal: Signal,
  onLeft?: () => void,
): Promise<Answer> {
  const how = { onLeft }
  const answer = await overSocket(daemon, way => askOverStream(way, message, signal, how))
  signal.throwIfAborted()
  if (answer && !answer.truncated) return answer
  if (answer) asksUsers(daemon)
  return askOverStream(daemon, message, signal, how)
}

async function askWithHint(
  daemon: DaemonAddress,
  message: Asked,
  signal: Signal,
  onHint: (answer: HostAnswer) => void,
): Promise<Answer> {
  const cancel = new Abort()
  askDatagram(daemon, message, cancel).then(
    answer => cancel.aborted || onHint({ daemon, answer }),
    (error: unknown) => debug('no hint: %s', saidIn(error)),
  )
  try {
    return await askOverStream(daemon, message, signal)
  } finally {
    cancel.abort(undefined)
  }
}

async function askOverStream(
  daemon: DaemonAddress,
  message: Asked,
  signal: Signal,
  { quiet = false, onLeft }: { quiet?: boolean; onLeft?: (() => void) | undefined } = {},
): Promise<Answer> {
  const client = await Client.connect(daemon, signal, { quiet })
  try {
    const answer = client.ask(message, signal)
    client.flush()
    onLeft?.()
    return await answer
  } finally {
    client.close()
  }
}

/**
 * Asks by UDP, from a port of its own and with an id that cannot be guessed; an answer that does not match is passed
 * over. One that is `truncated` is to be had by TCP. Fails when the datagram is refused.
 */
export function askDatagram(
  { address, port }: DaemonAddress,
  message: Asked,
  signal: Signal,
): Promise<Answer> {
  const id = builtins.crypto.randomUUID()
  const bytes = encode(id, message).padEnd(PADDED)
  const socket = createSocket({ type: isIPv6(address) ? 'udp6' : 'udp4', lookup: literally })
  let timer: NodeJS.Timeout | undefined

  const send = (wait: number) => {
    // A datagram that cannot be sent is as good as lost; a refusal comes as an 'error'.
    socket.send(bytes, () => {})
    timer = setTimeout(send, wait, wait * 2)
  }

  const answer = new Promise<Answer>((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    socket
      .on('error', reject)
      .on('message', bytes => {
        const answer = matching(bytes, id)
        if (answer) resolve(answer)
      })
      .connect(port, address)
    try {
      send(PAUSE)
    } catch {
      // A socket that could not be connected says why by an 'error'.
    }
  })
  const onSettled = () => {
    clearTimeout(timer)
    // The caller goes on first.
    setImmediate(() => socket.close())
  }
  answer.then(onSettled, onSettled)
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
