import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { Socket, connect, createServer } from 'node:net'
import { writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { userInfo } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { Client } from '../../lib/client/connection.ts'
import type { Peer } from '../../lib/daemon/chain.ts'
import { Daemon } from '../../lib/daemon/daemon.ts'
import type { DatagramOptions, Dialect } from '../../lib/daemon/dialect.ts'
import { PORT } from '../../lib/settings.ts'
import { freePort } from '../../lib/node/proc.ts'
import { MAX_LINE } from '../../lib/wire/lines.ts'
import { question, type Asked, type Endpoint } from '../../lib/wire/protocol.ts'
import { daemon } from '../fixtures/daemon.ts'
import { ground } from '../fixtures/ground.ts'
import { interfaces } from '../fixtures/interfaces.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { line, lines, type Message } from '../fixtures/lines.ts'
import { unix } from '../fixtures/localsocket.ts'
import { linux, scarce } from '../fixtures/scarce.ts'
import { nobody } from '../fixtures/services.ts'

const starwars = { op: 'register', service: 'starwars', transport: 'tcp', port: 4000 }
const resolve = { op: 'resolve', service: 'starwars' }

/** The answer to one datagram. */
async function datagram(t: Test, port: number, question: object): Promise<Message> {
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  socket.send(line(question).padEnd(512), port, '127.0.0.1')
  const [bytes] = (await once(socket, 'message')) as [Buffer]
  return JSON.parse(bytes.toString()) as Message
}

/** Something else that has a port of 127.0.0.1. */
async function squatter(t: Test): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as { port: number }).port
}

t.test('a name that is registered is resolved, over TCP and over UDP', async t => {
  const { port } = await daemon(t)
  const owner = await lines(t, port)
  owner.ask({ ...starwars, version: '1.2.0' })
  const registered = await owner.answer()
  t.match(registered, { v: 1, id: 1, registration: 1, generation: Number })

  const other = await lines(t, port)
  other.ask({ ...resolve, version: '^1' })
  const answer = await other.answer()
  t.match(answer, { endpoints: [{ transport: 'tcp', port: 4000, version: '1.2.0' }], ttl: 30_000 })
  t.strictSame(await datagram(t, port, { ...resolve, version: '^1' }), answer)
})

/** A language of one question: `WHERE starwars` is answered by a port. */
const where: Dialect = {
  claims: byte => byte === 0x57,
  serve(socket, head, peer, options) {
    const owner = { isOpen: true, tell() {} }
    socket.on('close', () => options.closed(owner)).end(answerTo(head, { ...peer, owner }, options))
    return { owner, refuse: () => void socket.destroy() }
  },
  turnAway: () => t.fail('our own language does that'),
  datagram: answerTo,
}

function answerTo(bytes: Buffer, peer: Peer, { answer }: DatagramOptions): string {
  const [, service] = bytes.toString().trim().split(' ')
  const asked = question({ op: 'resolve', service, transports: ['tcp'] })
  const { endpoints } = answer(asked, peer) as unknown as { endpoints: Endpoint[] }
  return String(endpoints[0]!.port)
}

t.test('a daemon speaks another language over connections and datagrams', async t => {
  const { port } = await daemon(t, { dialects: [where] })
  const owner = await lines(t, port)
  owner.ask(starwars)
  await owner.answer()
  const socket = connect(port, '127.0.0.1')
  socket.write('WHERE starwars\n')
  t.equal(await text(socket), '4000')
  const asker = createSocket('udp4')
  t.teardown(() => asker.close())
  asker.send('WHERE starwars', port, '127.0.0.1')
  t.equal(String((await once(asker, 'message'))[0]), '4000')
  t.match(await datagram(t, port, resolve), { endpoints: [{ port: 4000 }] })
})

t.test(
  'a name is gone for all who ask after its holder has ended, however busy the daemon is',
  async t => {
    const { port } = await daemon(t)
    const asker = await lines(t, port)
    for (let id = 1; id <= 20; id++) {
      const holder = await lines(t, port)
      holder.ask(starwars)
      await holder.answer()
      await new Promise<void>(resolve => holder.socket.end(resolve))
      asker.ask({ ...resolve, id })
      t.match(await asker.answer(), { id, error: { code: 'ENOSERVICE' } })
    }
  },
)

t.test('the names of a connection are gone when it is, and so are no others', async t => {
  const { port } = await daemon(t)
  const [owner, other] = [await lines(t, port), await lines(t, port)]
  owner.ask({ ...starwars, id: 1 }, { ...starwars, id: 2, service: 'a' })
  await owner.answer()
  await owner.answer()
  other.ask({ ...starwars, service: 'b' })
  await other.answer()
  owner.socket.end()
  await owner.rest()

  const refused = { error: { code: 'ENOSERVICE' } }
  t.match(await datagram(t, port, resolve), refused)
  t.match(await datagram(t, port, { ...resolve, service: 'a' }), refused)
  t.match(await datagram(t, port, { ...resolve, service: 'b' }), { endpoints: [{ port: 4000 }] })
})

