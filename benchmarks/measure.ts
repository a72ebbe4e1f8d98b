import type { Profile } from './profile.ts'
import type { TargetName } from './targets.ts'

/** The least, the middle and the greatest of several figures. */
export interface Spread {
  min: number
  median: number
  max: number
}

/** One way beside another, in interleaved pairs. */
export interface Comparison {
  /** The quantity that is measured, and its unit. */
  what: string
  unit: string
  /** The names of the two: ours, and the one it is measured by. */
  names: [ours: string, beside: string]
  /** A figure of each for each pair. */
  pairs: [ours: number, beside: number][]
  ours: Spread
  beside: Spread
  /** Ours over the other, pair by pair. */
  ratio: Spread
  /** The least that the ratio has to reach, or how much more ours may be. */
  target?: TargetName
}

/** The growth of a figure with the number of what there is. */
export interface Growth {
  what: string
  unit: string
  sizes: number[]
  /** One for each size. */
  figures: number[]
  /** The least that the last of them has to reach. */
  target?: TargetName
}

/** A figure that could not be measured here. */
export interface Skipped {
  what: string
  why: string
  targets?: TargetName[]
}

/** Figures that are no comparison of two. */
export interface Table {
  head: string[]
  rows: string[][]
}

export interface BenchmarkOptions {
  /** The number of interleaved pairs to measure. */
  pairs: number
  /** True to do only enough to see that it works. */
  smoke: boolean
  /** Told how far it is. */
  progress: (text: string) => void
}

/** The findings of a benchmark. */
export interface Findings {
  /** In one sentence, what the figures mean. */
  measures: string
  comparisons: Comparison[]
  growths?: Growth[]
  tables?: Table[]
  /** The figures for targets that no comparison and no growth has. */
  reached?: Partial<Record<TargetName, Spread>>
  skipped?: Skipped[]
  profiles?: Profile[]
  /** Further remarks. */
  notes: string[]
}

export type Benchmark = (options: BenchmarkOptions) => Promise<Findings>

/** One way of doing something, and how to measure it. */
export interface Way {
  name: string
  /** A figure; it throws if the work was not done right. */
  run: () => Promise<number>
}

/**
 * Measures two ways side by side: a round of each to warm up, then pairs, of which neither is always
 * first, so that what the machine does besides falls on both.
 */
export async function compare(
  what: string,
  unit: string,
  [ours, beside]: [Way, Way],
  { pairs: count, progress }: BenchmarkOptions,
  target?: TargetName,
): Promise<Comparison> {
  await ours.run()
  await beside.run()
  const pairs: [number, number][] = []
  for (let pair = 0; pair < count; pair++) {
    progress(`${what}, pair ${pair + 1} of ${count}`)
    const later = pair % 2 ? undefined : await beside.run()
    const own = await ours.run()
    pairs.push([own, later ?? (await beside.run())])
  }
  return {
    what,
    unit,
    names: [ours.name, beside.name],
    pairs,
    ours: spread(pairs.map(([own]) => own)),
    beside: spread(pairs.map(([, other]) => other)),
    ratio: spread(pairs.map(([own, other]) => own / other)),
    ...(target && { target }),
  }
}

export function spread(figures: number[]): Spread {
  const sorted = figures.toSorted((a, b) => a - b)
  return { min: sorted[0]!, median: sorted[sorted.length >> 1]!, max: sorted.at(-1)! }
}

/** The figure that the share `part` of all stays under. */
export function percentile(figures: number[], part: number): number {
  const sorted = figures.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!
}

/** Seconds that `work` takes. */
export async function seconds(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return (performance.now() - start) / 1000
}

/** Does `work` so many times, at most `width` at once. */
export async function times(
  count: number,
  width: number,
  work: () => Promise<unknown>,
): Promise<void> {
  let left = count
  const one = async () => {
    while (left-- > 0) await work()
  }
  await Promise.all(Array.from({ length: width }, one))
}
