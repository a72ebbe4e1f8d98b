import type { Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { isIP } from '../address.ts'
import { clearTimeout, setTimeout } from '../clock.ts'
import type { ConnectNameOptions } from '../options/connect.ts'
import { designatedPort } from '../settings.ts'
import { MonikerError } from '../errors.ts'
import { connect } from '../sockets/socket.ts'

/** The place that undici asks a connector for. */
export interface ConnectorOptions {
  readonly hostname: string
  readonly protocol: string
  readonly servername?: string | null
}

type Connected = (...result: [error: null, socket: Socket] | [error: Error, socket: null]) => void

/** The service, beside every option of `net.connect`. */
export type NamedConnectorOptions = ConnectNameOptions & {
  /** Milliseconds that a connection may take to be made, TLS and all. Default 10,000. */
  timeout?: number
  /** For `https:`, as for `tls.connect`. */
  tls?: ConnectionOptions
}

/**
 * The `connect` option of undici's `Client`, `Pool` and `Agent`, with which their requests (and those
 * of `fetch`) go to a service at the host of the URL, whatever its port:
 * `new Agent({ connect: connector({ service: 'web@^1' }) })`. Connections are kept and pooled by undici.
 */
export function connector({ timeout = 10_000, tls: own = {}, ...target }: NamedConnectorOptions) {
  return ({ hostname, protocol, servername }: ConnectorOptions, callback: Connected): void => {
    const host = hostname.replaceAll(/[[\]]/g, '')
    const plain = connect({ noDelay: true, keepAlive: true, host, ...target })
    const isSecure = protocol === 'https:'
    const secure = {
      servername: servername ?? (isIP(host) ? '' : host),
      ALPNProtocols: ['http/1.1'],
    }
    const socket = isSecure
      ? process.getBuiltinModule('node:tls').connect({ ...secure, ...own, socket: plain })
      : plain

    const failed = (error: Error) => settle(error, null)
    const settle: Connected = (...result) => {
      clearTimeout(timer)
      socket.off('error', failed)
      callback(...result)
    }
    const late = () => {
      const details = { service: target.service, host, port: designatedPort() }
      socket.destroy(new MonikerError('ESILENT', { ...details, ms: timeout }))
    }
    const timer = setTimeout(late, timeout)
    socket
      .once('error', failed)
      .once(isSecure ? 'secureConnect' : 'connect', () => settle(null, socket))
  }
}
