import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { foldersUp, readOpen } from '../project.ts'

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
 * The package that `directory` is part of: that of the first package.json upward. Where there is none, or it cannot be
 * read, the name is that of the directory.
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
  for (const folder of foldersUp(directory)) {
    if (existsSync(join(folder, 'package.json'))) return folder
  }
  return undefined
}

function contentOf(file: string): Record<string, unknown> {
  try {
    const content: unknown = JSON.parse(readOpen(file)?.text ?? '{}')
    return isObject(content) ? content : {}
  } catch {
    return {}
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
