import { once } from 'node:events'
import { Socket } from 'node:net'
import { isIPv6 } from './address.ts'
import { ASKED, checkTransport, pick } from './options/options.ts'
import { namedCall, type Call, type ConnectNameOptions } from './options/connect.ts'
import type { ListenNameOptions } from './options/listen.ts'
import { cancellable } from './async.ts'
import { choose } from './client/filter.ts'
import type { Connection, Service } from './promises/connection.ts'
import { DatagramService, converse } from './promises/datagram.ts'
import { Stream, StreamService } from './promises/stream.ts'
import type { ServiceTransport } from './wire/protocol.ts'
import { resolver } from './client/resolver.ts'
import { createSocket, limitOf, placeFor } from './sockets/datagram.ts'
import { connect as connectSocket } from './sockets/socket.ts'

export type { Cancel, Connection, Service } from './promises/connection.ts'

/** Streams (`'tcp'`, the default) or datagrams (`'udp'`). */
export interface Kind {
  transport?: ServiceTransport | undefined
}

export type ServiceOptions = Omit<ListenNameOptions, 'service'> & Kind
export type ConnectOptions = Omit<ConnectNameOptions, 'service' | 'transports'> & Kind

/** Listens under `name`; fails as `listen` of a server does. */
export async function service(
  name: string,
  { transport = 'tcp', signal, ...options }: ServiceOptions = {},
): Promise<Service> {
  checkTransport(transport)
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
  checkTransport(transport)
  signal?.throwIfAborted()
  const call = namedCall(target, undefined, others)
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

function dialStream({ name, net }: Call): Socket {
  return connectSocket({ ...net, ...name, noDelay: true })
}

const UDP = ['udp'] as const

/** A socket of the family of the address that was found, connected to it. */
async function dialDatagram(call: Call, signal?: AbortSignal) {
  const { name, net: options } = call
  const { resolver: own = resolver } = options
  const limit = limitOf(call, signal)
  const asked = {
    ...pick(options, ASKED),
    transports: UDP,
    ...(limit.signal && { signal: limit.signal }),
  }
  // The socket asks as well, and is told what is remembered then.
  const found = Promise.resolve(placeFor(own, name, asked))
  const answer = cancellable(found, limit.signal).finally(limit.free)
  const { endpoints } = choose(await answer, options.select)
  const socket = createSocket(isIPv6(endpoints[0]!.address) ? 'udp6' : 'udp4')
  socket.connect({ ...options, ...name, signal })
  return socket
}
