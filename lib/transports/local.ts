import type { Server } from 'node:net'
import { serverOfHeadings } from '../node/adopt.ts'
import { builtins } from '../node/builtins.ts'
import { disguise } from '../node/disguise.ts'
import { sendHeading } from '../node/heading.ts'
import { LocalServer } from '../node/localserver.ts'
import { serverSocket, userFolder } from '../node/localsocket.ts'
import { sweep } from '../node/sweep.ts'
import type { Endpoint, OtherEndpoint } from '../wire/protocol.ts'
import type { Transport } from './transport.ts'
import { canOpenBeside, unix } from './unix.ts'

/**
 * The Unix socket with a path that a server has beside its TCP port. Its folder proves whose it is: only root, or the
 * user of the client, can have made it. So a client that knows where a name is goes there, and need not be told whether
 * it still is. Other users go by TCP, or by the abstract socket.
 */
export const local: Transport = {
  // A daemon of an earlier version knows no other word.
  name: unix.name,
  proves: true,
  allows: route => unix.allows(route),
  key: ({ instance, endpoints }) => {
    const path = pathIn(endpoints)
    return path === undefined ? undefined : `${instance} ${path}`
  },
  dial: ({ endpoints }) => {
    const path = pathIn(endpoints)
    // Its folder may have changed since its key was asked for. Without a path, `net` would look a host up.
    if (path === undefined) throw new Error('its socket is in no folder that proves whose it is')
    return { net: { path } }
  },
  greet: sendHeading,
  dress: (socket, { address, port }) => disguise(socket, { address }, { address, port }),
  async listen(server) {
    const user = process.getuid?.()
    const folder = user === undefined ? undefined : userFolder(user)
    if (!folder || !canOpenBeside(server) || isPassedOn(server)) return undefined
    const name = `moniker-${builtins.crypto.randomBytes(16).toString('hex')}`
    const make = () => serverOfHeadings(server).unref()
    const beside = new LocalServer({ make, folders: [folder] })
    const [leave, close] = [() => beside.leave(), () => beside.close()]
    await beside.open(name)
    sweepOnce(folder.path)
    if (beside.path)
      return { adds: { endpoints: [{ transport: 'local', path: name, user }] }, leave, close }
    close()
    return undefined
  },
}

/**
 * True if the connections of a server may go on to other processes unread. What has come with the heading of one has
 * been read, and would not go with it.
 */
function isPassedOn(server: Server): boolean {
  return Boolean(Reflect.get(server, 'pauseOnConnect'))
}

/** The folders that this process has swept. */
const swept = new Set<string>()

/** Removes what killed programs of this user have left in a folder; a program need not do so twice. */
function sweepOnce(folder: string): void {
  if (swept.has(folder)) return
  swept.add(folder)
  void sweep(folder)
}

/** The path in the further endpoints of a service, if it has one that this user can trust. */
function pathIn(endpoints: Endpoint['endpoints']): string | undefined {
  const found = endpoints?.find(({ transport }) => transport === 'local')
  const { path, user } = found ?? ({} as Partial<OtherEndpoint>)
  return path !== undefined && typeof user === 'number' ? serverSocket(path, user) : undefined
}
