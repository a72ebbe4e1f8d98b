import { once } from 'node:events'
import type { WriteStream } from 'node:tty'
import { Command } from 'commander'
import { printable } from '../errors.ts'
import { clearImmediate, setImmediate } from '../clock.ts'
import { Resolver } from '../client/resolver.ts'
import { watch, type Watch } from '../client/watch.ts'
import {
  daemonPortOption,
  hostArgument,
  jsonOption,
  type HostAndPort,
  toNamespace,
} from './options.ts'
import { servicesTable, sorted } from './services.ts'
import { colour, printJSON } from './terminal.ts'
import { closeInTime, printChanges, reconnecting } from './watch.ts'

/** Escape sequences that switch to a second screen without a cursor, with lines cut at the edge, and back. */
const [ENTER, LEAVE] = ['\u001B[?1049h\u001B[?25l\u001B[?7l', '\u001B[?7h\u001B[?25h\u001B[?1049l']

/** Escape sequences that go to the first line, clear the rest of a line, and clear all lines below. */
const [HOME, CLEAR_LINE, CLEAR_BELOW] = ['\u001B[H', '\u001B[K', '\u001B[J']

interface Options {
  daemonPort?: number
  namespace?: string
  json?: boolean
  watch?: boolean
}

export const lsCommand = new Command('ls')
  .description('Lists the services of a host, namespace by namespace.')
  .addArgument(hostArgument())
  .option('--namespace <name>', 'only those of one namespace, such as auto', toNamespace)
  .option(
    '-w, --watch',
    'show changes as they happen; in a pipe, as lines like those of `moniker watch`',
  )
  .addOption(daemonPortOption())
  .addOption(jsonOption())
  .action(ls)

async function ls(
  at: HostAndPort | undefined,
  { json, watch: live, ...options }: Options,
): Promise<void> {
  const asked = { ...options, ...at }
  if (live && !json && process.stdout.isTTY) return showLive(watch(asked))
  if (live) return printChanges(watch(asked), json)
  const services = sorted(await new Resolver().list(asked))
  if (json) return printJSON(services)
  const [head = '', ...rows] = servicesTable(services)
  console.log([colour('bold', head), ...rows].join('\n'))
}

/** Shows the services of a watch as a table that changes with them, until the watch is closed. */
export async function showLive(
  watch: Watch,
  stdout: Pick<WriteStream, 'write' | 'rows' | 'on' | 'off'> = process.stdout,
): Promise<void> {
  let problem = ''
  let drawing: NodeJS.Immediate | undefined
  const draw = () => {
    drawing = undefined
    const [head = '', ...rows] = fitted(servicesTable(watch.services), stdout.rows, problem)
    const lines = [colour('bold', head), ...rows]
    stdout.write(HOME + lines.map(line => line + CLEAR_LINE).join('\n') + CLEAR_BELOW)
  }
  // Several changes may come at once.
  const drawSoon = () => void (drawing ??= setImmediate(draw))
  watch.on('up', drawSoon).on('down', drawSoon)
  watch.on('ready', () => {
    problem = ''
    drawSoon()
  })
  watch.on('lost', error => {
    problem = reconnecting(error)
    drawSoon()
  })
  stdout.write(ENTER)
  stdout.on('resize', drawSoon)
  closeInTime(watch)
  drawSoon()
  try {
    await once(watch, 'close')
  } finally {
    clearImmediate(drawing)
    stdout.off('resize', drawSoon)
    stdout.write(LEAVE)
  }
}

/** As many lines as have room in `rows`, the number of the others, and the problem if there is one. */
export function fitted(lines: readonly string[], rows: number, problem = ''): string[] {
  const foot = problem ? [printable(problem)] : []
  const room = Math.max(rows - foot.length, 1)
  const excess = lines.length - room
  const shown = excess > 0 ? [...lines.slice(0, room - 1), `… and ${excess + 1} more`] : lines
  return [...shown, ...foot]
}
