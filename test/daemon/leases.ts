import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Daemon } from '../../lib/daemon/daemon.ts'
import { Leases } from '../../lib/daemon/leases.ts'
import { localSockets } from '../../lib/node/localsocket.ts'
import { daemon } from '../fixtures/daemon.ts'
import { lines } from '../fixtures/lines.ts'
import { unix } from '../fixtures/localsocket.ts'

const on = (service: string, ...namespaces: string[]) => ({
  service,
  namespaces: namespaces.length > 0 ? namespaces : [''],
})

/** Leases that note which of them are over, and the turns that wait. */
function noting(limits: { max?: number; maxOwned?: number } = {}) {
  const waiting: (() => void)[] = []
  const over: string[] = []
  const leases = new Leases({ ...limits, later: work => waiting.push(work) })
  const grant = (name: string, owner: object, service: string, ...namespaces: string[]) =>
    leases.grant(owner, on(service, ...namespaces), () => over.push(name))
  /** Gives some turns. */
  const turn = (count = Infinity) => {
    while (waiting.length > 0 && count-- > 0) waiting.shift()!()
  }
  return { leases, over, waiting, grant, turn }
}

t.test(
  'a lease is over with the first change of its service, in a namespace of its own',
  async t => {
    const { leases, over, grant } = noting()
    grant('a', {}, 'a')
    grant('b', {}, 'b')
    grant('ours or a', {}, 'a', 'ours', '')
    grant('theirs', {}, 'a', 'theirs', 'theirs')
    leases.end({ namespace: 'ours', service: 'b' })
    t.strictSame(over, [])
    leases.end({ namespace: 'ours', service: 'a' })
    t.strictSame(over.splice(0), ['ours or a'])
    leases.end({ namespace: '', service: 'a' })
    leases.end({ namespace: '', service: 'a' })
    t.strictSame(over.splice(0), ['a'], 'told once')
    leases.end({ namespace: 'theirs', service: 'a' })
    t.strictSame(over.splice(0), ['theirs'])
    t.equal(leases.size, 1)
    leases.end({ namespace: '', service: 'b' })
    t.equal(leases.size, 0)
    leases.end({ namespace: '', service: 'b' })
    t.strictSame(over, ['b'])
  },
)

t.test('all leases can be ended', async t => {
  const { leases, over, grant } = noting()
  grant('a', {}, 'a', 'ours', '')
  grant('b', {}, 'b')
  leases.endAll()
  t.strictSame(over, ['a', 'b'])
  t.equal(leases.size, 0)
  leases.endAll()
  t.equal(over.length, 2)
})

t.test('an owner that goes is told nothing, and takes all its leases along', async t => {
  const { leases, over, grant } = noting()
  const owner = {}
  grant('a', owner, 'a')
  grant('b', owner, 'b', '', 'ours')
  grant('other', {}, 'a')
  leases.release(owner)
  leases.release(owner)
  t.equal(leases.size, 1)
  leases.endAll()
  t.strictSame(over, ['other'])
})

t.test('there are only so many, of one owner and of all', async t => {
  const { leases, grant } = noting({ max: 3, maxOwned: 2 })
  const owner = {}
  t.equal(grant('1', owner, 'a'), true)
  t.equal(grant('2', owner, 'b'), true)
  t.equal(grant('3', owner, 'c'), false)
  t.equal(grant('4', {}, 'c'), true)
  t.equal(grant('5', {}, 'd'), false)
  t.equal(leases.size, 3)
  leases.end({ namespace: '', service: 'a' })
  t.equal(grant('6', owner, 'd'), true)
})

t.test('many are told in turns, and few others at once meanwhile', async t => {
  const { leases, over, waiting, grant, turn } = noting()
  for (let n = 0; n < 200; n++) grant('many', {}, 'a', '', 'ours')
  grant('few', {}, 'b')
  leases.end({ namespace: '', service: 'a' })
  t.equal(over.length, 0)
  t.equal(waiting.length, 1)
  turn(1)
  t.equal(over.length, 64)
  leases.end({ namespace: '', service: 'b' })
  t.equal(over.at(-1), 'few')
  leases.end({ namespace: 'ours', service: 'a' })
  turn()
  t.equal(over.length, 201)
  t.equal(leases.size, 0)
})

