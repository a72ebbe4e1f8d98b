import { ANY_HOST, isHere } from '../address.ts'
import { directoriesOf, type Fallback } from '../directories/directories.ts'
import type { Directory } from '../directories/directory.ts'
import type { Details, MonikerError } from '../errors.ts'
import { format, type Name } from '../name.ts'
import type { AskOptions, ResolveOptions, SocketQuestion } from '../resolution.ts'
import { designatedPort } from '../settings.ts'
import { wordsOf, type TransportName } from '../transports/transports.ts'
import type { Resolve } from '../wire/protocol.ts'
import { addressesOf, literalAddresses } from './ask.ts'
import type { DaemonAddress } from './connection.ts'

/** A call to `resolve`, normalised. */
export interface Query {
  readonly name: Name
  readonly host: string
  readonly port: number
  readonly question: Resolve
  readonly details: Details
  readonly family: number
  /** The same for all that have the same answer. */
  readonly key: string
  /** True if it is this host that is asked, without any look-up. */
  readonly isThisHost: boolean
  /** True if hosts are looked up in a way of the program's own. */
  readonly isOwn: boolean
  readonly fallback: readonly Fallback[]
  /** The daemons to ask, if the host need not be looked up. */
  readonly daemons: readonly DaemonAddress[] | undefined
  /** The directories that are asked beside this host; `undefined` if it is one host that is asked. */
  readonly directories: readonly Directory[] | undefined
  readonly look: (host: string) => Promise<readonly string[]> | readonly string[]
}

/** Makes queries of calls. */
export class Queries {
  readonly #port: number | undefined
  readonly #directories: ResolveOptions['directories']
  #last: Query | undefined

  /**
   * `port` is the designated port of daemons, and `directories` those that are asked, where a call gives none. Default
   * the port of the process, and no directories.
   */
  constructor(port: number | undefined, directories?: ResolveOptions['directories']) {
    this.#port = port
    this.#directories = directories
  }

  /** The designated port of the daemon that is asked. */
  portOf({ daemonPort }: Pick<AskOptions, 'daemonPort'>): number {
    return daemonPort ?? this.#port ?? designatedPort()
  }

  /** The directories of a call for any host, if there are some. */
  #directoriesOf({
    directories = this.#directories,
  }: ResolveOptions): readonly Directory[] | undefined {
    return directories?.length ? directoriesOf(directories) : undefined
  }

  /** The query of a call. The one before does again if it was for the same: it mostly is. */
  of(name: Name, options: SocketQuestion): Query {
    const { family = 0, also, fallback = NOWHERE, trusted } = options
    const transports = wordsOf(options.transports ?? TCP)
    const { lookup, hints, onLookup } = options
    const { host: given = '' } = options
    const directories = given === ANY_HOST ? this.#directoriesOf(options) : undefined
    const host = given === ANY_HOST && !directories ? '' : given
    // A look-up of the program's own is for this call alone.
    const isUsual = !lookup && hints === undefined && !onLookup && !also && !directories && !trusted
    const port = this.portOf(options)
    const last = this.#last
    if (last?.name === name && last.host === host && last.port === port && isUsual) {
      const { question } = last
      const isAsked = question.transports === transports && !question.also
      if (isAsked && last.family === family && last.fallback === fallback) return last
    }
    const { namespace, service, version } = name
    // A namespace may be called `undefined`, or be the empty one.
    const namespaces = also ? `${namespace},${also.join()}` : namespace
    const wanted = `${namespaces}:${service}@${version} ${transports.join()}`
    const ways = `${fallback.join()} ${directories?.map(idOf).join()} ${idOf(lookup)} ${hints}`
    const key = `${wanted} ${host} ${port} ${family} ${ways}${trusted ? ' trusted' : ''}`
    const asked = { op: 'resolve', namespace, service, version, transports } as const
    const details = { service: format(name), host: host || 'localhost', port, syscall: 'resolve' }
    const query: Query = {
      name,
      host,
      port,
      question: Object.assign(asked, also && { also }, trusted && { trusted }),
      details,
      family,
      key,
      isThisHost: isHere(host) && !lookup,
      isOwn: lookup !== undefined,
      fallback,
      daemons: literalAddresses(host, options)?.map(address => ({ address, port })),
      directories,
      look: other => addressesOf(other, options, details),
    }
    if (isUsual) this.#last = query
    return query
  }
}

const ids = new WeakMap<object, number>()
let last = 0

/** A number for one function or object of the program's own, which no other has; 0 for what is neither. */
export function idOf(own: unknown): number {
  if (typeof own !== 'function' && (typeof own !== 'object' || own === null)) return 0
  if (!ids.has(own)) ids.set(own, ++last)
  return ids.get(own)!
}

/** The part of a key that a value is: an object of the program's own counts by identity. */
function own(value: unknown): unknown {
  return idOf(value) || value
}

/** A text that is the same for the same options. Functions and objects of the program's own count by identity. */
export function keyOf<T extends object>(options: T, keys: readonly (keyof T)[]): string {
  const texts = keys.map(key => {
    const value: unknown = options[key]
    return JSON.stringify(Array.isArray(value) ? value.map(own) : own(value))
  })
  return texts.join()
}

const TCP: readonly TransportName[] = ['tcp']
const NOWHERE: readonly Fallback[] = []

/** True to look elsewhere: the host has no daemon, and elsewhere nobody knows of namespaces. */
export function shouldFallBack({ fallback, question }: Query, error: unknown): boolean {
  const { namespace, also = [] } = question
  const isPlain = [namespace, ...also].includes('')
  return fallback.length > 0 && isPlain && hasNoDaemon(error)
}

/** True if a host could be asked, but no daemon is there. */
export function hasNoDaemon(error: unknown): boolean {
  const { reason } = error as MonikerError
  return reason === 'ENODAEMON' || reason === 'ESILENT'
}
