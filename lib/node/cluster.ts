import cluster from 'node:cluster'
import type { Socket as DatagramSocket } from 'node:dgram'
import { Server, type AddressInfo } from 'node:net'
import { isMainThread } from 'node:worker_threads'

/** What to bind to, of which no more than this needs to be known. */
interface Place {
  port?: unknown
  exclusive?: boolean | undefined
}

/** Who shares names without saying so: the workers of a cluster, or the threads of a process. */
export const together = cluster.isWorker
  ? `cluster-${process.ppid}`
  : !isMainThread && `process-${process.pid}`

/**
 * Workers of a cluster share a port that the system chose by the order in which they ask, whatever it
 * is for; a name needs one of its own, and workers share the name instead.
 */
export function apart<P extends Place>(place: P): P {
  return together && !place.port ? { ...place, exclusive: true } : place
}

/** What listens in this worker of a cluster, on ports that its primary knows nothing of. */
const working = new Set<Server | DatagramSocket>()

/** Has `listener` closed with the worker, as the primary does for the ports that it knows. */
export function enlist(listener: Server | DatagramSocket, { exclusive }: Place): void {
  if (!cluster.isWorker || !exclusive) return
  cluster.worker!.off('disconnect', closeAll).once('disconnect', closeAll)
  working.add(listener)
}

/** It is being closed, or is known by a name no longer. */
export function dismiss(listener: Server | DatagramSocket): void {
  working.delete(listener)
}

/** Tells the primary that this worker listens; the message is that of `net` in a worker. */
export function announce(listener: Server | DatagramSocket): void {
  if (!working.has(listener)) return
  const { address, port, family } = listener.address() as AddressInfo
  const addressType = listener instanceof Server ? Number(family.at(-1)) : `udp${family.at(-1)}`
  process.send!({ cmd: 'NODE_CLUSTER', act: 'listening', address, port, addressType }, () => {})
}

function closeAll(): void {
  for (const listener of working) listener.close()
}
