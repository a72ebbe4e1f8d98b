// A file of its own, as most commands need no table.
import { eastAsianWidth } from 'get-east-asian-width'
import { printable } from '../errors.ts'

/** Rows as plain columns, under a head if there is one. */
export function table(rows: readonly (readonly unknown[])[], head: string[] = []): string {
  const lines = (head.length > 0 ? [head, ...rows] : rows).map(row => row.map(printable))
  const widths: number[] = []
  for (const line of lines) {
    line.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, widthOf(cell))))
  }
  const padded = (cell: string, i: number) => cell + ' '.repeat(widths[i]! - widthOf(cell))
  return lines.map(line => line.map(padded).join('  ').trimEnd()).join('\n')
}

/** The columns that a text takes on a terminal: marks join the character before them, and some characters take two. */
function widthOf(text: string): number {
  if (/^[ -~]*$/.test(text)) return text.length
  const characters = Array.from(text.replaceAll(/\p{M}|\p{Cf}/gu, ''))
  return characters.reduce((sum, character) => sum + eastAsianWidth(character.codePointAt(0)!), 0)
}
