import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { Recall, Recalls, type RecallOptions } from '../../lib/client/recall.ts'
import { parse } from '../../lib/name.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import type { Resolution } from '../../lib/resolution.ts'
import { awake } from '../fixtures/awake.ts'
import { daemon } from '../fixtures/daemon.ts'
import { fake } from '../fixtures/fake.ts'
import { line, lines } from '../fixtures/lines.ts'
import { named, portOf, stranger } from '../fixtures/services.ts'

awake(t)

/** A name of this host that is recalled, by a clock of its own. */
async function recalled(t: Test, more: Partial<RecallOptions> = {}) {
  const ours = await daemon(t)
  const { port: daemonPort } = ours
  const server = await named(t, { service: 'tie', daemonPort })
  const resolver = new Resolver({ port: daemonPort })
  const at = { time: 0, asked: 0 }
  const recall = new Recall({
    ask: () => {
      at.asked++
      return resolver.resolve('tie')
    },
    isHere: true,
    watch: { service: 'tie', namespace: '', daemonPort },
    now: () => at.time,
    ...more,
  })
  t.teardown(() => recall.close())
  /** Recalls it a while later, until that costs no question. */
  const vouched = async () => {
    for (let asked; asked !== at.asked; await new Promise(setImmediate)) {
      at.time += 100
      asked = at.asked
      await recall.get()
    }
  }
  return { daemon: ours, daemonPort, server, recall, at, vouched }
}

const portIn = ({ endpoints }: Resolution) => endpoints[0]!.port

t.test('an answer of this host is good for a moment', async t => {
  const { recall, at } = await recalled(t, { watch: undefined })
  const first = await recall.get()
  at.time = 80
  t.equal(recall.get(), first)
  at.time = 81
  const [one, other] = [recall.get(), recall.get()]
  t.ok(one instanceof Promise)
  t.equal(await one, await other)
  t.equal(at.asked, 2, 'those who wait share one question')
})

t.test('as long as a watch vouches for it, it costs no question', async t => {
  const { server, daemonPort, recall, at, vouched } = await recalled(t)
  await vouched()
  const { asked } = at
  const found = await recall.get()
  at.time += 40
  t.equal(recall.get(), found, 'the loop has turned')
  at.time += 41
  const late = recall.get()
  t.ok(late instanceof Promise, 'this program may have been busy')
  t.equal(await late, found)
  t.equal(at.asked, asked)

  await once(server.close(), 'close')
  const other = await named(t, { service: 'tie', daemonPort })
  do at.time += 100
  while (portIn(await recall.get()) !== portOf(other))
  await vouched()
  t.equal(portIn(await recall.get()), portOf(other))
  at.time += 1e9
  const { asked: before } = at
  await recall.get()
  t.equal(at.asked, before + 1, 'an answer is good for its ttl at most')
})

t.test('the next turn of the loop is waited for before the last is too long ago', async t => {
  const { recall, at, vouched } = await recalled(t)
  await vouched()
  const { asked } = at
  const found = await recall.get()
  const turn = async () => {
    for (let count = 0; count < 5; count++) await new Promise(setImmediate)
  }
  for (const { ms, isWaited } of [
    { ms: 10, isWaited: false },
    { ms: 11, isWaited: true },
    { ms: 40, isWaited: true },
  ]) {
    at.time += 41
    await recall.get()
    await turn()
    at.time += ms
    t.equal(recall.get(), found)
    await turn()
    at.time += 40
    t.equal(recall.get() === found, isWaited, `${ms} ms after the last`)
    await turn()
  }
  t.equal(at.asked, asked)
})

