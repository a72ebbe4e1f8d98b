import type { Socket } from 'node:dgram'
import { getSystemErrorName } from 'node:util'
import { symbolIn } from './symbols.ts'

/** The part of the handle of a datagram socket that is used here; the type is internal to Node. */
interface Handle {
  disconnect(): number
  bind(address: string, port: number, flags: number): number
  connect(address: string, port: number): number
}

/**
 * Connects a socket that is connected to another address, at once and without an event. It keeps its port: the kernel
 * takes that away from a socket that is connected no more, unless the program has chosen it. Throws as the system does,
 * and then it is connected as before.
 */
export function redirectDatagrams(
  socket: Socket & { type?: unknown },
  port: number,
  address: string,
): void {
  const { port: own } = socket.address()
  const before = socket.remoteAddress()
  const { handle } = stateOf(socket)
  handle.disconnect()
  // It fails where the port is still that of the socket.
  handle.bind(socket.type === 'udp6' ? '::' : '0.0.0.0', own, 0)
  const status = handle.connect(address, port)
  if (status === 0) return
  handle.connect(before.address, before.port)
  const code = getSystemErrorName(status)
  const error = new Error(`connect ${code} ${address}:${port}`)
  throw Object.assign(error, { code, errno: status, syscall: 'connect', address, port })
}

/** The part of the state that `dgram` keeps of a socket which is used here. */
export interface DatagramState {
  /** The handle; null once the socket is closed. */
  readonly handle: Handle
  /** The number of a state of `CONNECT_STATES`. */
  connectState: number
  readonly ipv6Only: boolean
}

/** The states of a datagram socket, by their numbers in `dgram`. */
export const CONNECT_STATES = { disconnected: 0, connecting: 1, connected: 2 }

/** The state of a socket, under a symbol that is internal to Node. */
export function stateOf(socket: Socket): DatagramState {
  return Reflect.get(socket, symbolIn(socket, 'state symbol')!) as DatagramState
}
