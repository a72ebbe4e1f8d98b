import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { connect } from '../index.ts'
import { Agent } from '../lib/adapters/http.ts'
import { localSockets } from '../lib/node/localsocket.ts'
import { DAEMONS, FORGOTTEN, call, type Calls, type Road } from './calls.ts'
import { pingPong } from './datagrams.ts'
import {
  compare,
  percentile,
  seconds,
  times,
  type Benchmark,
  type BenchmarkOptions,
  type Comparison,
  type Way,
} from './measure.ts'
import type { Host } from './peer.ts'
import { profile } from './profile.ts'
import { peer } from './process.ts'
import { besideDaemon, embedding, question, statusOf, type Stage } from './stage.ts'
import type { TargetName } from './targets.ts'
import { pathBeside, type Touch } from './traffic.ts'

const WIDTH = 32

/** The number of embedded daemons to be called cold: each is a thread. */
const EMBEDDED = 20

/** The most questions by which a client comes to need no more. */
const FEW = 10

/** Connecting to a service on the same host. */
export const connecting: Benchmark = async options => {
  const near = await besideDaemon<Host>({ role: 'host', others: DAEMONS })
  const within = await embedding<Host>({ role: 'host', others: options.smoke ? 2 : EMBEDDED })
  const proves = localSockets(near.port).length > 0
  try {
    const roads = [near, within].map(stage => waysOf(stage, options, proves))
    const [own] = roads as [Roads]
    const comparisons = await told(near, own, options)
    for (const [at, stage] of [near, within].entries()) {
      if (proves) await agree(stage.port)
      comparisons.push(...(await aimed(stage, roads[at]!, options)))
    }
    return {
      measures:
        'Connects between two processes on one host. Times (µs) are medians, one after the other, lower is better; rates ' +
        '(1/s) are of connecting, one byte or page there and back, and closing, higher is better.',
      comparisons,
      profiles: [
        await profile('warm, 32 at a time, TCP', own.many(true)[0].run),
        await profile('warm, 32 at a time, default', own.many(false)[0].run),
        await profile('plain net, 32 at a time', own.many(true)[1].run),
        // The other profiles have taken long enough: none of the daemons was asked lately.
        await profile('cold, one by one', own.cold('answered', false)[0].run),
      ],
      skipped: proves
        ? []
        : [
            {
              what: 'the check that connects by name ask nobody, and that the ports of both ends agree',
              why: 'there is no folder here whose sockets prove whose they are',
            },
          ],
      notes: [
        'A warm connect has connected to that name before. A cold one knows nothing of the name, and has not asked that daemon, in a program that is warmed up.',
        `"monikerd" has a process of its own; an embedded daemon is a thread of the server's. Cold connects go to ${DAEMONS} daemons that share a process, or to ${EMBEDDED} embedded ones.`,
        'By default a warm connect asks nobody: the daemon is asked before and after how many questions there were, and the ports that both ends show are compared.',
        '`http.get` has an `Agent` of ours, or one of `http`, neither of which keeps connections. Datagrams are sent to the name, or to the number, each time.',
        'The bare question is what a cold connect waits for before it can begin, asked by a program that does nothing else: a connection to the Unix socket of the daemon, a line, its answer.',
        'The first of a process is cold, and its code has never run.',
      ],
    }
  } finally {
    await Promise.all([near.stop(), within.stop()])
  }
}

type Roads = ReturnType<typeof waysOf>

