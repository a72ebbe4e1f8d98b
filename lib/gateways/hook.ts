// The entry point `moniker-net/auto`, for `node --import`: a program that knows nothing of names goes to them, and its
// server has one. It is loaded before any such program: what asks, and what registers, is loaded once it is needed.
import type { Server } from 'node:net'
import { fileURLToPath } from 'node:url'
import { patchListen, patchDatagrams, patchSockets, type Find } from '../node/patches.ts'
import { meaningOf } from './hostnames.ts'

/** The folder that this package's own programs stand in. */
const here = fileURLToPath(new URL('..', import.meta.url))

/** The key under which a thread notes that it has been hooked, be it by another copy of this file. */
const HOOKED = Symbol.for('moniker-net/auto')

hook()

/** Patches what the program calls, once. Under `--permission` nothing is changed, nor in a program of our own. */
function hook(): void {
  if (HOOKED in globalThis || Reflect.has(process, 'permission') || isOurs()) return
  Object.defineProperty(globalThis, HOOKED, { value: true })
  patchSockets(redirect)
  patchDatagrams(redirect)
  const { MONIKER_LISTEN: name } = process.env
  if (name) patchListen(server => isMeant(server) && use(name, server))
}

/** True of a program of this package: its sockets and its servers are none that a name is meant for. */
function isOurs(): boolean {
  try {
    // An import would cost each program more time than all the rest of this file.
    const { realpathSync } = process.getBuiltinModule('node:fs')
    return realpathSync(process.argv[1]!).startsWith(here)
  } catch {
    return false
  }
}

/** The way to the service that a host name may mean. */
function redirect(host: string): Find | undefined {
  const meaning = meaningOf(host)
  return meaning && (how => import('./lookup.ts').then(one => one.placesOf(meaning, how), nothing))
}

/** True of the server that `MONIKER_LISTEN` is meant for: the first on the port in `PORT`, or else the first of all. */
function isMeant(server: Server): boolean {
  const address = server.address()
  // A Unix socket has no port, and a server may be closed by now.
  if (typeof address !== 'object' || !address) return false
  const wanted = Number(process.env.PORT)
  return wanted > 0 ? address.port === wanted : true
}

/** Gives a server its name. No child of this process is to take that. */
function use(name: string, server: Server): true {
  delete process.env.MONIKER_LISTEN
  void import('./registration.ts').then(one => one.register(name, server), nothing)
  return true
}

/** Nothing: our own files cannot be loaded, as when the package is being installed anew. */
function nothing(): [] {
  return []
}
