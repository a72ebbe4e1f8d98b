import type { Socket } from 'node:net'
import tls, { type ConnectionOptions } from 'node:tls'
import type { ConnectNameOptions } from '../args.ts'
import { connect } from '../socket.ts'

/** What ioredis tells a connector of its own options. */
export interface ConnectorOptions {
  readonly host?: string
  readonly tls?: ConnectionOptions
  /** How long a connection may take to be closed, in ms. Default 2,000. */
  readonly disconnectTimeout?: number
}

/**
 * The `Connector` of ioredis, for a service whatever the port: `new Redis({ Connector:
 * connector({ service: 'cache' }) })`. The host is that of `target`, else that of ioredis; each time it
 * reconnects, the name is asked for anew.
 */
export function connector(target: ConnectNameOptions) {
  return class {
    readonly #options: ConnectorOptions
    #socket: Socket | undefined
    firstError?: Error

    constructor(options: unknown) {
      this.#options = options as ConnectorOptions
    }

    /** Whether the server is one to use; any is. */
    check(): boolean {
      return true
    }

    async connect(): Promise<Socket> {
      const { host, tls: secure } = this.#options
      const plain = connect({ ...(host && { host }), ...target })
      const socket = secure ? tls.connect({ servername: host, ...secure, socket: plain }) : plain
      socket.once('error', error => (this.firstError = error))
      return (this.#socket = socket)
    }

    disconnect(): void {
      const socket = this.#socket
      if (!socket || socket.destroyed) return
      const timer = setTimeout(() => socket.destroy(), this.#options.disconnectTimeout ?? 2_000)
      socket.once('close', () => clearTimeout(timer)).end()
    }
  }
}
