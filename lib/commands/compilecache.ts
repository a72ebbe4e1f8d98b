import { lstatSync, mkdirSync, realpathSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, isAbsolute, join, relative } from 'node:path'

/** The folders for temporary files. Another user could make our folder there before we do. */
const TEMPORARY = ['/tmp', '/var/tmp', '/dev/shm']

/** The part of `node:module` that Node has from 22.1 on. */
interface Cache {
  readonly enableCompileCache?: (folder: string) => unknown
}

/**
 * Makes Node keep the compiled code of the commands in `$XDG_CACHE_HOME/moniker` or `~/.cache/moniker`, if it can. Node
 * runs the code that it finds there, so nothing is kept if another user could write to the folder.
 */
export function keepCompiled(
  { enableCompileCache }: Cache = process.getBuiltinModule('node:module') as object,
): void {
  const folder = enableCompileCache && ownFolder()
  if (folder) enableCompileCache(folder)
}

/** The folder, made if need be; `undefined` if another user could write to it. */
export function ownFolder(
  { XDG_CACHE_HOME: given = '' }: NodeJS.ProcessEnv = process.env,
  home = homedir(),
): string | undefined {
  const uid = process.getuid?.()
  // Windows tells no owner.
  if (uid === undefined) return undefined
  try {
    const path = join(isAbsolute(given) ? given : join(home, '.cache'), 'moniker')
    mkdirSync(path, { recursive: true, mode: 0o700 })
    const folder = realpathSync(path)
    return isPrivate(folder, [uid]) && !isTemporary(folder) ? folder : undefined
  } catch {
    return undefined
  }
}

/** True if only `owners` can write to a folder or exchange it. The folders above it may belong to root, too. */
function isPrivate(folder: string, owners: readonly number[]): boolean {
  const { uid, mode } = lstatSync(folder)
  if (!owners.includes(uid) || mode & 0o022) return false
  const above = dirname(folder)
  return above === folder || isPrivate(above, [...owners, 0])
}

function isTemporary(folder: string): boolean {
  return [...TEMPORARY, realpathSync(tmpdir())].some(
    temporary => !relative(temporary, folder).startsWith('..'),
  )
}
