import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import { PADDED, encode, type Asked } from '../lib/wire/protocol.ts'
import { HONEST } from './honest.ts'
import { dial, hold, nameOf, numbered } from './names.ts'

/** Milliseconds before one who was cut off comes again. */
const REST = 10

const HOUR = 3_600_000

/** The longest version range that is sent, in characters. */
const MAX_RANGE = 126

/** The things that a besieger has done, and what became of them. */
export interface Tally {
  /** Questions, registrations and lists that were asked for. */
  asked: number
  /** Answers that came back, and those of them that are refusals. */
  answered: number
  refused: number
  /** Connections that the daemon has closed. */
  dropped: number
}

/** Attacks a daemon from one seat, until its process ends. */
export class Besieger {
  readonly #port: number
  readonly #host: string
  readonly #scale: number
  readonly tally: Tally = { asked: 0, answered: 0, refused: 0, dropped: 0 }

  /** `scale` is the share of the full strength. */
  constructor(port: number, host: string, scale: number) {
    this.#port = port
    this.#host = host
    this.#scale = scale
  }

  get port(): number {
    return this.#port
  }

  get host(): string {
    return this.#host
  }

  /** The number of a thing at this strength. */
  count(full: number): number {
    return Math.ceil(full * this.#scale)
  }

  /** A new connection; what comes over it is counted. */
  async come(): Promise<Line> {
    return new Line(await dial(this.#port, this.#host), this.tally)
  }

  /** Several. */
  async comeAll(count: number): Promise<Line[]> {
    const lines: Line[] = []
    for (let at = 0; at < count; at++) lines.push(await this.come())
    return lines
  }

  /** Holds so many names, by connections that stay. */
  async holdNames(count: number): Promise<void> {
    const each = 4_000
    for (let at = 0; at < count; at += each) {
      await hold(await dial(this.#port, this.#host), at, Math.min(count, at + each))
    }
    this.tally.asked += count
    this.tally.answered += count
  }

  /** Does it again and again; who was cut off begins anew. */
  async forever(work: () => Promise<void>): Promise<never> {
    for (;;) {
      try {
        await work()
        await turn()
      } catch {
        this.tally.dropped++
        await pause(REST)
      }
    }
  }
}

/** A connection of a besieger. */
class Line {
  readonly socket: Socket
  readonly #tally: Tally
  #answers = 0
  /** Called when anything has come, or the connection has closed. */
  #wake = () => {}

  constructor(socket: Socket, tally: Tally) {
    this.socket = socket
    this.#tally = tally
    socket
      .on('error', () => {})
      .on('data', this.#count)
      .on('close', () => this.#wake())
  }

  /** Asks so many questions at once. */
  ask(text: string, count: number): boolean {
    this.#tally.asked += count
    return this.socket.write(text)
  }

  /** Done when so many answers have come in all; fails if it is cut off before. */
  async hear(count: number): Promise<void> {
    while (this.#answers < count) {
      if (this.socket.closed) throw new Error('cut off')
      await new Promise<void>(resolve => (this.#wake = resolve))
    }
  }

  /** Asks without a pause, as fast as it is read, until it is cut off; `next` says what. */
  async pour(next: () => string, count: number): Promise<never> {
    for (;;) {
      const isTaken = this.ask(next(), count)
      if (this.socket.closed) throw new Error('cut off')
      await (isTaken ? turn() : drained(this.socket))
    }
  }

  /** Reads nothing from now on. */
  stopReading(): void {
    this.socket.off('data', this.#count).pause()
  }

  readonly #count = (chunk: Buffer): void => {
    // A long list is an answer in many lines.
    const answers = occurrences(chunk, '\n') - occurrences(chunk, '"more":true')
    this.#answers += answers
    this.#tally.answered += answers
    this.#tally.refused += occurrences(chunk, '"error":')
    this.#wake()
  }
}

/** Done when all that was written is on its way, or the connection has closed. */
function drained(socket: Socket): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      socket.off('drain', done).off('close', done)
      resolve()
    }
    socket.on('drain', done).on('close', done)
  })
}

/** The number of times that a text occurs in a chunk. */
export function occurrences(chunk: Buffer, text: string): number {
  let count = 0
  for (let at = -1; (at = chunk.indexOf(text, at + 1, 'latin1')) !== -1;) count++
  return count
}

/** As many lines as there are questions, in one text. */
function linesOf(count: number, question: (at: number) => Asked): string {
  return numbered(0, count)
    .map(at => encode(at, question(at)))
    .join('')
}

/** So many long version ranges, of which no two are the same. */
export function ranges(count: number): string[] {
  const more = ' || ^7.7.7'
  return numbered(0, count).map(at => {
    const first = `^${at}.1.2`
    return first + more.repeat((MAX_RANGE - first.length) / more.length)
  })
}

/** An attack: prepares it, and says how it then goes on until the process ends. */
type Attack = (besieger: Besieger) => Promise<() => Promise<unknown>>

const claim = (service: string, rest: Partial<Asked>) =>
  ({ op: 'register', service, transport: 'tcp', port: 9, ...rest }) satisfies Asked

/** Several connections that ask for good, and are told of changes from then on. */
const subscribers =
  (question: Asked, isAnswered: boolean): Attack =>
  async besieger => {
    const each = besieger.count(16_384)
    const text = linesOf(each, () => question)
    for (const line of await besieger.comeAll(4)) {
      line.ask(text + encode('last', { op: 'status' }), each + 1)
      await line.hear(isAnswered ? each + 1 : 1)
    }
    return async () => {}
  }

export const attacks = {
  /** Version ranges that all differ. */
  ranges: async besieger => {
    const batches = batched(ranges(besieger.count(20_000)), version => ({
      op: 'resolve',
      service: 'bench',
      version,
    }))
    let at = 0
    const one = () =>
      besieger.forever(async () =>
        (await besieger.come()).pour(() => batches[at++ % batches.length]!, BATCH),
      )
    return () => Promise.all([one(), one(), one(), one()])
  },

  /** Questions that are held for an hour. */
  waits: subscribers({ op: 'resolve', service: HONEST, version: '^9', wait: HOUR }, false),

  /** Watches of one name. */
  watches: subscribers({ op: 'watch', namespace: '', service: HONEST }, true),

  /** Registrations of one name in one packet. */
  packets: async besieger => {
    const count = 300
    const text = linesOf(count, at => claim(HONEST, { version: `0.0.${at}` }))
    return () =>
      besieger.forever(async () => {
        const line = await besieger.come()
        line.ask(text, count)
        await line.hear(count)
        line.socket.destroy()
      })
  },

  /** Many names that are just there. */
  names: async besieger => {
    await besieger.holdNames(besieger.count(20_000))
    return async () => {}
  },

  /** More of them. */
  manyNames: async besieger => {
    await besieger.holdNames(besieger.count(40_000))
    return async () => {}
  },

  /** Watches of all names, by as many connections as one host may have. */
  rosters: async besieger =>
    crowd(besieger, 250, { op: 'watch' }, async line => {
      await line.hear(1)
      line.socket.destroy()
    }),

  /** Lists of all names, which are read. */
  lists: async besieger =>
    crowd(besieger, 100, { op: 'list' }, async line => {
      await line.hear(1)
      line.socket.destroy()
    }),

  /** Lists and watches that are not read. */
  unread: async besieger =>
    crowd(besieger, 150, { op: 'watch' }, async line => {
      line.stopReading()
      line.ask(encode(2, { op: 'list' }).repeat(100), 100)
      // A socket that is not read does not tell that it was closed.
      await pause(1_000)
      line.socket.destroy()
    }),

  /** Names of one service, by the thousands, which are let go at once. */
  shared: async besieger => {
    const count = besieger.count(4_000)
    const text = linesOf(count, at => claim('x', { shared: true, port: at + 1 }))
    return () =>
      besieger.forever(async () => {
        const lines = await besieger.comeAll(5)
        for (const line of lines) line.ask(text, count)
        await Promise.all(lines.map(line => line.hear(count)))
        for (const line of lines) line.socket.destroy()
      })
  },

  /** Many names that are let go at once. */
  release: async besieger => {
    const count = besieger.count(4_000)
    const texts = numbered(0, 3).map(part =>
      linesOf(count, at => claim(`${nameOf(at)}-${part}`, {})),
    )
    return () =>
      besieger.forever(async () => {
        const lines = await besieger.comeAll(texts.length)
        lines.forEach((line, part) => line.ask(texts[part]!, count))
        await Promise.all(lines.map(line => line.hear(count)))
        for (const line of lines) line.socket.destroy()
      })
  },

  /** Registrations in the namespace of a user, over a connection each. */
  identity: async besieger => {
    const lines = await besieger.comeAll(besieger.count(3_000))
    const text = encode(1, claim('x', { namespace: 'root' }))
    let heard = 0
    return () =>
      besieger.forever(async () => {
        heard++
        for (const line of lines) line.ask(text, 1)
        await Promise.all(lines.map(line => line.hear(heard)))
      })
  },

  /** Questions without a pause. */
  flood: async besieger => {
    const text = encode(1, { op: 'resolve', service: 'bench' }).repeat(3_000)
    const one = () => besieger.forever(async () => (await besieger.come()).pour(() => text, 3_000))
    return () => Promise.all(numbered(0, 30).map(one))
  },

  /** Datagrams without a pause. */
  datagrams: async besieger => {
    const question = Buffer.from(encode('abc', { op: 'resolve', service: 'bench' }).padEnd(PADDED))
    const one = async () => {
      const socket = createSocket('udp4').on('error', () => {})
      socket.on('message', answer => {
        besieger.tally.answered++
        besieger.tally.refused += occurrences(answer, '"error":')
      })
      socket.connect(besieger.port, besieger.host)
      await once(socket, 'connect')
      for (;;) {
        for (let sent = 0; sent < 40; sent++) socket.send(question, () => {})
        besieger.tally.asked += 40
        await turn()
      }
    }
    return () => Promise.all([one(), one(), one()])
  },
} satisfies Record<string, Attack>

export type AttackName = keyof typeof attacks

/** The number of questions in one write. */
const BATCH = 250

function batched<Item>(items: Item[], question: (item: Item) => Asked): string[] {
  return Array.from({ length: Math.floor(items.length / BATCH) }, (_, batch) =>
    linesOf(BATCH, at => question(items[batch * BATCH + at]!)),
  )
}

/** So many who come, ask, do something, and come again. */
async function crowd(
  besieger: Besieger,
  count: number,
  question: Asked,
  then: (line: Line) => Promise<void>,
): Promise<() => Promise<unknown>> {
  const one = () =>
    besieger.forever(async () => {
      const line = await besieger.come()
      line.ask(encode(1, question), 1)
      await then(line)
    })
  return () => Promise.all(numbered(0, besieger.count(count)).map(one))
}
