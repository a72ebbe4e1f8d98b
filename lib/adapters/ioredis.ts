import type { Socket } from 'node:net'
import tls, { type ConnectionOptions } from 'node:tls'
import { AbstractConnector, type RedisOptions } from 'ioredis'
import type { ConnectNameOptions } from '../options/connect.ts'
import { connect } from '../sockets/socket.ts'

/**
 * The `Connector` of ioredis, for a service whatever the port: `new Redis({ Connector:
 * connector({ service: 'cache' }) })`. The host is that of `target`, else that of ioredis; each time it
 * reconnects, the name is asked for anew.
 */
export function connector(target: ConnectNameOptions): new (options: unknown) => AbstractConnector {
  return class extends AbstractConnector {
    readonly #options: RedisOptions

    constructor(options: unknown) {
      const known = options as RedisOptions
      super(known.disconnectTimeout!)
      this.#options = known
    }

    override async connect(): Promise<Socket> {
      const { host, tls: secure } = this.#options
      const plain = connect({ ...(host && { host }), ...target })
      const own = secure as ConnectionOptions | undefined
      const socket = own
        ? tls.connect({ ...(host && { servername: host }), ...own, socket: plain })
        : plain
      socket.once('error', error => (this.firstError = error))
      this.connecting = true
      this.stream = socket
      return socket
    }
  }
}
