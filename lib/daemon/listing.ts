import type { Answer } from '../wire/protocol.ts'

// A list may be long: it is walked, and told, in portions.

/** The names in a list, as they are told; `undefined` for each that is not. */
export type Told = Iterator<Answer | undefined, void>

/** The most names that are walked at once. */
const PORTION = 64

/** A part of a list, as it is told at once. */
export interface Page {
  readonly services: readonly Answer[]
  readonly isLast: boolean
}

/**
 * The pages of a list, for a turn each; `undefined` in a turn that has found no whole page. Names that are not told
 * make no page shorter, and none more: nobody can count them.
 */
export function* pagesOf(services: Told): Generator<Page | undefined, undefined> {
  const kept: Answer[] = []
  for (;;) {
    const { services: some, isLast } = portionOf(services)
    kept.push(...some)
    if (kept.length >= PORTION) yield { services: kept.splice(0, PORTION), isLast: false }
    else if (!isLast) yield undefined
    if (isLast) return void (yield { services: kept, isLast })
  }
}

/** The next names of a list, and whether they are the last. */
function portionOf(services: Told): { services: Answer[]; isLast: boolean } {
  const found: Answer[] = []
  for (let walked = 0; walked < PORTION; walked++) {
    const { value, done } = services.next()
    if (done) return { services: found, isLast: true }
    if (value) found.push(value)
  }
  return { services: found, isLast: false }
}

/** An answer with a list: an array where it is short, and else what it is told from. */
export function listing(services: Told): Answer {
  const first = portionOf(services)
  return { services: first.isLast ? first.services : after(first.services, services) }
}

/** An answer with a list that is told in portions. */
export type LongAnswer = Answer & { readonly services: Told }

/** True of an answer with a list that is told in portions. */
export function isLong(answer: Answer): answer is LongAnswer {
  const { services } = answer as { services?: Partial<Told> }
  return typeof services?.next === 'function'
}

function* after(first: readonly Answer[], rest: Told): Generator<Answer | undefined, void> {
  yield* first
  yield* { [Symbol.iterator]: () => rest }
}
