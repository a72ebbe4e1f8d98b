import * as net from 'node:net'
import { MonikerDatagram, createSocket } from './lib/datagram.ts'
import { MonikerError } from './lib/errors.ts'
import { format, formatURI, parse, parseURI } from './lib/name.ts'
import { reconnect } from './lib/reconnect.ts'
import { fetch, get, request } from './lib/request.ts'
import { Resolver } from './lib/resolver.ts'
import { MonikerServer, createServer, listen } from './lib/server.ts'
import { MonikerSocket, connect } from './lib/socket.ts'
import { Watch, watch } from './lib/watch.ts'

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
export type { ConnectNameOptions } from './lib/connectcall.ts'
export type { ListenNameOptions } from './lib/listencall.ts'
export type { BindNameOptions, DatagramTarget } from './lib/datagram.ts'
export type { Details, Failure, Reason } from './lib/errors.ts'
export type { Name, Target } from './lib/name.ts'
export type { Endpoint, Listed, Metadata, Source, Transport } from './lib/protocol.ts'
export type { Select } from './lib/choice.ts'
export type { Fallback } from './lib/fallback.ts'
export type { ReconnectOptions } from './lib/reconnect.ts'
export type { FetchOptions, RequestOptions } from './lib/request.ts'
export type { ResolveOptions, Resolution, ResolverOptions, Resolving } from './lib/resolver.ts'
export type { NamedAddress } from './lib/publication.ts'
export type { Change } from './lib/roster.ts'
export type { ConnectOptions, Moniker } from './lib/socket.ts'
export type { WatchOptions } from './lib/watch.ts'

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
