import type { NetConnectOpts, Server, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Name } from '../name.ts'
import type { Endpoint, Offer, Reachable } from '../wire/protocol.ts'

/** The part of a call that a transport sees. */
export interface Route {
  /** True if it is the daemon of this host that is asked. */
  readonly isThisHost: boolean
  /** The options that the program gave, those of `net` among them. */
  readonly net: Partial<NetConnectOpts>
}

/**
 * One way to carry the bytes of a stream to a service: both its halves, that of the client first. One that throws does
 * not lead there: the call fails with `ERR_MONIKER_TRANSPORT` if no other transport does, at once where it is `allows`
 * that throws.
 */
export interface Transport {
  /** The word for it in `transports: [...]`, and on the wire. */
  readonly name: string
  /**
   * True if the way to an endpoint proves whose it is, as a path in a folder of root's does: where the daemon vouches for
   * the place, the connection needs no word of it. Default false.
   */
  readonly proves?: boolean
  /**
   * True if a call may use it: platform, host, no particular address asked for. Asked of a word if the call names no
   * transports, and always of an object.
   */
  allows(route: Route): boolean
  /** Equal keys are one place, so that a guess was right; `undefined` if this does not lead there. */
  key(endpoint: Endpoint): string | undefined
  /** The way to an endpoint that has a key. It opens nothing yet: a way may be left unused. */
  dial(to: Reachable, route: Route): Way
  /** Called once `net` connects the socket, and again if the endpoint turns out to be another. */
  dress?(socket: Socket, to: Reachable): void
  /** Called once for each connection, as soon as it is under way: what it sends itself comes before all of the program's. */
  greet?(socket: Socket): void
  /** The endpoint where a service is likely to be, if nothing is known but the designated port of the daemon. */
  likely?(name: Name, daemonPort: number): Reachable | undefined
  /**
   * The server's half: opens it beside a server that is bound, before its name is registered. Each connection that
   * comes by it is the server's: `server.emit('connection', …)`. Resolves to `undefined` where this server does
   * without. A failure is that of `listen`.
   */
  listen?(server: Server, offer: Offer, daemonPort: number): Promise<Beside | undefined>
}

/** A transport that is open beside a server. */
export interface Beside {
  /** The part of the offer that leads clients to it. */
  readonly adds: Partial<Pick<Offer, 'path' | 'endpoints'>>
  /**
   * Has no more connections come; those that have are taken until `close` is called, a few turns of the loop later.
   * Called when the name has gone: clients who do not ask for it may have come before they could be told.
   */
  leave?(): void
  /** Takes no more connections. Called once, when the name has gone or could not be had. */
  close(): void
}

/**
 * The way to a place: options for `net` itself, or a connection that is made elsewhere. By the first the connection and
 * the question may leave together, as no byte is sent before the daemon has confirmed the place; the second is opened
 * once it has.
 */
export type Way = NetWay | OpenWay

export interface NetWay {
  readonly net: { readonly path: string } | { readonly host: string; readonly port: number }
}

export interface OpenWay {
  /**
   * Resolves to the connection: a `net.Socket`, a `tls.TLSSocket`, or any stream of bytes. What the program has written
   * meanwhile is then sent over it. Rejects with the error of the socket, unless another transport leads there.
   * `signal` aborts when the socket is destroyed or goes elsewhere; a connection that comes later is destroyed.
   */
  open(signal: AbortSignal): Promise<Duplex>
}
