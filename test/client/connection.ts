import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { Client, MAX_TOLD, checkTold } from '../../lib/client/connection.ts'
import { MAX_LINE } from '../../lib/wire/lines.ts'
import { active } from '../fixtures/active.ts'
import { daemon } from '../fixtures/daemon.ts'
import { external } from '../fixtures/external.ts'
import { client, fake, silent } from '../fixtures/fake.ts'
import { line, type Message } from '../fixtures/lines.ts'
import { stranger } from '../fixtures/services.ts'

const resolve = { op: 'resolve', service: 'starwars' } as const
const starwars = { op: 'register', service: 'starwars', transport: 'tcp', port: 4000 } as const
const status = { op: 'status' } as const

const { signal: never } = new AbortController()

t.test('a client asks, and the daemon answers', async t => {
  const one = await client(t, await daemon(t))
  t.match(await one.ask(starwars), { registration: 1 })
  t.match(await one.ask(resolve), { endpoints: [{ port: 4000 }] })
  t.match(await one.ask({ op: 'list' }), { services: [{ service: 'starwars' }] })
  t.match(await one.ask({ ...resolve, service: 'other' }), { error: { code: 'ENOSERVICE' } })
})

t.test('any number of questions may be under way, and each gets its own answer', async t => {
  const one = await client(t, await daemon(t))
  const services = Array.from({ length: 100 }, (_, n) => `s${n}`)
  await Promise.all(services.map((service, n) => one.ask({ ...starwars, service, port: n + 1 })))
  const answers = await Promise.all(services.map(service => one.ask({ ...resolve, service })))
  t.match(
    answers,
    services.map((_, n) => ({ endpoints: [{ port: n + 1 }] })),
  )
})

t.test('answers may come in another order than the questions, all in one read', async t => {
  const asked: Message[] = []
  const place = await fake(t, {
    tcp: (question, socket) => {
      if (asked.push(question) < 3) return
      const answers = asked.toReversed().map(({ id, service }) => line({ id, of: service }))
      socket.write(answers.join(''))
    },
  })
  const one = await client(t, place)
  const services = ['a', 'b', 'c']
  const answers = await Promise.all(services.map(service => one.ask({ ...resolve, service })))
  t.strictSame(
    answers.map(({ of }) => of),
    services,
  )
})

t.test('a question in a hurry does not wait for others to share a write', async t => {
  const reads: number[] = []
  const server = createServer(socket => {
    socket
      .on('error', () => {})
      .on('data', bytes => {
        const ids = String(bytes)
          .trim()
          .split('\n')
          .map(text => (JSON.parse(text) as Message).id)
        reads.push(ids.length)
        for (const id of ids) socket.write(line({ id }))
      })
  })
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const one = await client(t, { port })
  await Promise.all([1, 2].map(() => one.askSoon(status, 60_000)))
  t.strictSame(reads.splice(0), [2])
  await one.askSoon(status, 60_000, { hurry: true })
  t.strictSame(reads, [1])
})

t.test('a question may be given up soon, and then no answer is waited for', async t => {
  const one = await client(t, await daemon(t), true)
  t.equal(one.activity, 0)
  t.match(await one.askSoon(status, 60_000), { pid: process.pid })
  const quiet = await client(t, await fake(t, { tcp: silent }))
  await t.rejects(quiet.askSoon(status, 1), { code: 'ETIMEDOUT', reason: 'ESILENT' })
  t.equal(quiet.activity, 1)
})

t.test(
  'what is asked in one turn goes out in one write, unless the connection has closed',
  async t => {
    const chunks: string[] = []
    const port = await stranger(t, socket => socket.on('data', data => chunks.push(String(data))))
    const one = await client(t, { port })
    for (let time = 0; time < 3; time++) one.ask(status).catch(() => {})
    while (chunks.length === 0) await new Promise(setImmediate)
    t.equal(chunks.join('').split('\n').length, 4)
    t.equal(chunks.length, 1)
    const late = one.ask(status)
    one.close()
    await t.rejects(late, { code: 'ECONNRESET', reason: 'ELOST' })
  },
)

t.test('a list in many lines is one answer', async t => {
  const one = await client(t, await daemon(t))
  const services = Array.from({ length: 200 }, (_, n) => `s${n}`)
  await Promise.all(services.map(service => one.ask({ ...starwars, service })))
  const { services: told, more } = await one.ask({ op: 'list' })
  t.match(
    told,
    services.map(service => ({ service })),
  )
  t.equal(more, undefined)
})

t.test('what a daemon tells later is told to whoever asked, and to nobody else', async t => {
  const place = await fake(t, {
    tcp: ({ id }, socket) => {
      const told = [{ id, event: 'early' }, { id }, { id, event: 'up' }, { id: 99, event: 'up' }]
      socket.write(told.map(line).join(''))
    },
  })
  const one = await client(t, place)
  const events: unknown[] = []
  t.notOk((await one.ask(status, undefined, ({ event }) => events.push(event))).event)
  await one.ask(status)
  t.strictSame(events, ['early', 'up'])
})

