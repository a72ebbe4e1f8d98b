import { connect as connectNet, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'
import { localSockets } from '../lib/node/localsocket.ts'
import { encode } from '../lib/wire/protocol.ts'
import { DAEMONS, FORGOTTEN, call, type Road } from './calls.ts'
import { compare, percentile, seconds, type Benchmark, type Way } from './measure.ts'
import { profile } from './profile.ts'
import { peer } from './process.ts'
import type { Touch } from './traffic.ts'

const WIDTH = 32

/** Connecting to a service on the same host. */
export const connecting: Benchmark = async options => {
  const { smoke } = options
  const daemons = await peer<number[]>('daemons', { args: [String(DAEMONS)] })
  const ports = daemons.ready
  const port = ports[0]!
  const echo = await peer<number>('echo', { args: [ports.join()] })
  const count = smoke ? 20 : 1_000

  const first = (name: string, args: string[]): Way => ({
    name,
    run: async () => {
      const { ready, stop } = await peer<number>('first', { port, args })
      await stop()
      return ready
    },
  })
  const ways = (figure: (road: Road) => Promise<number>, own: Road): [Way, Way] => [
    { name: 'by name', run: () => figure(own) },
    { name: 'plain net, TCP', run: () => figure(echo.ready) },
  ]
  /** One after the other, each daemon once, and as many by number. */
  const cold = (until: keyof Touch, rested = true) =>
    ways(async road => {
      const calls = { road, count: DAEMONS, width: 1, rested }
      return median(await call(calls, { ports }), until)
    }, 'cold')
  const one = (tcp: boolean, until: keyof Touch) =>
    ways(async road => median(await call({ road, count, width: 1 }, { ports, tcp }), until), 'warm')
  const many = (tcp: boolean) =>
    ways(async road => {
      const calls = { road, count: smoke ? 64 : 4_000, width: WIDTH }
      return calls.count / (await seconds(() => call(calls, { ports, tcp })))
    }, 'warm')
  try {
    return {
      measures:
        'Connects between two processes on one host. Times (µs) are medians, one connect after the other, lower is better; rates ' +
        '(1/s) are of connecting, one byte there and back, and closing, higher is better.',
      comparisons: [
        await compare('32 at a time, TCP', '1/s', many(true), options, 'warmTcp'),
        await compare('32 at a time, default', '1/s', many(false), options, 'warmHost'),
        await compare('cold, until a byte is back', 'µs', cold('answered'), options, 'coldHost'),
        await compare('cold, until connected', 'µs', cold('connected'), options),
        await compare(
          'a bare question, beside until connected',
          'µs',
          [{ name: 'one line each way', run: () => asking(ports) }, cold('connected')[1]],
          options,
        ),
        await compare('warm, TCP, until a byte is back', 'µs', one(true, 'answered'), options),
        await compare('warm, TCP, until connected', 'µs', one(true, 'connected'), options),
        await compare('warm, default, until a byte is back', 'µs', one(false, 'answered'), options),
        await compare('warm, default, until connected', 'µs', one(false, 'connected'), options),
        await compare(
          'the first of a process',
          'µs',
          [first('by name', []), first('plain net, TCP', [String(echo.ready)])],
          options,
        ),
      ],
      profiles: [
        await profile('warm, 32 at a time, TCP', many(true)[0].run),
        await profile('warm, 32 at a time, default', many(false)[0].run),
        await profile('plain net, 32 at a time', many(true)[1].run),
        // The other profiles have taken long enough: none of the daemons was asked lately.
        await profile('cold, one by one', cold('answered', false)[0].run),
      ],
      notes: [
        'A warm connect has connected to that name before. A cold one knows nothing of the name, and has not asked that daemon, in a program that is warmed up.',
        'The bare question is what a cold connect waits for before it can begin, asked by a program that does nothing else: a connection to the Unix socket of the daemon, a line, its answer.',
        'The first of a process is cold, and its code has never run.',
      ],
    }
  } finally {
    await Promise.all([echo.stop(), daemons.stop()])
  }
}

/** Asks a daemon where the service is, over its Unix socket if it has one. */
async function ask(port: number): Promise<void> {
  const [path] = localSockets(port)
  const socket: Socket = path ? connectNet(path) : connectNet(port, '127.0.0.1')
  socket.end(encode(0, { op: 'resolve', service: 'bench' }))
  const answer = await text(socket)
  if (!answer.includes('"endpoints":[{')) throw new Error(`the daemon said ${answer}`)
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
async function asking(ports: readonly number[]): Promise<number> {
  await pause(FORGOTTEN)
  const taken: number[] = []
  for (const port of ports) taken.push(await seconds(() => ask(port)))
  return percentile(taken, 0.5) * 1e6
}
