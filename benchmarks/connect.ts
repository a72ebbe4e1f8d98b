import type { Socket } from 'node:net'
import { compare, seconds, times, type Benchmark, type Way } from './measure.ts'
import { byName, byNumber, peer, touch } from './traffic.ts'

/** Connect, one byte there and back, close. */
export const connecting: Benchmark = async options => {
  const { smoke } = options
  const daemon = await peer<number>('daemon')
  const port = daemon.ready
  const echo = await peer<number>('echo', { port })

  const each = (count: number, width: number): [Way, Way] => {
    const way = (name: string, open: () => Socket): Way => ({
      name,
      run: async () =>
        ((await seconds(() => times(count, width, () => touch(open)))) / count) * 1e6,
    })
    return [way('by name', byName(port)), way('plain net', byNumber(echo.ready))]
  }
  const first = async (args: string[]) => {
    const { ready, stop } = await peer<number>('first', { port, args })
    stop()
    return ready
  }
  const cold: [Way, Way] = [
    { name: 'by name', run: () => first([]) },
    { name: 'plain net', run: () => first([String(echo.ready)]) },
  ]
  try {
    return {
      measures:
        'Connect, one byte there and back, close, between two processes on one host; lower is better.',
      comparisons: [
        await compare('first in a new process', 'µs', cold, options),
        await compare('one after the other', 'µs', each(smoke ? 20 : 500, 1), options),
        await compare('32 at a time', 'µs', each(smoke ? 64 : 2_000, 32), options),
      ],
      notes: ['By name costs a question to the daemon each time: nothing is cached yet.'],
    }
  } finally {
    echo.stop()
    daemon.stop()
  }
}
