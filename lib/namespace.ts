import { existsSync, readFileSync, realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { MonikerError } from './errors.ts'
import { isWord } from './name.ts'
import { project } from './project.ts'

/** The longest namespace, and the longest part of one that is kept before a hyphen and the digits. */
export const MAX = 63
const MAX_PART = 56

/** The words that stand for the namespace of the current directory. */
const AUTOMATIC: Record<string, (directory: string) => string> = {
  auto: treeNamespace,
  'auto:branch': branchNamespace,
}

/** The repository and branch that a git work tree has checked out. */
interface Checkout {
  /** The name of the folder that the repository is in, whichever of its work trees this is. */
  readonly repository: string
  /** The branch, or the first digits of the commit where there is none. */
  readonly branch: string
}

/** The last answer of `automatic`, and the word and directory that it was for. */
let last = { text: '', directory: '', namespace: '' }

/** The forms of a namespace, for messages. */
export const NAMESPACE = 'a word such as reynolds, auto, or auto:branch'

/**
 * The namespace, on this host, of a name that gives none: that of `MONIKER_NAMESPACE`, or else of the project, read as
 * `givenNamespace` reads it. `''`, the host's own, if neither says one.
 */
export function defaultNamespace(): string {
  const { MONIKER_NAMESPACE: given } = process.env
  const text = given ?? project().namespace ?? ''
  const namespace = givenNamespace(text)
  if (namespace !== undefined) return namespace
  const where = given === undefined ? `"namespace" in ${project().file}` : 'MONIKER_NAMESPACE'
  throw new MonikerError('EARGUMENT', {
    text: `${where} to be ${NAMESPACE}, got ${JSON.stringify(text)}`,
  })
}

/**
 * Reads a word, `''` (the host's own), `auto` (the `treeNamespace` of the current directory) or `auto:branch` (its
 * `branchNamespace`); `undefined` if `text` is none of these. A process keeps the branch that it found first, so that
 * it finds again what it registered.
 */
export function givenNamespace(text: string): string | undefined {
  if (Object.hasOwn(AUTOMATIC, text)) return automatic(text)
  return text === '' || isWord(text) ? text.toLowerCase() : undefined
}

/**
 * The namespace of the git work tree that `directory` is in, such as `shop-1f0c9a`: from the name and the path of its
 * top folder. No two work trees of a host have the same one, and a checkout does not change it. `''` outside of git.
 */
export function treeNamespace(directory: string): string {
  const top = workTree(directory)
  if (top === undefined) return ''
  return `${toWord(basename(top)).slice(0, MAX_PART)}-${digitsOf(top)}`
}

/**
 * The namespace of the branch that is checked out at `directory`, such as `shop.fix-ui`: from the names of the
 * repository and the branch, so that other programs can know it. `''` outside of git; throws `ERR_INVALID_ARG_VALUE` if
 * git's files do not name the branch.
 */
export function branchNamespace(directory: string): string {
  const top = workTree(directory)
  if (top === undefined) return ''
  const { repository, branch } = checkoutOf(top)
  const name = `${toWord(repository)}.${plain(branch)}`
  return name.length <= MAX ? name : `${name.slice(0, MAX_PART)}-${digitsOf(name)}`
}

/** Remembers its last answer: it is called with every name, and a process seldom changes its directory. */
function automatic(text: string): string {
  const directory = process.cwd()
  if (last.directory !== directory || last.text !== text) {
    last = { text, directory, namespace: AUTOMATIC[text]!(directory) }
  }
  return last.namespace
}

/** `text` as a word, without what no word may have or begin with. */
export function toWord(text: string): string {
  return plain(text).replace(/^[^a-z]+/, '') || 'tree'
}

/** The top folder of the git work tree that `directory` is in; `undefined` outside of git. */
export function workTree(directory: string): string | undefined {
  return topOf(realpathSync(directory))
}

/** `text` in lower case, with a hyphen for each run of characters that no word may have. */
function plain(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9._+-]+/g, '-')
}

/** Six hexadecimal digits that hardly any other text has. */
function digitsOf(text: string): string {
  // Few processes need it, and it is slow to load.
  const { createHash } = process.getBuiltinModule('node:crypto')
  return createHash('sha256').update(text).digest('hex').slice(0, 6)
}

/**
 * The top folder of the git work tree that `directory` is in; `undefined` outside of git. The top has a folder `.git`,
 * or a file of that name if `git worktree` made it. No file is read, and no program is run.
 */
function topOf(directory: string): string | undefined {
  if (existsSync(join(directory, '.git'))) return directory
  const above = dirname(directory)
  return above === directory ? undefined : topOf(above)
}

/**
 * The checkout at `top`; throws `ERR_INVALID_ARG_VALUE` if no file there names a branch or commit. No program is run.
 */
function checkoutOf(top: string): Checkout {
  const [, elsewhere = '.git'] = /^gitdir: (.+)/.exec(textOf(join(top, '.git'))) ?? []
  const git = resolve(top, elsewhere)
  const head = join(git, 'HEAD')
  // No branch of git begins with a dot: `.invalid` here means that git keeps the branch elsewhere (reftable).
  const [, branch, commit] =
    /^(?:ref: refs\/heads\/([^.].*)|([0-9a-f]{7}).*)/.exec(textOf(head)) ?? []
  const name = branch ?? commit
  if (name === undefined) {
    throw new MonikerError('EARGUMENT', { text: `${head} to say what branch is checked out` })
  }
  return {
    repository: repositoryIn(resolve(git, textOf(join(git, 'commondir')).trim())),
    branch: name,
  }
}

/** The name of a repository: `shop` for `shop/.git`, `shop/.bare` and `shop.git`. */
function repositoryIn(folder: string): string {
  const name = basename(folder)
  return name.startsWith('.') ? basename(dirname(folder)) : name.replace(/\.git$/, '')
}

/** The text of a file; `''` if it cannot be read. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
