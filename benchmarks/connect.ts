import { DAEMONS, call, type Road } from './calls.ts'
import { compare, percentile, seconds, times, type Benchmark, type Way } from './measure.ts'
import { peer } from './process.ts'
import { byName, byNumber, touch, type Open } from './traffic.ts'

const WIDTH = 32

/** Connecting to a service on the same host. */
export const connecting: Benchmark = async options => {
  const { smoke } = options
  const daemons = await peer<number[]>('daemons', { args: [String(DAEMONS)] })
  const ports = daemons.ready
  const port = ports[0]!
  const echo = await peer<number>('echo', { args: [ports.join()] })
  const [warm, warmTcp] = [byName({ port }), byName({ port, tcp: true })]
  const plain = byNumber(echo.ready)

  const first = (name: string, args: string[]): Way => ({
    name,
    run: async () => {
      const { ready, stop } = await peer<number>('first', { port, args })
      await stop()
      return ready
    },
  })
  const ways = (open: Open, figure: (open: Open) => Promise<number>): [Way, Way] => [
    { name: 'by name', run: () => figure(open) },
    { name: 'plain net, TCP', run: () => figure(plain) },
  ]
  /** One after the other, each daemon once, and as many by number. */
  const cold = (name: string, road: Road): Way => ({
    name,
    run: async () =>
      percentile(await call({ road, count: DAEMONS, width: 1, rested: true }, { ports }), 0.5) *
      1000,
  })
  const one = (open: Open) => ways(open, opener => time(opener, smoke ? 20 : 1_000))
  const many = (open: Open) => ways(open, opener => rate(opener, smoke ? 64 : 4_000))
  try {
    return {
      measures:
        'Connects between two processes on one host. Times (µs) are until it is connected, lower is better; rates ' +
        '(1/s) are of connecting, one byte there and back, and closing, higher is better.',
      comparisons: [
        await compare('32 at a time, TCP', '1/s', many(warmTcp), options, 'warmTcp'),
        await compare('32 at a time, default', '1/s', many(warm), options, 'warmHost'),
        await compare(
          'cold, one by one',
          'µs',
          [cold('by name', 'cold'), cold('plain net, TCP', echo.ready)],
          options,
          'coldHost',
        ),
        await compare('warm, one by one, TCP', 'µs', one(warmTcp), options),
        await compare('warm, one by one, default', 'µs', one(warm), options),
        await compare(
          'the first of a process',
          'µs',
          [first('by name', []), first('plain net, TCP', [String(echo.ready)])],
          options,
        ),
      ],
      notes: [
        'A warm connect has connected to that name before. A cold one knows nothing of the name, and has not asked that daemon, in a program that is warmed up.',
        'The first of a process is cold, and its code has never run.',
      ],
    }
  } finally {
    await Promise.all([echo.stop(), daemons.stop()])
  }
}

/** The median of so many, one after the other, in µs. */
async function time(open: Open, count: number): Promise<number> {
  const taken: number[] = []
  await times(count, 1, async () => taken.push(await touch(open)))
  return percentile(taken, 0.5) * 1000
}

/** How many there are a second, 32 at a time. */
async function rate(open: Open, count: number): Promise<number> {
  return count / (await seconds(() => times(count, WIDTH, () => touch(open))))
}
