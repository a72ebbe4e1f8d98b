import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { LOOPBACK } from '../address.ts'
import { Client } from '../client/connection.ts'
import { timeLimit } from '../clock.ts'
import {
  localSockets,
  socketFolders,
  unsafePartOf,
  userFolder,
  type Folder,
} from '../node/localsocket.ts'
import { bad, fine, type Finding, type ToldStatus } from './findings.ts'

/** Milliseconds to wait for an answer. */
export const PATIENCE = 2_000

/** A question that any daemon answers, by whatever way it comes. */
export const QUESTION = { op: 'resolve', service: 'moniker.doctor' } as const

/** The findings for the Unix sockets at which programs of this host ask. */
export async function checkSockets(
  daemons: readonly ToldStatus[],
  port: number,
): Promise<Finding[]> {
  const own = daemons.map(({ socket }) => socket)
  const others = localSockets(port).filter(path => !own.includes(path))
  const answering = await Promise.all(others.map(path => answersAt(path, port)))
  const strangers = others
    .filter((_path, at) => answering[at])
    .map(path => bad(SOCKET, `a program that has not port ${port} answers at ${path}`, STRANGER))
  return [...strangers, ...(await Promise.all(daemons.map(one => checkSocket(one, port))))]
}

const SOCKET = 'unix socket'

const STRANGER = 'programs of this host believe it: end it, or remove that file'

/** The finding for the Unix socket of one daemon, if it is to have one. */
async function checkSocket({ socket, uid }: ToldStatus, port: number): Promise<Finding> {
  if (socket === undefined) return withoutSocket(socketFolders(uid))
  const folder = socketFolders(uid).find(({ path }) => path === dirname(socket))
  const owner = folder?.owner
  if (owner !== undefined && ![0, owner].includes(process.getuid!()))
    return fine(SOCKET, `${socket} is for programs of user ${owner} alone`)
  if (!existsSync(socket)) {
    const hint = 'the daemon makes it again where it may; until then programs ask by TCP'
    return bad(SOCKET, `${socket} is not there`, hint)
  }
  const part = folder ? unsafePartOf(folder) : dirname(socket)
  if (part !== undefined) {
    const hint = `programs ask by TCP until only its owner can: chmod go-w ${part}`
    return bad(SOCKET, `another user could exchange ${socket}`, hint)
  }
  if (await answersAt(socket, port)) return fine(SOCKET, `programs of this host ask at ${socket}`)
  return bad(SOCKET, `no daemon answers at ${socket}`, 'programs ask by TCP; remove that file')
}

/** The finding for a daemon that has no Unix socket, and could have one in these folders. */
export function withoutSocket(folders: readonly Folder[]): Finding {
  const text = 'the daemon has none; programs of this host ask by TCP'
  const part = folders.map(unsafePartOf).find(one => one !== undefined)
  if (part === undefined) return fine(SOCKET, text)
  const hint = 'let only root, or the user of the daemon, have it and write there'
  return bad(SOCKET, `${text}, as nobody believes what is in ${part}`, hint)
}

/** True if a daemon answers at a Unix socket. */
async function answersAt(path: string, port: number): Promise<boolean> {
  const signal = timeLimit(PATIENCE)
  try {
    const client = await Client.connect({ address: LOOPBACK[0]!, port, path }, signal)
    try {
      await client.ask(QUESTION, signal)
      return true
    } finally {
      client.close()
    }
  } catch {
    return false
  }
}

/** The finding for the Unix sockets of servers of this user, to which clients go without a question. */
export function checkRoad(
  folder: Folder | undefined = userFolder(process.getuid?.() ?? -1),
): Finding {
  if (!folder)
    return fine(ROAD, 'this system has none: connections go as the daemon says each time')
  const slow = 'the daemon confirms each connection to servers of this user'
  const part = unsafePartOf(folder)
  if (part !== undefined) {
    return bad(
      ROAD,
      `${slow}, as nobody believes what is in ${part}`,
      `let only its owner write there, and let that be this user or root`,
    )
  }
  const missing = folder.parents.find(([parent]) => !existsSync(parent))
  if (missing) return fine(ROAD, `${slow}, as there is no ${missing[0]}`)
  return fine(
    ROAD,
    `clients go to servers of this user by ${folder.path}, and ask only where they are`,
  )
}

const ROAD = 'fast road'
