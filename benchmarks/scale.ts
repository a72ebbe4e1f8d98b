import { readFileSync } from 'node:fs'
import { comeback } from './comeback.ts'
import {
  compare,
  seconds,
  type Benchmark,
  type BenchmarkOptions,
  type Comparison,
  type Growth,
  type Way,
} from './measure.ts'
import { rehearse } from './names.ts'
import { Populace } from './populace.ts'
import { recite } from './script.ts'

/** The number of names that one connection holds, unless there may not be as many connections. */
const EACH = 100

/** The number of names that are asked for when pipelined, all over; as many for every size. */
const ASKED = 65_536

/** The figures at each size, and their units. */
const units = {
  'memory a name': 'bytes of heap',
  'memory a connection': 'bytes of heap',
  'the whole daemon': 'MB resident',
  'starting, with none': 'ms',
  connecting: 'µs a connection',
  registering: 'µs a name',
  'letting go, holders gone': 'µs a name',
  'stopping, with all': 'µs a name',
}

type Figures = Record<keyof typeof units, number>

/** A daemon with many names: what it takes for them, and how fast it is. */
export const scale: Benchmark = async options => {
  const sizes = options.smoke ? [1_000, 10_000] : [1_000, 10_000, 100_000, 1_000_000]
  const limit = openFiles()
  const found: Figures[] = []
  const comparisons: Comparison[] = []
  const small = await Populace.found()
  try {
    await small.settle(sizes[0]!, EACH)
    for (const size of sizes) {
      options.progress(`${size} names`)
      const each = Math.max(EACH, Math.ceil(size / limit))
      found.push(
        await census(size, each, async large => {
          if (size > sizes[0]!) comparisons.push(...(await lookUps(large, small, options)))
        }),
      )
    }
  } finally {
    await small.leave()
  }
  comparisons.at(-2)!.target = 'growth'
  options.progress('watchers')
  const watched = await watching(
    (options.smoke ? [10, 100] : [10, 100, 1_000, 10_000]).filter(count => count < limit),
  )
  options.progress('programs that come back')
  const back = await returning(options.smoke ? [10, 100] : [10, 100, 1_000])
  return {
    measures: `A daemon with many names, of which each connection holds ${EACH}: 10,000 connections hold a million. The time of one look-up, lower is better:`,
    comparisons,
    growths: [...growths(sizes, found), ...watched, back],
    notes: [
      'Look-ups are of thousands of names out of all there are, over one connection, each answer compared.',
      'Pipelined, they are limited by how fast the daemon gets at its memory: a million names are more than the caches of the processor hold, and a thousand are not.',
      'What is told for one name or connection stays level where the whole grows as the number does.',
      'Coming back is counted from when the next daemon has the port until the last of the programs, which each have a connection, has its name again.',
      ...(limit * EACH < sizes.at(-1)!
        ? [`There were at most ${limit} connections: so many files may be open here (ulimit -n).`]
        : []),
    ],
  }
}

/** The costs of so many names; `work` is done while they are held. */
async function census(
  size: number,
  each: number,
  work: (populace: Populace) => Promise<void>,
): Promise<Figures> {
  const populace = await Populace.found()
  try {
    const { connected, registered, memory } = await populace.settle(size, each)
    await work(populace)
    const released = await populace.perish()
    await populace.settle(size, each)
    const stopped = await populace.stop()
    const connections = size / each
    return {
      'memory a name': memory.names / size,
      'memory a connection': memory.connections / connections,
      'the whole daemon': memory.resident / 1e6,
      'starting, with none': populace.started,
      connecting: (connected / connections) * 1e6,
      registering: (registered / size) * 1e6,
      'letting go, holders gone': (released / size) * 1e6,
      'stopping, with all': (stopped / size) * 1e6,
    }
  } finally {
    await populace.leave()
  }
}

/** The costs of so many connections that watch one name, and how long until all are told of it. */
async function watching(sizes: number[]): Promise<Growth[]> {
  const memory: number[] = []
  const told: number[] = []
  for (const size of sizes) {
    const populace = await Populace.found()
    try {
      const found = await populace.watch(size)
      memory.push(found.memory / size)
      told.push((found.told / size) * 1e6)
    } finally {
      await populace.leave()
    }
  }
  return [
    { what: 'memory a watcher', unit: 'bytes of heap', sizes, figures: memory },
    { what: 'telling all watchers', unit: 'µs a watcher', sizes, figures: told },
  ]
}

/** The time until as many programs have their names again once the daemon, which was killed, is back. */
async function returning(sizes: number[]): Promise<Growth> {
  const figures: number[] = []
  for (const size of sizes) figures.push(await comeback(size))
  return {
    what: 'all programs back after a restart',
    unit: 's',
    sizes,
    figures,
    target: 'comeback',
  }
}

/** The time of a look-up among many names, beside that among few: one after the other, then pipelined. */
async function lookUps(
  large: Populace,
  small: Populace,
  options: BenchmarkOptions,
): Promise<Comparison[]> {
  const asked = options.smoke ? 1_024 : ASKED
  const beside = async (what: string, each: number, names: number, count: number) => {
    const way = async ({ size, port }: Populace): Promise<Way> => {
      const script = await rehearse(port, choice(size, names), each)
      return {
        name: `${size.toLocaleString('en')} names`,
        run: () => timeOf(count, () => recite(port, script, count, each === 1 ? 1 : 4)),
      }
    }
    return compare(what, 'µs', [await way(large), await way(small)], options)
  }
  return [
    await beside('one after the other', 1, asked / 8, asked / 4),
    await beside('pipelined', 256, asked, 4 * asked),
  ]
}

/** The time of one of so many, in µs. */
async function timeOf(count: number, work: () => Promise<void>): Promise<number> {
  return ((await seconds(work)) / count) * 1e6
}

/** So many numbers below `size`, of which no two that are near were near before. */
function choice(size: number, count: number): number[] {
  return Array.from({ length: count }, (_, at) => (at * 2_654_435_761) % size)
}

function growths(sizes: number[], found: Figures[]): Growth[] {
  return Object.entries(units).map(([what, unit]) => ({
    what,
    unit,
    sizes,
    figures: found.map(figures => figures[what as keyof Figures]),
  }))
}

/** The number of connections that a process may have, with some files to spare; all that are wanted, where nobody says. */
function openFiles(): number {
  try {
    const [, limit] = /Max open files\s+(\d+)/.exec(readFileSync('/proc/self/limits', 'utf8'))!
    return Number(limit) - 200
  } catch {
    return 10_000
  }
}
