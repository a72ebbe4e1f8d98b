import type { Socket as DatagramSocket } from 'node:dgram'
import { Server, type AddressInfo } from 'node:net'
import { builtins } from './builtins.ts'

/** The part of the options of `listen` and `bind` that matters here. */
interface BindOptions {
  port?: unknown
  exclusive?: boolean | undefined
}

/**
 * The group that shares its names unasked: the workers of a cluster, or the threads of a process. False in a process
 * of one thread that is no worker.
 */
export function clusterGroup(): string | false {
  if (isWorker()) return `cluster-${process.ppid}`
  return !builtins.threads.isMainThread && `process-${process.pid}`
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
