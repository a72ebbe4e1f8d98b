import { LOOPBACK } from '../address.ts'
import { timeLimit } from '../clock.ts'
import { Client } from '../client/connection.ts'
import { accept } from '../client/filter.ts'
import type { Daemon } from '../daemon/daemon.ts'
import { hasCode, isMissing } from '../errors.ts'

/** The most embedded daemons that may take the port before us. */
const TRIES = 10

/** Milliseconds that the predecessor may take to send its programs to us. */
const DISCONNECT_TIMEOUT = 30_000

/** The part of a daemon that takes the place of another. */
export type Successor = Pick<Daemon, 'start'>

export interface TakeOverOptions {
  /** Milliseconds that a daemon is given to say whether it hands over. Default 2,000. */
  patience?: number
}

/** The defaults of `TakeOverOptions`. */
export const DEFAULTS = { patience: 2_000 } satisfies TakeOverOptions

/**
 * Starts `daemon`. Where an embedded daemon of this host has the designated port, that hands it over first,
 * and sends its programs here once the port is bound. Fails as `start` does.
 */
export async function takeOver(
  port: number,
  daemon: Successor,
  { patience = DEFAULTS.patience }: TakeOverOptions = {},
): Promise<void> {
  let predecessor: Client | undefined
  for (let tries = TRIES; ; tries--) {
    try {
      const before = predecessor
      return await daemon.start(before && (() => disconnectPrograms(before)))
    } catch (error) {
      predecessor?.close()
      if (tries === 0 || !hasCode(error, 'EADDRINUSE')) throw error
      predecessor = await askForPort(port, patience).catch(() => {
        throw error
      })
    }
  }
}

/**
 * The first `handover`: the daemon stops listening, and keeps connections and names until it is asked
 * again over the connection that is returned. None if it has gone by itself; fails if it does not agree,
 * or is no daemon.
 */
async function askForPort(port: number, patience: number): Promise<Client | undefined> {
  for (const address of LOOPBACK) {
    try {
      return await askAt(address, port, timeLimit(patience))
    } catch (error) {
      const isGone = hasCode(error, 'ECONNREFUSED') || hasCode(error, 'ECONNRESET')
      if (!isGone && !isMissing(error)) throw error
    }
  }
  return undefined
}

async function askAt(address: string, port: number, signal: AbortSignal): Promise<Client> {
  const client = await Client.connect({ address, port }, signal)
  try {
    accept(await client.ask({ op: 'handover' }, signal), { host: address, port })
    return client
  } catch (error) {
    client.close()
    throw error
  }
}

/**
 * The second `handover`, over the same connection: the predecessor closes all connections, and programs
 * reconnect to us. Done when it has, or after `DISCONNECT_TIMEOUT`. Keeps no process alive.
 */
async function disconnectPrograms(predecessor: Client): Promise<void> {
  predecessor.unref()
  try {
    await predecessor.ask({ op: 'handover' }, timeLimit(DISCONNECT_TIMEOUT))
  } catch {
    // It closes all connections, this one too.
  } finally {
    predecessor.close()
  }
}
