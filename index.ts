import * as net from 'node:net'
import { MonikerDatagram, createSocket } from './lib/sockets/datagram.ts'
import { MonikerError } from './lib/errors.ts'
import { format, formatURI, parse, parseURI } from './lib/name.ts'
import { reconnect } from './lib/sockets/reconnect.ts'
import { fetch, get, request } from './lib/adapters/request.ts'
import { Resolver } from './lib/client/resolver.ts'
import { MonikerServer, createServer, listen } from './lib/sockets/server.ts'
import { MonikerSocket, connect } from './lib/sockets/socket.ts'
import { Watch, watch } from './lib/client/watch.ts'

export * from 'node:net'
export {
  MonikerDatagram,
  MonikerError,
  MonikerServer,
  MonikerServer as Server,
  MonikerSocket,
  MonikerSocket as Socket,
  MonikerSocket as Stream,
  Resolver,
  Watch,
  connect,
  connect as createConnection,
  createServer,
  createSocket,
  fetch,
  format,
  formatURI,
  get,
  listen,
  parse,
  parseURI,
  reconnect,
  request,
  watch,
}
export type { ConnectNameOptions, TargetOptions } from './lib/options/connect.ts'
export type { ListenNameOptions, ListenOptions } from './lib/options/listen.ts'
export type { BindNameOptions, DatagramTarget } from './lib/sockets/datagram.ts'
export type { Details, Failure, Reason } from './lib/errors.ts'
export type { Name, Target } from './lib/name.ts'
export type {
  Endpoint,
  Listed,
  Metadata,
  Offer,
  OtherEndpoint,
  Reachable,
  ServiceTransport,
  Source,
} from './lib/wire/protocol.ts'
export type { TransportName } from './lib/transports/transports.ts'
export type { DirectoryChoice, Fallback } from './lib/directories/directories.ts'
export type { Directory, Sighting, Sink, Wanted } from './lib/directories/directory.ts'
export type { ReconnectOptions } from './lib/sockets/reconnect.ts'
export type { FetchOptions, RequestOptions } from './lib/adapters/request.ts'
export type { ResolverOptions } from './lib/client/resolver.ts'
export type { Moniker, Resolution, ResolveOptions, Resolving, Select } from './lib/resolution.ts'
export type { NamedAddress } from './lib/sockets/listener.ts'
export type { Change, Watched } from './lib/client/roster.ts'
export type { ConnectOptions } from './lib/sockets/socket.ts'
export type { Beside, NetWay, OpenWay, Route, Transport, Way } from './lib/transports/transport.ts'
export type { WatchOptions } from './lib/client/watch.ts'

const own = {
  MonikerDatagram,
  MonikerError,
  MonikerServer,
  Server: MonikerServer,
  MonikerSocket,
  Socket: MonikerSocket,
  Stream: MonikerSocket,
  Resolver,
  Watch,
  connect,
  createConnection: connect,
  createServer,
  createSocket,
  fetch,
  format,
  formatURI,
  get,
  listen,
  parse,
  parseURI,
  reconnect,
  request,
  watch,
}

/** All of `node:net`, with Moniker's own on top: the same as the named exports. */
const moniker: Omit<typeof net, keyof typeof own> & typeof own = { ...net, ...own }
export default moniker
