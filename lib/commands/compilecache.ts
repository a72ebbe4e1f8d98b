import { lstatSync, mkdirSync, realpathSync } from 'node:fs'
import module from 'node:module'
import { homedir, tmpdir } from 'node:os'
import { dirname, isAbsolute, join, relative } from 'node:path'

/** The folders for temporary files: anybody can make one there before we do. */
const TEMPORARY = ['/tmp', '/var/tmp', '/dev/shm']

/** Widened by hand: Node has it from 22.1 on. */
const { enableCompileCache } = module as { enableCompileCache?: (folder: string) => unknown }

/**
 * Has Node keep the code of the commands compiled, in `$XDG_CACHE_HOME/moniker` or `~/.cache/moniker`, where it
 * can. What is there is run, so nobody else may be able to write to it; else nothing is kept.
 */
export function keepCompiled(): void {
  const folder = enableCompileCache && ownFolder()
  if (folder) enableCompileCache(folder)
}

/** The folder, made if need be; `undefined` if it is not this user's alone. */
export function ownFolder(
  { XDG_CACHE_HOME: given = '' }: NodeJS.ProcessEnv = process.env,
  home = homedir(),
): string | undefined {
  const uid = process.getuid?.()
  // Windows tells no owner.
  if (uid === undefined) return undefined
  try {
    const wanted = join(isAbsolute(given) ? given : join(home, '.cache'), 'moniker')
    mkdirSync(wanted, { recursive: true, mode: 0o700 })
    const folder = realpathSync(wanted)
    return isPrivate(folder, [uid]) && !isTemporary(folder) ? folder : undefined
  } catch {
    return undefined
  }
}

/** True if only these users can write to a folder or exchange it; of those above it root may be the owner too. */
function isPrivate(folder: string, owners: readonly number[]): boolean {
  const { uid, mode } = lstatSync(folder)
  if (!owners.includes(uid) || mode & 0o022) return false
  const above = dirname(folder)
  return above === folder || isPrivate(above, [...owners, 0])
}

function isTemporary(folder: string): boolean {
  return [...TEMPORARY, realpathSync(tmpdir())].some(
    place => !relative(place, folder).startsWith('..'),
  )
}
