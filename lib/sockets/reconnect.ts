import { clock } from '../clock.ts'
import {
  namedCall,
  type Call,
  type ConnectNameOptions,
  type TargetOptions,
} from '../options/connect.ts'
import { diagnostics } from '../diagnostics.ts'
import { backoff } from '../async.ts'
import { MonikerError } from '../errors.ts'
import { format } from '../name.ts'
import { connectTo, type MonikerSocket } from './socket.ts'

const debug = diagnostics('moniker:reconnect')

/** Beside every option of `connect` that is not in the name. */
export type ReconnectOptions = Omit<TargetOptions, 'namespace' | 'version'> & Pauses

interface Pauses {
  /** The first pause, in ms, or up to half less; each is twice as long as the last. Default 100. */
  first?: number | undefined
  /** The longest pause, in ms. Default 10,000. */
  longest?: number | undefined
  /**
   * Called with the error by which a socket has closed, or could not connect. Of one that was closed in order, `reason`
   * is `ECLOSED`.
   */
  lost?: ((error: Error) => void) | undefined
}

/** The defaults of `Pauses`. */
export const DEFAULTS = { first: 100, longest: 10_000 } satisfies Pauses

/**
 * A socket to a name, and another each time it has closed, wherever the name is by then:
 * `for await (const socket of reconnect('web'))`. Between them are pauses, which grow while there is no
 * connection that lasts. It goes on until the loop is left, which destroys the socket, or `signal`
 * says so, whose reason is the error; what is no name fails at once. What else goes wrong is told to
 * `lost`, and need not be listened for.
 */
export function reconnect(
  target: string | URL | ConnectNameOptions,
  { first, longest, lost, ...options }: ReconnectOptions = {},
): AsyncGenerator<MonikerSocket, void, undefined> {
  return sockets(namedCall(target, undefined, options), { first, longest, lost })
}

async function* sockets(
  call: Call,
  { first = DEFAULTS.first, longest = DEFAULTS.longest, lost = () => {} }: Pauses,
): AsyncGenerator<MonikerSocket, void, undefined> {
  const {
    name,
    net: { signal },
  } = call
  const each = call.with({ signal: undefined })
  let pause = first
  for (;;) {
    signal?.throwIfAborted()
    const since = clock()
    const socket = connectTo(each)
    let error: Error | undefined
    socket.on('error', (thrown: Error) => (error = thrown))
    const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
    // Node 20 never takes back what it adds to the signal of a socket.
    const stop = () => socket.destroy(signal!.reason as Error)
    signal?.addEventListener('abort', stop)
    try {
      if (await connects(socket)) yield socket
      await closed
    } finally {
      signal?.removeEventListener('abort', stop)
      socket.destroy()
    }
    signal?.throwIfAborted()
    const why = error ?? closedInOrder(call)
    debug('%s: %s', name.service, why.message)
    lost(why)
    if (clock() - since > longest) pause = first
    // Programs that lost the same server do not all come back at once.
    await backoff(pause * (0.5 + Math.random() / 2), signal)
    pause = Math.min(pause * 2, longest)
  }
}

/** The error that tells `lost` of a connection that one of both sides has closed. */
function closedInOrder({ name, net: { host } }: Call): MonikerError {
  return new MonikerError('ECLOSED', { service: format(name), host: host || 'localhost' })
}

/** True if `socket` comes to be connected before it closes. */
function connects(socket: MonikerSocket): Promise<boolean> {
  return new Promise(resolve => {
    socket.once('connect', () => resolve(true)).once('close', () => resolve(false))
  })
}
