import type { AddressInfo, Server } from 'node:net'
import { pause } from '../clock.ts'
import { diagnostics } from '../diagnostics.ts'
import { MonikerError, saidIn } from '../errors.ts'
import { clusterGroup } from '../node/cluster.ts'
import { Shadow } from '../node/shadow.ts'
import { listenCall } from '../options/listen.ts'
import { Registrar, type Lease } from '../registration/registrar.ts'
import { designatedPort } from '../settings.ts'

const debug = diagnostics('moniker:registration')

/** Milliseconds from one look for a daemon that has gone to the next. */
const PAUSE = 1_000

/**
 * Registers a server that listens under a name, until it is closed. Never fails: where there is no daemon nothing is
 * done, and what a daemon refuses is a warning.
 */
export async function register(text: string, server: Server): Promise<void> {
  try {
    const { name } = listenCall([{ service: text }])!
    const { address, port } = server.address() as AddressInfo
    const daemonPort = designatedPort()
    // A program that knows names as well may have become the daemon.
    if (port === daemonPort) return
    const registrar = new Registrar(daemonPort, becomeNothing)
    const shared = clusterGroup()
    const lease = await registrar.register({ ...name, transport: 'tcp', port, address, shared })
    withdrawOnClose(server, lease)
  } catch (error) {
    if (error instanceof MonikerError && error.reason !== 'ENODAEMON') process.emitWarning(error)
    else debug('%s', saidIn(error))
  }
}

/** Keeps this program from becoming the daemon where there is none. */
async function becomeNothing(port: number): Promise<void> {
  await pause(PAUSE, undefined, { ref: false })
  throw new MonikerError('ENODAEMON', { host: 'localhost', port })
}

function withdrawOnClose(server: Server, lease: Lease): void {
  const shadow = new Shadow(server)
  const { close } = server
  const withdraw = () => {
    shadow.remove()
    void lease.withdraw()
  }
  shadow.put('close', (...args: unknown[]) => {
    withdraw()
    return Reflect.apply(close, server, args) as Server
  })
  server.once('close', withdraw)
  // It may have been closed just as the answer came.
  if (!server.listening) withdraw()
}
