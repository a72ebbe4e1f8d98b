import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  type Stats,
} from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { MonikerError, isWant } from './errors.ts'

/** The settings of a project, which rank below those of the environment. */
export interface Project {
  /** The file that they stand in; `undefined` if there is none. */
  readonly file?: string
  /** The namespace of names that give none, as `MONIKER_NAMESPACE` has it. */
  readonly namespace?: string
  /** The designated port. */
  readonly port?: number
}

/** A file that is passed over, as somebody else could have written it. */
export interface PassedOver {
  readonly file: string
  readonly why: string
}

/** The longest file that is read, in bytes. */
const MAX_FILE = 1_048_576

/** The files that may have settings, in the order in which they are looked for, and where these stand. */
const FILES: Record<string, (json: unknown) => unknown> = {
  'moniker.json': json => json,
  'package.json': json => (json as { moniker?: unknown } | null)?.moniker,
}

const NONE: Project = {}

/** The last answer of `project`, and the directory that it was for. */
let last: { directory: string; project: Project } | undefined

/**
 * The settings of the project that the working directory is in: those of the nearest `moniker.json`, or key `moniker`
 * of a `package.json`. They are looked for once a directory. Throws `ERR_INVALID_ARG_VALUE` if they are not what they
 * should be.
 */
export function project(): Project {
  // The directory may have been removed.
  const directory = known(() => process.cwd()) ?? ''
  if (last?.directory !== directory) {
    last = { directory, project: directory === '' ? NONE : findProject(directory) }
  }
  return last.project
}

/**
 * Looks for the settings upward from `directory`. A file that another user could have written, or that is in a folder
 * of that kind, is passed over.
 */
export function findProject(
  directory: string,
  passOver: (file: PassedOver) => void = () => {},
): Project {
  for (const folder of foldersUp(directory)) {
    for (const [name, pick] of Object.entries(FILES)) {
      const found = settingsIn(join(folder, name), pick, passOver)
      if (found) return found
    }
  }
  return NONE
}

/** The folders from this one upward, up to the git work tree, the home or the top of the file system. */
export function foldersUp(
  folder: string,
  home = known(() => realpathSync(homedir())),
): readonly string[] {
  const isLast = folder === home || existsSync(join(folder, '.git')) || isEdge(folder)
  return isLast ? [folder] : [folder, ...foldersUp(dirname(folder), home)]
}

/** True of the top folder of a file system, and of one above which nothing is known. */
function isEdge(folder: string): boolean {
  const above = dirname(folder)
  const [here, there] = [folder, above].map(one => known(() => statSync(one).dev))
  return above === folder || here === undefined || here !== there
}

function settingsIn(
  file: string,
  pick: (json: unknown) => unknown,
  passOver: (file: PassedOver) => void,
): Project | undefined {
  const read = readOpen(file)
  if (!read) return undefined
  const { text, info } = read
  const settings = pick(parsed(text, file))
  if (settings === undefined) return undefined
  const why = foreign(file, info) ?? foreign(dirname(file), statSync(dirname(file)))
  if (why === undefined) return checked(settings, file)
  passOver({ file, why })
  return undefined
}

/** Reads a file, if it is there, a regular one, and of at most 1 MiB. What is checked is what is read. */
export function readOpen(file: string): { text: string; info: Stats } | undefined {
  let fd: number
  try {
    // A pipe in its place must not make us wait for its other end.
    /* c8 ignore next -- Windows has no such flag. */
    fd = openSync(file, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  } catch (error) {
    // That it could not be opened for now does not say that there is none.
    if (isWant(error)) throw error
    return undefined
  }
  try {
    const info = fstatSync(fd)
    if (!info.isFile() || info.size > MAX_FILE) return undefined
    return { text: readFileSync(fd, 'utf8'), info }
  } finally {
    closeSync(fd)
  }
}

/** The JSON in a file. A `package.json` that is none is for others to complain of. */
function parsed(text: string, file: string): unknown {
  const isOurs = file.endsWith('moniker.json')
  if (!isOurs && !text.includes('"moniker"')) return undefined
  try {
    return JSON.parse(text)
  } catch (error) {
    if (!isOurs) return undefined
    throw bad(`${file} to be JSON, but ${(error as Error).message}`)
  }
}

/** The reason that somebody else could have written or exchanged `path`; `undefined` if nobody could. */
function foreign(path: string, { uid, gid, mode }: Stats): string | undefined {
  const own = process.getuid?.()
  // Windows has no such owners and modes.
  if (own === undefined) return undefined
  if (uid !== 0 && uid !== own) return `${path} belongs to user ${uid}`
  // Many systems give each user a group of that number, with nobody else in it.
  const others = gid === uid ? 0o002 : 0o022
  return (mode & others) === 0 ? undefined : `others can write to ${path}`
}

function checked(settings: unknown, file: string): Project {
  const form = `${file} to have "namespace", a text, and "port", from 1 to 65535`
  if (typeof settings !== 'object' || settings === null || Array.isArray(settings)) throw bad(form)
  const { $schema: _, namespace, port, ...others } = settings as Record<string, unknown>
  const [other] = Object.keys(others)
  if (other !== undefined) throw bad(`${form}, got ${JSON.stringify(other)}`)
  if (namespace !== undefined && typeof namespace !== 'string') throw bad(form)
  const isPort = Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536
  if (port !== undefined && !isPort) throw bad(form)
  return {
    file,
    ...(namespace !== undefined && { namespace }),
    ...(port !== undefined && { port: Number(port) }),
  }
}

function bad(text: string): MonikerError {
  return new MonikerError('EARGUMENT', { text })
}

/** The value that `read` gives; `undefined` if it throws, as it does where this process may not look. */
function known<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}
