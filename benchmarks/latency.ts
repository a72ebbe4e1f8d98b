import { DAEMONS, type Calls, type Road } from './calls.ts'
import { link } from './link.ts'
import { compare, percentile, type Benchmark, type Comparison, type Way } from './measure.ts'
import { peer } from './process.ts'
import type { Touch } from './traffic.ts'

/** One way, in ms; a round trip takes twice that. */
const DELAY = 10
const LOSS = 0.01

type Pair = (road: Road, calls: Omit<Calls, 'road'>, part: number) => [Way, Way]

/** The time that it takes to connect to a host that is some way off. */
export const latency: Benchmark = async options => {
  const { smoke } = options
  const few = smoke ? { count: 8, width: 4 } : { count: DAEMONS, width: 4 }
  const many = smoke ? { count: 60, width: 60 } : { count: 1_000, width: 250 }
  const measures =
    `How long it takes until it is connected, between two hosts (network namespaces) that are ${2 * DELAY} ms ` +
    'of round trip apart; lower is better.'

  const clean = await between(0, async pair => [
    await compare('warm, median', 'ms', pair('warm', few, 0.5), options, 'warmFar'),
    await compare(
      'cold, median',
      'ms',
      pair('cold', { ...few, rested: true }, 0.5),
      options,
      'coldFar',
    ),
  ])
  if (typeof clean === 'string') {
    const skipped = { what: 'connecting to a far host', why: clean }
    return {
      measures,
      comparisons: [],
      skipped: [{ ...skipped, targets: ['warmFar', 'coldFar', 'lossy'] }],
      notes: [],
    }
  }
  const what = `warm, 99th percentile, ${LOSS * 100} % of packets lost`
  const lossy = await between(LOSS, async pair => [
    await compare(what, 'ms', pair('warm', many, 0.99), options, 'lossy'),
  ])
  return {
    measures,
    comparisons: [...clean, ...(lossy as Comparison[])],
    notes: [
      `Each figure is of ${few.count} connects, ${few.width} at a time; with loss, of ${many.count}, ${many.width} at a time.`,
      `A cold connect knows nothing of the name, and has not asked that daemon: one question by UDP and by TCP, and the connect begins when UDP has answered. Each goes to another of ${DAEMONS} daemons.`,
      'With loss, about 2 of 100 connects lose their SYN or its answer, and TCP sends it again after 1 s.',
    ],
  }
}

/** The measurements between two hosts, the daemon and the service on the far one; or why there are none. */
async function between<Done>(
  loss: number,
  work: (pair: Pair) => Promise<Done>,
): Promise<Done | string> {
  const hosts = await link(DELAY, loss)
  if (typeof hosts === 'string') return hosts
  const { near, far, address } = hosts
  const daemons = await peer<number[]>('daemons', { by: far, args: [String(DAEMONS), '0.0.0.0'] })
  const ports = daemons.ready.join()
  const echo = await peer<number>('echo', { by: far, args: [ports, '0.0.0.0'] })
  const caller = await peer('caller', { by: near, args: [ports, address] })
  const way = (name: string, calls: Calls, part: number): Way => ({
    name,
    run: async () => {
      const taken = await caller.ask<Touch[]>(calls)
      return percentile(
        taken.map(({ connected }) => connected),
        part,
      )
    },
  })
  try {
    return await work((road, calls, part) => [
      way('by name', { ...calls, road }, part),
      way('plain net', { ...calls, road: echo.ready }, part),
    ])
  } finally {
    await Promise.all([caller, echo, daemons].map(process => process.stop()))
    await hosts.stop()
  }
}
