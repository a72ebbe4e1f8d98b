import { Lexer, LineCounter, Parser, parseDocument, type Document } from 'yaml'

/** The longest text that is read, in bytes. */
export const MAX_FILE = 65_536

/** How deep lists and maps may stand in each other; what is read here needs half as much. */
export const MAX_DEPTH = 16

/** What a text says, where its lines begin, and the first thing that is wrong with it. */
export interface Parsed {
  document: Document
  /** The line, from 1, of an offset in the text. */
  lineOf(offset: number): number
  wrong: { line: number; message: string } | undefined
}

/**
 * Reads YAML, or JSON, that may say anything. What nests deeper than `MAX_DEPTH` is wrong, and is not
 * composed: the package does that by recursion, and to compile a regular expression near the end of
 * the stack, as it then does, ends the process.
 */
export function parseYaml(text: string): Parsed {
  const lines = new LineCounter()
  const lineOf = (offset: number) => Math.max(lines.linePos(offset).line, 1)
  const deep = tooDeep(text)
  if (deep !== undefined) {
    const line = text.slice(0, deep).split('\n').length
    const message = `expected at most ${MAX_DEPTH} lists and maps in each other`
    return { document: parseDocument(''), lineOf, wrong: { line, message } }
  }
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false })
  const [error] = [...document.errors, ...document.warnings]
  // A message may quote all there is.
  const wrong = error && { line: lineOf(error.pos[0]), message: error.message.slice(0, 200) }
  return { document, lineOf, wrong }
}

/** Where the text nests too deep, if it does. The parser keeps a stack of its own, which tells. */
function tooDeep(text: string): number | undefined {
  const parser = new Parser()
  for (const lexeme of new Lexer().lex(text)) {
    for (const _ of parser.next(lexeme));
    if (parser.stack.length > MAX_DEPTH) return parser.offset
  }
  return undefined
}
