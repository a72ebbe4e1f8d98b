import { isIPv6 } from 'node:net'
import { format } from '../name.ts'
import type { Metadata } from '../wire/protocol.ts'
import type { Resolver } from '../client/resolver.ts'
import type { Resolution } from '../resolution.ts'
import { type CommandTarget, isScheme, targetOf, type TargetOptions } from './options.ts'

/** A service that a program needs, and the word that the variables about it begin with. */
export interface Neighbour extends CommandTarget {
  /** In capitals, such as `DB`. */
  readonly word: string
}

export interface FindOptions {
  resolver: Pick<Resolver, 'resolve'>
  /** How long to wait for each, in ms. */
  wait: number
  /** Is told, in a line, which are waited for, if that takes longer than a second. */
  tell: (text: string) => void
  /** Gives up; the reason is the error. */
  signal?: AbortSignal | undefined
}

/** The transports of a name that may be either. */
const EITHER = ['tcp', 'udp'] as const

/** When somebody might begin to wonder, in ms. */
const LATE = 1_000

const ASSIGNMENT = /^(?:([a-z_]\w*)=)?(.*)$/is

/** Reads `NAME` or `WORD=NAME`, a name being all that `targetOf` takes. Throws `ERR_MONIKER_NAME`. */
export function neighbour(text: string, options?: TargetOptions): Neighbour {
  const [, word, name] = ASSIGNMENT.exec(text)!
  const target = targetOf(name!, undefined, options)
  return { ...target, word: (word ?? target.name.service.replaceAll(/\W/g, '_')).toUpperCase() }
}

/** Neighbours whose variables would be the same are an error that says what to do. */
export function distinct(neighbours: readonly Neighbour[]): readonly Neighbour[] {
  for (const [index, { word, name }] of neighbours.entries()) {
    const other = neighbours.slice(index + 1).find(other => other.word === word)
    if (!other) continue
    const [one, two] = [name, other.name].map(format)
    throw new Error(
      `${word}_URL cannot be both ${one} and ${two}; give one another word, as in other=${two}`,
    )
  }
  return neighbours
}

/** Where all of `neighbours` are, once they are there; fails as `Resolver.resolve` does. */
export async function find(
  neighbours: readonly Neighbour[],
  { resolver, wait, tell, signal: given }: FindOptions,
): Promise<Record<string, string>> {
  const over = new AbortController()
  const signal = given ? AbortSignal.any([given, over.signal]) : over.signal
  const missing = new Set(neighbours.map(({ name }) => format(name)))
  const late = setTimeout(() => tell(`waiting for ${[...missing].join(', ')}`), LATE)
  const found = neighbours.map(async ({ name, at, word }) => {
    const options = { ...at, wait, signal, transports: EITHER }
    const resolution = await resolver.resolve(name, options)
    missing.delete(format(name))
    return variables(word, resolution)
  })
  try {
    return Object.assign({}, ...(await Promise.all(found))) as Record<string, string>
  } finally {
    // Where one cannot be had the others need not be waited for.
    over.abort()
    clearTimeout(late)
  }
}

/** What a program is told of a service: words in which no shell finds anything to do. */
function variables(word: string, { endpoints }: Resolution): Record<string, string> {
  const { address, port, version } = endpoints[0]!
  return {
    [`${word}_URL`]: urlOf(endpoints[0]!),
    [`${word}_HOST`]: address,
    [`${word}_PORT`]: String(port),
    [`${word}_VERSION`]: version.replaceAll(/[^\w.+-]/g, ''),
  }
}

/**
 * An endpoint as a URL. The path, and the scheme if none is given, are those in the metadata of the
 * service, which can be trusted for no more; a service that tells no scheme has its transport's.
 */
export function urlOf(
  { transport, address, port, metadata = {} }: Resolution['endpoints'][number],
  scheme = metadata.scheme,
): string {
  const known = isScheme(scheme) ? scheme : transport
  const host = isIPv6(address) ? `[${address}]` : address
  return `${known}://${host}:${port}${pathIn(metadata)}`
}

function pathIn({ path }: Metadata): string {
  if (typeof path !== 'string' || !path.startsWith('/')) return ''
  const place = new URL('http://host')
  place.pathname = path
  return place.pathname === '/' ? '' : place.pathname.replaceAll(/[^\w/.~%:@+,=-]/g, encoded)
}

function encoded(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
}
