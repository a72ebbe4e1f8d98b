import { createSocket } from 'node:dgram'
import { readFile } from 'node:fs/promises'
import { createServer, connect, isIPv6 } from 'node:net'
import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { LOOPBACK } from '../address.ts'

/**
 * Below what Linux, macOS and Windows give out by themselves, above what browsers block: nobody gets
 * such a port by chance between our choosing it and a command's binding it.
 */
const [FIRST, LAST] = [10_081, 32_767]

/** How long a look at who listens is followed by the next, in ms; each pause is longer, up to the last. */
const [SOON, LATER] = [10, 200]

/** The transports whose ports programs bind. */
export type Bindable = 'tcp' | 'udp'

/** A port of this host. */
export interface Spot {
  readonly transport: Bindable
  readonly port: number
}

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
export async function listening(
  port: number,
  signal: AbortSignal,
  transport: Bindable = 'tcp',
): Promise<string> {
  for (let wait = SOON; ; wait = Math.min(wait * 1.5, LATER)) {
    const [address] = await bound([{ transport, port }])
    if (address) return address
    await pause(wait, undefined, { signal }).catch(() => signal.throwIfAborted())
  }
}

/**
 * The address at which somebody is bound to each of `spots` now, `undefined` where nobody is. On
 * Linux nobody notices; elsewhere a connection is made, and a port of UDP held for a moment.
 */
export async function bound(spots: readonly Spot[]): Promise<(string | undefined)[]> {
  if (process.platform !== 'linux') return Promise.all(spots.map(tried))
  const transports = [...new Set(spots.map(({ transport }) => transport))]
  const read = await Promise.all(transports.map(tables))
  return spots.map(({ transport, port }) => read[transports.indexOf(transport)]!(port))
}

/** From the kernel's tables: a program that takes one connection only is not to be disturbed. */
async function tables(transport: Bindable): Promise<(port: number) => string | undefined> {
  const [four, six] = await Promise.all(
    ['', '6'].map(family => readFile(`/proc/net/${transport}${family}`, 'utf8').catch(() => '')),
  )
  const state = STATES[transport]
  return port => {
    const short = addressIn(four!, port, state)
    if (short) return dotted(short)
    const long = addressIn(six!, port, state)
    return long && colons(long)
  }
}

/** What the kernel's tables call a socket that waits for whoever comes. */
const STATES = { tcp: '0A', udp: '07' }

/** The address, in the kernel's hexadecimal, of the row that waits on `port`. */
function addressIn(table: string, port: number, state: string): string | undefined {
  const hex = port.toString(16).toUpperCase().padStart(4, '0')
  return new RegExp(`: ([0-9A-F]+):${hex} [0-9A-F]+:0000 ${state} `).exec(table)?.[1]
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
async function tried({ transport, port }: Spot): Promise<string | undefined> {
  for (const host of LOOPBACK) {
    if (await (transport === 'tcp' ? answers(port, host) : isHeld(port, host))) return host
  }
  return undefined
}

function answers(port: number, host: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect({ port, host }, () => resolve(true))
    socket.once('error', () => resolve(false)).once('connect', () => socket.destroy())
  })
}

/** Whether somebody has a port of UDP, of which nothing but binding it tells. */
function isHeld(port: number, host: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
    const close = (held: boolean) => socket.close(() => resolve(held))
    socket.once('error', error => close((error as NodeJS.ErrnoException).code === 'EADDRINUSE'))
    socket.bind(port, host, () => close(false))
  })
}
