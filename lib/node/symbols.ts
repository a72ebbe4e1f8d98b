/** The symbol of this description among the own ones of an object: those of Node are internal to it. */
export function symbolIn(object: object, description: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find(symbol => symbol.description === description)
}
