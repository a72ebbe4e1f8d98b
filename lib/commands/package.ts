import { existsSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'

/** The longest package.json that is read, in bytes. */
const MAX = 1_048_576

/** The part of a package.json that commands use. */
export interface Package {
  /** The folder that it stands in. */
  readonly folder: string
  /** The name of the package, or that of the folder. */
  readonly name: string
  /** True if the name is that of the package. */
  readonly isNamed: boolean
  readonly scripts: Readonly<Record<string, unknown>>
}

/**
 * The package that `directory` is part of: that of the first package.json upward, not above the git work tree or the
 * home. Where there is none, or it cannot be read, the name is that of the directory.
 */
export function packageAt(directory: string): Package {
  const folder = folderOf(directory) ?? directory
  const { name, scripts } = contentOf(join(folder, 'package.json'))
  const isNamed = typeof name === 'string' && name !== ''
  return {
    folder,
    name: isNamed ? name : basename(folder),
    isNamed,
    scripts: isObject(scripts) ? scripts : {},
  }
}

function folderOf(directory: string): string | undefined {
  if (existsSync(join(directory, 'package.json'))) return directory
  const above = dirname(directory)
  const isTop = existsSync(join(directory, '.git')) || directory === homedir()
  return isTop || above === directory ? undefined : folderOf(above)
}

function contentOf(file: string): Record<string, unknown> {
  try {
    const stat = statSync(file)
    if (!stat.isFile() || stat.size > MAX) return {}
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'))
    return isObject(content) ? content : {}
  } catch {
    return {}
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
