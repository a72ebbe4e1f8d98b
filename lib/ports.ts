import { readFile } from 'node:fs/promises'
import { createServer, connect } from 'node:net'
import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { LOOPBACK } from './address.ts'

/**
 * Below what Linux, macOS and Windows give out by themselves, above what browsers block: nobody gets
 * such a port by chance between our choosing it and a command's binding it.
 */
const [FIRST, LAST] = [10_081, 32_767]

/** How long a look at who listens is followed by the next, in ms; each pause is longer, up to the last. */
const [SOON, LATER] = [10, 200]

/** A port that nobody is bound to, for a program that must be told one. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, LAST + 1)
    if (await isFree(port)) return port
  }
}

/** Whether nobody is bound to `port`, at whatever address. */
export function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer()
    // That we may not bind it does not mean that a command may not.
    server.once('error', error => resolve((error as NodeJS.ErrnoException).code !== 'EADDRINUSE'))
    server.listen({ port, exclusive: true }, () => server.close(() => resolve(true)))
  })
}

/** The address that somebody listens at on `port`, once somebody does; fails with the reason of `signal`. */
export async function listening(port: number, signal: AbortSignal): Promise<string> {
  for (let wait = SOON; ; wait = Math.min(wait * 1.5, LATER)) {
    const address = process.platform === 'linux' ? await listed(port) : await answering(port)
    if (address) return address
    await pause(wait, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

/** From the kernel's table: a program that takes one connection only is not to be disturbed. */
async function listed(port: number): Promise<string | undefined> {
  for (const [file, family] of [
    ['/proc/net/tcp', 4],
    ['/proc/net/tcp6', 6],
  ] as const) {
    const table = await readFile(file, 'utf8').catch(() => '')
    const found = addressIn(table, port)
    if (found) return family === 4 ? dotted(found) : colons(found)
  }
  return undefined
}

/** The address, in the kernel's hexadecimal, of the row that listens (state 0A) on `port`. */
function addressIn(table: string, port: number): string | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  return new RegExp(`: ([0-9A-F]+):${hex} [0-9A-F]+:0000 0A `).exec(table)?.[1]
}

/** Bytes of a word, which the kernel prints as a number of this machine: little-endian. */
function bytes(word: string): string[] {
  return word.match(/../g)!.toReversed()
}

function dotted(word: string): string {
  return bytes(word)
    .map(byte => Number.parseInt(byte, 16))
    .join('.')
}

function colons(words: string): string {
  const text = words.match(/.{8}/g)!.flatMap(bytes).join('').toLowerCase().match(/.{4}/g)!.join(':')
  const address = new URL(`http://[${text}]`).hostname.slice(1, -1)
  // Some programs, those in Java for one, listen so on IPv4.
  return /^::ffff:\w+:\w+$/.test(address) ? dotted(words.slice(-8)) : address
}

/** By trying, where the kernel has no table to read. */
async function answering(port: number): Promise<string | undefined> {
  for (const host of LOOPBACK) {
    const answers = await new Promise(resolve => {
      const socket = connect({ port, host }, () => resolve(true))
      socket.once('error', () => resolve(false)).once('connect', () => socket.destroy())
    })
    if (answers) return host
  }
  return undefined
}
