import type { Socket as DatagramSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { Server, type AddressInfo } from 'node:net'
import { builtins } from './builtins.ts'
import { pidNamespace } from './spaces.ts'

/** The part of the options of `listen` and `bind` that matters here. */
interface BindOptions {
  port?: unknown
  exclusive?: boolean | undefined
}

/** The variable by which a process tells the workers that it may have which app they are. */
const APP = 'MONIKER_APP'

/** The app of the parent, if it has loaded this library. */
const { [APP]: parentApp = '' } = process.env

const self = identityOf('self')

// A thread may have the environment of its process.
if (!parentApp.startsWith(`${self} `)) {
  process.env[APP] = `${self} ${Math.random().toString(36).slice(2)}`
}

let group: string | undefined

/**
 * The group that shares its names unasked: the workers of a cluster, or the threads of a process. False in a process
 * of one thread that is no worker.
 */
export function clusterGroup(): string | false {
  if (group !== undefined) return group
  if (!isWorker() && builtins.threads.isMainThread) return false
  const app = builtins.threads.isMainThread ? appOf(process.ppid, parentApp) : self
  const word = builtins.crypto.createHash('sha256').update(`${app}\n${appOfManager()}`)
  return (group = `app-${word.digest('hex').slice(0, 32)}`)
}

/**
 * The app of the workers of the process `ppid`: the word that it has `told` them, if it was that process, else itself.
 */
export function appOf(ppid: number, told: string): string {
  const parent = identityOf(ppid)
  return told.startsWith(`${parent} `) ? told : parent
}

/**
 * Tells a process from all others that a program of this host meets: by its PID, its start and the namespace of PIDs.
 * Each container has a process 1 of its own. Where the kernel tells nothing it is the PID alone.
 */
export function identityOf(pid: number | 'self', folder = '/proc'): string {
  const started = told(() => readFileSync(`${folder}/${pid}/stat`, 'utf8').replace(/^.*\) /s, ''))
  const namespace = pidNamespace(`${folder}/self/ns/pid`) ?? ''
  // The name of the process, in parentheses, may be anything; field 22 of proc(5) comes 20 after it.
  return `${pid === 'self' ? process.pid : pid} ${started.split(' ')[19] ?? ''} ${namespace}`
}

function told(read: () => string): string {
  try {
    return read()
  } catch {
    return ''
  }
}

/** The app, where PM2 is the one primary of all: its name, and the namespace that PM2 keeps it in. */
export function appOfManager(env: NodeJS.ProcessEnv = process.env): string {
  const { pm_id: id, namespace = '', name = '' } = env
  return id === undefined ? '' : `${namespace}/${name}`
}

/** True in a worker of a cluster. No process is one without a channel to its parent. */
function isWorker(): boolean {
  return process.channel !== undefined && builtins.cluster.isWorker
}

/**
 * Options that give a member of a group a port of its own. Workers of a cluster share each port that the system
 * chooses by the order in which they ask, whatever it is for; a name needs a port of its own, and workers share the
 * name instead.
 */
export function withExclusivePort<O extends BindOptions>(options: O): O {
  return !options.port && clusterGroup() ? { ...options, exclusive: true } : options
}

/** The listeners in this worker of a cluster whose ports its primary does not know. */
const tracked = new Set<Server | DatagramSocket>()

/** Has `listener` closed with the worker, as the primary does for the ports that it knows. */
export function track(listener: Server | DatagramSocket, { exclusive }: BindOptions): void {
  if (!exclusive || !isWorker()) return
  builtins.cluster.worker!.off('disconnect', closeAll).once('disconnect', closeAll)
  tracked.add(listener)
}

/** Leaves `listener` to itself: it is being closed, or has no name any more. */
export function untrack(listener: Server | DatagramSocket): void {
  tracked.delete(listener)
}

/** Tells the primary that this worker listens; the message is that of `net` in a worker. */
export function announce(listener: Server | DatagramSocket): void {
  if (!tracked.has(listener)) return
  const { address, port, family } = listener.address() as AddressInfo
  const addressType = listener instanceof Server ? Number(family.at(-1)) : `udp${family.at(-1)}`
  process.send!({ cmd: 'NODE_CLUSTER', act: 'listening', address, port, addressType }, () => {})
}

function closeAll(): void {
  for (const listener of tracked) listener.close()
}
