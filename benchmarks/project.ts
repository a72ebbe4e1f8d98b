import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** The package, from where this was built to. */
const PACKAGE = fileURLToPath(new URL('../../', import.meta.url))

/** Milliseconds that a process may take. */
const PATIENCE = 30_000

/** Variables that make Node, or us, start in another way than by default. */
const TUNING = /^(NODE_|MONIKER_|DEBUG$)/

/** The command `moniker`, in a project. */
export const MONIKER = 'node_modules/moniker-net/dist/lib/cli.js'

/** A folder in which the package is installed, for programs and commands to be run as users run them. */
export class Project {
  readonly #folder: string
  #cache = ''

  private constructor(folder: string) {
    this.#folder = folder
  }

  static async create(): Promise<Project> {
    const folder = await mkdtemp(join(tmpdir(), 'moniker-start-'))
    await mkdir(join(folder, 'node_modules'))
    await symlink(PACKAGE, join(folder, 'node_modules', 'moniker-net'), 'junction')
    return new Project(folder)
  }

  /** Adds a program. */
  async add(file: string, text: string): Promise<void> {
    await writeFile(join(this.#folder, file), text)
  }

  /** Gives what runs from now on an empty folder for its caches. */
  async clearCache(): Promise<void> {
    this.#cache = await mkdtemp(join(this.#folder, 'cache-'))
  }

  /** True if something that has run keeps anything in its cache. */
  async isCached(): Promise<boolean> {
    const kept = await readdir(this.#cache, { recursive: true, withFileTypes: true })
    return kept.some(entry => entry.isFile())
  }

  /**
   * Runs Node to its end, with that designated port; resolves with what it printed. Rejects if it
   * fails, complains or takes too long.
   */
  async run(args: string[], port: number): Promise<string> {
    const inherited = Object.entries(process.env).filter(([name]) => !TUNING.test(name))
    const { stdout, stderr } = await execute(process.execPath, args, {
      cwd: this.#folder,
      env: {
        ...Object.fromEntries(inherited),
        MONIKER_PORT: String(port),
        XDG_CACHE_HOME: this.#cache,
      },
      timeout: PATIENCE,
      killSignal: 'SIGKILL',
    })
    if (stderr) throw new Error(`node ${args.join(' ')} complained: ${stderr}`)
    return stdout
  }

  async remove(): Promise<void> {
    await rm(this.#folder, { recursive: true })
  }
}
