import { createServer } from 'node:net'
import { abstract } from './abstract.ts'

// The ports that connections over Unix sockets show. The kernel gives them out, in blocks: a process that has the
// abstract name of a block shows the ports in it, so that no two connections of a host show the same.

/** The first of them, all below those that Linux gives out by itself; the size of a block, and their number. */
const [FIRST, SIZE, COUNT] = [2_048, 64, 480]

/** The ports that a process shows. */
export class ShownPorts {
  readonly #takeBlock: (block: number) => boolean
  /** The ports of our blocks that no connection shows; the one that was shown last comes last. */
  readonly #free: number[] = []
  /** The blocks that are ours until this process ends. */
  readonly #blocks = new Set<number>()
  /** The block that is tried next. */
  #next = random(COUNT)
  /** True if no block was free when all were tried last: then one is tried at a time, as to try all takes long. */
  #isScarce = false

  /** `takeBlock` takes a block; false if another process has it. */
  constructor(takeBlock: (block: number) => boolean) {
    this.#takeBlock = takeBlock
  }

  /** A port that no other connection of this host shows, as long as there are any; it is to be given back. */
  take(): number {
    if (this.#free.length === 0) this.#grow()
    return this.#free.shift() ?? FIRST + random(SIZE * COUNT)
  }

  giveBack(port: number): void {
    if (this.#blocks.has(Math.floor((port - FIRST) / SIZE))) this.#free.push(port)
  }

  #grow(): void {
    const tries = this.#isScarce ? 1 : COUNT
    this.#isScarce = true
    for (let tried = 0; tried < tries; tried++) {
      const block = this.#next
      this.#next = (block + 1) % COUNT
      if (this.#blocks.has(block) || !this.#takeBlock(block)) continue
      this.#isScarce = false
      this.#blocks.add(block)
      for (let port = 0; port < SIZE; port++) this.#free.push(FIRST + block * SIZE + port)
      return
    }
  }
}

/** The ports that this process shows. */
export const shownPorts = new ShownPorts(block => {
  const server = createServer(socket => void socket.destroy()).on('error', () => {})
  server.listen({ path: abstract(`moniker-ports-${block}`), exclusive: true }).unref()
  // A name is had at once, or never.
  return server.listening
})

function random(below: number): number {
  return Math.floor(Math.random() * below)
}
