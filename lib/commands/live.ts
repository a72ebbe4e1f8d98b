import { once } from 'node:events'
import type { WriteStream } from 'node:tty'
import type { Watch } from '../client/watch.ts'
import { closeInTime, reconnecting } from './watch.ts'
import { servicesTable } from './services.ts'
import { colour, printable } from './terminal.ts'

/** To the screen that programs have for themselves, with no cursor, and lines cut at the edge; and back. */
const [ENTER, LEAVE] = ['\u001B[?1049h\u001B[?25l\u001B[?7l', '\u001B[?7h\u001B[?25h\u001B[?1049l']

/** To the first line, from where each line is cleared as it is written, and all below the last. */
const [HOME, CLEAR_LINE, CLEAR_BELOW] = ['\u001B[H', '\u001B[K', '\u001B[J']

/** Shows the services of a watch as a table that changes with them, until it is closed. */
export async function showLive(
  watch: Watch,
  stdout: Pick<WriteStream, 'write' | 'rows' | 'on' | 'off'> = process.stdout,
): Promise<void> {
  let problem = ''
  let drawn: NodeJS.Immediate | undefined
  const draw = () => {
    drawn = undefined
    const [head = '', ...rows] = fitted(servicesTable(watch.services), stdout.rows, problem)
    const lines = [colour('bold', head), ...rows]
    stdout.write(HOME + lines.map(line => line + CLEAR_LINE).join('\n') + CLEAR_BELOW)
  }
  // Much may happen at once.
  const soon = () => void (drawn ??= setImmediate(draw))
  watch.on('up', soon).on('down', soon)
  watch.on('ready', () => {
    problem = ''
    soon()
  })
  watch.on('lost', error => {
    problem = reconnecting(error)
    soon()
  })
  stdout.write(ENTER)
  stdout.on('resize', soon)
  closeInTime(watch)
  soon()
  try {
    await once(watch, 'close')
  } finally {
    clearImmediate(drawn)
    stdout.off('resize', soon)
    stdout.write(LEAVE)
  }
}

/** As much as `rows` have room for, a word on the rest, and one on what is wrong. */
export function fitted(lines: readonly string[], rows: number, problem = ''): string[] {
  const foot = problem ? [printable(problem)] : []
  const room = Math.max(rows - foot.length, 1)
  const over = lines.length - room
  const shown = over > 0 ? [...lines.slice(0, room - 1), `… and ${over + 1} more`] : lines
  return [...shown, ...foot]
}