t.test('a second change is told in the turns of the first', async t => {
  const { leases, over, waiting, grant, turn } = noting()
  for (let n = 0; n < 100; n++) grant('a', {}, 'a')
  for (let n = 0; n < 100; n++) grant('b', {}, 'b')
  leases.end({ namespace: '', service: 'a' })
  leases.end({ namespace: '', service: 'b' })
  t.equal(waiting.length, 1)
  turn()
  t.equal(over.length, 200)
  t.equal(waiting.length, 0)
})

t.test('a lease that is granted while a change is told does not end by that', async t => {
  const { leases, over, grant, turn } = noting()
  for (let n = 0; n < 100; n++) grant('old', {}, 'a')
  leases.end({ namespace: '', service: 'a' })
  turn(1)
  grant('new', {}, 'a')
  turn()
  t.equal(over.length, 100)
  t.notOk(over.includes('new'))
  leases.end({ namespace: '', service: 'a' })
  t.equal(over.at(-1), 'new')
})

t.test('who asks is told first, and of nothing twice', async t => {
  const { leases, over, grant, turn } = noting()
  const owner = {}
  leases.catchUp(owner)
  for (let n = 0; n < 100; n++) grant('other', {}, 'a')
  grant('mine', owner, 'a')
  grant('still mine', owner, 'b')
  leases.end({ namespace: '', service: 'a' })
  leases.catchUp({})
  t.strictSame(over, [])
  leases.catchUp(owner)
  leases.catchUp(owner)
  t.strictSame(over, ['mine'])
  turn()
  leases.catchUp(owner)
  t.equal(over.filter(name => name === 'mine').length, 1)
  t.equal(over.length, 101)
  t.equal(leases.size, 1)
})

t.test('an owner that goes while many are told is told nothing', async t => {
  const { leases, over, grant, turn } = noting()
  const owner = {}
  for (let n = 0; n < 100; n++) grant('other', {}, 'a')
  grant('mine', owner, 'a')
  leases.end({ namespace: '', service: 'a' })
  leases.release(owner)
  turn()
  t.equal(over.length, 100)
  t.notOk(over.includes('mine'))
})

t.test('without turns all are told at once', async t => {
  let over = 0
  const leases = new Leases()
  for (let n = 0; n < 1_000; n++) leases.grant({}, on('a'), () => over++)
  leases.end({ namespace: '', service: 'a' })
  t.equal(over, 1_000)
})

const starwars = { op: 'register', service: 'starwars', transport: 'tcp', port: 4000 }
const follow = { op: 'resolve', service: 'starwars', follow: true, id: 'f' }
const stale = { v: 1, id: 'f', event: 'stale' }

/** A client that has a lease, and a server that has the name. */
async function leased(t: Test, { port }: Daemon) {
  const [client, server] = [await lines(t, port), await lines(t, port)]
  server.ask(starwars)
  await server.answer()
  client.ask(follow)
  t.match(await client.answer(), { id: 'f', endpoints: [{ port: 4000 }], followed: true })
  return { client, server }
}

t.test(
  'a client that has a lease is told of a higher version, before any later answer',
  async t => {
    const { client, server } = await leased(t, await daemon(t))
    server.ask({ ...starwars, version: '2.0.0', port: 4001 })
    await server.answer()
    client.ask({ op: 'resolve', service: 'starwars', id: 2 })
    t.strictSame(await client.answer(), stale)
    t.match(await client.answer(), { id: 2, endpoints: [{ port: 4001 }] })
  },
)

t.test('what a client has changed itself it is told in order', async t => {
  const { client } = await leased(t, await daemon(t))
  const resolve = { op: 'resolve', service: 'starwars' }
  client.ask(
    { ...resolve, id: 2 },
    { ...starwars, version: '2.0.0', port: 4001, id: 3 },
    { ...resolve, id: 4 },
  )
  const told = [await client.answer(), await client.answer(), await client.answer()]
  t.match(told, [{ id: 2, endpoints: [{ port: 4000 }] }, stale, { id: 3, registration: 2 }])
  t.match(await client.answer(), { id: 4, endpoints: [{ port: 4001 }] })
})

