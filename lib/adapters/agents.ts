import type http from 'node:http'
import type https from 'node:https'
import type { Duplex } from 'node:stream'
import type { ConnectNameOptions } from '../options/connect.ts'
import { keyOf } from '../client/query.ts'
import { keysOf } from '../options/options.ts'
import { connect } from '../sockets/socket.ts'

/** Which service an agent's requests go to; each request may say otherwise in its own options. */
export type NamedAgentOptions = Partial<ConnectNameOptions>

/** An agent that knows names. */
export interface NamedAgent extends http.Agent {
  readonly options: http.AgentOptions & NamedAgentOptions
}

/** The same for `https`. */
export interface NamedHttpsAgent extends https.Agent {
  readonly options: https.AgentOptions & NamedAgentOptions
}

interface Agents {
  readonly Agent: new (options?: http.AgentOptions & NamedAgentOptions) => NamedAgent
  readonly HttpsAgent: new (options?: https.AgentOptions & NamedAgentOptions) => NamedHttpsAgent
}

type Connected = (error: Error | null, stream: Duplex) => void

/** The agents of `http` and `https` that know names. Both modules of Node's are loaded for the first request. */
export function agents(): Agents {
  return (made ??= makeAgents())
}

let made: Agents | undefined

function makeAgents(): Agents {
  const { Agent: HttpAgent } = process.getBuiltinModule('node:http')
  const { Agent: TlsAgent } = process.getBuiltinModule('node:https')

  /**
   * An `http.Agent` whose requests go to a service at the host of the request, whatever its port:
   * `http.get('http://theforce.net/', { agent: new Agent({ service: 'web@^1' }) })`. With no service it
   * is an `http.Agent`. Connections are kept and pooled by name.
   */
  class Agent extends HttpAgent {
    declare readonly options: http.AgentOptions & NamedAgentOptions

    constructor(options: http.AgentOptions & NamedAgentOptions = {}) {
      super(options)
    }

    override getName(options: object = {}): string {
      return pooled(options, given => super.getName(given))
    }

    override createConnection(options: object, callback?: Connected): Duplex | null | undefined {
      return isNamed(options) ? connect(options) : super.createConnection(options, callback)
    }
  }

  /** The same for `https`: TLS over a connection to a service. */
  class HttpsAgent extends TlsAgent {
    declare readonly options: https.AgentOptions & NamedAgentOptions

    constructor(options: https.AgentOptions & NamedAgentOptions = {}) {
      super(options)
    }

    override getName(options: object = {}): string {
      return pooled(options, given => super.getName(given))
    }

    override createConnection(options: object, callback?: Connected): Duplex | null | undefined {
      const secure: object = isNamed(options) ? { ...options, socket: connect(options) } : options
      return super.createConnection(secure, callback)
    }
  }

  return { Agent, HttpsAgent }
}

function isNamed(options: object): options is ConnectNameOptions {
  return 'service' in options && options.service !== undefined
}

/** The options of ours that connections are pooled by, beside what `http` pools them by. */
const POOLED = keysOf('connect').filter(key => !isOfHttp(key))

function isOfHttp(key: keyof ConnectNameOptions): boolean {
  return key === 'host' || key === 'signal' || key === 'timeout'
}

/** The key that connections are pooled by, whatever the port: two services of one host share none. */
function pooled(options: object, nameOf: (options: object) => string): string {
  if (!isNamed(options)) return nameOf(options)
  return `${nameOf({ ...options, port: 0 })}:${keyOf(options, POOLED)}`
}