t.test('a listener that was refused, or forgotten, is told nothing more', async t => {
  const place = await fake(t, {
    tcp: ({ id, op }, socket) => {
      const answer = { id, ...(op === 'list' && { error: {} }) }
      const told = [1, 2].map(id => ({ id, event: 'late' }))
      socket.write([answer, ...told].map(line).join(''))
    },
  })
  const one = await client(t, place)
  const events: string[] = []
  const kept = () => void events.push('kept')
  await one.ask(status, undefined, kept)
  await one.ask({ op: 'list' }, undefined, () => events.push('refused'))
  t.strictSame(events, ['kept', 'kept'])
  one.forget(kept)
  await one.ask(status)
  t.strictSame(events, ['kept', 'kept'])
})

t.test('what nobody asked for is passed over', async t => {
  const place = await fake(t, {
    tcp: ({ id }, socket) => {
      const strangers = [{ id: 99 }, { id: null, error: {} }, { id: '1' }]
      socket.write([...strangers, { id, got: 1 }, { id, got: 2 }].map(line).join(''))
    },
  })
  const one = await client(t, place)
  t.match(await one.ask(status), { got: 1 })
  t.match(await one.ask(status), { got: 1 })
})

t.test('what a daemon says that is no message ends the connection', async t => {
  for (const nonsense of ['HTTP/1.1 400 Bad Request\r\n\r\n', 'x'.repeat(MAX_LINE + 1)]) {
    const place = await fake(t, { tcp: (_question, socket) => void socket.write(nonsense) })
    const one = await client(t, place)
    const closed = once(one, 'close')
    await t.rejects(one.ask(status), { code: 'EPROTO', reason: 'EPROTOCOL' })
    await closed
  }
})

t.test('a connection that is lost fails what is under way, and what comes after', async t => {
  const place = await fake(t, { tcp: (_question, socket) => socket.destroy() })
  const one = await client(t, place)
  const lost = { code: 'ECONNRESET', reason: 'ELOST', host: '127.0.0.1', port: place.port }
  const closed = once(one, 'close')
  const asked = [one.ask(status), one.ask(status)]
  await Promise.all(asked.map(answer => t.rejects(answer, lost)))
  await closed
  await t.rejects(one.ask(status), lost)
})

t.test('a connection that is reset is lost as well', async t => {
  const place = await fake(t, { tcp: (_question, socket) => void socket.resetAndDestroy() })
  const one = await client(t, place)
  await t.rejects(one.ask(status), { code: 'ECONNRESET', reason: 'ELOST' })
})

t.test('a client that is closed is closed once', async t => {
  const one = await client(t, await fake(t, { tcp: silent }))
  let closed = 0
  one.on('close', () => closed++)
  const asked = one.ask(status)
  one.close()
  one.close()
  await t.rejects(asked, { code: 'ECONNRESET', reason: 'ELOST' })
  one.close()
  t.equal(closed, 1)
})

t.test('a caller that gives up fails at once, and the others get their answers', async t => {
  const place = await fake(t, {
    tcp: ({ id, service }, socket) => {
      if (service === 'b') socket.write(line({ id: 1 }) + line({ id, of: service }))
    },
  })
  const one = await client(t, place)
  const controller = new AbortController()
  const given = one.ask({ ...resolve, service: 'a' }, controller.signal)
  controller.abort(new Error('enough'))
  await t.rejects(given, { message: 'enough' })
  t.match(await one.ask({ ...resolve, service: 'b' }, never), { of: 'b' })
  await t.rejects(one.ask(status, controller.signal), { message: 'enough' })
})

t.test('a connection can be refused, or given up', async t => {
  const place = await fake(t, {})
  await t.rejects(Client.connect(place), { code: 'ECONNREFUSED' })
  await t.rejects(Client.connect(place, AbortSignal.abort()), { name: 'AbortError' })
})

t.test('a client keeps the program alive only while a question is under way', async t => {
  const place = await fake(t, { tcp: silent })
  const one = await client(t, place)
  const idle = active('TCPSocketWrap')
  const controller = new AbortController()
  const asked = one.ask(status, controller.signal)
  t.equal(active('TCPSocketWrap'), idle + 1)
  controller.abort()
  await t.rejects(asked, { name: 'AbortError' })
  t.equal(active('TCPSocketWrap'), idle)
})

t.test('a quiet connection keeps no process alive, even then', async t => {
  const place = await fake(t, { tcp: silent })
  const one = await client(t, place)
  const idle = active('TCPSocketWrap')
  one.unref()
  const asked = one.ask(status)
  t.equal(active('TCPSocketWrap'), idle)
  one.close()
  await t.rejects(asked, { code: 'ECONNRESET' })
})

