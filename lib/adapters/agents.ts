import type http from 'node:http'
import type https from 'node:https'
import type { Duplex } from 'node:stream'
import type { ConnectNameOptions } from '../options/connect.ts'
import { keyOf } from '../client/query.ts'
import { keysOf } from '../options/options.ts'
import { connect } from '../sockets/socket.ts'

/** The service that an agent's requests go to; each request may say otherwise in its own options. */
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
  const { Agent } = process.getBuiltinModule('node:http')
  const { Agent: HttpsAgent } = process.getBuiltinModule('node:https')
  return {
    Agent: named(Agent, { isSecure: false }),
    HttpsAgent: named(HttpsAgent, { isSecure: true }) as Agents['HttpsAgent'],
  }
}

/**
 * An `http.Agent` whose requests go to a service at the host of the request, whatever its port:
 * `http.get('http://theforce.net/', { agent: new Agent({ service: 'web@^1' }) })`. With no service it
 * is an `http.Agent`. Connections are kept and pooled by name. One that is secure goes over TLS to the service.
 */
function named(Base: typeof http.Agent, { isSecure }: { isSecure: boolean }): Agents['Agent'] {
  return class Agent extends Base {
    declare readonly options: http.AgentOptions & NamedAgentOptions

    override getName(options: object = {}): string {
      return pooled(options, given => super.getName(given))
    }

    override createConnection(options: object, callback?: Connected): Duplex | null | undefined {
      if (!isNamed(options)) return super.createConnection(options, callback)
      const socket = connect(options)
      const secure: object = { ...options, socket }
      return isSecure ? super.createConnection(secure, callback) : socket
    }
  }
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
