// The output of the demo: lines, and on a terminal one line of progress that is written over.
import { styleText } from 'node:util'

const { stdout, env } = process

/** Milliseconds from one look of the progress line to the next. */
const PAUSE = 80

/** Characters of a bar. */
const BAR = 24

const isRewritable = stdout.isTTY && env.TERM !== 'dumb'
const isColoured = stdout.isTTY && !env.NO_COLOR && stdout.hasColors()

let shown = -Infinity

/** Writes lines, in the place of the progress line if there is one. */
export function say(text = ''): void {
  settle()
  stdout.write(`${text}\n`)
}

/** Shows how far things are, on a terminal alone; `text` is asked only when its time has come. */
export function progress(text: () => string): void {
  const now = performance.now()
  if (!isRewritable || now - shown < PAUSE) return
  shown = now
  clear()
  stdout.write(text().slice(0, (stdout.columns || 80) - 1))
}

/** Takes the progress line away. */
export function settle(): void {
  if (shown >= 0) clear()
  shown = -Infinity
}

/** A bar that is full when `part` is 1. */
export function bar(part: number): string {
  const full = Math.round(Math.min(part, 1) * BAR)
  return '█'.repeat(full) + '░'.repeat(BAR - full)
}

/** `text` in bold, dim or a colour, where it is wanted and can be seen. */
export function styled(style: 'bold' | 'dim' | 'green', text: string): string {
  return isColoured ? styleText(style, text) : text
}

function clear(): void {
  stdout.cursorTo(0)
  stdout.clearLine(0)
}