t.test('a name goes when its owner lets it go, and when nobody else does', async t => {
  const { port } = await daemon(t)
  const [owner, other] = [await lines(t, port), await lines(t, port)]
  owner.ask(starwars)
  const { registration } = (await owner.answer())!
  const unregister = { op: 'unregister', registration }
  other.ask(unregister)
  t.strictSame(await other.answer(), { v: 1, id: 1, unregistered: false })
  t.match(await datagram(t, port, resolve), { endpoints: [{}] })
  owner.ask(unregister)
  t.strictSame(await owner.answer(), { v: 1, id: 1, unregistered: true })
  t.match(await datagram(t, port, resolve), { error: { code: 'ENOSERVICE' } })
})

t.test('a name that is taken is refused, and the connection stays', async t => {
  const { port } = await daemon(t)
  const nc = await lines(t, port)
  nc.ask({ ...starwars, pid: 7 }, { ...starwars, id: 2 })
  await nc.answer()
  const { error } = (await nc.answer())!
  t.match(error, { code: 'ETAKEN', message: /by process 7 on port 4000/ })
  nc.ask({ ...resolve, id: 3 })
  t.match(await nc.answer(), { id: 3, endpoints: [{}] })
})

t.test('a name is taken from another program of the same user by force alone', async t => {
  const { port } = await daemon(t)
  const [holder, rival] = [await lines(t, port), await lines(t, port)]
  const offer = { service: 'tie', transport: 'tcp' }
  holder.ask({ op: 'register', ...offer, port: 4000 })
  await holder.answer()
  const reserve = { op: 'reserve', ...offer, reservation: 'a-secret-of-16-letters' }
  rival.ask(reserve)
  t.match(await rival.answer(), { error: { code: 'ETAKEN' } })
  rival.ask({ ...reserve, force: true })
  t.match(await rival.answer(), { registration: Number })
  t.match(await holder.answer(), { event: 'evicted' })
})

t.test('a daemon that is young waits for the names there were before', async t => {
  const { port } = await daemon(t, { grace: 60_000 })
  const [early, owner] = [await lines(t, port), await lines(t, port)]
  early.ask({ ...resolve })
  const answer = datagram(t, port, { ...resolve })
  owner.ask({ ...starwars })
  for (const found of [await early.answer(), await answer]) {
    t.match(found, { endpoints: [{ port: 4000 }] })
  }
})

t.test(
  'a daemon that takes the place of another waits for its names until that has gone',
  async t => {
    const one = new Daemon({ port: 0, hosts: ['127.0.0.1'], grace: 0 })
    t.teardown(() => one.stop())
    let go!: () => void
    const gone = new Promise<void>(resolve => (go = resolve))
    await one.start(() => gone)
    const [early, owner] = [await lines(t, one.port), await lines(t, one.port)]
    early.ask(resolve)
    while (one.status().followers === 0) await new Promise(setImmediate)
    owner.ask(starwars)
    t.match(await early.answer(), { endpoints: [{ port: 4000 }] })
    go()
    await gone
    early.ask({ ...resolve, service: 'other' })
    t.match(await early.answer(), { error: { code: 'ENOSERVICE' } })
  },
)

t.test('the namespace of a user is for that user, and for root', async t => {
  const uid = process.getuid?.() ?? -1
  const { port } = await daemon(t)
  const nc = await lines(t, port)
  const namespace = userInfo().username
  nc.ask({ ...starwars, namespace }, { ...starwars, namespace: 'root', id: 2 })
  const answers = [await nc.answer(), await nc.answer()]
  const ours = { registration: Number }
  const refused = { error: { code: 'EDENIED' } }
  const isKnown = process.platform === 'linux'
  t.match(
    answers.find(answer => answer!.id === 1),
    isKnown ? ours : refused,
  )
  t.match(
    answers.find(answer => answer!.id === 2),
    isKnown && uid === 0 ? {} : refused,
  )
})

/** One that makes way, at a port that nobody else takes. */
async function yielding(t: Test, linger: number): Promise<Daemon> {
  return daemon(t, { port: await nobody(), embedded: true, linger })
}

