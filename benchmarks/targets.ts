/** A median that has to be reached: a ratio of ours to the other, or else a figure, such as how much more ours is. */
export interface Target {
  what: string
  beside: string
  /** One of the two. */
  least?: number
  most?: number
  /** The unit of a figure that is no ratio. */
  unit?: string
}

const PLAIN = 'plain `net` over TCP'
const UNIX = 'plain `net` over a Unix socket'
const BURNERS = 'programs that only burn the processor'
const SCRIPT = 'a script of Node that asks and prints'

export const targets = {
  streamTcp: { what: 'throughput, one stream over TCP, 64 KiB', beside: PLAIN, least: 0.99 },
  streamHost: { what: 'throughput, one stream, same host, default', beside: PLAIN, least: 1.3 },
  smallHost: {
    what: 'throughput, one stream, same host, default, 1 KiB writes',
    beside: PLAIN,
    least: 1,
  },
  smallHostUnix: {
    what: 'throughput, one stream, same host, default, 1 KiB writes',
    beside: UNIX,
    least: 0.98,
  },
  warmTcp: {
    what: 'warm connects a second, 32 at a time, over TCP',
    beside: PLAIN,
    least: 0.92,
  },
  warmHost: {
    what: 'warm connects a second, 32 at a time, same host, default',
    beside: PLAIN,
    least: 1.3,
  },
  warmHostUnix: {
    what: 'warm connects a second, 32 at a time, same host, default',
    beside: UNIX,
    least: 0.93,
  },
  warmTimeTcp: {
    what: 'time of a warm connect over TCP, and a byte there and back',
    beside: PLAIN,
    most: 1.4,
  },
  warmTimeHost: {
    what: 'time of a warm connect, same host, default, and a byte there and back',
    beside: PLAIN,
    most: 0.95,
  },
  warmBurnHost: {
    what: "processor time of a client's warm connect, same host, default",
    beside: PLAIN,
    most: 1,
  },
  httpHost: {
    what: '`http.get` a second, 32 at a time, same host, default, no connection kept',
    beside: '`http.get` by port',
    least: 1.1,
  },
  datagram: {
    what: 'time of a datagram to a known name and back',
    beside: 'plain `dgram`',
    most: 1.05,
  },
  warmFar: { what: 'time of a warm connect, 20 ms round trip', beside: PLAIN, most: 1.05 },
  coldFar: {
    what: 'time of a cold connect, 20 ms round trip, daemon asked by UDP',
    beside: PLAIN,
    most: 2.1,
  },
  coldHost: {
    what: 'time of a cold connect on one host, and a byte there and back',
    beside: PLAIN,
    most: 1.5,
  },
  lossy: {
    what: '99th percentile of a warm connect, 20 ms round trip, 1 % loss',
    beside: PLAIN,
    most: 1.25,
  },
  startImport: {
    what: "whole process: `import 'moniker-net'`",
    beside: "`import 'node:net'`",
    most: 1.3,
  },
  startVersion: { what: 'whole process: `moniker --version`', beside: '`node -e 0`', most: 1.4 },
  startComplete: {
    what: 'whole process: completion of a word',
    beside: '`node -e 0`',
    most: 1.4,
  },
  startResolve: { what: 'whole process: `moniker resolve NAME`', beside: SCRIPT, most: 1.6 },
  startList: { what: 'whole process: `moniker ls`', beside: SCRIPT, most: 1.6 },
  startConnect: {
    what: 'whole process: connect, one byte there and back',
    beside: 'plain `net`, by port',
    most: 1.6,
  },
  startListen: {
    what: 'whole process: listen on a name, no daemon there',
    beside: 'plain `net`, port 0',
    most: 2.5,
  },
  startMemory: {
    what: 'memory (RSS) of a process that listens on a name',
    beside: 'plain `net`, port 0',
    most: 12,
    unit: 'MB more',
  },
  askTcp: { what: 'look-ups a second, pipelined TCP', beside: '`epmd`', least: 20 },
  askUdp: { what: 'look-ups a second, UDP', beside: '`epmd`', least: 5 },
  growth: { what: 'time of one look-up among 1,000,000 names', beside: 'among 1,000', most: 1.3 },
  comeback: { what: '1,000 programs back after a restart', beside: '', most: 2, unit: 's' },
  memory: { what: 'memory a registered name', beside: '', most: 400, unit: 'bytes' },
  siegeQuestion: {
    what: '99th percentile of a question, under the worst attack',
    beside: BURNERS,
    most: 50,
    unit: 'ms more',
  },
  siegeRegistration: {
    what: '99th percentile of a registration, under the worst attack',
    beside: BURNERS,
    most: 50,
    unit: 'ms more',
  },
  siegeConnect: {
    what: '99th percentile of a cold connect, under the worst attack',
    beside: BURNERS,
    most: 50,
    unit: 'ms more',
  },
} satisfies Record<string, Target>

export type TargetName = keyof typeof targets

/** Such as `≥ 1.30`, or `≤ 400 bytes`. */
export function bound({ least, most, unit }: Target): string {
  const number = (least ?? most)!
  return `${least === undefined ? '≤' : '≥'} ${unit ? `${number} ${unit}` : number.toFixed(2)}`
}

/** True if `median` reaches the target. */
export function isMet({ least = -Infinity, most = Infinity }: Target, median: number): boolean {
  return median >= least && median <= most
}
