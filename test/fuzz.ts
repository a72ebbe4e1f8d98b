import { once } from 'node:events'
import { connect } from 'node:net'
import { t, test } from 'tap'
import { seeded } from './fixtures/chaos/random.ts'
import { fuzz } from './fixtures/fuzz/fuzz.ts'
import { mutated } from './fixtures/fuzz/mutate.ts'
import { storm } from './fixtures/fuzz/storm.ts'
import { targets, type Target } from './fixtures/fuzz/targets.ts'
import { line } from './fixtures/lines.ts'
import { stranger } from './fixtures/services.ts'
import { siege, volley } from './fixtures/siege.ts'
import { Client } from '../lib/client/connection.ts'
import type { Lease } from '../lib/client/lease.ts'
import { decode } from '../lib/wire/protocol.ts'
import { LineSplitter } from '../lib/wire/splitter.ts'

t.setTimeout(120_000)

const QUESTION = { op: 'resolve', service: 'starwars' } as const

test('nothing that reads is upset by what it reads', async t => {
  const { crashes, ...summary } = await fuzz({ inputs: 20_000, seed: Date.now() % 1_000_000 })
  t.comment(summary)
  t.same(crashes, [])
  t.equal(summary.taken + summary.refused, summary.inputs)
  t.ok(summary.taken > 0 && summary.refused > 0)
})

test('a daemon lives through sessions that were tampered with', async t => {
  const { port, othersAreServed } = await siege(t, { patience: 200 })
  const [{ corpus }] = targets as [Target]
  const seed = Date.now() % 1_000_000
  t.comment({ seed })
  const random = seeded(seed)
  for (let round = 0; round < 20; round++) {
    const sessions = Array.from({ length: 20 }, () =>
      Buffer.concat(Array.from({ length: 8 }, () => mutated(corpus, random))),
    )
    const gone = sessions.map(bytes => {
      const socket = connect(port, '127.0.0.1').resume()
      const over = new Promise(resolve => socket.on('error', () => {}).on('close', resolve))
      // Some wait for the answers, and some do not.
      if (random() < 0.5) socket.end(bytes)
      else socket.write(bytes, () => socket.resetAndDestroy())
      return over
    })
    await volley(
      t,
      port,
      sessions.map(bytes => bytes.subarray(0, 600)),
    )
    await Promise.all(gone)
    await othersAreServed()
  }
})

test('a client lives through sessions that were tampered with, and no lease outlives its own', async t => {
  const { corpus } = targets.find(({ name }) => name === 'client')!
  const seed = Date.now() % 1_000_000
  t.comment({ seed })
  const random = seeded(seed)
  /** Some of what a daemon may say to a question, in any order, and of what it may not. */
  const answers = (id: number) =>
    [
      { id, endpoints: [], followed: true },
      { id, endpoints: [] },
      { id, event: 'stale' },
      { id, event: ['stale'], followed: true },
      { id, followed: 1 },
      { id: `${id}`, event: 'stale' },
      { id: id + 1, followed: true },
    ]
      .filter(() => random() < 0.4)
      .toSorted(() => random() - 0.5)
      .map(line)
      .join('')
  for (let round = 0; round < 40; round++) {
    const port = await stranger(t, socket => {
      socket.pipe(new LineSplitter()).on('data', (lines: string[]) => {
        for (const asked of lines) socket.write(answers(decode(asked).id as number))
        socket.end(random() < 0.5 ? mutated(corpus, random) : '')
      })
    })
    const one = await Client.connect({ address: '127.0.0.1', port })
    const closed = once(one, 'close')
    const ends: Lease[] = []
    const leases = Array.from({ length: 20 }, () => one.lease()!)
    for (const lease of leases) {
      lease.onOver = () => ends.push(lease)
      one.askSoon(QUESTION, 60_000, { lease }).catch(() => {})
    }
    await closed
    t.strictSame(ends.length, leases.length, 'each ends once')
    t.notOk(leases.some(({ isHeld }) => isHeld))
  }
})

test('floods, squatters and want of descriptors keep nobody out, and lead nobody astray', async t => {
  const seed = Date.now() % 1_000_000
  const { faults, connects, questions, attacks } = await storm({ attacks: 6, seed, ms: 200 })
  t.comment({ seed, attacks })
  t.strictSame(faults, [])
  t.ok(connects.length > 0 && questions.length > 0)
  t.ok(attacks['had udp'], 'UDP was taken before there was a daemon')
  if (process.platform === 'linux')
    t.ok(attacks['had abstract path'], 'and so was what can be guessed')
})

test('everything that reads has something to read, and takes it', async t => {
  for (const { name, corpus, read } of targets) {
    t.ok(corpus.length > 0, name)
    for (const input of corpus) t.doesNotThrow(() => read(input), `${name}: ${String(input)}`)
  }
})

test('what goes wrong is told with what it was', async t => {
  const [target] = targets
  const broken = {
    ...target!,
    read: () => {
      throw new TypeError('ours')
    },
  }
  const { crashes } = await fuzz({ inputs: 3, seed: 1, targets: [broken] })
  t.equal(crashes.length, 3)
  t.match(crashes[0], /^daemon: TypeError: ours.*with "/s)
})
