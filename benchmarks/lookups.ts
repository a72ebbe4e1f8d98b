import { dnsmasq } from './dnsmasq.ts'
import { epmd } from './epmd.ts'
import {
  compare,
  seconds,
  times,
  type Benchmark,
  type Comparison,
  type Skipped,
} from './measure.ts'
import { datagrams, dial, hold, numbered, rehearse } from './names.ts'
import { peer } from './process.ts'
import { rpcbind } from './rpcbind.ts'
import { recite } from './script.ts'
import type { TargetName } from './targets.ts'
import { metered, type Metered } from './usage.ts'
import { asker } from './volley.ts'

/** The number of names that the daemon holds; all are asked for, in turn. */
const NAMES = 1_000

type Ask = (count: number) => Promise<unknown>

/** Questions a second at a daemon, beside what answers such questions elsewhere. */
export const lookups: Benchmark = async options => {
  const { smoke } = options
  const daemon = await peer<number>('daemon')
  const port = daemon.ready
  const rivals = { epmd: await epmd(), rpcbind: await rpcbind(), dnsmasq: await dnsmasq() }
  const holder = await dial(port)
  await hold(holder, 0, NAMES)

  const comparisons: Comparison[] = []
  const skipped: Skipped[] = []
  const notes: string[] = []
  /** A smoke test is as good as a hundredth of the work. */
  const rate = (name: string, pid: number, whole: number, ask: Ask): Metered => {
    const count = smoke ? whole / 100 : whole
    const run = async () => count / (await seconds(() => ask(count)))
    return metered({ name, run }, count, pid)
  }
  const beside = async (what: string, own: Metered, other: Metered, target?: TargetName) => {
    comparisons.push(await compare(what, '1/s', [own, other], options, target))
    notes.push(...own.note(), ...other.note())
  }
  const skip = (what: string, why: string, ...targets: TargetName[]) =>
    skipped.push({ what, why, targets })

  const script = await rehearse(port, numbered(0, NAMES))
  const streamed = () =>
    rate('pipelined TCP', daemon.pid, 400_000, count => recite(port, script, count))
  const ask = asker(datagrams(port, NAMES))
  const datagram = () => rate('UDP', daemon.pid, 40_000, ask)
  try {
    if (typeof rivals.epmd === 'string') skip('epmd', rivals.epmd, 'askTcp', 'askUdp')
    else {
      const { pid, ask: one } = rivals.epmd
      const other = () => rate('epmd', pid, 10_000, count => times(count, 32, one))
      await beside('pipelined TCP', streamed(), other(), 'askTcp')
      await beside('UDP', datagram(), other(), 'askUdp')
    }
    if (typeof rivals.rpcbind === 'string') skip('rpcbind', rivals.rpcbind)
    else {
      const { pid, port: theirs, script: lines, volley } = rivals.rpcbind
      const stream = rate('rpcbind, TCP', pid, 40_000, count => recite(theirs, lines, count))
      await beside('pipelined TCP', streamed(), stream)
      const other = rate('rpcbind, UDP', pid, 40_000, asker(volley))
      await beside('UDP', datagram(), other)
    }
    if (typeof rivals.dnsmasq === 'string') skip('dnsmasq', rivals.dnsmasq)
    else {
      const { pid, volley } = rivals.dnsmasq
      await beside('UDP', datagram(), rate('dnsmasq, UDP', pid, 40_000, asker(volley)))
    }
  } finally {
    holder.destroy()
    const running = Object.values(rivals).filter(rival => typeof rival !== 'string')
    await Promise.all([daemon, ...running].map(process => process.stop()))
  }
  return {
    measures: `Questions a second that one daemon, which holds ${NAMES} names, answers to one client; higher is better.`,
    comparisons,
    skipped,
    notes: [
      'epmd answers one question a connection, and is asked over 32 at a time; over UDP 64 are under way, over TCP up to 1,024. Every answer is compared.',
      'All clients are one process of Node: where that is busy all the time and the server is not, it is the client that is measured. epmd, rpcbind and dnsmasq are written in C.',
      ...notes,
    ],
  }
}
