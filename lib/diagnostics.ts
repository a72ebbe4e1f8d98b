import { createRequire } from 'node:module'
import type createDebug from 'debug'

/** Writes a line of diagnostics, as the package `debug` does. */
export interface Log {
  (format: string, ...args: unknown[]): void
  /** True if somebody reads it. */
  readonly enabled: boolean
}

interface Line {
  readonly namespace: string
  readonly args: [format: string, ...args: unknown[]]
}

/** The number of lines that are kept while the package is being loaded; later ones are dropped. */
const MAX_KEPT = 100

const kept: Line[] = []
const logs = new Map<string, createDebug.Debugger>()

/** The package `debug`, `null` once it could not be loaded, `undefined` before that is known. */
let debug: typeof createDebug | null | undefined
let isLoading = false

/**
 * The diagnostics of one part of this library, such as `moniker:socket`. They need the package `debug`: it is
 * loaded for the first line that somebody reads, so that nobody else waits for it. It is always the program's own
 * copy, so that its `debug.enable()` reaches ours. If it is missing or broken, there are no diagnostics.
 */
export function diagnostics(namespace: string): Log {
  const log = (...args: Line['args']): void => {
    if (isRead()) write({ namespace, args })
  }
  return Object.defineProperty(log, 'enabled', {
    get: () => isRead() && (debug ? logOf(debug, namespace).enabled : debug === undefined),
  }) as unknown as Log
}

function write(line: Line): void {
  if (debug) return print(debug, line)
  if (debug === null) return
  if (kept.length < MAX_KEPT) kept.push(line)
  if (isLoading) return
  isLoading = true
  process.once('exit', hurry)
  void load()
}

async function load(): Promise<void> {
  settle(await imported())
}

/** Loads the package while the process exits, and so cannot wait for it. */
function hurry(): void {
  settle(required())
}

/** Writes the lines that were kept, if the package was found. */
function settle(found: typeof createDebug | null): void {
  process.off('exit', hurry)
  debug = found
  for (const line of kept.splice(0)) if (debug) print(debug, line)
}

async function imported(): Promise<typeof createDebug | null> {
  try {
    const { default: found } = await import('debug')
    return usable(found)
  } catch {
    return null
  }
}

function required(): typeof createDebug | null {
  try {
    return usable(createRequire(import.meta.url)('debug'))
  } catch {
    return null
  }
}

function usable(found: unknown): typeof createDebug | null {
  return typeof found === 'function' ? (found as typeof createDebug) : null
}

function print(create: typeof createDebug, { namespace, args }: Line): void {
  logOf(create, namespace)(...args)
}

function logOf(create: typeof createDebug, namespace: string): createDebug.Debugger {
  let log = logs.get(namespace)
  if (!log) logs.set(namespace, (log = create(namespace)))
  return log
}

/** True if `DEBUG` is set, as `debug.enable()` sets it too, or the program has loaded the package itself. */
function isRead(): boolean {
  if (process.env.DEBUG) return true
  file ??= locate()
  return file.path in file.cache
}

/** The program's copy of the package. It is looked for once, and its place among loaded modules at each line. */
let file: { readonly path: string; readonly cache: object } | undefined

function locate(): { path: string; cache: object } {
  try {
    const { cache, resolve } = createRequire(import.meta.url)
    return { path: resolve('debug'), cache }
  } catch {
    // It is not installed, or we are in a bundle.
    return { path: '', cache: {} }
  }
}
