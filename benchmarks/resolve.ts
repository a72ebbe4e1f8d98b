import { setTimeout as pause } from 'node:timers/promises'
import { Resolver, parse } from '../index.ts'
import { DAEMONS, FORGOTTEN } from './calls.ts'
import { dnsmasq } from './dnsmasq.ts'
import { epmd } from './epmd.ts'
import { find as findByMdns } from './mdns.ts'
import {
  compare,
  percentile,
  seconds,
  times,
  type Benchmark,
  type Comparison,
  type Skipped,
  type Way,
} from './measure.ts'
import { dial, hold, nameOf, portOf } from './names.ts'
import { peer } from './process.ts'
import { rpcbind } from './rpcbind.ts'
import { find as findBySeaport } from './seaport.ts'
import { asker } from './volley.ts'

const NAME = parse(nameOf(0))

interface Rival {
  ask: () => Promise<unknown>
  /** The number of look-ups to a figure. */
  count: number
  stop: () => Promise<void>
}

/** One look-up by a client that knows nothing yet, beside those of others. */
export const resolving: Benchmark = async options => {
  const daemons = await peer<number[]>('daemons', { args: [String(DAEMONS)] })
  const ports = daemons.ready
  const holders = await Promise.all(ports.map(port => dial(port)))
  for (const holder of holders) await hold(holder, 0, 1)
  let turn = 0
  const ask = async () => {
    const port = ports[turn++ % DAEMONS]!
    const { endpoints } = await new Resolver({ port }).resolve(NAME)
    if (endpoints[0]!.port !== portOf(0)) throw new Error(`found ${JSON.stringify(endpoints)}`)
  }
  const way = (name: string, count: number, work: () => Promise<unknown>): Way => ({
    name,
    run: async () => {
      await pause(FORGOTTEN)
      return median(options.smoke ? Math.ceil(count / 50) : count, work)
    },
  })
  const comparisons: Comparison[] = []
  const skipped: Skipped[] = []
  try {
    for (const [name, start] of Object.entries(rivals)) {
      options.progress(name)
      const rival = await start()
      if (typeof rival === 'string') {
        skipped.push({ what: name, why: rival })
        continue
      }
      const { count, stop } = rival
      const ways: [Way, Way] = [way('Moniker', DAEMONS, ask), way(name, count, rival.ask)]
      comparisons.push(await compare('one look-up', 'µs', ways, options))
      await stop()
    }
  } finally {
    for (const holder of holders) holder.destroy()
    await daemons.stop()
  }
  return {
    measures:
      'One look-up on one host, by a client that has not asked before and keeps nothing; median of many, one ' +
      'after the other; lower is better.',
    comparisons,
    skipped,
    notes: [
      'Moniker, rpcbind and dnsmasq are asked by UDP, epmd over a connection; to ask seaport is to join its hub, and mDNS asks everybody.',
      `Each look-up of Moniker is at another of ${DAEMONS} daemons, so that no connection is kept to it.`,
    ],
  }
}

const rivals: Record<string, () => Promise<Rival | string>> = {
  epmd: async () => {
    const started = await epmd()
    return typeof started === 'string' ? started : { ...started, count: 500 }
  },
  rpcbind: async () => {
    const started = await rpcbind()
    if (typeof started === 'string') return started
    const { volley, stop } = started
    return { ask: () => asker(volley)(1), count: 500, stop }
  },
  'dnsmasq SRV': async () => {
    const started = await dnsmasq()
    return typeof started === 'string' ? started : { ...started, count: 500 }
  },
  seaport: async () => {
    const { ready: port, stop } = await peer<number>('seaport')
    return { ask: () => findBySeaport(port), count: 100, stop }
  },
  mDNS: async () => {
    const { stop } = await peer('mdns')
    try {
      await findByMdns()
    } catch (error) {
      await stop()
      return (error as Error).message
    }
    return { ask: findByMdns, count: 50, stop }
  },
}

/** The median time of so many, in µs. */
async function median(count: number, work: () => Promise<unknown>): Promise<number> {
  const taken: number[] = []
  await times(count, 1, async () => taken.push(await seconds(work)))
  return percentile(taken, 0.5) * 1e6
}
