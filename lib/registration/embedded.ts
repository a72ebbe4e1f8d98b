import { readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Daemon } from '../daemon/daemon.ts'
import { embeddedHosts, policyFile } from '../settings.ts'
import { diagnostics } from '../diagnostics.ts'

const debug = diagnostics('moniker:embedded')

export interface EmbedOptions {
  /** How long to be the daemon before a thread is, in ms: most programs are over sooner. Default 2,000. */
  settled?: number
  /** How that thread is to run, as for `Worker`. Default no options: what a program preloads is not for us. */
  execArgv?: string[]
}

/**
 * Makes this process the daemon of its host: at once, and after a while in a thread of its own, as neither a
 * loop nor a breakpoint of the program is to hold up the names of all others. That thread takes the port over
 * as `monikerd` does; where there can be no threads, nothing changes. Nothing here keeps the program alive.
 * Fails as `Daemon.start` does.
 */
export async function embed(
  port: number,
  { settled = 2_000, execArgv = [] }: EmbedOptions = {},
): Promise<void> {
  const daemon = embedded(port)
  await daemon.start()
  setTimeout(() => {
    if (daemon.isAnswering && !isCramped()) move(port, execArgv)
  }, settled).unref()
}

/** The daemon of a program, or, with `ref`, of its thread, which it keeps alive. */
export function embedded(port: number, { ref = false } = {}): Daemon {
  return new Daemon({ port, hosts: embeddedHosts(), embedded: true, ref, policy: policyFile() })
}

/** Whether there is a limit to addresses: V8 wants 0.6 GB for a thread, and ends the process if it cannot have them. */
function isCramped(): boolean {
  try {
    return /^Max address space +\d/m.test(readFileSync('/proc/self/limits', 'utf8'))
    /* c8 ignore next 3 -- Only Linux tells it there. */
  } catch {
    return false
  }
}

function move(port: number, execArgv: string[]): void {
  const failed = (error: Error) => debug('no thread for the daemon: %s', error.message)
  const env = { ...process.env, NODE_OPTIONS: '' }
  // The program's streams are its own; only diagnostics that it has asked for go there.
  const quiet = { stdout: true, stderr: !debug.enabled }
  try {
    // TypeScript where this is, else the module that has been made of it, also beside the CommonJS build.
    const ending = extname(import.meta.url) === '.ts' ? 'ts' : 'js'
    const file = new URL(`thread.${ending}`, import.meta.url)
    new Worker(file, { name: 'moniker', workerData: port, execArgv, env, ...quiet })
      .on('error', failed)
      .unref()
  } catch (error) {
    failed(error as Error)
  }
}
