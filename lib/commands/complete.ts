// A shell waits for this at each key, so it loads neither the command line nor, but for names, the library.
import type { Listed } from '../wire/protocol.ts'
import { shape, type Shape } from './shape.ts'

/** Milliseconds until the daemon is given up. */
const PATIENCE = 1_000

/** Stands for any file in the answer to the shell. */
const FILES: Candidate = { word: ':files', about: '' }

/** The arguments that are files, or may be. */
const FILE_ARGUMENTS = ['command', 'file']

/** The commands whose names are those of registered services. */
const CLIENTS = ['connect', 'resolve', 'wait', 'env', 'watch', 'open']

/** A word that may stand at the cursor, and its meaning. */
export interface Candidate {
  readonly word: string
  readonly about: string
}

type Option = Shape['options'][number]

/** A call that is being typed. */
interface Typed {
  readonly command: Shape
  /** The words between the command and the cursor. */
  readonly before: readonly string[]
  /** The part of the word at the cursor that stands before it. */
  readonly current: string
  readonly services: () => Promise<readonly Listed[]>
}

/**
 * Prints the words that may stand for the last of `words`, which are those of a call that is being typed. The scripts
 * of `moniker completion` read it.
 */
export async function complete(words: readonly string[]): Promise<void> {
  // The words of ours are clean.
  let clean: (text: string) => string = String
  const found = await candidates(await shape(), words, async () => {
    const { printable } = await import('../errors.ts')
    clean = printable
    return services()
  })
  const lines = new Set(found.map(({ word, about }) => [word, about].map(clean).join('\t')))
  for (const line of lines) console.log(line)
}

/** The services of this host; none if the daemon does not answer. */
async function services(): Promise<readonly Listed[]> {
  const { Resolver } = await import('../client/resolver.ts')
  return new Resolver({ timeout: PATIENCE }).list().catch(() => [])
}

/** The words that may stand for the last of `words`, which call `root`. `services` is called where a name may stand. */
export async function candidates(
  root: Shape,
  words: readonly string[],
  services: Typed['services'],
): Promise<Candidate[]> {
  const current = words.at(-1) ?? ''
  const all = await possible({ ...called(root, words.slice(0, -1)), current, services })
  return all.filter(({ word }) => word.startsWith(current) || word === FILES.word)
}

/** The command that is called, which may be below another, and the words that follow it. */
function called(root: Shape, words: readonly string[]): Pick<Typed, 'command' | 'before'> {
  const [first, ...before] = words
  const below = root.commands.find(({ name }) => name === first)
  return below ? called(below, before) : { command: root, before: words }
}

function possible(typed: Typed): Promise<Candidate[]> | Candidate[] {
  const { command, before, current } = typed
  if (before.includes('--')) return [FILES]
  const option = optionIn(command, before.at(-1))
  if (option) return valuesOf(option, typed)
  if (current.startsWith('-')) return command.options.flatMap(described)
  if (command.commands.length > 0) {
    // An unknown word has no commands below it.
    if (before.length > 0) return []
    return command.commands.map(({ name: word, about }) => ({ word, about }))
  }
  return argumentsOf(typed)
}

/** The option that `word` names, if a value must follow it. */
function optionIn({ options }: Shape, word = ''): Option | undefined {
  return options.find(({ flags, takesValue }) => takesValue && flags.includes(word))
}

function described({ shown, about }: Option): Candidate[] {
  return shown ? [{ word: shown, about }] : []
}

function valuesOf(option: Option, typed: Typed): Promise<Candidate[]> | Candidate[] {
  switch (option.attribute) {
    case 'with':
      return names(typed)
    case 'namespace':
      return namespaces(typed)
    case 'file':
    case 'policy':
      return [FILES]
    default:
      return plain(option.choices)
  }
}

function argumentsOf(typed: Typed): Promise<Candidate[]> | Candidate[] {
  const { command, before } = typed
  const values = before.filter((_, index) => optionIn(command, before[index - 1]))
  const others = before.filter(word => !word.startsWith('-'))
  const all = command.arguments
  const argument = all[others.length - values.length] ?? all.findLast(({ variadic }) => variadic)
  if (argument && FILE_ARGUMENTS.includes(argument.name)) return [FILES]
  if (argument?.name === 'name' && CLIENTS.includes(command.name)) return names(typed)
  return plain(argument?.choices)
}

/** The names of services, after a prefix such as `other=` or the beginning of a list. */
async function names({ current, services }: Typed): Promise<Candidate[]> {
  const { format } = await import('../name.ts')
  const start = current.slice(0, Math.max(current.lastIndexOf(','), current.lastIndexOf('=')) + 1)
  const precise = current.includes('@')
  return (await services()).map(({ namespace, service, version, transport, port }) => ({
    word: start + format({ namespace, service, version: precise ? version : '' }),
    about: `${version}, ${transport} port ${port}`,
  }))
}

async function namespaces({ services }: Typed): Promise<Candidate[]> {
  return plain((await services()).map(({ namespace }) => namespace).filter(Boolean))
}

function plain(words: readonly string[] = []): Candidate[] {
  return words.map(word => ({ word, about: '' }))
}
