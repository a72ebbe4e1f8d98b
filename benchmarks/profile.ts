import { Session, type Profiler } from 'node:inspector/promises'

/** The places where the time of some work goes, in this process. */
export interface Profile {
  what: string
  /** The greatest first: the share of all time, and where it is spent. */
  shares: [share: number, where: string][]
}

/** The number of places to tell. */
const TOP = 12

/** Does some work, and says where the time of this process went meanwhile; by function, itself alone. */
export async function profile(what: string, work: () => Promise<unknown>): Promise<Profile> {
  const session = new Session()
  session.connect()
  try {
    await session.post('Profiler.enable')
    await session.post('Profiler.setSamplingInterval', { interval: 200 })
    await session.post('Profiler.start')
    await work()
    const { profile } = await session.post('Profiler.stop')
    return { what, shares: shares(profile) }
  } finally {
    session.disconnect()
  }
}

function shares({ nodes, samples = [] }: Profiler.Profile): Profile['shares'] {
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const counts = new Map<string, number>()
  for (const id of samples) {
    const name = names.get(id)!
    counts.set(name, (counts.get(name) ?? 0) + 1)
  }
  return [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, TOP)
    .map(([name, count]) => [count / samples.length, name])
}

/** Such as `connect, node:net`; of our own, the file as it is in the package. */
function nameOf({ functionName, url }: Profiler.Profile['nodes'][number]['callFrame']): string {
  const file = url.replace(/^file:.*\/(?=(?:lib|benchmarks|node_modules)\/)/, '')
  return [functionName || 'anonymous', file].filter(part => part !== '').join(', ')
}
