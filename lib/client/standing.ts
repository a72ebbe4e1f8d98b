import type { Signal } from '../async.ts'
import type { MonikerError, Reason } from '../errors.ts'
import type { Asked } from '../wire/protocol.ts'
import type { HostAnswer } from './connection.ts'

/**
 * The way to the daemon of this host that a process has while it holds names: it outlives daemons, and its names are
 * there before anything is asked.
 */
export interface Standing {
  /**
   * The answer of the daemon, or of the next one if it goes. Fails with the reason of `signal`, or if no names are
   * held.
   */
  ask(message: Asked, signal: Signal): Promise<HostAnswer>
}

/** The ways of this process, by designated port. */
export const standings = new Map<number, Standing>()

/** The failures that a change of daemon may have made: the name is on its way, or the daemon. */
const DOUBTFUL: readonly Reason[] = ['ENOSERVICE', 'EVERSION', 'ENODAEMON', 'EPROTOCOL', 'ELOST']

/** True if a failure may be that of a daemon that goes, or of one that has just come. */
export function isDoubtful(error: unknown): boolean {
  return DOUBTFUL.includes((error as MonikerError).reason)
}
