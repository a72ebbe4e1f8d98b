import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import { compare, seconds, type Benchmark } from './measure.ts'
import { arrived, block, byName, byNumber, peer } from './traffic.ts'

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
  const sink = await peer<number>('sink', { port: daemon.ready })
  const kinds: [string, Send, number][] = [
    ['64 KiB writes', writes(65_536), 1_024 * MIB],
    ['1 KiB writes', writes(1_024), 192 * MIB],
    ['pipe', pipe, 1_024 * MIB],
  ]
  try {
    const comparisons = []
    for (const [what, send, whole] of kinds) {
      const size = options.smoke ? 4 * MIB : whole
      const way = (name: string, open: () => Socket) => ({
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
      const ways: [ReturnType<typeof way>, ReturnType<typeof way>] = [
        way('by name', byName(daemon.ready)),
        way('plain net', byNumber(sink.ready)),
      ]
      comparisons.push(await compare(what, 'MB/s', ways, options))
    }
    return {
      measures:
        'One stream over TCP loopback between two processes, every byte compared; higher is better.',
      comparisons,
      notes: ['Target: at least 0.98 of plain net.'],
    }
  } finally {
    sink.stop()
    daemon.stop()
  }
}
