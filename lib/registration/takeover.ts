import { LOOPBACK } from '../address.ts'
import { Client } from '../client/connection.ts'
import { accept } from '../client/filter.ts'
import type { Daemon } from '../daemon/daemon.ts'
import { hasCode, isMissing } from '../errors.ts'

/** How many embedded daemons may take the port before us. */
const TRIES = 10

/** How long a daemon is given to say whether it hands over, in ms. */
const PATIENCE = 2_000

/** How long it may take to send its programs to us, in ms. */
const FOLLOWING = 30_000

/** What a daemon does to take the place of another. */
export type Successor = Pick<Daemon, 'start'>

export interface SucceedOptions {
  /** How long a daemon is given to say whether it hands over, in ms. Default 2,000. */
  patience?: number
}

/**
 * Starts `daemon`. Where an embedded one of this host has the designated port, it hands that over first,
 * and sends its programs here once it is bound. Fails as `start` does.
 */
export async function succeed(
  port: number,
  daemon: Successor,
  { patience = PATIENCE }: SucceedOptions = {},
): Promise<void> {
  let before: Client | undefined
  for (let tries = TRIES; ; tries--) {
    try {
      const handing = before
      return await daemon.start(handing && (() => dismiss(handing)))
    } catch (error) {
      before?.close()
      if (tries === 0 || !hasCode(error, 'EADDRINUSE')) throw error
      before = await predecessor(port, patience).catch(() => {
        throw error
      })
    }
  }
}

/** Has a daemon send its programs away; done when it has, or does not for long. Nothing waits for that. */
async function dismiss(before: Client): Promise<void> {
  before.unref()
  try {
    await before.ask({ op: 'handover' }, AbortSignal.timeout(FOLLOWING))
  } catch {
    // It closes all connections, this one too.
  } finally {
    before.close()
  }
}

/**
 * The daemon that has handed over; it keeps its programs until it is asked again. None if
 * it has gone by itself; fails if it does not agree, or is no daemon.
 */
async function predecessor(port: number, patience: number): Promise<Client | undefined> {
  for (const address of LOOPBACK) {
    try {
      return await yielding(address, port, AbortSignal.timeout(patience))
    } catch (error) {
      const isGone = hasCode(error, 'ECONNREFUSED') || hasCode(error, 'ECONNRESET')
      if (!isGone && !isMissing(error)) throw error
    }
  }
  return undefined
}

async function yielding(address: string, port: number, signal: AbortSignal): Promise<Client> {
  const client = await Client.connect({ address, port }, signal)
  try {
    accept(await client.ask({ op: 'handover' }, signal), { host: address, port })
    return client
  } catch (error) {
    client.close()
    throw error
  }
}