t.test('a daemon that has handed over keeps its names until the other is there', async t => {
  const one = await yielding(t, 60_000)
  const { port } = one
  const [successor, owner, patient] = [
    await lines(t, port),
    await lines(t, port),
    await lines(t, port),
  ]
  owner.ask(starwars)
  await owner.answer()
  successor.ask({ op: 'handover' })
  t.match(await successor.answer(), { handover: true })
  await t.rejects(once(connect(port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
  patient.ask(resolve)
  t.match(await patient.answer(), { endpoints: [{ port: 4000 }] })
  successor.ask({ op: 'handover' })
  t.same(await patient.rest(), [])
})

t.test('a daemon goes on if its successor has gone without a word', async t => {
  const one = await yielding(t, 60_000)
  const [successor, patient] = [await lines(t, one.port), await lines(t, one.port)]
  successor.ask({ op: 'handover' })
  t.match(await successor.answer(), { handover: true })
  await daemon(t, { port: one.port })
  successor.socket.end()
  t.same(await patient.rest(), [])
})

t.test('if no other is there in time, it goes on with them', async t => {
  const one = await yielding(t, 0)
  const [successor, owner] = [await lines(t, one.port), await lines(t, one.port)]
  owner.ask(starwars)
  await owner.answer()
  successor.ask({ op: 'handover' })
  t.match(await successor.answer(), { handover: true })
  while (!one.isAnswering) await new Promise(setImmediate)
  const client = await lines(t, one.port)
  client.ask(resolve)
  t.match(await client.answer(), { endpoints: [{ port: 4000 }] })
})

t.test('a daemon that stands alone hands nothing over', async t => {
  const { port } = await daemon(t)
  const other = await lines(t, port)
  other.ask({ op: 'handover' })
  t.match((await other.answer())!.error, { code: 'EDENIED' })
})

t.test('a list is told over TCP, and refused over UDP', async t => {
  const { port } = await daemon(t)
  const nc = await lines(t, port)
  nc.ask({ ...starwars, namespace: 'NS' }, { op: 'list', namespace: 'ns', id: 2 })
  await nc.answer()
  t.match(await nc.answer(), { id: 2, services: [{ namespace: 'ns', service: 'starwars' }] })
  const { error } = await datagram(t, port, { op: 'list' })
  t.match(error, { code: 'EDENIED', message: /list is answered over TCP alone/ })
})

t.test('a list that is long comes in many lines, and comes whole', async t => {
  const { port } = await daemon(t)
  const nc = await lines(t, port)
  const names = Array.from({ length: 300 }, (_, n) => `s${n}`)
  nc.ask(...names.map(service => ({ ...starwars, service })))
  for (const _ of names) await nc.answer()
  nc.ask({ op: 'list' })
  const services: { service: string }[] = []
  for (let more: unknown = true; more;) {
    const answer = (await nc.answer())!
    services.push(...(answer.services as { service: string }[]))
    more = answer.more
  }
  t.strictSame(services.map(({ service }) => service).toSorted(), names.toSorted())
})

t.test('a status tells what the daemon has done', async t => {
  const one = await daemon(t, { embedded: true })
  const [nc, other] = [await lines(t, one.port), await lines(t, one.port)]
  nc.ask(starwars, { ...resolve, id: 2, service: 'other' }, { op: 'status', id: 3 })
  await nc.answer()
  await nc.answer()
  other.ask(starwars)
  await other.answer()
  nc.ask({ op: 'status', id: 3 })
  await nc.answer()

  const { v: _, id: __, ...status } = (await nc.answer())!
  t.match(status, {
    protocol: 1,
    pid: process.pid,
    embedded: true,
    port: one.port,
    udp: ['127.0.0.1'],
    names: 1,
    open: 2,
    connections: 2,
    questions: 5,
    refused: 2,
    limited: 0,
    denied: 0,
  })
  t.strictSame(status, one.status())
  t.ok(one.status().started <= Date.now())
})

t.test('a status tells of bounds that were reached, and of the policy', async t => {
  const policy = join(t.testdir({ 'p.yaml': 'rules: []' }), 'p.yaml')
  const one = await daemon(t, { maxNames: 1, policy: relative(process.cwd(), policy) })
  const nc = await lines(t, one.port)
  t.strictSame(one.status().full, [])
  nc.ask(starwars, { ...starwars, id: 2, service: 'a' }, { op: 'watch', id: 3 })
  for (let answers = 0; answers < 3; answers++) await nc.answer()
  const { full, policies, shares, uid } = one.status()
  t.strictSame(full, ['one connection may hold 1 names'])
  t.ok(policies.includes(policy))
  t.equal(uid, process.getuid?.())
  t.match(shares.at(-1), { of: 'questions held and watches', used: 1, most: 65_536 })
})

t.test('a gateway is one as long as its connection lasts', async t => {
  const one = await daemon(t, { idle: 500 })
  const nc = await lines(t, one.port)
  nc.ask({ op: 'gateway', port: 6680 })
  t.match(await nc.answer(), { gateway: true })
  const { gateways } = one.status()
  t.match(gateways, [{ address: '127.0.0.1', port: 6680 }])
  const idle = await lines(t, one.port)
  idle.ask({ op: 'gateways' })
  t.match(await idle.answer(), { gateways: process.platform === 'linux' ? gateways : [] })
  t.strictSame(await idle.rest(), [], 'a silent connection is closed')
  t.strictSame(one.status().gateways, gateways, 'that of a gateway is not')
  nc.socket.end()
  while (one.status().gateways.length > 0) await new Promise(setImmediate)
})

t.test('of many gateways a status tells some', async t => {
  const one = await daemon(t)
  const all = await Promise.all(Array.from({ length: 10 }, () => lines(t, one.port)))
  for (const [at, nc] of all.entries()) {
    nc.ask({ op: 'gateway', port: at + 1 })
    await nc.answer()
  }
  t.equal(one.status().gateways.length, 8)
})

t.test('a gateway makes no room for others', async t => {
  const one = await daemon(t, { maxConnections: 2 })
  const [nc, other] = [await lines(t, one.port), await lines(t, one.port)]
  nc.ask({ op: 'gateway', port: 6680 })
  await nc.answer()
  other.ask({ op: 'status' })
  await other.answer()
  const third = await lines(t, one.port)
  third.ask({ op: 'status' })
  t.match(await third.answer(), { gateways: [{ port: 6680 }] })
  t.match(await other.answer(), { error: { code: 'ELIMIT' } })
})

t.test('of many addresses a status tells some, as it is one short line', async t => {
  const hosts = Array.from({ length: 30 }, (_, at) => `127.0.0.${at + 1}`)
  const one = await daemon(t, { hosts })
  t.strictSame(one.status().udp, hosts.slice(0, 24))
})

t.test('who watches a name, however often, keeps nobody from registering it', async t => {
  const held = await daemon(t)
  const { port } = held
  const watch = { op: 'watch', namespace: '', service: 'late' }
  const [one, nc] = [await lines(t, port), await lines(t, port)]
  one.ask(watch)
  await one.answer()
  const crowd = connect({ port, host: '127.0.0.1' }).on('error', () => {})
  t.teardown(() => crowd.destroy())
  const gone = once(crowd.resume(), 'close')
  crowd.write(line(watch).repeat(1_000))
  while (held.status().followers < 1_001) await new Promise(setImmediate)

  const names = Array.from({ length: 500 }, (_, n) => {
    return { op: 'register', service: 'late', version: `0.0.${n}`, transport: 'tcp', port: 1 }
  })
  let changes = 0
  for (; changes < 18_000; changes += 1_000) {
    nc.ask(...names)
    const answers = await Promise.all(names.map(() => nc.answer()))
    const registrations = answers.flatMap(answer => answer!.registration ?? [])
    if (registrations.length < names.length) t.fail('a name was refused')
    nc.ask(...registrations.map(registration => ({ op: 'unregister', registration })))
    await Promise.all(names.map(() => nc.answer()))
  }
  await gone
  let told = 0
  for (; told < changes && (await one.answer())?.event; told++);
  t.equal(told, changes, 'who watches it once is told all')
  t.equal(held.status().followers, 1)
  t.match(held.status().full, [/waited for, or watched, over one connection/])
})

t.test('a status says that a stand-alone daemon is one', async t => {
  const one = await daemon(t)
  t.match(one.status(), { embedded: false, names: 0, open: 0 })
})

t.test('one connection may hold so many names and no more', async t => {
  const { port } = await daemon(t, { maxNames: 1, ttl: 7 })
  const nc = await lines(t, port)
  nc.ask(starwars, { ...starwars, id: 2, service: 'a' }, { ...resolve, id: 3 })
  await nc.answer()
  t.match(await nc.answer(), { id: 2, error: { code: 'ELIMIT' } })
  t.match(await nc.answer(), { id: 3, ttl: 7 })
})

t.test('there may be so many connections and no more', async t => {
  const one = await daemon(t, { maxConnections: 2 })
  const [first, second] = [await lines(t, one.port), await lines(t, one.port)]
  first.ask(starwars)
  second.ask({ ...starwars, service: 'other' })
  await Promise.all([first.answer(), second.answer()])
  const third = await lines(t, one.port)
  t.match(await third.answer(), { id: null, error: { code: 'ELIMIT' } }, 'the third is told why')
  t.match(one.status(), { refused: 1, limited: 1 })
  first.ask(resolve)
  t.match(await first.answer(), { endpoints: [{}] }, 'the others are served')

  first.socket.end()
  await first.rest()
  const fourth = await lines(t, one.port)
  fourth.ask({ op: 'status' })
  t.match(await fourth.answer(), { open: 2 }, 'and one may come when one has gone')
})

t.test('the oldest connection without a name makes room for a new one', async t => {
  const one = await daemon(t, { maxConnections: 3 })
  const [owner, idle, other] = [
    await lines(t, one.port),
    await lines(t, one.port),
    await lines(t, one.port),
  ]
  owner.ask(starwars)
  await owner.answer()
  other.ask(resolve)
  await other.answer()
  const fresh = await lines(t, one.port)
  t.match(await idle.rest(), [{ id: null, error: { code: 'ELIMIT' } }])
  for (const nc of [owner, other, fresh]) {
    nc.ask(resolve)
    t.match(await nc.answer(), { endpoints: [{}] })
  }
  t.match(one.status(), { open: 3, limited: 1 })
})

t.test(
  'where few descriptors are left there is room for programs of this host alone',
  linux,
  async t => {
    const { port } = await scarce(t, 64)
    /** A new connection, and the answer to a question over it: the daemon may refuse before it has come. */
    const come = async (question: object, host = '127.0.0.1') => {
      const nc = await lines(t, port, { host })
      nc.ask(question)
      return { nc, answer: await nc.answer() }
    }
    const idle = []
    for (let count = 0; count < 40; count++) idle.push((await come({ op: 'status' })).nc)
    const first = idle[0]!
    const room = { code: 'ELIMIT', message: /made room for a new one/ }
    t.match(await first.rest(), [{ error: room }], 'the oldest has gone')
    const { answer } = await come(starwars)
    t.match(answer, { registration: Number }, 'and the newest is served')

    const names = Array.from({ length: 60 }, (_, at) => ({ ...starwars, service: `s${at}` }))
    const answers = []
    for (const name of names) answers.push((await come(name)).answer)
    const few = { id: null, error: { code: 'ELIMIT', message: /^few descriptors are left/ } }
    t.match(answers.at(-1), few, 'where all hold names, none makes room, and it is said')
    t.match(await datagram(t, port, resolve), { endpoints: [{}] }, 'over UDP it answers')
  },
)

t.test('who leaves more unread than there may be is cut off', async t => {
  const one = await daemon(t, { limits: { unread: 100 } })
  const owner = await lines(t, one.port)
  const metadata = { about: 'x'.repeat(600) }
  const names = Array.from({ length: 600 }, (_, at) => ({
    ...starwars,
    service: `s${at}`,
    metadata,
  }))
  owner.ask(...names)
  for (const _ of names) t.match(await owner.answer(), { registration: Number })
  const lazy = connect(one.port, '127.0.0.1')
  t.teardown(() => lazy.destroy())
  // The kernel takes what is written first.
  lazy.write(line({ op: 'list' }).repeat(100))
  while (!one.status().limited) await new Promise(setImmediate)
  owner.ask(resolve)
  t.match(await owner.answer(), { error: {} }, 'others are served')
})

t.test('a connection that is silent is closed, unless it holds a name', async t => {
  const { port } = await daemon(t, { idle: 300 })
  const [owner, silent] = [await lines(t, port), await lines(t, port)]
  owner.ask(starwars)
  const { registration } = (await owner.answer())!
  // The second that is silent after the owner was outlives the first only if the owner does too.
  t.equal(await silent.answer(), undefined)
  t.equal(await (await lines(t, port)).answer(), undefined)
  owner.ask({ op: 'unregister', registration })
  t.match(await owner.answer(), { unregistered: true })
  t.equal(await owner.answer(), undefined, 'and no longer than it does')
})

t.test('what the policy denies is counted, and told a hundred times in a row at most', async t => {
  const policy = join(
    t.testdir({ 'p.yaml': 'rules:\n  - deny: resolve\n    name: star*' }),
    'p.yaml',
  )
  const told: string[] = []
  const one = await daemon(t, { policy, log: text => told.push(text) })
  const nc = await lines(t, one.port)
  nc.ask(starwars)
  await nc.answer()
  nc.ask(...Array.from({ length: 150 }, (_, id) => ({ ...resolve, id })))
  for (let n = 0; n < 150; n++) t.match(await nc.answer(), { error: { code: 'ENOSERVICE' } })
  t.match(one.status(), { denied: 150, refused: 150 })
  t.ok(told.length >= 100 && told.length < 150, `told ${told.length} times`)
  t.match(told[0], /^denied 127\.0\.0\.1: resolve starwars@0\.0\.0 \(.*p\.yaml:2\)$/)

  const quiet = await daemon(t, { policy })
  const other = await lines(t, quiet.port)
  other.ask(starwars, resolve)
  await other.answer()
  t.match(await other.answer(), { error: { code: 'ENOSERVICE' } })
})

t.test('a policy that is broken is refused, and the old one stays', async t => {
  const policy = join(t.testdir({ 'p.yaml': 'rules: [{deny: publish}]' }), 'p.yaml')
  const one = await daemon(t, { policy })
  const ask = async () => {
    const nc = await lines(t, one.port)
    nc.ask(starwars)
    return nc.answer()
  }
  t.match(await ask(), { error: { code: 'EDENIED' } })
  writeFileSync(policy, 'rules: [{deny: dance}]')
  await t.rejects(one.reload(), { code: 'ERR_MONIKER_POLICY' })
  t.match(await ask(), { error: { code: 'EDENIED' } })
  writeFileSync(policy, 'rules: []')
  await one.reload()
  t.match(await ask(), { registration: 1 })

  writeFileSync(policy, 'rules: 1')
  const second = new Daemon({ port: 0, hosts: ['127.0.0.1'], policy })
  await t.rejects(second.start(), { code: 'ERR_MONIKER_POLICY' })
  await second.stop()
})

const abuses: [what: string, text: string][] = [
  ['nonsense', 'GET / HTTP/1.1\r\n\r\n'],
  ['a line too long', 'x'.repeat(MAX_LINE + 1)],
  ['half a line', '{"v":1,'],
  ['a message of another version', '{"v":2,"id":1,"op":"list"}\n'],
]

for (const [what, abuse] of abuses) {
  t.test(`${what} costs a program its connection and its names, and no other its own`, async t => {
    const one = await daemon(t, { patience: 30 })
    const [owner, abuser] = [await lines(t, one.port), await lines(t, one.port)]
    owner.ask(starwars)
    await owner.answer()
    abuser.ask({ ...starwars, service: 'a' })
    await abuser.answer()
    abuser.socket.write(abuse)
    const answers = await abuser.rest()

    t.match(answers, [{ error: { code: 'EPROTOCOL' } }])
    t.equal(answers.length, 1)
    t.match(one.status(), { refused: 1 })
    owner.ask(resolve)
    t.match(await owner.answer(), { endpoints: [{}] })
    owner.ask({ ...resolve, service: 'a' })
    t.match(await owner.answer(), { error: { code: 'ENOSERVICE' } })
  })
}

t.test('an unknown op costs a program nothing', async t => {
  const one = await daemon(t)
  const nc = await lines(t, one.port)
  nc.ask(starwars, { id: 2, op: 'dance' }, { ...resolve, id: 3 })
  t.match(await nc.answer(), { registration: 1 })
  t.match(await nc.answer(), { id: 2, error: { code: 'ENOSYS' } })
  t.match(await nc.answer(), { id: 3, endpoints: [{}] })
  t.match(one.status(), { questions: 3, refused: 1 })
})

t.test('a step that is given takes the place of that of the daemon', async t => {
  const one = await daemon(t, {
    steps: { hold: ({ op }, _peer, next) => (op === 'list' ? { services: ['ours'] } : next()) },
  })
  const nc = await lines(t, one.port)
  nc.ask({ op: 'list' }, { op: 'status', id: 2 })
  t.match(await nc.answer(), { services: ['ours'] })
  t.match(await nc.answer(), { id: 2, questions: 2 })
})

t.test('bad datagrams are counted, and the next is answered', async t => {
  const one = await daemon(t)
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  socket.connect(one.port, '127.0.0.1')
  await once(socket, 'connect')
  for (const bad of ['nonsense', 'x'.repeat(MAX_LINE + 1), '']) socket.send(bad)
  socket.send(line({ ...resolve, id: 'good' }).padEnd(512))
  const [bytes] = (await once(socket, 'message')) as [Buffer]
  t.match(JSON.parse(bytes.toString()), { id: 'good' })
  t.match(one.status(), { refused: 4, questions: 1 })
})

t.test('a port that is taken is refused', async t => {
  const port = await squatter(t)
  const second = new Daemon({ port, hosts: ['127.0.0.1'] })
  await t.rejects(second.start(), { code: 'EADDRINUSE' })
  t.strictSame(second.status().udp, [])
  await second.stop()
})

t.test('of two daemons for one port one starts, and takes nothing from it', async t => {
  const one = await daemon(t)
  const { port } = one
  const nc = await lines(t, port)
  nc.ask(starwars)
  await nc.answer()
  const second = new Daemon({ port, hosts: ['127.0.0.1'] })
  await t.rejects(second.start(), { code: 'EADDRINUSE' })
  t.match(await datagram(t, port, resolve), { endpoints: [{}] })
})

t.test('a daemon whose port is taken over UDP answers over TCP alone', async t => {
  const udp = createSocket('udp4').bind(await freePort(), '127.0.0.1')
  await once(udp, 'listening')
  t.teardown(() => udp.close())
  const { port } = udp.address()
  const log: string[] = []
  const one = await daemon(t, { port, log: text => log.push(text) })
  t.match(one.status(), { port, udp: [] })
  t.match(log, [`cannot have UDP of port ${port} at 127.0.0.1: moniker doctor says which`])
  await one.stop()
  const quiet = await daemon(t, { port })
  t.strictSame(quiet.status().udp, [], 'where there is no log it is not told')
  const nc = await lines(t, port)
  nc.ask({ op: 'status' })
  t.match(await nc.answer(), { udp: [] })
})

t.test('a daemon that may have any port takes one that is free over UDP too', async t => {
  const udp = createSocket('udp4').bind(await freePort(), '127.0.0.1')
  await once(udp, 'listening')
  t.teardown(() => udp.close())
  const taken = udp.address().port
  // The kernel offers the port that is taken over UDP first.
  let offered = false
  const { listen } = (await import('node:net')).Server.prototype
  t.intercept((await import('node:net')).Server.prototype, 'listen', {
    value(this: object, options: { port: number }) {
      const port = offered ? options.port : taken
      offered = true
      return Reflect.apply(listen, this, [{ ...options, port }])
    },
  })
  const one = await daemon(t)
  t.not(one.port, taken)
  t.strictSame(one.status().udp, ['127.0.0.1'])
  t.match(await datagram(t, one.port, resolve), { error: { code: 'ENOSERVICE' } })
})

t.test('what would fail on any port is not tried for ever', async t => {
  ground(t, { '127.0.0.2': 'EACCES' })
  const one = new Daemon({ port: 0, hosts: ['127.0.0.1', '127.0.0.2'] })
  await t.rejects(one.start(), { code: 'EACCES' })
  t.strictSame(one.status().udp, [], 'and nothing is left behind')
})

t.test('both loopback addresses are answered at', { skip: withoutIPv6 }, async t => {
  const one = await daemon(t, { hosts: ['127.0.0.1', '::1'] })
  t.strictSame(one.status().udp, ['127.0.0.1', '::1'])
  for (const host of ['127.0.0.1', '::1']) {
    const nc = await lines(t, one.port, { host } as object)
    nc.ask({ op: 'status' })
    t.match(await nc.answer(), { port: one.port })
  }
})

t.test('an address that this host has not is done without, unless it is the first', async t => {
  for (const code of ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']) {
    ground(t, { '::1': code })
    const one = await daemon(t, { hosts: ['127.0.0.1', '::1'] })
    t.strictSame(one.status().udp, ['127.0.0.1'])
    await t.rejects(new Daemon({ port: 0, hosts: ['::1'] }).start(), { code })
  }
})

t.test('a daemon answers at every address, unless told otherwise', async t => {
  const asked = ground(t, { '::': '127.0.0.1' })
  interfaces(t, { lo: [{ address: '127.0.0.1' }, { address: '127.0.0.2' }] })
  const one = new Daemon({ port: 0 })
  t.teardown(() => one.stop())
  await one.start()
  t.strictSame(asked, ['::'])
  t.strictSame(one.status().udp, ['127.0.0.1', '127.0.0.2'])
})

t.test('on a host without IPv6 every address is every one of IPv4', async t => {
  const asked = ground(t, { '::': 'EAFNOSUPPORT', '0.0.0.0': '127.0.0.1' })
  interfaces(t, { lo: [{ address: '127.0.0.1' }] })
  const one = await daemon(t, { hosts: ['::'] })
  t.strictSame(asked, ['::', '0.0.0.0'])
  t.strictSame(one.status().udp, ['127.0.0.1'])
})

t.test('the port is the designated one, unless told otherwise', async t => {
  t.intercept(process, 'env', { value: { ...process.env, MONIKER_PORT: '' } })
  t.equal(new Daemon().port, PORT)
  t.equal(new Daemon({ port: 7 }).port, 7)
})

t.test('to stop is to close every connection and forget every name', async t => {
  const one = await daemon(t)
  const nc = await lines(t, one.port)
  nc.ask(starwars)
  await nc.answer()
  const closed = once(nc.socket, 'close')
  await Promise.all([one.stop(), one.stop()])
  await one.stop()
  await closed
  t.match(one.status(), { names: 0, open: 0, udp: [] })
  await t.rejects(lines(t, one.port), { code: 'ECONNREFUSED' })
})

t.test('a daemon that has stopped may start again', async t => {
  const one = await daemon(t)
  await one.stop()
  await one.start()
  t.match(await datagram(t, one.port, resolve), { error: { code: 'ENOSERVICE' } })
})

t.test('a successor that asks while the daemon is about to go on gets the port', async t => {
  const one = await yielding(t, 60_000)
  const [first, second] = [await lines(t, one.port), await lines(t, one.port)]
  first.ask({ op: 'handover' })
  t.match(await first.answer(), { handover: true })
  const { connect } = Socket.prototype
  const looking = new Promise<() => void>(resolve => {
    const value = function (this: Socket, ...args: unknown[]) {
      held.restore()
      resolve(() => Reflect.apply(connect, this, args))
      return this
    }
    const held = t.intercept(Socket.prototype, 'connect', { value })
  })
  first.socket.end()
  const look = await looking
  second.ask({ op: 'handover' })
  t.match(await second.answer(), { handover: true })
  look()
  const other = await daemon(t, { port: one.port })
  second.ask({ op: 'handover' })
  await second.rest()
  t.notOk(one.isAnswering)
  t.ok(other.isAnswering)
})

t.test('a daemon that is stopped does not go on', async t => {
  const one = await yielding(t, 60_000)
  const successor = await lines(t, one.port)
  const handover = { op: 'handover' }
  successor.ask(handover, { ...handover, id: 2 }, { ...handover, id: 3 })
  await successor.rest()
  await one.stop()
  t.notOk(one.isAnswering)
})

t.test('a daemon answers from its start until it stops, or makes way', async t => {
  const one = new Daemon({ port: 0, hosts: ['127.0.0.1'], embedded: true })
  t.teardown(() => one.stop())
  t.notOk(one.isAnswering)
  await one.start()
  t.ok(one.isAnswering)
  await one.stop()
  t.notOk(one.isAnswering)
  await one.start()
  const nc = await lines(t, one.port)
  nc.ask({ op: 'handover' })
  t.match(await nc.answer(), { handover: true })
  t.notOk(one.isAnswering)
})

t.test('a daemon that has never started stops as well', async () => {
  await new Daemon({ port: 0 }).stop()
})

t.test('an embedded daemon keeps no program alive', async t => {
  const program = fileURLToPath(new URL('../fixtures/embedded.ts', import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, program], { stdio: 'pipe' })
  t.teardown(() => child.kill())
  const [output, errors, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'exit'),
  ])
  t.match(JSON.parse(output || 'null'), { registration: 1 })
  t.equal(errors, '')
  t.equal(status, 0)
})

t.test('a daemon that is stopped while it starts is stopped', async t => {
  const one = new Daemon({ port: 0, hosts: ['127.0.0.1'] })
  const started = one.start()
  await one.stop()
  await started
  await t.rejects(once(connect(one.port, '127.0.0.1'), 'connect'), { code: 'ECONNREFUSED' })
})

t.test(
  'a peer that waits for a name is answered when the name comes, and forgotten when the peer goes',
  async t => {
    const served = await daemon(t)
    const [patient, gone, host] = await Promise.all([1, 2, 3].map(() => lines(t, served.port)))
    for (const nc of [patient!, gone!]) nc.ask({ op: 'resolve', service: 'a', wait: 60_000 })
    while (served.status().followers < 2) await new Promise(setImmediate)
    gone!.socket.end()
    t.match(await gone!.answer(), { error: { code: 'ENOSERVICE' } })
    t.equal(await gone!.answer(), undefined, 'nothing is held for who may have gone')
    while (served.status().followers > 1) await new Promise(setImmediate)
    host!.ask({ op: 'register', service: 'a', transport: 'tcp', port: 7 })
    t.match(await patient!.answer(), { endpoints: [{ port: 7 }] })
  },
)

t.test('it is young for as long as names come back from the daemon before', async t => {
  const grace = 300
  const { port } = await daemon(t, { grace })
  const end = performance.now() + 2 * grace
  const asker = await lines(t, port)
  asker.ask({ op: 'resolve', service: 'last', transports: ['tcp'] })
  const answer = asker.answer()
  const server = await lines(t, port)
  const back = async (service: string) => {
    server.ask({ op: 'register', service, transport: 'tcp', port: 1, since: 1 })
    await server.answer()
  }
  for (let count = 0; performance.now() < end; count++) {
    await back(`name${count}`)
    // A connection may have so many names and no more.
    await pause(1)
  }
  await back('last')
  t.match(await answer, { endpoints: [{ port: 1 }] })

  asker.ask({ op: 'resolve', service: 'absent', transports: ['tcp'] })
  t.match(await asker.answer(), { error: { code: 'ENOSERVICE' } })
})

t.test('a long list is told in turns, to who reads slowly and to who has gone', async t => {
  const { port } = await daemon(t)
  const holder = await lines(t, port)
  const names = Array.from({ length: 3_000 }, (_, n) => `s${n}`)
  holder.ask(...names.map((service, id) => ({ ...starwars, service, id })))
  for (const _ of names) await holder.answer()

  const client = await Client.connect({ address: '127.0.0.1', port })
  t.teardown(() => client.close())
  const lists = await Promise.all([1, 2].map(() => client.ask({ op: 'list' })))
  for (const { services } of lists) t.equal((services as object[]).length, 3_000)

  const gone = await lines(t, port)
  gone.ask(...Array.from({ length: 20 }, (_, id) => ({ op: 'list', id })))
  await gone.answer()
  gone.socket.destroy()
  const slow = connect(port, '127.0.0.1').pause()
  t.teardown(() => slow.destroy())
  for (let id = 1; id <= 40; id++) slow.write(`{"v":1,"id":${id},"op":"list"}\n`)
  slow.end()
  t.match(await client.ask({ op: 'resolve', service: 's1' }), { endpoints: [{}] })
  let bytes = 0
  slow.on('data', chunk => (bytes += chunk.length)).resume()
  await once(slow, 'end')
  t.ok(bytes > 40 * 3_000 * 100, 'every name of every list')
})

t.test('a list that depends on who asks may be long as well', async t => {
  const dir = t.testdir({ 'policy.yml': `rules: [{allow: list, user: ${userInfo().username}}]` })
  const { port } = await daemon(t, { policy: join(dir, 'policy.yml') })
  const client = await Client.connect({ address: '127.0.0.1', port })
  t.teardown(() => client.close())
  const names = Array.from({ length: 200 }, (_, n) => `s${n}`)
  await Promise.all(names.map(service => client.ask({ ...starwars, service } as Asked)))
  const { services } = await client.ask({ op: 'list' })
  t.equal((services as object[]).length, 200)
})

t.test('over its Unix socket it resolves, and no more: it cannot know who asks', unix, async t => {
  const one = await daemon(t)
  const path = one.status().socket!
  const holder = await lines(t, one.port)
  holder.ask(starwars)
  await holder.answer()
  const client = await Client.connect({ address: '127.0.0.1', port: one.port, path })
  t.teardown(() => client.close())
  t.match(await client.ask(resolve as Asked), { endpoints: [{ port: 4000 }] })
  for (const op of ['status', 'list', 'register'] as const) {
    t.match(await client.ask({ ...starwars, op } as Asked), { error: { code: 'EDENIED' } })
  }
  t.equal(one.status().names, 1)
})

t.test('many who watch a name are all told of it', async t => {
  const { port } = await daemon(t)
  const watchers = await lines(t, port)
  const count = 100
  watchers.ask(
    ...Array.from({ length: count }, (_, id) => ({ op: 'watch', service: 'starwars', id })),
  )
  for (let id = 0; id < count; id++) t.match(await watchers.answer(), { id, services: [] })
  const holder = await lines(t, port)
  holder.ask(starwars)
  const told = new Set<unknown>()
  for (let n = 0; n < count; n++) {
    const { id, event } = (await watchers.answer())!
    if (event === 'up') told.add(id)
  }
  t.equal(told.size, count)
})
