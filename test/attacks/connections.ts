import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { elsewhere, external } from '../fixtures/external.ts'
import { line, lines } from '../fixtures/lines.ts'
import { siege } from '../fixtures/siege.ts'

/** So many connections that do nothing by themselves; those that are refused are closed. */
async function crowd(t: Test, port: number, count: number): Promise<Socket[]> {
  const sockets = Array.from({ length: count }, () => {
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    return socket.on('error', () => {}).resume()
  })
  t.teardown(() => sockets.forEach(socket => socket.destroy()))
  await Promise.all(
    sockets.map(socket => new Promise(done => socket.once('connect', done).once('close', done))),
  )
  return sockets
}

const gone = (sockets: readonly Socket[]) =>
  Promise.all(
    sockets.map(async socket => socket.readableEnded || socket.closed || once(socket, 'end')),
  ).catch(() => {})

t.test('thousands of connections keep nobody out', async t => {
  const { daemon, port, come, othersAreServed } = await siege(t, { maxConnections: 200 })
  await crowd(t, port, 2_000)
  await othersAreServed()
  const nc = await come()
  nc.ask({ op: 'register', service: 'late', transport: 'tcp', port: 1 })
  t.match(await nc.answer(), { registration: Number }, 'not even who comes after them all')
  const { open, limited } = daemon.status()
  t.ok(open <= 200, `${open} are open`)
  t.ok(limited >= 1_800, `${limited} were told that it is too much`)
})

t.test('a peer that sends a line bit by bit is dropped, and holds up no other', async t => {
  const { daemon, port, othersAreServed } = await siege(t, { patience: 200 })
  const slow = await crowd(t, port, 300)
  const dribble = setInterval(() => {
    for (const socket of slow) if (socket.writable) socket.write(' ')
  }, 20)
  t.teardown(() => clearInterval(dribble))
  await othersAreServed()
  await gone(slow)
  t.match(daemon.status(), { refused: 300, names: 1 })
  await othersAreServed()
})

t.test('a peer that asks and does not read is dropped, and the daemon stays small', async t => {
  const { daemon, port, come, othersAreServed } = await siege(t, { patience: 500 })
  const owner = await come()
  const names = Array.from({ length: 500 }, (_, n) => ({
    op: 'register',
    service: `s${n}`,
    transport: 'tcp',
    port: 1,
    metadata: { fat: 'x'.repeat(900) },
  }))
  owner.ask(...names)
  for (const _ of names) await owner.answer()

  // Each of them would have half a megabyte for each of these 28 bytes.
  const greedy = Array.from({ length: 5 }, () => connect({ port, host: '127.0.0.1' }))
  t.teardown(() => greedy.forEach(socket => socket.destroy()))
  const before = process.memoryUsage().rss
  const closed = greedy.map(socket => {
    socket.on('error', () => {}).write(line({ op: 'list' }).repeat(2_000))
    return new Promise(resolve => socket.once('close', resolve))
  })
  while (daemon.status().limited < greedy.length) {
    await othersAreServed()
  }
  const grown = process.memoryUsage().rss - before
  t.ok(grown < 300_000_000, `grown by ${grown >> 20} MB, of 5,000 that were asked for`)
  for (const socket of greedy) socket.resume()
  await Promise.all(closed)
  await othersAreServed()
})

t.test('a peer that waits for more than it may, and vanishes, harms no other', async t => {
  const { daemon, come, othersAreServed } = await siege(t)
  const nc = await come()
  const waits = Array.from({ length: 17_000 }, (_, id) => ({
    op: 'resolve',
    service: `x${id}`,
    wait: 3_600_000,
    id,
  }))
  nc.ask(...waits)
  t.match(await nc.answer(), { id: 16_384, error: { code: 'ELIMIT' } })
  while (daemon.status().limited < 616) await othersAreServed()
  // Where so many wait it has to be found out whose they are.
  while (daemon.status().followers < 16_384) await othersAreServed()
  nc.socket.resetAndDestroy()
  while (daemon.status().followers > 0) await othersAreServed()
  await othersAreServed()
})

t.test(
  'another host that waits for all that it may leaves the rest to others',
  elsewhere,
  async t => {
    const { daemon, port, come, othersAreServed } = await siege(t)
    const wait = { op: 'resolve', service: 'late', wait: 3_600_000 }
    const [first, second] = [
      await lines(t, port, { localAddress: external! }),
      await lines(t, port, { localAddress: external! }),
    ]
    first.ask(...Array.from({ length: 16_384 }, () => wait))
    while (daemon.status().followers < 16_384) await othersAreServed()
    second.ask(wait)
    t.match(await second.answer(), { error: { code: 'ELIMIT', message: new RegExp(external!) } })
    const nc = await come()
    nc.ask({ ...wait, version: '^1', id: 2 })
    const owner = await come()
    owner.ask({ op: 'register', service: 'late', version: '1.0.0', transport: 'tcp', port: 1 })
    t.match(await nc.answer(), { id: 2, endpoints: [{ port: 1 }] })
    await othersAreServed()
  },
)

t.test('a storm of registrations is cut short, and others go on', async t => {
  const limits = { changes: { perSecond: 10, burst: 100 } }
  const { daemon, come, othersAreServed } = await siege(t, { limits })
  const nc = await come()
  const register = { op: 'register', service: 'flicker', transport: 'tcp', port: 1 }
  const storm = Array.from({ length: 2_000 }, (_, id) =>
    id % 2 ? { op: 'unregister', registration: id, id } : { ...register, id },
  )
  nc.ask(...storm)
  const answers = await Promise.all(storm.map(() => nc.answer()))
  const limited = answers.filter(
    answer => (answer!.error as { code: string } | undefined)?.code === 'ELIMIT',
  )
  t.ok(limited.length >= 1_700, `${limited.length} were refused`)
  t.ok(daemon.status().limited >= limited.length)
  await othersAreServed()
})

t.test('a program that registers all that it can is held to its share', async t => {
  const { daemon, come, othersAreServed } = await siege(t, {
    maxNames: 50,
    // Root or not.
    limits: { allNames: 81, userNames: 81 },
  })
  for (const [who, most] of [
    ['a', 50],
    ['b', 30],
  ] as const) {
    const nc = await come()
    const names = Array.from({ length: 100 }, (_, n) => ({
      op: 'register',
      service: `${who}${n}`,
      transport: 'tcp',
      port: 1,
    }))
    nc.ask(...names)
    const answers = await Promise.all(names.map(() => nc.answer()))
    t.equal(answers.filter(answer => 'registration' in answer!).length, most)
  }
  t.match(daemon.status(), { names: 81, limited: 120 })
  await othersAreServed()
})
