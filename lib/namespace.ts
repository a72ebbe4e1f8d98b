import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { basename } from 'node:path'
import { MonikerError } from './errors.ts'
import { isWord } from './name.ts'
import { checkoutOf, topOf } from './tree.ts'

/** The longest namespace, and the longest part of one that is kept before a hyphen and the digits. */
const MAX = 63
const MAX_PART = 56

/** What stands for the namespace of where one is. */
const AUTOMATIC: Record<string, (directory: string) => string> = {
  auto: treeNamespace,
  'auto:branch': branchNamespace,
}

/** What was found, and for what. */
let found = { text: '', directory: '', namespace: '' }

/** What a namespace may be given as. */
export const NAMESPACE = 'a word such as reynolds, auto, or auto:branch'

/**
 * The namespace of names that give none, on this host: `MONIKER_NAMESPACE`, read as `givenNamespace`
 * does. `''`, the host's own, if there is none.
 */
export function defaultNamespace(): string {
  const { MONIKER_NAMESPACE: text = '' } = process.env
  const namespace = givenNamespace(text)
  if (namespace !== undefined) return namespace
  throw new MonikerError('EARGUMENT', {
    text: `MONIKER_NAMESPACE to be ${NAMESPACE}, got ${JSON.stringify(text)}`,
  })
}

/**
 * Reads a word, `''` (the host's own), or `auto` or `auto:branch`, which are what `treeNamespace` and
 * `branchNamespace` say of where this process works; `undefined` if it is none of these. A branch stays
 * that which it was at first: what a process has begun in one, it finds again.
 */
export function givenNamespace(text: string): string | undefined {
  if (Object.hasOwn(AUTOMATIC, text)) return automatic(text)
  return text === '' || isWord(text) ? text.toLowerCase() : undefined
}

/**
 * The namespace of the git work tree that `directory` is in, such as `shop-1f0c9a`: from the name of
 * its top folder, and from where that is, so that no two work trees of a host have the same, and each
 * has one whatever is checked out there. `''` outside of git.
 */
export function treeNamespace(directory: string): string {
  const top = topOf(realpathSync(directory))
  if (top === undefined) return ''
  return `${worded(basename(top)).slice(0, MAX_PART)}-${digitsOf(top)}`
}

/**
 * The namespace of the branch that `directory` has, such as `shop.fix-ui`: from the names of the
 * repository and of the branch, and so one that others can know. `''` outside of git; throws
 * `ERR_INVALID_ARG_VALUE` where the branch cannot be told.
 */
export function branchNamespace(directory: string): string {
  const top = topOf(realpathSync(directory))
  if (top === undefined) return ''
  const { repository, branch } = checkoutOf(top)
  const name = `${worded(repository)}.${plain(branch)}`
  return name.length <= MAX ? name : `${name.slice(0, MAX_PART)}-${digitsOf(name)}`
}

/** Asked for with every name, and a process seldom moves. */
function automatic(text: string): string {
  const directory = process.cwd()
  if (found.directory !== directory || found.text !== text) {
    found = { text, directory, namespace: AUTOMATIC[text]!(directory) }
  }
  return found.namespace
}

/** `text` with what no word may begin with left out, too. */
function worded(text: string): string {
  return plain(text).replace(/^[^a-z]+/, '') || 'tree'
}

/** `text` with a hyphen for what no word may have. */
function plain(text: string): string {
  return text.toLowerCase().replaceAll(/[^a-z0-9._+-]+/g, '-')
}

/** Six that hardly any other text has. */
function digitsOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 6)
}
