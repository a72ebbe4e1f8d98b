// The agreement of client and server: the service string, its version, and what they say to each other.

/** The service string. Where it listens is nobody's business. */
export const SERVICE = 'starwars'
export const VERSION = '1.2.0'

/** A request is who is to speak, in 16 bytes. */
export const REQUEST = 16

/** A response is the episode, and what was said in it, in 128 bytes. */
export const RESPONSE = 128

export interface SwResponse {
  episode: number
  line: string
}

/** Text in exactly `size` bytes, as a struct in C has it. */
export function pack(text: string, size: number): Buffer {
  const bytes = Buffer.alloc(size)
  bytes.write(text)
  return bytes
}

export function unpack(bytes: Buffer | null): string {
  return String(bytes ?? '').replace(/\0+$/, '')
}
