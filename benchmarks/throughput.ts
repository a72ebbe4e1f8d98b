import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import {
  compare,
  seconds,
  type Benchmark,
  type Comparison,
  type Skipped,
  type Way,
} from './measure.ts'
import { peer } from './process.ts'
import { freePort } from './program.ts'
import { besideDaemon } from './stage.ts'
import type { TargetName } from './targets.ts'
import { arrived, block, byName, byNumber, byPath, pathBeside, type Open } from './traffic.ts'

type Send = (socket: Socket, size: number) => Promise<void>

/** Writes so many bytes at a time, and waits whenever the socket asks for it. */
function writes(length: number): Send {
  return async (socket, size) => {
    for (let sent = 0; sent < size; sent += length) {
      const from = sent % block.length
      if (!socket.write(block.subarray(from, from + length))) await once(socket, 'drain')
    }
  }
}

function* blocks(size: number): Iterable<Buffer> {
  for (let sent = 0; sent < size; sent += block.length) yield block
}

const pipe: Send = async (socket, size) => {
  const source = Readable.from(blocks(size))
  source.pipe(socket, { end: false })
  await once(source, 'end')
}

const MIB = 2 ** 20
const large = writes(65_536)
const small = writes(1_024)

/** One stream, from this process to another. */
export const throughput: Benchmark = async options => {
  const near = await besideDaemon<number>({ role: 'sink' })
  // The server's process becomes the daemon.
  const own = await freePort()
  const within = await peer<number>('sink', { port: own })
  const comparisons: Comparison[] = []
  const beside = async (
    what: string,
    [named, plain]: [Open, Open],
    send: Send,
    whole: number,
    target?: TargetName,
    other = 'plain net, TCP',
  ) => {
    const size = options.smoke ? 4 * MIB : whole
    const ways: [Way, Way] = [way('by name', named, send, size), way(other, plain, send, size)]
    const found = await compare(what, 'MB/s', ways, options, target)
    comparisons.push(found)
    return found
  }
  const roads = (port: number, sink: number) => ({
    tcp: [byName({ port, tcp: true }), byNumber(sink)] satisfies [Open, Open],
    host: [byName({ port }), byNumber(sink)] satisfies [Open, Open],
    unix: [byName({ port }), byPath(pathBeside(sink))] satisfies [Open, Open],
  })
  try {
    const { tcp, host } = roads(near.port, near.server.ready)
    await beside('64 KiB writes, TCP', tcp, large, 1_024 * MIB, 'streamTcp')
    await beside('1 KiB writes, TCP', tcp, small, 192 * MIB)
    await beside('pipe, TCP', tcp, pipe, 1_024 * MIB)
    await beside('pipe, default', host, pipe, 1_024 * MIB)
    for (const [daemon, { host, unix }] of [
      ['monikerd', roads(near.port, near.server.ready)],
      ['embedded', roads(own, within.ready)],
    ] as const) {
      const what = (text: string) => `${text}, default, ${daemon}`
      await beside(what('64 KiB writes'), host, large, 1_024 * MIB, 'streamHost')
      const overTcp = await beside(what('1 KiB writes'), host, small, 192 * MIB)
      const overUnix = await beside(
        what('1 KiB writes'),
        unix,
        small,
        192 * MIB,
        undefined,
        'plain net, Unix',
      )
      aim(overTcp, overUnix)
    }
    return {
      measures:
        'One stream between two processes on one host, every byte compared; higher is better.',
      comparisons,
      skipped: aimless(comparisons),
      notes: [
        'Once connected there is nothing of ours between a program and its socket.',
        'Where plain `net` is slower over a Unix socket than over TCP, small writes are judged beside that.',
      ],
    }
  } finally {
    await Promise.all([near.stop(), within.stop()])
  }
}

function way(name: string, open: Open, send: Send, size: number): Way {
  return {
    name,
    run: async () => {
      const socket = open()
      await once(socket, 'connect')
      const taken = await seconds(async () => {
        await send(socket, size)
        await arrived(socket, size)
      })
      return size / taken / 1e6
    },
  }
}

/** Has small writes be judged by those over a Unix socket where these are slower than those over TCP. */
export function aim(overTcp: Comparison, overUnix: Comparison): void {
  if (overUnix.beside.median < overTcp.beside.median) overUnix.target = 'smallHostUnix'
  else overTcp.target = 'smallHost'
}

/** The target of small writes by which none was judged. */
export function aimless(comparisons: readonly Comparison[]): Skipped[] {
  const isAim = (name: TargetName) => comparisons.some(({ target }) => target === name)
  const what = 'one of two targets of 1 KiB writes'
  const why = 'plain `net` over a Unix socket is'
  return [
    ...(isAim('smallHost')
      ? []
      : [{ what, why: `${why} slower than over TCP`, targets: ['smallHost' as const] }]),
    ...(isAim('smallHostUnix')
      ? []
      : [{ what, why: `${why} no slower than over TCP`, targets: ['smallHostUnix' as const] }]),
  ]
}
