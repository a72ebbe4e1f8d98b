// A file of its own, as it loads cli-table3, which most commands do not need.
import Table from 'cli-table3'
import { printable } from './terminal.ts'

/** Rows as plain columns, under a head if there is one. */
export function table(rows: readonly (readonly unknown[])[], head: string[] = []): string {
  const style = { head: [], border: [], 'padding-left': 0, 'padding-right': 2 }
  const lines = new Table({ head, style, chars: BORDERLESS })
  for (const row of rows) lines.push(row.map(printable))
  return lines.toString().replaceAll(/ +$/gm, '')
}

const EDGES = ['top', 'bottom', 'mid'].flatMap(side =>
  ['', '-mid', '-left', '-right'].map(end => side + end),
)
const SIDES = ['left', 'left-mid', 'mid-mid', 'right', 'right-mid', 'middle']
const BORDERLESS = Object.fromEntries([...EDGES, ...SIDES].map(part => [part, '']))
