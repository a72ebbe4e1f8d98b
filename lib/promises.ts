import dgram from 'node:dgram'
import { once } from 'node:events'
import { Socket, isIPv6 } from 'node:net'
import { pick } from './args.ts'
import { connectCall, namedCall, type ConnectCall, type ConnectNameOptions } from './connectcall.ts'
import type { ListenNameOptions } from './listencall.ts'
import { cancellable } from './cancel.ts'
import { choose } from './choice.ts'
import { DatagramService, converse } from './promises/datagram.ts'
import { Stream, StreamService } from './promises/stream.ts'
import type { Transport } from './protocol.ts'
import type { NamedAddress } from './publication.ts'
import { Resolver } from './resolver.ts'
import { connect as connectSocket } from './socket.ts'

/** What gives a wait up; its reason is the error. */
export interface Cancel {
  signal?: AbortSignal | undefined
}

/** Streams (`'tcp'`, the default) or datagrams (`'udp'`). */
export interface Kind {
  transport?: Transport | undefined
}

export type ServiceOptions = Omit<ListenNameOptions, 'service'> & Kind
export type ConnectOptions = Omit<ConnectNameOptions, 'service' | 'transports'> & Kind

/** The two ends of a conversation: of a stream, or of datagrams with one peer. */
export interface Connection {
  /** Done when the system has taken all of it: one datagram, or so many bytes of a stream. */
  send(data: string | Uint8Array, options?: Cancel): Promise<void>
  /**
   * The next bytes of a stream, or exactly `size` of them (fewer only at its end); the next datagram,
   * or its first `size` bytes. `null` at the end.
   */
  receive(size?: number, options?: Cancel): Promise<Buffer | null>
  /**
   * Sends what is to be sent and closes; a peer that does not close too is left after 5 seconds, or
   * when `signal` says so.
   */
  close(options?: Cancel): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A name that is listened on. Each `accept`, or turn of `for await`, is a peer. */
export interface Service extends AsyncIterable<Connection> {
  readonly address: NamedAddress
  /** The next peer; `null` once the service is closed. */
  accept(options?: Cancel): Promise<Connection | null>
  /** Withdraws the name and stops listening; peers that were accepted are left to whoever did. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

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
  const given = typeof host === 'string' ? { ...options, host } : { ...host }
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
