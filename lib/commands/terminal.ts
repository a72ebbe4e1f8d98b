import { styleText } from 'node:util'
import { clearInterval, clearTimeout, setInterval, setTimeout } from '../clock.ts'
import { printable, printableJSON } from '../errors.ts'
import type { Lease } from '../registration/registrar.ts'

/** Milliseconds for which the loss of a daemon is not reported: mostly another takes its place at once. */
const GRACE = 2_000

/** The longest that a timer can run, in ms. */
const LONGEST = 2 ** 31 - 1

/** The colours and styles of a terminal. */
export type Colour = Parameters<typeof styleText>[0]

/** Writes a line for people on standard error, beside the data. It has no character that would steer a terminal. */
export function say(text: string): void {
  process.stderr.write(`${printable(text)}\n`)
}

/** Writes a value as JSON on standard output, in as many lines as it takes, or with `indent` 0 in one. */
export function printJSON(value: unknown, indent = 2): void {
  console.log(printableJSON(value, indent))
}

/** A time in ms since 1970, for people. What is no time that there is stays a number. */
export function timeOf(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? String(ms) : date.toISOString()
}

/** Writes a line for people that names the program. */
export function tell(text: string): void {
  say(`moniker: ${text}`)
}

/** `text` in a colour, if `stream` is a terminal that has colours; `FORCE_COLOR` and `NO_COLOR` override this. */
export function colour(
  format: Colour,
  text: string,
  stream: NodeJS.WriteStream = process.stdout,
): string {
  return isColoured(stream) ? styleText(format, text, { validateStream: false }) : text
}

function isColoured(stream: NodeJS.WriteStream): boolean {
  const { FORCE_COLOR: forced, NO_COLOR: none } = process.env
  if (forced !== undefined) return forced !== '0' && forced !== 'false'
  return !none && stream.isTTY && stream.hasColors()
}

/** A signal that aborts at the first SIGINT, SIGTERM or SIGHUP; the second has its usual effect. */
export function stopSignal(): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => stop.abort(new Error(signal)))
  }
  return stop.signal
}

/** Keeps the process alive until `work` is done: a registration or a wait alone does not. */
export async function keepAlive<T>(work: Promise<T>): Promise<T> {
  const timer = setInterval(() => {}, LONGEST)
  try {
    return await work
  } finally {
    clearInterval(timer)
  }
}

/**
 * Tells why a name is lost, and says `back` when it is registered again, until the returned function is called. The
 * loss of a daemon is not told before `grace` ms.
 */
export function tellLapses(
  lease: Lease,
  tell: (text: string) => void,
  back: string,
  grace: number = GRACE,
): () => void {
  let isTold = false
  let timer: NodeJS.Timeout | undefined
  const lost = (text: string) => {
    isTold = true
    tell(text)
  }
  lease
    .on('lost', ({ reason, message }) => {
      clearTimeout(timer)
      if (reason === 'ELOST') timer = setTimeout(lost, grace, message).unref()
      else lost(message)
    })
    .on('regained', () => {
      clearTimeout(timer)
      if (isTold) tell(back)
      isTold = false
    })
  return () => clearTimeout(timer)
}