/** The ways to call the services of a stage, ours first. */
function waysOf(
  { port, others, server }: Stage<Host>,
  { smoke }: BenchmarkOptions,
  proves: boolean,
) {
  const { echo, web, datagrams } = server.ready
  const count = smoke ? 50 : 1_000
  const several = smoke ? 64 : 4_000
  const tcpNet = 'plain net, TCP'
  const unixNet = 'plain net, Unix'

  const warm = (figure: (road: Road) => Promise<number>, tcp: boolean): [Way, Way] => {
    const ours = { name: 'by name', run: () => figure('warm') }
    const plain = { name: tcpNet, run: () => figure(echo) }
    return [tcp || !proves ? ours : unasked(ours, port), plain]
  }
  const callWarm = (calls: Omit<Calls, 'road'>, tcp: boolean) => (road: Road) =>
    call({ ...calls, road }, { ports: [port], tcp })
  return {
    /** One after the other, each daemon once, and as many by number. */
    cold: (until: keyof Touch, rested = !smoke): [Way, Way] => {
      const figure = async (road: Road) => {
        const calls = { road, count: others.length, width: 1, rested }
        return median(await call(calls, { ports: others }), until)
      }
      return [
        { name: 'by name', run: () => figure('cold') },
        { name: tcpNet, run: () => figure(echo) },
      ]
    },
    one: (tcp: boolean, until: keyof Touch) => {
      const made = callWarm({ count, width: 1 }, tcp)
      return warm(async road => median(await made(road), until), tcp)
    },
    /** Microseconds of this process for each connect. */
    burnt: () => {
      const made = callWarm({ count, width: 1 }, false)
      return warm(async road => (await processorTime(() => made(road))) / count, false)
    },
    many: (tcp: boolean) => {
      const made = callWarm({ count: several, width: WIDTH }, tcp)
      return warm(async road => several / (await seconds(() => made(road))), tcp)
    },
    manyByPath: (): Way => {
      const made = callWarm({ count: several, width: WIDTH }, false)
      const road = { path: pathBeside(echo) }
      return { name: unixNet, run: async () => several / (await seconds(() => made(road))) }
    },
    web: () => {
      const named = new Agent({ service: 'web', daemonPort: port })
      const plain = { agent: new http.Agent(), host: '127.0.0.1', port: web }
      const rate = async (road: Road) => {
        const options = { path: '/page', ...(road === 'warm' ? { agent: named } : plain) }
        return several / (await seconds(() => times(several, WIDTH, () => page(options))))
      }
      return warm(rate, false)
    },
    datagrams: (): [Way, Way] => [
      { name: 'by name', run: () => pingPong({ service: 'datagrams', daemonPort: port }, count) },
      { name: 'plain dgram', run: () => pingPong(datagrams, count) },
    ],
  }
}

/** The comparisons that have a target, for each kind of daemon. */
async function aimed(
  { daemon }: Stage<Host>,
  roads: Roads,
  options: BenchmarkOptions,
): Promise<Comparison[]> {
  const [ours] = roads.many(false)
  const rows: [what: string, unit: string, ways: [Way, Way], target: TargetName][] = [
    ['32 at a time, TCP', '1/s', roads.many(true), 'warmTcp'],
    ['32 at a time, default', '1/s', roads.many(false), 'warmHost'],
    ['32 at a time, default', '1/s', [ours, roads.manyByPath()], 'warmHostUnix'],
    ['32 at a time, `http.get`', '1/s', roads.web(), 'httpHost'],
    ['warm, TCP, until a byte is back', 'µs', roads.one(true, 'answered'), 'warmTimeTcp'],
    ['warm, default, until a byte is back', 'µs', roads.one(false, 'answered'), 'warmTimeHost'],
    ['warm, default, processor time of the client', 'µs', roads.burnt(), 'warmBurnHost'],
    ['cold, until a byte is back', 'µs', roads.cold('answered'), 'coldHost'],
    ['a datagram there and back', 'µs', roads.datagrams(), 'datagram'],
  ]
  const found: Comparison[] = []
  for (const [what, unit, ways, target] of rows) {
    found.push(await compare(`${what}, ${daemon}`, unit, ways, options, target))
  }
  return found
}

