import type { Server } from 'node:net'
import { LOOPBACK } from '../address.ts'
import { abstract, hasUnix } from '../node/abstract.ts'
import { hasBlockList, serverBeside } from '../node/adopt.ts'
import { disguise } from '../node/disguise.ts'
import type { Transport } from './transport.ts'
import { builtins } from '../node/builtins.ts'

/** The abstract Unix socket that a server has beside its TCP port, for the programs of its host. */
export const unix: Transport = {
  name: 'unix',
  allows: ({ isThisHost, net }) =>
    hasUnix && isThisHost && PARTICULAR.every(option => !Reflect.get(net, option)),
  // A path that can be guessed is that of its service, be it that the server has come back since; another is one server's.
  key: ({ instance, path }) =>
    path === undefined || IS_FIRST.test(path) ? path : `${instance} ${path}`,
  dial: ({ path }) => ({ net: { path: abstract(path!) } }),
  dress: (socket, { address, port }) => disguise(socket, { address }, { address, port }),
  async listen(server, { namespace, service, guarded, shared }, daemonPort) {
    if (!canOpenBeside(server)) return undefined
    // The path is one that nobody can guess, unless all peers of the name are to come to this server. In a namespace
    // too, as that of a user is: who takes the path first would see which programs come for the name.
    const isAlone = !guarded && !shared && namespace === ''
    const opened = await openBeside(server, isAlone ? firstPath(service, daemonPort) : undefined)
    return opened && { adds: { path: opened.path }, close: opened.close }
  },
  likely: ({ namespace, service }, daemonPort) => {
    const path = namespace === '' ? firstPath(service, daemonPort) : undefined
    return path === undefined ? undefined : Object.assign({ path }, UNKNOWN)
  },
}

/** True of the path that the first server of a service takes. See `firstPath`. */
const IS_FIRST = /^moniker-\d+--/

/** The options of a call that asks for particular addresses. */
const PARTICULAR = ['lookup', 'family', 'hints', 'localAddress', 'localPort', 'blockList']

/** The fields that are not known of an endpoint that is only likely. */
const UNKNOWN = {
  transport: 'tcp',
  port: 0,
  address: LOOPBACK[0]!,
  version: '',
  instance: '',
} as const

/** A name for an abstract Unix socket that nobody can guess, nor have had before. */
export function newPath(): string {
  return `moniker-${builtins.crypto.randomBytes(12).toString('hex')}`
}

/**
 * The name that the first server of a service of the host's own namespace takes for its abstract Unix socket, so that
 * a client may go there while it asks the daemon at `port` whether that is the place. `undefined` where what the
 * service is called does not fit.
 */
export function firstPath(service: string, port: number): string | undefined {
  const path = `moniker-${port}--${service}`
  return /^[a-z0-9-]{1,98}$/.test(path) ? path : undefined
}

/** An abstract Unix socket beside the port of a server. */
interface Opened {
  readonly path: string
  /** Takes no more connections. */
  readonly close: () => void
}

/**
 * Opens an abstract Unix socket beside the port of `outer`, whose connections are those of `outer` in
 * every respect. It never keeps the process alive by itself, and the caller closes it. Its path is `preferred`, if no
 * program has that, or one that no program can guess. Resolves to `undefined` if it cannot be opened.
 */
export async function openBeside(outer: Server, preferred?: string): Promise<Opened | undefined> {
  return (preferred && (await openAt(preferred, outer))) || openAt(newPath(), outer)
}

async function openAt(path: string, outer: Server): Promise<Opened | undefined> {
  const inner = serverBeside(outer)
  const ready = new Promise<boolean>(resolve => {
    inner.once('listening', () => resolve(true)).on('error', () => resolve(false))
  })
  inner.listen({ path: abstract(path), exclusive: true }).unref()
  return (await ready) ? { path, close: () => void inner.close() } : undefined
}

/** True if a server may have one. A server that looks at addresses by itself is left alone. */
export function canOpenBeside(outer: Server): boolean {
  return hasUnix && !hasBlockList(outer)
}
