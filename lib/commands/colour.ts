import { styleText } from 'node:util'

/** What can be coloured, or made bold. */
export type Colour = Parameters<typeof styleText>[0]

/** `text` in a colour, if it is to go to a terminal that has any; `FORCE_COLOR` and `NO_COLOR` are heard. */
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
