import type { Listed } from '../wire/protocol.ts'
import type { Shape } from './shape.ts'

/** A word that may stand where the cursor is, and what it means. */
export interface Candidate {
  readonly word: string
  readonly about: string
}

type Option = Shape['options'][number]

/** What the shell is told where any file will do. */
const FILES: Candidate = { word: ':files', about: '' }

/** The arguments that are files, or may be. */
const FILED = ['command', 'file']

/** The commands whose names are those of services that are there. */
const LOOKING = ['connect', 'resolve', 'wait', 'env', 'watch']

/** A call that is being typed. */
interface Typed {
  readonly command: Shape
  /** What stands between the command and the cursor. */
  readonly before: readonly string[]
  /** The word at the cursor, as far as it goes. */
  readonly current: string
  readonly services: () => Promise<readonly Listed[]>
}

/**
 * What may stand for the last of `words`, which call `root`. `services` are asked for where names
 * may stand.
 */
export async function candidates(
  root: Shape,
  words: readonly string[],
  services: Typed['services'],
): Promise<Candidate[]> {
  const current = words.at(-1) ?? ''
  const all = await possible({ ...called(root, words.slice(0, -1)), current, services })
  return all.filter(({ word }) => word.startsWith(current) || word === FILES.word)
}

/** The command that is called, which may be below another, and what follows it. */
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
    // What is no command has none below it.
    if (before.length > 0) return []
    return command.commands.map(({ name: word, about }) => ({ word, about }))
  }
  return argumentsOf(typed)
}

/** The option that `word` is, if a value has to follow it. */
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
  if (argument && FILED.includes(argument.name)) return [FILES]
  if (argument?.name === 'name' && LOOKING.includes(command.name)) return names(typed)
  return plain(argument?.choices)
}

/** The names of services, after what may stand before them: `other=`, or a list that goes on. */
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