/** Those that tell more, beside a `monikerd`. */
async function told(
  { port, others, server }: Stage<Host>,
  roads: Roads,
  options: BenchmarkOptions,
): Promise<Comparison[]> {
  const first = (name: string, args: string[]): Way => ({
    name,
    run: async () => {
      const { ready, stop } = await peer<number>('first', { port, args })
      await stop()
      return ready
    },
  })
  const connected = roads.cold('connected')
  const asked = { name: 'one line each way', run: () => asking(others, options.smoke) }
  const processes: [Way, Way] = [
    first('by name', []),
    first('plain net, TCP', [String(server.ready.echo)]),
  ]
  return [
    await compare('cold, until connected', 'µs', connected, options),
    await compare('a bare question, beside until connected', 'µs', [asked, connected[1]], options),
    await compare('warm, TCP, until connected', 'µs', roads.one(true, 'connected'), options),
    await compare('warm, default, until connected', 'µs', roads.one(false, 'connected'), options),
    await compare('the first of a process', 'µs', processes, options),
  ]
}

/** A way by name by which the daemon is asked next to nothing, or it throws. */
function unasked({ name, run }: Way, port: number): Way {
  return {
    name,
    run: async () => {
      const before = await questionsOf(port)
      const figure = await run()
      const count = (await questionsOf(port)) - before
      if (count > FEW) throw new Error(`the daemon was asked ${count} times`)
      return figure
    },
  }
}

async function questionsOf(port: number): Promise<number> {
  const { questions } = await statusOf(port)
  if (typeof questions !== 'number') throw new Error('the daemon does not tell us how it is')
  return questions
}

/** Throws unless both ends of connections that ask nobody show the same ports, and no two that are open the same. */
async function agree(daemonPort: number): Promise<void> {
  const shown = new Set<number>()
  const ports = async () => {
    const socket = connect({ service: 'ends', daemonPort })
    await once(socket, 'connect')
    const { localPort, remotePort } = socket
    const isOther = !shown.has(localPort!)
    shown.add(localPort!)
    const theirs = await text(socket)
    shown.delete(localPort!)
    return { ours: `${localPort} ${remotePort}`, theirs, isOther }
  }
  const check = async () => {
    const { ours, theirs, isOther } = await ports()
    if (!isOther) throw new Error(`two connections show the ports ${ours}`)
    if (theirs !== ours) throw new Error(`one end shows the ports ${ours}, the other ${theirs}`)
  }
  // The first of them ask.
  await times(FEW, 1, ports)
  const before = await questionsOf(daemonPort)
  await times(4 * WIDTH, WIDTH, check)
  // We have asked for the number.
  const count = (await questionsOf(daemonPort)) - before - 1
  if (count > 0) throw new Error(`the daemon was asked ${count} times`)
}

/** Gets a page, which has to be the right one. */
async function page(options: http.RequestOptions): Promise<void> {
  const [response] = (await once(http.get(options), 'response')) as [IncomingMessage]
  const body = await text(response)
  if (body !== options.path) throw new Error(`asked for ${options.path}, got ${body}`)
}

/** Microseconds of processor time that this process takes for some work. */
async function processorTime(work: () => Promise<unknown>): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return user + system
}

/** The median, in µs. */
function median(taken: Touch[], until: keyof Touch): number {
  return (
    percentile(
      taken.map(touch => touch[until]),
      0.5,
    ) * 1000
  )
}

/** The median of one question to each daemon, one after the other, in µs. */
async function asking(ports: readonly number[], smoke: boolean): Promise<number> {
  if (!smoke) await pause(FORGOTTEN)
  const taken: number[] = []
  for (const port of ports) taken.push(await seconds(() => ask(port)))
  return percentile(taken, 0.5) * 1e6
}

/** Asks a daemon where the service is, over its Unix socket if it has one. */
async function ask(port: number): Promise<void> {
  const [path] = localSockets(port)
  const socket = path ? net.connect(path) : net.connect(port, '127.0.0.1')
  const { endpoints } = await question(socket, { op: 'resolve', service: 'bench' })
  if (!Array.isArray(endpoints)) throw new Error('the daemon does not know the service')
}