t.test('a lease is over when its server has gone', async t => {
  const { client, server } = await leased(t, await daemon(t))
  server.socket.destroy()
  t.strictSame(await client.answer(), stale)
})

t.test('a lease is over when the server says how busy it is', async t => {
  const { client, server } = await leased(t, await daemon(t))
  server.ask({ op: 'update', registration: 1, load: 3 })
  t.strictSame(await client.answer(), stale)
})

t.test('a lease is had over the Unix socket of the daemon as well', unix, async t => {
  const { port } = await daemon(t)
  const server = await lines(t, port)
  server.ask(starwars)
  await server.answer()
  const [path] = localSockets(port)
  const client = await lines(t, port, { path: path! })
  client.ask(follow)
  t.match(await client.answer(), { followed: true })
  server.ask({ op: 'unregister', registration: 1, id: 2 })
  t.strictSame(await client.answer(), stale)
})

t.test('a policy that is read again ends all leases', async t => {
  const policy = join(t.testdir({ 'p.yaml': 'rules: []' }), 'p.yaml')
  const ours = await daemon(t, { policy })
  const { client } = await leased(t, ours)
  await ours.reload()
  t.strictSame(await client.answer(), stale)
})

t.test('a policy that is broken ends none', async t => {
  const policy = join(t.testdir({ 'p.yaml': 'rules: []' }), 'p.yaml')
  const ours = await daemon(t, { policy })
  const { client } = await leased(t, ours)
  writeFileSync(policy, 'rules: 1')
  await t.rejects(ours.reload())
  client.ask({ op: 'status', id: 2 })
  t.match(await client.answer(), { id: 2, pid: process.pid })
})

t.test('a daemon that hands over ends all leases, and grants none until it goes on', async t => {
  const ours = await daemon(t, { embedded: true, linger: 60_000 })
  const { client } = await leased(t, ours)
  const successor = await lines(t, ours.port)
  successor.ask({ op: 'handover' })
  await successor.answer()
  t.strictSame(await client.answer(), stale)
  client.ask(follow)
  t.match(await client.answer(), { endpoints: [{ port: 4000 }], followed: undefined })
  successor.socket.destroy()
  while (!ours.isAnswering) await new Promise(setImmediate)
  client.ask(follow)
  t.match(await client.answer(), { followed: true })
})

t.test('a connection that has but leases makes room for another', async t => {
  const ours = await daemon(t, { maxConnections: 2 })
  const { client } = await leased(t, ours)
  const third = await lines(t, ours.port)
  t.match(await client.answer(), { error: { code: 'ELIMIT' } })
  third.ask({ op: 'resolve', service: 'starwars' })
  t.match(await third.answer(), { endpoints: [{ port: 4000 }] })
})

t.test('a connection that has but leases may be closed when it is silent', async t => {
  const { client } = await leased(t, await daemon(t, { idle: 100 }))
  t.strictSame(await client.rest(), [])
})

t.test('leases of a client that asks no more are forgotten', async t => {
  const ours = await daemon(t)
  const { client } = await leased(t, ours)
  t.equal(ours.status().leases, 1)
  client.socket.end()
  t.strictSame(await client.rest(), [])
  t.equal(ours.status().leases, 0)
})

t.test('thousands are told of a higher version', async t => {
  const ours = await daemon(t)
  const server = await lines(t, ours.port)
  server.ask(starwars)
  await server.answer()
  const clients = await Promise.all(Array.from({ length: 20 }, () => lines(t, ours.port)))
  const each = 200
  for (const client of clients) {
    for (let id = 0; id < each; id++) client.ask({ ...follow, id })
    for (let id = 0; id < each; id++) await client.answer()
  }
  t.equal(ours.status().leases, 4_000)
  server.ask({ ...starwars, version: '2.0.0', id: 2 })
  await server.answer()
  let told = 0
  for (const client of clients) {
    for (let id = 0; id < each; id++) if ((await client.answer())!.event === 'stale') told++
  }
  t.equal(told, 4_000)
  t.equal(ours.status().leases, 0)
})
