import { Command, Option } from 'commander'
import { isIPv6 } from '../address.ts'
import { clearTimeout, setTimeout } from '../clock.ts'
import { Resolver } from '../client/resolver.ts'
import type { Resolution } from '../resolution.ts'
import { format as formatName, type Rest } from '../name.ts'
import type { Metadata } from '../wire/protocol.ts'
import {
  daemonPortOption,
  isScheme,
  jsonOption,
  namespaceOption,
  NO_REST,
  targetOf,
  useNamespace,
  waitOption,
  type CommandTarget,
  type TargetOptions,
} from './options.ts'
import { printJSON, tell } from './terminal.ts'

/** The transports of a name, which may have either. */
const EITHER = ['tcp', 'udp'] as const

/** Milliseconds until the missing services are named. */
const LATE = 1_000

const ASSIGNMENT = /^(?:([a-z_]\w*)=)?(.*)$/is

/** The line that sets a variable, by the language of the reader. The values need no escapes. */
const FORMATS = {
  sh: (name: string, value: string) => `export ${name}='${value}'`,
  fish: (name: string, value: string) => `set -gx ${name} '${value}'`,
  plain: (name: string, value: string) => `${name}=${value}`,
}

/** The output of a failure, for a shell to evaluate: an empty output would be a success there. */
const FAILED = 'false'

/** A service that a program needs, and the word that its variables begin with. */
export interface Neighbour extends CommandTarget {
  /** In capitals, such as `DB`. */
  readonly word: string
}

export interface FindOptions {
  resolver: Pick<Resolver, 'resolve'>
  /** Milliseconds to wait for each. */
  wait: number
  /** Called with a line that names the missing services, if they take longer than a second. */
  tell: (text: string) => void
  /** Ends the wait; its reason is the error. */
  signal?: AbortSignal | undefined
}

interface Options {
  format: keyof typeof FORMATS
  json?: boolean
  wait: number
  daemonPort?: number
  namespace?: string
}

export const envCommand = new Command('env')
  .description('Prints where services are as variables for a shell, once all are registered.')
  .argument('<name...>', 'such as db, cache@^7, ns:db or main=db://theforce.net')
  .addOption(
    new Option('--format <format>', 'the syntax to print')
      .choices(Object.keys(FORMATS))
      .default('sh'),
  )
  .addOption(waitOption().default(30_000, '30s'))
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addOption(jsonOption())
  .addHelpText(
    'after',
    `
For db these are DB_URL, DB_HOST, DB_PORT and DB_VERSION; for main=db they are MAIN_URL and so on. The
scheme and the path of the URL come from the metadata of the service; without a scheme it is tcp:// or
udp://. In a shell (eval fails if a service is missing):
  eval "$(moniker env db cache)"`,
  )
  .action(env)

async function env(names: string[], { format, json, ...options }: Options): Promise<void> {
  try {
    const variables = await variablesFor(names, options)
    if (json) return printJSON(variables)
    const lines = Object.entries(variables).map(([name, value]) => FORMATS[format](name, value))
    console.log(lines.join('\n'))
  } catch (error) {
    if (!json && format !== 'plain') console.log(FAILED)
    throw error
  }
}

function variablesFor(
  names: string[],
  { wait, ...options }: Omit<Options, 'format' | 'json'>,
): Promise<Record<string, string>> {
  useNamespace(options.namespace)
  const neighbours = distinct(names.map(name => neighbour(name, options)))
  return find(neighbours, { resolver: new Resolver(), wait, tell })
}

/** Reads `NAME` or `WORD=NAME`, where a name is anything that `targetOf` takes. Throws `ERR_MONIKER_NAME`. */
export function neighbour(text: string, options?: TargetOptions): Neighbour {
  const [, word, name] = ASSIGNMENT.exec(text)!
  const target = targetOf(name!, undefined, options)
  return { ...target, word: (word ?? target.name.service.replaceAll(/\W/g, '_')).toUpperCase() }
}

/** The neighbours; throws if two of them would have the same variables, and says what to do. */
export function distinct(neighbours: readonly Neighbour[]): readonly Neighbour[] {
  for (const [index, { word, name }] of neighbours.entries()) {
    const other = neighbours.slice(index + 1).find(other => other.word === word)
    if (!other) continue
    const [one, two] = [name, other.name].map(formatName)
    throw new Error(
      `${word}_URL cannot be both ${one} and ${two}; give one another word, as in other=${two}`,
    )
  }
  return neighbours
}

/** Waits for all of `neighbours`, and returns their variables; fails as `Resolver.resolve` does. */
export async function find(
  neighbours: readonly Neighbour[],
  { resolver, wait, tell, signal: given }: FindOptions,
): Promise<Record<string, string>> {
  const done = new AbortController()
  const signal = given ? AbortSignal.any([given, done.signal]) : done.signal
  const missing = new Set(neighbours.map(({ name }) => formatName(name)))
  const late = setTimeout(() => tell(`waiting for ${[...missing].join(', ')}`), LATE)
  const found = neighbours.map(async ({ name, at, word, rest }) => {
    const options = { ...at, wait, signal, transports: EITHER }
    const resolution = await resolver.resolve(name, options)
    missing.delete(formatName(name))
    return variables(word, resolution, rest)
  })
  try {
    return Object.assign({}, ...(await Promise.all(found))) as Record<string, string>
  } finally {
    // One failure ends the wait for the others.
    done.abort()
    clearTimeout(late)
  }
}

/** The variables of one service. No value has a quote, a backslash, a space or the end of a line in it. */
function variables(
  word: string,
  { endpoints }: Resolution,
  rest: Rest | undefined,
): Record<string, string> {
  const { address, port, version } = endpoints[0]!
  return {
    [`${word}_URL`]: urlOf(endpoints[0]!, undefined, rest),
    [`${word}_HOST`]: address,
    [`${word}_PORT`]: String(port),
    [`${word}_VERSION`]: version.replaceAll(/[^\w.+-]/g, ''),
  }
}

/** The part of an endpoint that a URL has. */
type Addressed = Pick<
  Resolution['endpoints'][number],
  'transport' | 'address' | 'port' | 'metadata'
>

/**
 * An endpoint as a URL, with the user and the path of the URI that was given. Where that has no path, it is that of the
 * service's metadata, as is the scheme if none is given; without a scheme there, it is the transport. Nothing else in
 * the metadata is trusted.
 */
export function urlOf(
  { transport, address, port, metadata = {} }: Addressed,
  scheme: unknown = metadata.scheme,
  { userinfo, path }: Rest = NO_REST,
): string {
  const known = isScheme(scheme) ? scheme : transport
  const host = isIPv6(address) ? `[${address}]` : address
  const user = userinfo && `${quoted(userinfo)}@`
  return `${known}://${user}${host}:${port}${withPath(metadata, path)}`
}

/** The path, query and fragment of a URI; what it leaves out before its query is that of the metadata. */
function withPath(metadata: Metadata, path: string): string {
  return path.startsWith('/') ? quoted(path) : pathIn(metadata) + quoted(path)
}

/** `text` of the command line, without what is no character of a URL, or ends a word in quotes. */
function quoted(text: string): string {
  return text.replaceAll(/[^\w/.~%:@+,=?&#;!$()*[\]-]+/g, encodeURIComponent).replaceAll("'", '%27')
}

function pathIn({ path }: Metadata): string {
  if (typeof path !== 'string' || !path.startsWith('/')) return ''
  const url = new URL('http://host')
  url.pathname = path
  return url.pathname === '/' ? '' : url.pathname.replaceAll(/[^\w/.~%:@+,=-]/g, encoded)
}

function encoded(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
}