t.test('a daemon of this host may tell more of services than another', async t => {
  const [near, far] = ['127.0.0.1', '192.0.2.1'].map(address => ({ address, port: 6664 }))
  const list = { op: 'list' } as const
  checkTold(far!, list, MAX_TOLD.elsewhere)
  t.throws(() => checkTold(far!, list, MAX_TOLD.elsewhere + 1), {
    reason: 'ELIMIT',
    message: /refused at 192\.0\.2\.1:6664: it tells of services in more than 33554432 characters/,
  })
  checkTold(near!, list, MAX_TOLD.elsewhere + 1)
  t.throws(() => checkTold(near!, list, MAX_TOLD.here + 1), {
    code: 'EBUSY',
  })
})

/** A daemon that grants what is followed, and tells what it is told to. */
async function granting(t: Test) {
  const place = await fake(t, {
    tcp: ({ id, follow }, socket) =>
      void socket.write(line({ id, endpoints: [], followed: follow })),
  })
  const one = await client(t, place)
  const ask = async (lease = one.lease()) => {
    await one.askSoon(resolve, 60_000, { lease })
    return lease!
  }
  const tell = (...events: object[]) => place.sockets[0]!.write(events.map(line).join(''))
  /** Waits until all that was told has been read. */
  const read = () => one.ask(status)
  return { place, one, ask, tell, read }
}

t.test('a lease is held until the daemon tells that it is over', async t => {
  const { place, ask, tell, read } = await granting(t)
  const [lease, other] = [await ask(), await ask()]
  t.match(place.streamed, [
    { id: 1, follow: true },
    { id: 2, follow: true },
  ])
  t.ok(lease.isHeld && other.isHeld)
  tell({ id: 1, event: 'moved' }, { id: 7, event: 'stale' })
  await read()
  t.ok(lease.isHeld, 'what is not known is passed over')
  tell({ id: 1, event: 'stale' }, { id: 1, event: 'stale' })
  await read()
  t.notOk(lease.isHeld)
  t.ok(other.isHeld)
})

t.test('a lease is held only if it was asked for and granted', async t => {
  const place = await fake(t, {
    tcp: ({ id }, socket) => void socket.write(line({ id, endpoints: [] })),
  })
  const one = await client(t, place)
  const lease = one.lease()!
  await one.askSoon(resolve, 60_000, { lease })
  t.notOk(lease.isHeld, 'a daemon of 0.1.0 knows nothing of leases')
  await one.askSoon(resolve, 60_000)
  t.notOk('follow' in place.streamed[1]!)
})

t.test('a second answer takes the place of the first', async t => {
  const { ask, tell, read } = await granting(t)
  const [lease, other] = [await ask(), await ask()]
  tell({ id: 1, endpoints: [] }, { id: 1, followed: true }, { id: 2, followed: true })
  await read()
  t.notOk(lease.isHeld)
  t.ok(other.isHeld)
})

t.test('what is told to be over before the answer is no lease', async t => {
  const place = await fake(t, {
    tcp: ({ id }, socket) =>
      void socket.write(line({ id, event: 'stale' }) + line({ id, followed: true })),
  })
  const one = await client(t, place)
  const lease = one.lease()!
  await one.askSoon(resolve, 60_000, { lease })
  t.notOk(lease.isHeld)
})

t.test('leases are over when the connection ends, or is closed', async t => {
  const first = await granting(t)
  const lease = await first.ask()
  let isClosed = false
  first.one.once('close', () => (isClosed = true))
  const isOver = new Promise<void>(resolve => (lease.onOver = resolve))
  first.place.sockets[0]!.end()
  await isOver
  t.notOk(isClosed, 'as soon as no more can come')
  const second = await granting(t)
  const other = await second.ask()
  second.one.close()
  await once(second.one, 'close')
  t.notOk(other.isHeld)
  await t.rejects(second.ask(second.one.lease()), { code: 'ECONNRESET' })
})

t.test('a connection has 1,024 leases at most, and a use counts as one', async t => {
  const { one, ask, tell, read } = await granting(t)
  const all = []
  for (let n = 0; n < 1_024; n++) all.push(ask())
  const [first] = await Promise.all(all)
  t.equal(one.lease(), undefined)
  tell({ id: 1, event: 'stale' })
  await read()
  t.ok(one.lease())
  const before = one.activity
  first!.use()
  t.equal(one.activity, before + 1)
})

t.test('only a daemon of this host is asked for leases', { skip: !external }, async t => {
  const place = await fake(t, { address: external!, tcp: silent })
  const far = await Client.connect(place)
  t.teardown(() => far.close())
  t.equal(far.lease(), undefined)
})
