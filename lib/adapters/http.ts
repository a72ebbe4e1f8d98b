import { agents, type NamedAgent, type NamedHttpsAgent } from './agents.ts'

export type { NamedAgentOptions } from './agents.ts'

/**
 * An `http.Agent` whose requests go to a service at the host of the request, whatever its port:
 * `http.get('http://theforce.net/', { agent: new Agent({ service: 'web@^1' }) })`. With no service it
 * is an `http.Agent`. Connections are kept and pooled by name.
 */
export const { Agent, HttpsAgent } = agents()
export type Agent = NamedAgent
export type HttpsAgent = NamedHttpsAgent
