import cluster from 'node:cluster'
import type { Socket as DatagramSocket } from 'node:dgram'
import { Server, type AddressInfo } from 'node:net'
import { isMainThread } from 'node:worker_threads'

/** Who shares names with this program without saying so: the workers of its cluster, or the threads of its process. */
export const crew = cluster.isWorker
  ? `cluster-${process.ppid}`
  : isMainThread
    ? undefined
    : `process-${process.pid}`

/** What listens in this worker of a cluster, on ports that its primary knows nothing of. */
const working = new Set<Server | DatagramSocket>()

/** Has `listener` closed with the worker, as the primary does for the ports that it knows. */
export function enlist(listener: Server | DatagramSocket): void {
  if (!cluster.isWorker) return
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
