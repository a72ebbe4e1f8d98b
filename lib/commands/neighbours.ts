import { isIPv6 } from 'node:net'
import { format } from '../name.ts'
import type { Metadata } from '../protocol.ts'
import type { Resolution, Resolver } from '../resolver.ts'
import { printable } from './table.ts'
import { targetOf, type CommandTarget, type TargetOptions } from './target.ts'

/** A service that a program needs, and the word that the variables about it begin with. */
export interface Neighbour extends CommandTarget {
  /** In capitals, such as `DB`. */
  readonly word: string
}

export interface FindOptions {
  resolver: Pick<Resolver, 'resolve'>
  /** How long to wait for each, in ms. */
  wait: number
}

/** The transports of a name that may be either. */
const EITHER = ['tcp', 'udp'] as const

const ASSIGNMENT = /^(?:([a-z_]\w*)=)?(.*)$/is
const SCHEME = /^[a-z][a-z0-9+.-]{0,62}$/i

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
  { resolver, wait }: FindOptions,
): Promise<Record<string, string>> {
  const over = new AbortController()
  const { signal } = over
  const found = neighbours.map(async ({ name, at, word }) =>
    variables(word, await resolver.resolve(name, { ...at, wait, signal, transports: EITHER })),
  )
  try {
    return Object.assign({}, ...(await Promise.all(found))) as Record<string, string>
  } finally {
    // Where one cannot be had the others need not be waited for.
    over.abort()
  }
}

/** What a program is told of a service. */
function variables(word: string, { endpoints }: Resolution): Record<string, string> {
  const { transport, address, port, version, metadata = {} } = endpoints[0]!
  return {
    [`${word}_URL`]: url(isIPv6(address) ? `[${address}]` : address, port, metadata, transport),
    [`${word}_HOST`]: address,
    [`${word}_PORT`]: String(port),
    [`${word}_VERSION`]: printable(version),
  }
}

/** Its scheme and path are those that the service gives in its metadata, and can be trusted for no more. */
function url(host: string, port: number, { scheme, path }: Metadata, otherwise: string): string {
  const known = typeof scheme === 'string' && SCHEME.test(scheme) ? scheme : otherwise
  const place = new URL('http://host')
  if (typeof path === 'string' && path.startsWith('/')) place.pathname = path
  const shown = place.pathname === '/' ? '' : place.pathname
  return `${known}://${host}:${port}${shown}`
}
