import type { Server } from 'node:net'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError, saidIn, type Details } from '../errors.ts'
import {
  SOME_ENDPOINTS,
  SOME_PATH,
  TRANSPORTS,
  isEndpoints,
  isPath,
  type Offer,
  type ServiceTransport,
} from '../wire/protocol.ts'
import { local } from './local.ts'
import { tcp } from './tcp.ts'
import type { Beside, Route, Transport } from './transport.ts'
import { unix } from './unix.ts'

const debug = diagnostics('moniker:transports')

/** THE TABLE: a new transport is a file and a row here. The first that leads to an endpoint is taken. */
const ROWS: readonly Transport[] = [local, unix, tcp]

/** A word for transports in a call. Of those that carry datagrams nothing but the word is needed. */
export type TransportName = ServiceTransport | 'unix'

export const TRANSPORT_NAMES = [
  ...new Set([...TRANSPORTS, ...ROWS.map(({ name }) => name)]),
] as readonly TransportName[]

/** The transports of a call: their words are part of its question. */
export interface Transports {
  readonly words: readonly string[]
  /** In the order in which they are tried. */
  readonly all: readonly Transport[]
}

/** The transports of calls that name none: mostly there are few combinations. Frozen, so that each is one object. */
const usual = new Map<string, Transports>()

/** The transports that a call which names none may use. */
export function usualTransports(route: Route): Transports {
  const all = ROWS.filter(transport => transport.allows(route))
  const words = [...new Set(all.map(({ name }) => name))]
  const key = words.join()
  const known = usual.get(key)
  if (known) return known
  const found = { words: Object.freeze(words), all }
  usual.set(key, found)
  return found
}

/**
 * Those that a call names. Objects are tried before words, and are left out where they do not allow the call. Throws
 * `ERR_MONIKER_TRANSPORT` if one of them does.
 */
export function namedTransports(
  named: readonly (TransportName | Transport)[],
  route: Route,
): Transports {
  const allowed = named.filter(one => typeof one === 'string' || isAllowed(one, route))
  const isAll = allowed.length === named.length
  const objects = allowed.filter(one => typeof one === 'object')
  return { words: wordsOf(isAll ? named : allowed), all: [...objects, ...rowsOf(allowed)] }
}

function isAllowed(transport: Transport, route: Route): boolean {
  try {
    return transport.allows(route)
  } catch (thrown) {
    throw fault(transport, thrown)
  }
}

/** The error of a call by a transport of the program's own, which has thrown something. */
export function fault({ name }: Transport, thrown: unknown, details: Details = {}): MonikerError {
  const text = `${name} failed: ${saidIn(thrown)}`
  return new MonikerError('ETRANSPORT', { ...details, text, cause: thrown })
}

/**
 * Opens the transports that a server names beside it, one after the other, as one. Fails with the first that fails, and
 * with `ERR_INVALID_ARG_VALUE` if what they add is no part of an offer; nothing stays open then.
 */
export async function listenBeside(
  named: readonly (TransportName | Transport)[],
  server: Server,
  offer: Offer,
  daemonPort: number,
): Promise<Beside> {
  const open: Beside[] = []
  const leave = () => {
    for (const one of open) safely(() => one.leave?.())
  }
  const close = () => {
    for (const one of open.splice(0)) safely(() => one.close())
  }
  const objects = named.filter(one => typeof one === 'object')
  try {
    for (const transport of [...rowsOf(named), ...objects]) {
      const opened = await listening(transport, server, offer, daemonPort)
      if (opened) open.push(opened)
    }
    return { adds: added(open), leave, close }
  } catch (error) {
    close()
    throw error
  }
}

async function listening(transport: Transport, ...call: Listening): Promise<Beside | undefined> {
  try {
    return await transport.listen?.(...call)
  } catch (thrown) {
    // The errors of Node say by their code what is wrong.
    throw thrown instanceof Error && 'code' in thrown ? thrown : fault(transport, thrown)
  }
}

type Listening = Parameters<NonNullable<Transport['listen']>>

/** Closes, or leaves, what a transport has opened. One may throw something: the others are closed all the same. */
function safely(end: () => void): void {
  try {
    end()
  } catch (thrown) {
    debug('a transport could not be closed: %s', saidIn(thrown))
  }
}

/** The rows whose words are among what is named. */
function rowsOf(named: readonly unknown[]): readonly Transport[] {
  return ROWS.filter(({ name }) => named.includes(name))
}

function added(open: readonly Beside[]): Beside['adds'] {
  const endpoints = open.flatMap(({ adds }) => adds.endpoints ?? [])
  const path = open.find(({ adds }) => adds.path)?.adds.path
  // The daemon would refuse them, but not say that they are of a transport.
  if (!isEndpoints(endpoints)) throw unfit(SOME_ENDPOINTS, endpoints)
  if (path && !isPath(path)) throw unfit(`a path of ${SOME_PATH}`, path)
  return { ...(path && { path }), ...(endpoints.length > 0 && { endpoints }) }
}

function unfit(expected: string, value: unknown): MonikerError {
  const got = (JSON.stringify(value) ?? typeof value).slice(0, 80)
  return new MonikerError('EARGUMENT', {
    text: `the transports of a server to add ${expected}, got ${got}`,
  })
}

/** The words for transports, as they stand in a question. */
export function wordsOf(named: readonly (TransportName | Transport)[]): readonly string[] {
  if (named.every(one => typeof one === 'string')) return named
  return [...new Set(named.map(one => (typeof one === 'string' ? one : one.name)))]
}
