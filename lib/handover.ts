import { LOOPBACK } from './address.ts'
import { Client, accept } from './client.ts'

/** How many embedded daemons may take the port before us. */
const TRIES = 10

/** How long a daemon is given to say whether it hands over, in ms. */
const PATIENCE = 2_000

/**
 * Runs `start`, which binds the designated port. Where an embedded daemon of this host has that, it
 * hands it over first, and has its programs go to us once `start` is done. Fails as `start` does.
 */
export async function succeed(port: number, start: () => Promise<void>): Promise<void> {
  let before: Client | undefined
  try {
    for (let tries = TRIES; ; tries--) {
      try {
        return await start()
      } catch (error) {
        before?.close()
        if (tries === 0 || !hasCode(error, 'EADDRINUSE')) throw error
        before = await predecessor(port).catch(() => {
          throw error
        })
      }
    }
  } finally {
    before?.close()
  }
}

/**
 * The daemon that has handed over; it keeps its programs until the connection to it closes. None if
 * it has gone by itself; fails if it does not agree, or is no daemon.
 */
async function predecessor(port: number): Promise<Client | undefined> {
  for (const address of LOOPBACK) {
    try {
      return await yielding(address, port)
    } catch (error) {
      if (!hasCode(error, 'ECONNREFUSED')) throw error
    }
  }
  return undefined
}

async function yielding(address: string, port: number): Promise<Client> {
  const signal = AbortSignal.timeout(PATIENCE)
  const client = await Client.connect({ address, port }, signal)
  try {
    accept(await client.ask({ op: 'handover' }, signal), { host: address, port })
    return client
  } catch (error) {
    client.close()
    throw error
  }
}

function hasCode(error: unknown, code: string): boolean {
  return (error as NodeJS.ErrnoException).code === code
}
