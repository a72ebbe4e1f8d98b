import { createHash } from 'node:crypto'
import { existsSync, realpathSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { MonikerError } from './errors.ts'
import { isWord } from './name.ts'

/** The longest part of a folder's name that is kept; a hyphen and the digits go with it. */
const MAX_FOLDER = 56

/** What `auto` was found to be, and from where. */
let found = { directory: '', namespace: '' }

/**
 * The namespace of names that give none, on this host: `MONIKER_NAMESPACE`, of which `auto` is the one
 * of the git work tree that this process works in. `''`, the host's own, if there is none.
 */
export function defaultNamespace(): string {
  const { MONIKER_NAMESPACE: text = '' } = process.env
  if (text === '') return ''
  if (text === 'auto') return ownTree()
  if (isWord(text)) return text.toLowerCase()
  throw new MonikerError('EARGUMENT', {
    text: `MONIKER_NAMESPACE to be a word such as reynolds, or auto, got ${JSON.stringify(text)}`,
  })
}

/**
 * The namespace of the git work tree that `directory` is in, such as `shop-1f0c9a`: from the name of
 * its top folder, and from where that is, so that no two work trees of a host have the same. `''`
 * outside of git. No file is read, and nothing is run.
 */
export function treeNamespace(directory: string): string {
  const top = topOf(realpathSync(directory))
  if (top === undefined) return ''
  const digits = createHash('sha256').update(top).digest('hex').slice(0, 6)
  return `${worded(basename(top))}-${digits}`
}

/** Asked for with every name, and a process seldom moves. */
function ownTree(): string {
  const directory = process.cwd()
  if (found.directory !== directory) found = { directory, namespace: treeNamespace(directory) }
  return found.namespace
}

/** A work tree has a folder `.git` at its top, or a file where it was made by `git worktree`. */
function topOf(directory: string): string | undefined {
  if (existsSync(join(directory, '.git'))) return directory
  const above = dirname(directory)
  return above === directory ? undefined : topOf(above)
}

/** `text` with what no word may have left out. */
function worded(text: string): string {
  const word = text
    .toLowerCase()
    .replaceAll(/[^a-z0-9._+-]+/g, '-')
    .replace(/^[^a-z]+/, '')
  return word.slice(0, MAX_FOLDER) || 'tree'
}
