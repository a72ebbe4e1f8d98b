import { once } from 'node:events'
import type { Socket } from 'node:net'
import { encode } from '../lib/wire/protocol.ts'
import { seconds, times } from './measure.ts'
import { dial, hold, nameOf, numbered } from './names.ts'

/** The next task of a crowd. */
export type Deed = { dial: number } | { hold: number } | 'watch' | 'hear'

/** The number of connections that are busy at once. */
const WIDTH = 32

/** Many connections to a daemon, each of which holds names or watches one; they last as long as the process. */
export class Crowd {
  readonly #port: number
  readonly #sockets: Socket[] = []

  constructor(port: number) {
    this.#port = port
  }

  /**
   * Opens so many connections; has each hold so many names, or watch one name; or has that name come,
   * and each hear of it. Says how many seconds it took.
   */
  do(deed: Deed): Promise<number> {
    return seconds(() => {
      if (deed === 'watch') return this.#watch()
      if (deed === 'hear') return this.#hear()
      return 'dial' in deed ? this.#dial(deed.dial) : this.#hold(deed.hold)
    })
  }

  #dial(count: number): Promise<void> {
    return times(count, WIDTH, async () => this.#sockets.push(await dial(this.#port)))
  }

  #hold(each: number): Promise<void> {
    const waiting = numbered(0, this.#sockets.length).values()
    return times(this.#sockets.length, WIDTH, () => {
      const at = waiting.next().value!
      return hold(this.#sockets[at]!, at * each, (at + 1) * each)
    })
  }

  #watch(): Promise<void> {
    const waiting = this.#sockets.values()
    return times(this.#sockets.length, WIDTH, async () => {
      const socket = waiting.next().value!
      socket.write(encode(0, { op: 'watch', service: nameOf(0) }))
      await said(socket, '"services":[]')
    })
  }

  async #hear(): Promise<void> {
    const heard = this.#sockets.map(socket => said(socket, '"event":"up"'))
    await hold(await dial(this.#port), 0, 1)
    await Promise.all(heard)
  }
}

/** The next that comes must have that in it. */
async function said(socket: Socket, expected: string): Promise<void> {
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  if (!chunk.includes(expected)) throw new Error(`expected ${expected}, got ${String(chunk)}`)
}
