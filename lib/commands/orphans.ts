import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { readFile, readdir, stat } from 'node:fs/promises'
import type { Socket } from 'node:net'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { printable } from '../errors.ts'
import { pause } from '../clock.ts'
import { builtins } from '../node/builtins.ts'
import { pidNamespace } from '../node/spaces.ts'
import { processName } from '../node/processes.ts'

// A run ends the programs that it has started, also when it is killed and can do nothing any more.

/** The variable by which the processes that a run has started are known: they inherit it. */
export const MARK = 'MONIKER_RUN'

/** Milliseconds that a process is given to end by itself. */
const PATIENCE = 1_000

/** A process that carries the mark of a run. */
export interface Marked {
  readonly pid: number
  readonly mark: string
  /** The name of the process. */
  readonly name: string
}

/** A mark that no other run has. It begins with the number of this process, and that of its PID namespace. */
export function newMark(): string {
  return `${process.pid}-${space()}-${builtins.crypto.randomBytes(8).toString('hex')}`
}

/** The number of our PID namespace; `'undefined'` where the system has none. */
function space(): string {
  return String(pidNamespace())
}

/**
 * Waits for the end of this process, as nobody's child. Unless it was told that all is well, it then ends what carries
 * the mark: asks it first, and kills what is left after a second.
 */
const WATCHER = `
{
  cd /
  read -r word <&3 && exit
  for signal in TERM KILL KILL; do
    for file in $(grep -ls "${MARK}=$1" /proc/[0-9]*/environ); do
      pid=\${file#/proc/}
      kill -$signal "\${pid%/environ}"
    done
    sleep 1
  done
} &`

/**
 * Has all processes that carry `mark` ended as soon as this one is killed, until the returned function is called. On
 * Linux alone; elsewhere the next run ends them.
 */
export async function watchOver(mark: string): Promise<() => void> {
  if (process.platform !== 'linux') return () => {}
  const { [MARK]: _, ...env } = process.env
  // A session of its own: the terminal sends it no signals.
  const stdio = ['ignore', 'ignore', 'ignore', 'pipe'] as const
  const child = spawn('sh', ['-c', WATCHER, 'moniker', mark], {
    stdio: [...stdio],
    detached: true,
    env,
  })
  const line = child.stdio[3] as unknown as Socket
  line.on('error', () => {}).unref()
  // The shell leaves the watcher behind: the program that is run is to be our only child.
  await once(child, 'exit').catch(() => {})
  return () => void line.end('done\n')
}

/** `words` as a program that the kernel kills when this process ends, where there is a tool for that. */
export function endingWithUs(words: readonly string[]): readonly string[] {
  const [file = ''] = words
  // The tool would say in its own words that there is no such program.
  const can = process.platform === 'linux' && isProgram(file) && canBind()
  return can ? [...BIND, '--', ...words] : words
}

/** The call of the tool. It becomes the program, so that no process stands between. */
const BIND = ['setpriv', '--pdeathsig', 'KILL'] as const

/** True if the tool is there, and knows how: that of busybox does not. */
function canBind(): boolean {
  const [file, ...args] = [...BIND, 'true'] as const
  return spawnSync(file, args, { stdio: 'ignore' }).status === 0
}

/** True if there is a program of this name in the path, or at this place. */
export function isProgram(file: string): boolean {
  const folders = file.includes('/') ? [''] : (process.env.PATH ?? '').split(delimiter)
  return folders.some(folder => {
    try {
      accessSync(join(folder, file), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** The processes of this user, and of this PID namespace, that carry the mark of a run: of `mark`, if it is given. */
export async function marked(mark?: string): Promise<Marked[]> {
  const all = process.platform === 'linux' ? await fromProc() : await fromPs()
  return all.filter(one => one.pid !== process.pid && (mark === undefined || one.mark === mark))
}

/**
 * The processes whose run has ended, so that nothing else will end them. Those of a run in another PID namespace are
 * left out: its number says nothing here.
 */
export async function orphans(): Promise<Marked[]> {
  const ours = space()
  return (await marked()).filter(({ mark }) => {
    const [pid, theirs] = mark.split('-')
    return theirs === ours && !isAlive(Number(pid))
  })
}

/** Ends the processes that `find` finds, and returns them: asks them first, and kills what is found after a second. */
export async function end(find: () => Promise<readonly Marked[]>): Promise<readonly Marked[]> {
  const found = await find()
  if (found.length === 0) return found
  for (const { pid } of found) kill(pid, 'SIGTERM')
  for (let left = PATIENCE; left > 0 && found.some(({ pid }) => isAlive(pid)); left -= STEP) {
    await pause(STEP)
  }
  // A number may be another program's by now.
  for (const { pid } of await find()) kill(pid, 'SIGKILL')
  return found
}

/** Processes, as words for people. */
export function wordsFor(processes: readonly Marked[]): string {
  return processes.map(({ pid, name }) => printable(`process ${pid} (${name})`)).join(', ')
}

/** Milliseconds between two looks at processes that were asked to end. */
const STEP = 50

async function fromProc(): Promise<Marked[]> {
  const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name))
  const found = await Promise.all(pids.map(readMarked))
  return found.filter(one => one !== undefined)
}

/** The process if it carries a mark; it may be another user's, or have ended. */
async function readMarked(pid: string): Promise<Marked | undefined> {
  try {
    const folder = `/proc/${pid}`
    if ((await stat(folder)).uid !== process.getuid!()) return undefined
    const environment = await readFile(`${folder}/environ`, 'utf8')
    const mark = markIn(environment)
    // A number of another namespace is that of another process here.
    if (!mark || pidNamespace(`${folder}/ns/pid`) !== pidNamespace()) return undefined
    return { pid: Number(pid), mark, name: await processName(pid) }
  } catch {
    return undefined
  }
}

/** The same where there is no /proc: the environment stands after the command. */
async function fromPs(): Promise<Marked[]> {
  const ps = promisify(execFile)('ps', ['-x', '-E', '-w', '-w', '-o', 'pid=,command='])
  const { stdout } = await ps.catch(() => ({ stdout: '' }))
  return stdout.split('\n').flatMap(line => {
    const [, pid, name = ''] = /^\s*(\d+) (\S*)/.exec(line) ?? []
    const mark = markIn(line)
    return pid && mark ? [{ pid: Number(pid), mark, name }] : []
  })
}

function markIn(environment: string): string | undefined {
  return MARKED.exec(environment)?.[1]
}

const MARKED = new RegExp(`(?:^|[\\0 ])${MARK}=(\\d+-\\w+-[0-9a-f]{16})(?:$|[\\0 ])`)

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Another user's process, which has got the number, is alive too.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}
