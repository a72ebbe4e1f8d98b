import { once } from 'node:events'
import net from 'node:net'

/** Questions over one connection, and the answers there must be to them, byte by byte. */
export interface Script {
  /** Many questions to a write. */
  writes: Buffer[]
  /** The answers to each write. */
  answers: Buffer[]
  /** The number of questions in a write. */
  each: number
}

/**
 * Asks at least so many questions, again from the start when the script is at its end. So many writes
 * are under way at once.
 */
export async function recite(
  port: number,
  { writes, answers, each }: Script,
  count: number,
  width = 4,
): Promise<void> {
  const socket = net.connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  const total = Math.ceil(count / each)
  let asked = 0
  let answered = 0
  /** The part that there is already of the answers to one write. */
  let have = 0
  const more = () => {
    if (asked < total) socket.write(writes[asked++ % writes.length]!)
  }
  const take = (chunk: Buffer) => {
    for (let at = 0; at < chunk.length;) {
      const expected = answers[answered % answers.length]!
      const length = Math.min(chunk.length - at, expected.length - have)
      if (expected.compare(chunk, at, at + length, have, have + length) !== 0) {
        throw new Error(`expected ${String(expected.subarray(have))}, got ${String(chunk)}`)
      }
      at += length
      have += length
      if (have < expected.length) continue
      have = 0
      answered++
      more()
    }
  }
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject).on('data', chunk => {
      try {
        take(chunk as Buffer)
      } catch (error) {
        reject(error as Error)
      }
      if (answered === total) resolve()
    })
    for (let ahead = 0; ahead < width; ahead++) more()
  })
  socket.destroy()
}
