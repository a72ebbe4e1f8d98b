// What client and server agree on: the service string, its version, and what they say to each other.

/** The service string. Where it listens is nobody's business. */
export const SERVICE = 'starwars'
export const VERSION = '1.2.0'

/** Who is to speak. */
export interface SwRequest {
  character: string
}

/** What was said, and in which episode. */
export interface SwResponse {
  line: string
  episode: number
}
