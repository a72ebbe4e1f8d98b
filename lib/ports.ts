import { MonikerError } from './errors.ts'

/** Ports from `first` to `last`. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

/** The range of the ports that are chosen for this process: `MONIKER_PORTS`; `undefined` if it is not set. */
export function portRange(): PortRange | undefined {
  const text = process.env.MONIKER_PORTS
  if (!text) return undefined
  const range = toPortRange(text)
  if (range) return range
  throw new MonikerError('EARGUMENT', {
    text: `MONIKER_PORTS to be ${PORT_RANGE}, got ${JSON.stringify(text.slice(0, 80))}`,
  })
}

/** The form of a range, for messages. */
export const PORT_RANGE = 'a range of ports such as 20000-20999'

/** Reads `first-last`; `undefined` if `text` is no range of ports. */
export function toPortRange(text: string): PortRange | undefined {
  const [, first, last] = (/^(\d{1,5})-(\d{1,5})$/.exec(text) ?? []).map(Number)
  const isRange = first !== undefined && first > 0 && first <= last! && last! < 65_536
  return isRange ? { first, last: last! } : undefined
}

/** Each port of a range once, in random order. */
export function* shuffled({ first, last }: PortRange): Generator<number, void> {
  /** The ports that have taken the place of those that are gone. */
  const moved = new Map<number, number>()
  for (let end = last; end >= first; end--) {
    const at = first + Math.floor(Math.random() * (end - first + 1))
    yield moved.get(at) ?? at
    moved.set(at, moved.get(end) ?? end)
  }
}
