import { existsSync, readFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { MonikerError } from './errors.ts'

/** What is checked out in a git work tree. */
export interface Checkout {
  /** The name of the folder that the repository is in, whichever of its work trees this is. */
  readonly repository: string
  /** The branch, or the first digits of the commit where there is none. */
  readonly branch: string
}

/**
 * The top folder of the git work tree that `directory` is in, which has a folder `.git`, or a file where
 * it was made by `git worktree`; `undefined` outside of git. No file is read, and nothing is run.
 */
export function topOf(directory: string): string | undefined {
  if (existsSync(join(directory, '.git'))) return directory
  const above = dirname(directory)
  return above === directory ? undefined : topOf(above)
}

/** What is checked out below `top`; throws `ERR_INVALID_ARG_VALUE` if no file there says so. Nothing is run. */
export function checkoutOf(top: string): Checkout {
  const [, elsewhere = '.git'] = /^gitdir: (.+)/.exec(textOf(join(top, '.git'))) ?? []
  const git = resolve(top, elsewhere)
  const head = join(git, 'HEAD')
  // What comes first in a name of git is never a dot: such a one says that the branch is kept elsewhere.
  const [, branch, commit] =
    /^(?:ref: refs\/heads\/([^.].*)|([0-9a-f]{7}).*)/.exec(textOf(head)) ?? []
  const found = branch ?? commit
  if (found === undefined) {
    throw new MonikerError('EARGUMENT', { text: `${head} to say what branch is checked out` })
  }
  return {
    repository: repositoryIn(resolve(git, textOf(join(git, 'commondir')).trim())),
    branch: found,
  }
}

/** `shop`, of `shop/.git`, `shop/.bare` and `shop.git`. */
function repositoryIn(folder: string): string {
  const name = basename(folder)
  return name.startsWith('.') ? basename(dirname(folder)) : name.replace(/\.git$/, '')
}

/** `''` if it cannot be read. */
function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
