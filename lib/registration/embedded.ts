import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { setTimeout } from '../clock.ts'
import { Daemon } from '../daemon/daemon.ts'
import { embeddedHosts, policyFile } from '../settings.ts'
import { diagnostics } from '../diagnostics.ts'
import { limitOf } from '../node/descriptors.ts'

const debug = diagnostics('moniker:embedded')

/** The place of this module. It is looked up at once: after its tests Jest lets nothing be loaded. */
const here = import.meta.url

export interface EmbedOptions {
  /** Milliseconds until a thread becomes the daemon: most programs are over sooner. Default 2,000. */
  threadAfter?: number
  /** Options of Node for that thread, as for `Worker`. Default none: the program's preloads are its own. */
  execArgv?: string[]
}

/** The defaults of `EmbedOptions`. */
export const DEFAULTS = { threadAfter: 2_000, execArgv: [] } satisfies EmbedOptions

/**
 * Makes this process the daemon of its host: at once, and after a while in a thread of its own, so that
 * neither a loop nor a breakpoint of the program holds up the names of all others. That thread takes the
 * port over as `monikerd` does; where there can be no threads, nothing changes. Nothing here keeps the
 * program alive. Fails as `Daemon.start` does.
 */
export async function embed(
  port: number,
  { threadAfter = DEFAULTS.threadAfter, execArgv = DEFAULTS.execArgv }: EmbedOptions = {},
): Promise<void> {
  const daemon = embedded(port)
  await daemon.start()
  setTimeout(() => {
    if (daemon.isAnswering && !isAddressSpaceLimited()) startThread(port, execArgv)
  }, threadAfter).unref()
}

/** The daemon of a program, or, with `ref`, of its thread, which it keeps alive. */
export function embedded(port: number, { ref = false } = {}): Daemon {
  return new Daemon({ port, hosts: embeddedHosts(), embedded: true, ref, policy: policyFile() })
}

/**
 * True if the address space is limited: V8 reserves 0.6 GB of it for a thread, and ends the process if it
 * cannot have them.
 */
function isAddressSpaceLimited(): boolean {
  return limitOf('address space') < Infinity
}

function startThread(port: number, execArgv: string[]): void {
  const onError = (error: Error) => debug('no thread for the daemon: %s', error.message)
  const env = { ...process.env, NODE_OPTIONS: '' }
  // The program's streams are its own; only diagnostics that it has asked for go there.
  const quiet = { stdout: true, stderr: !debug.enabled }
  try {
    // TypeScript in the sources, else the one program that both builds have.
    const ending = extname(here).replace(/[cm]js$/, 'js')
    const file = new URL(`thread${ending}`, here)
    new Worker(file, { name: 'moniker', workerData: port, execArgv, env, ...quiet })
      .on('error', onError)
      .unref()
  } catch (error) {
    onError(error as Error)
  }
}
