import { lstatSync, type BigIntStats } from 'node:fs'
import { join } from 'node:path'
import { Cache } from '../cache.ts'
import { netNamespace } from './spaces.ts'

// The Unix sockets by which a daemon is asked on its own host. A file in a folder proves whose it is: only root can
// have made the folder of the host, or have had it made (as the RuntimeDirectory of systemd), and only root and a user
// that of the user.

/** A folder for the socket of a daemon, and the user that may have it; `undefined` is any whom root has given it to. */
export interface Folder {
  readonly path: string
  readonly owner: number | undefined
  /** Its parents, each with the user that must have it. */
  readonly parents: readonly (readonly [path: string, owner: number])[]
}

/**
 * The folders that a program of the user `uid` believes, best first: that of the host, and its own. None where there
 * are no users. `run` is the folder of what lasts until the system ends.
 */
export function socketFolders(uid = ownUser(), run = '/run'): readonly Folder[] {
  if (uid === undefined) return []
  const users = join(run, 'user')
  const own = join(users, String(uid))
  return [
    { path: join(run, 'moniker'), owner: undefined, parents: [[run, 0]] },
    {
      path: join(own, 'moniker'),
      owner: uid,
      parents: [
        [run, 0],
        [users, 0],
        [own, uid],
      ],
    },
  ]
}

/**
 * The folder of the sockets of servers of a user: that of the host, if it is root's, or that of this user. Of others no
 * program of the user `uid` can tell whose it is.
 */
export function userFolder(user: number, uid = ownUser(), run?: string): Folder | undefined {
  const [host, own] = socketFolders(uid, run)
  if (user === 0) return host && { ...host, owner: 0 }
  return user === uid ? own : undefined
}

/** The folders of users that have been looked at lately; `undefined` is one that is not believed. */
const looked = new Cache<string | undefined>()

/** Milliseconds for which a look is remembered: nobody but their owners can change these folders. */
const LOOKED = 1_000

/** The path of the socket of a server by its name and its user; `undefined` unless that proves whose it is. */
export function serverSocket(
  name: string,
  user: number,
  find: (user: number) => Folder | undefined = userFolder,
): string | undefined {
  const folder = (looked.get(String(user)) ?? look(user, find(user))).value
  return folder === undefined ? undefined : `${folder}/${name}`
}

function look(user: number, folder: Folder | undefined): { value: string | undefined } {
  const value = folder && believed(folder) ? folder.path : undefined
  looked.set(String(user), value, LOOKED)
  return { value }
}

function ownUser(): number | undefined {
  return process.getuid?.()
}

/** True if a folder is there, and nobody but its owner, and that of its parents, can have changed it. */
export function isBelieved({ path, owner, parents }: Folder): boolean {
  return isSafe(path, owner) && parents.every(([parent, user]) => isSafe(parent, user))
}

/**
 * The first of a folder and its parents that is there and is not what it should be: others can write to it, it is
 * another user's, or no folder. `undefined` if there is none, also where they are not there, or may not be looked at.
 */
export function unsafePartOf({ path, owner, parents }: Folder): string | undefined {
  const all = [...parents, [path, owner] as const]
  const isThere = (one: string) => lstatSync(one, { throwIfNoEntry: false }) !== undefined
  try {
    return all.find(([one, user]) => isThere(one) && !isSafe(one, user))?.[0]
  } catch {
    return undefined
  }
}

function isSafe(path: string, owner: number | undefined): boolean {
  const info = lstatSync(path, { throwIfNoEntry: false })
  if (!info?.isDirectory() || (info.mode & OTHERS_WRITE) !== 0) return false
  return owner === undefined || info.uid === owner
}

/**
 * The kernel's word on what may be a socket; `undefined` if it is not there, or may not be looked at. It is asked for in
 * whole numbers: where the last file that Node 20 was asked for in others is a socket, it follows no link to the next
 * module (`fs.realpath`).
 */
export function lookAt(path: string): BigIntStats | undefined {
  try {
    return lstatSync(path, { bigint: true })
  } catch {
    return undefined
  }
}

/** The bits by which a group, or everybody, may write. */
const OTHERS_WRITE = 0o022

/**
 * The name of the socket of the daemon that has a port; `undefined` where the system has no network namespaces. In
 * another of them the same port is another daemon's. `link` names ours.
 */
export function socketName(port: number, link?: string): string | undefined {
  const space = netNamespace(link)
  return space === undefined ? undefined : `${port}-${space}`
}

/** The paths at which the daemon of this host that has a port may be asked, best first. */
export function localSockets(
  port: number,
  folders = socketFolders(),
  name = socketName(port),
): readonly string[] {
  if (!name) return []
  return folders.filter(believed).map(({ path }) => join(path, name))
}

function believed(folder: Folder): boolean {
  try {
    return isBelieved(folder)
  } catch {
    // It may not be looked at.
    return false
  }
}
