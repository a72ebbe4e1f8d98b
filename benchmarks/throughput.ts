import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { compare, seconds, type Benchmark, type Way } from './measure.ts'
import { peer } from './process.ts'
import type { TargetName } from './targets.ts'
import { arrived, block, byName, byNumber, type Open } from './traffic.ts'

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

/** One stream, from this process to another. */
export const throughput: Benchmark = async options => {
  const daemon = await peer<number>('daemon')
  const port = daemon.ready
  const sink = await peer<number>('sink', { port })
  const way = (name: string, open: Open, send: Send, size: number): Way => ({
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
  })
  const beside = (what: string, tcp: boolean, send: Send, whole: number, target?: TargetName) => {
    const size = options.smoke ? 4 * MIB : whole
    const ways: [Way, Way] = [
      way('by name', byName({ port, tcp }), send, size),
      way('plain net, TCP', byNumber(sink.ready), send, size),
    ]
    return compare(what, 'MB/s', ways, options, target)
  }
  try {
    return {
      measures:
        'One stream between two processes on one host, every byte compared; higher is better.',
      comparisons: [
        await beside('64 KiB writes, TCP', true, writes(65_536), 1_024 * MIB, 'streamTcp'),
        await beside('1 KiB writes, TCP', true, writes(1_024), 192 * MIB),
        await beside('pipe, TCP', true, pipe, 1_024 * MIB),
        await beside('64 KiB writes, default', false, writes(65_536), 1_024 * MIB, 'streamHost'),
        await beside('1 KiB writes, default', false, writes(1_024), 192 * MIB),
        await beside('pipe, default', false, pipe, 1_024 * MIB),
      ],
      notes: ['Once connected there is nothing of ours between a program and its socket.'],
    }
  } finally {
    await Promise.all([sink.stop(), daemon.stop()])
  }
}