t.test('what has changed while this program was busy is asked for', async t => {
  const { server, recall, at, vouched } = await recalled(t)
  await vouched()
  await once(server.close(), 'close')
  at.time += 1_000
  await t.rejects(async () => recall.get(), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
})

t.test('what the kernel has, but nobody has read yet, is heard of first', async t => {
  const tie = { service: 'tie', transport: 'tcp', port: 1, instance: 'a' }
  const watched = await fake(t, {
    tcp: ({ id }, socket) => void socket.write(line({ id, services: [] })),
  })
  const { at, recall, vouched } = await recalled(t, { watch: { daemonPort: watched.port } })
  const news: ((socket: Socket, id: unknown) => void)[] = [
    (socket, id) => socket.write(line({ id, event: 'up', ...tie })),
    socket => socket.resetAndDestroy(),
  ]
  for (const tell of news) {
    await vouched()
    at.time += 1_000
    const { asked } = at
    const port = await stranger(t, socket => void socket.end('x'))
    await new Promise<void>((resolve, reject) => {
      // In a callback of input the loop does not poll before the next immediate.
      connect(port, '127.0.0.1').on('data', () => {
        tell(watched.sockets.at(-1)!, watched.streamed.at(-1)!.id)
        Promise.resolve(recall.get()).then(() => resolve(), reject)
      })
    })
    t.equal(at.asked, asked + 1)
  }
})

t.test('nothing vouches for an answer once the daemon has gone', async t => {
  const { daemon, server, recall, at, vouched } = await recalled(t)
  await vouched()
  const { asked } = at
  const again = once(server, 'registered')
  await daemon.stop()
  while (at.asked === asked) {
    at.time += 100
    // This process becomes the daemon, and then the name is there again.
    await Promise.resolve(recall.get()).catch(() => {})
  }
  await again
  await vouched()
})

t.test('a watch ends that is not used, and begins again', async t => {
  const watched = await fake(t, {
    tcp: ({ id }, socket) => void socket.write(line({ id, services: [] })),
  })
  const { at, recall, vouched } = await recalled(t, {
    idle: 20,
    watch: { daemonPort: watched.port },
  })
  await vouched()
  at.time += 21
  await once(watched.sockets[0]!, 'close')
  await vouched()
  t.equal(watched.sockets.length, 2)
  recall.close()
  recall.close()
  await once(watched.sockets[1]!, 'close')
})

t.test('a watch that cannot begin, or begins too late, is done without', async t => {
  const port = -1
  const { at, recall } = await recalled(t, { watch: { service: 'tie', daemonPort: port } })
  for (let asked = 1; asked <= 5; asked++) {
    at.time += 100
    await recall.get()
    t.equal(at.asked, asked)
    await new Promise(setImmediate)
  }
  const watched = await fake(t, {
    tcp: ({ id }, socket) => void socket.write(line({ id, services: [] })),
  })
  const late = await recalled(t, { watch: { daemonPort: watched.port } })
  await late.recall.get()
  late.at.time += 100
  const again = late.recall.get()
  late.recall.close()
  await again
  late.at.time += 100
  await late.recall.get()
  t.equal(watched.sockets.filter(socket => !socket.destroyed).length, 0)
})

t.test('where names may not be watched each answer is good for a moment', async t => {
  const refusal = { error: { code: 'EDENIED', message: 'not you' } }
  const denying = await fake(t, {
    tcp: ({ id }, socket) => void socket.write(line({ id, ...refusal })),
  })
  const { at, recall } = await recalled(t, { watch: { daemonPort: denying.port } })
  while (denying.streamed.length === 0) {
    at.time += 100
    await recall.get()
  }
  for (let times = 0; times < 20; times++) {
    await new Promise(setImmediate)
    at.time += 100
    const { asked } = at
    await recall.get()
    t.equal(at.asked, asked + 1)
  }
  t.equal(denying.streamed.length, 1)
})

t.test('the answer of another host is asked for each second, beside the datagrams', async t => {
  const { at, recall } = await recalled(t, { isHere: false, watch: undefined })
  const first = await recall.get()
  at.time = 999
  t.equal(recall.get(), first)
  t.equal(at.asked, 1)
  at.time = 1_000
  t.equal(recall.get(), first)
  t.equal(recall.get(), first)
  t.equal(at.asked, 2)
  while (recall.get() === first) await new Promise(setImmediate)
  t.equal(at.asked, 2)
  at.time += 1_151
  const moved = recall.get()
  t.ok(moved instanceof Promise, 'it may have moved since')
  await moved
})

t.test('a caller that waits for the name asks by itself, and all are told', async t => {
  const { recall, at } = await recalled(t, { watch: undefined })
  const found = (await recall.get()) as Resolution
  at.time = 81
  const mine = { ...found }
  t.equal(await recall.get(async () => mine), mine)
  t.equal(recall.get(), mine)
  t.equal(at.asked, 1)
})

t.test('a question beside the datagrams may fail', async t => {
  const { at, recall, server } = await recalled(t, { isHere: false, watch: undefined })
  await recall.get()
  await once(server.close(), 'close')
  at.time = 1_000
  let known = recall.get()
  for (; !(known instanceof Promise); known = recall.get()) await new Promise(setImmediate)
  await t.rejects(known, { code: 'ECONNREFUSED' })
})

t.test('so many names are watched, and so many remembered', async t => {
  const ours = await recalled(t)
  const all = Array.from({ length: 65 }, () => {
    const watch = { service: 'tie', daemonPort: ours.daemonPort }
    const found = { name: {}, host: '', endpoints: [], ttl: 1e9 } as unknown as Resolution
    const ask = async () => found
    const recall = new Recall({ ask, isHere: true, watch, now: () => ours.at.time })
    t.teardown(() => recall.close())
    return recall
  })
  const watched = () => (ours.daemon.status() as { connections: number }).connections
  const before = watched()
  while (watched() < before + 64) {
    ours.at.time += 100
    for (const recall of all) await recall.get()
    await new Promise(setImmediate)
  }
  for (let times = 0; times < 20; times++) {
    ours.at.time += 100
    for (const recall of all) await recall.get()
    await new Promise(setImmediate)
  }
  t.equal(watched(), before + 64)

  const recalls = new Recalls()
  const make = () => ({ ask: () => Promise.reject(new Error('no')), isHere: true })
  const first = recalls.at('0', make)
  t.equal(recalls.at('0', make), first)
  for (let key = 1; key <= 1_024; key++) recalls.at(String(key), make)
  t.equal(recalls.size, 1_024)
  t.not(recalls.at('0', make), first)
})

// The last, as nobody ends the watch of a resolver: it counts among all.
t.test('a daemon at another loopback address is asked, and watched, there', async t => {
  const { port: daemonPort } = await daemon(t)
  const other = await daemon(t, { port: daemonPort, hosts: ['127.0.0.2'] })
  const there = await lines(t, daemonPort, { host: '127.0.0.2' })
  there.ask({ id: 1, op: 'register', service: 'tie', transport: 'tcp', port: 4711 })
  await there.answer()
  const at = { time: 0 }
  const resolver = new Resolver({ port: daemonPort, now: () => at.time })
  const options = { host: '127.0.0.2' }
  const questions = () => other.status().questions
  for (let asked; asked !== questions(); await new Promise(setImmediate)) {
    at.time += 100
    asked = questions()
    t.equal(portIn(await resolver.recall(parse('tie'), options)), 4711)
  }
  there.ask({ id: 2, op: 'unregister', registration: 1 })
  await there.answer()
  at.time += 100
  await t.rejects(async () => resolver.recall(parse('tie'), options), {
    code: 'ECONNREFUSED',
    reason: 'ENOSERVICE',
  })

  // This process holds names, but at the other daemon.
  await named(t, { service: 'held', daemonPort })
  await t.rejects(resolver.resolve('held', options), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
})
