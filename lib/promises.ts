import dgram from 'node:dgram'
import { once } from 'node:events'
import { Socket, isIPv6 } from 'node:net'
import { pick } from './options/check.ts'
import {
  connectCall,
  namedCall,
  type ConnectCall,
  type ConnectNameOptions,
} from './options/connect.ts'
import type { ListenNameOptions } from './options/listen.ts'
import { cancellable } from './async.ts'
import { choose } from './resolution.ts'
import type { Connection, Service } from './promises/connection.ts'
import { DatagramService, converse } from './promises/datagram.ts'
import { Stream, StreamService } from './promises/stream.ts'
import type { Transport } from './wire/protocol.ts'
import { Resolver } from './client/resolver.ts'
import { connect as connectSocket } from './sockets/socket.ts'

export type { Cancel, Connection, Service } from './promises/connection.ts'

/** Streams (`'tcp'`, the default) or datagrams (`'udp'`). */
export interface Kind {
  transport?: Transport | undefined
}

export type ServiceOptions = Omit<ListenNameOptions, 'service'> & Kind
export type ConnectOptions = Omit<ConnectNameOptions, 'service' | 'transports'> & Kind

const resolver = new Resolver()

/** Listens under `name`; fails as `listen` of a server does. */
export async function service(
  name: string,
  { transport = 'tcp', signal, ...options }: ServiceOptions = {},
): Promise<Service> {
  signal?.throwIfAborted()
  const found = transport === 'udp' ? new DatagramService(options) : new StreamService(options)
  try {
    await cancellable(found.listen({ ...options, service: name }), signal)
  } catch (error) {
    await found.close()
    throw error
  }
  return found
}

/** Goes to a name, as `connect` of a socket does, and is there when it is done. */
export async function connect(
  target: string | URL,
  host?: string | ConnectOptions,
  options: ConnectOptions = {},
): Promise<Connection> {
  const given =
    typeof host === 'object' ? { ...host } : { ...options, ...(host !== undefined && { host }) }
  const { transport = 'tcp', signal, ...others } = given
  signal?.throwIfAborted()
  const { name, options: named } = namedCall(target, given.host)
  const call = connectCall([
    { ...name, ...pick(named, ['host', 'daemonPort', 'also']), ...others },
  ])!
  const socket = transport === 'udp' ? await dialDatagram(call, signal) : dialStream(call)
  try {
    await once(socket, 'connect', { signal })
  } catch (error) {
    if (socket instanceof Socket) socket.destroy()
    else socket.close()
    signal?.throwIfAborted()
    throw error
  }
  return socket instanceof Socket ? new Stream(socket) : converse(socket)
}

function dialStream({ options }: ConnectCall): Socket {
  return connectSocket({ ...options, noDelay: true })
}

/** Of two kinds of sockets the one for the address that was found. */
async function dialDatagram({ name, options }: ConnectCall, signal?: AbortSignal) {
  const { resolver: own = resolver } = options
  const where = pick(options, ['host', 'daemonPort', 'lookup', 'family', 'hints'])
  const asked = { ...where, ...pick(options, ['also', 'fallback', 'wait']) }
  const transports = ['udp'] as const
  const found = own.resolve(name, { ...asked, transports, ...(signal && { signal }) })
  const { endpoints } = choose(await cancellable(found, signal), options.select)
  const { address, port } = endpoints[0]!
  const socket = dgram.createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  socket.connect(port, address)
  return socket
}
