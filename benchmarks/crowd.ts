import type { Socket } from 'node:net'
import { seconds, times } from './measure.ts'
import { dial, hold, numbered } from './names.ts'

/** What a crowd is to do next. */
export type Deed = { dial: number } | { hold: number }

/** How many connections are busy at once. */
const WIDTH = 32

/** Many connections to a daemon, each of which holds names; they last as long as the process. */
export class Crowd {
  readonly #port: number
  readonly #sockets: Socket[] = []

  constructor(port: number) {
    this.#port = port
  }

  /** Opens so many connections, or has each hold so many names; says how many seconds it took. */
  do(deed: Deed): Promise<number> {
    return seconds(() => ('dial' in deed ? this.#dial(deed.dial) : this.#hold(deed.hold)))
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
}
