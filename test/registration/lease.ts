import { once } from 'node:events'
import t, { type Test } from 'tap'
import { Client } from '../../lib/client/connection.ts'
import { MonikerError } from '../../lib/errors.ts'
import { Lease } from '../../lib/registration/lease.ts'
import type { Offer } from '../../lib/wire/protocol.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { awake } from '../fixtures/awake.ts'
import { daemon } from '../fixtures/daemon.ts'
import { line, lines } from '../fixtures/lines.ts'
import { stranger } from '../fixtures/services.ts'

awake(t)

const tie: Offer = {
  namespace: '',
  service: 'tie',
  version: '1.0.0',
  transport: 'tcp',
  port: 9,
  address: '127.0.0.1',
  shared: false,
}

/** A lease, a connection to obtain it over, and what its keeper is told. */
async function lease(t: Test, port: number) {
  const log: string[] = []
  const client = await Client.connect({ address: '127.0.0.1', port })
  t.teardown(() => client.close())
  let isKept = true
  const keeper = {
    drop: () => isKept && !(isKept = false),
    rest: () => void log.push('rest'),
    evicted: () => void log.push('evicted'),
  }
  const lease = new Lease(tie, keeper, port)
  lease
    .on('lost', error => log.push(`lost: ${error.reason}`))
    .on('regained', () => log.push('regained'))
  return { lease, client, log }
}

const names = (port: number) =>
  new Resolver({ port }).list().then(all => all.map(({ service }) => service))

t.test('a name is held from when it is obtained until it is withdrawn', async t => {
  const { port } = await daemon(t)
  const { lease: held, client, log } = await lease(t, port)
  t.equal(await held.obtain(client), 1, 'over the only connection there is')
  t.same(await names(port), ['tie'])
  await Promise.all([held.withdraw(), held.withdraw()])
  t.same(await names(port), [])
  t.same(log, ['rest'], 'and that once')
})

t.test('it says why it is lost when that changes, and when it is there again', async t => {
  const { port } = await daemon(t)
  const { lease: held, client, log } = await lease(t, port)
  await held.obtain(client)
  for (const reason of ['ELOST', 'ELOST', 'ESILENT'] as const) {
    held.lose(new MonikerError(reason, held.details))
  }
  const elsewhere = await daemon(t)
  const other = await Client.connect({ address: '127.0.0.1', port: elsewhere.port })
  t.teardown(() => other.close())
  await held.obtain(other)
  await once(held, 'regained')
  held.lose(new MonikerError('ELOST', held.details))
  await once(held, 'lost')
  t.same(log, ['lost: ELOST', 'lost: ESILENT', 'regained', 'lost: ELOST'])
  await held.withdraw()
})

t.test(
  'whoever has held it for longer takes it away, and that is its keeper’s business',
  async t => {
    const { port } = await daemon(t)
    const { lease: held, client, log } = await lease(t, port)
    await held.obtain(client)
    const elder = await lines(t, port)
    elder.ask({ ...tie, op: 'register', since: 1 })
    t.match(await once(held, 'lost'), [{ reason: 'ETAKEN', service: 'tie@1.0.0', port }])
    t.same(log, ['evicted', 'lost: ETAKEN'])
    await t.rejects(held.obtain(client), { code: 'EADDRINUSE' })
    await held.withdraw()
    t.same(await names(port), ['tie'], 'the other’s')
  },
)

t.test('who is evicted in the same breath as the name is granted is told', async t => {
  const evicted = { event: 'evicted', registration: 7 }
  const error = { code: 'ETAKEN', message: 'held on port 4711' }
  const table = [
    [evicted, /held by somebody who had it before/],
    [{ ...evicted, error }, /held on port 4711/],
  ] as const
  for (const [event, message] of table) {
    const port = await stranger(t, socket => {
      socket.on('data', () => void socket.write([{ registration: 7 }, event].map(line).join('')))
    })
    const { lease: held, client, log } = await lease(t, port)
    await held.obtain(client)
    t.match(await once(held, 'lost'), [{ reason: 'ETAKEN', message }])
    t.same(log, ['evicted', 'lost: ETAKEN'])
  }
})

t.test('events that nobody knows, or that are of another registration, are ignored', async t => {
  const replies = [
    [{ event: 'greeted' }, { id: 1, registration: 1 }],
    [
      { event: 'evicted', registration: 1 },
      { id: 2, registration: 2 },
    ],
    [
      { id: 2, event: 'evicted', registration: 2 },
      { id: 3, error: { code: 'EDENIED', message: 'no' } },
    ],
  ]
  const port = await stranger(t, socket => {
    socket.on('data', () => void socket.write(replies.shift()!.map(line).join('')))
  })
  const { lease: held, client, log } = await lease(t, port)
  await held.obtain(client)
  held.lose(new MonikerError('ELOST', held.details))
  await held.obtain(client)
  await once(held, 'regained')
  held.lose(new MonikerError('ESILENT', held.details))
  await t.rejects(held.obtain(client), { code: 'EACCES' })
  await new Promise(setImmediate)
  t.same(log, ['lost: ELOST', 'regained', 'lost: ESILENT'])
})

t.test('the news of peers is told, be it in one packet with the answer', async t => {
  const news = { event: 'expect', address: '127.0.0.1', ttl: 1 }
  const port = await stranger(t, socket => {
    const answer = line({ id: 1, registration: 1 })
    socket.once('data', () => socket.write(answer + line(news)))
  })
  const client = await Client.connect({ address: '127.0.0.1', port })
  t.teardown(() => client.close())
  const told: unknown[] = []
  const keeper = { drop: () => true, rest: () => {}, evicted: () => {} }
  const held = new Lease(tie, keeper, port, event => told.push(event))
  await held.obtain(client)
  t.match(told, [news])
  const deaf = await lease(t, port)
  await deaf.lease.obtain(deaf.client)
})

t.test('an answer that has no registration is none of a daemon', async t => {
  const port = await stranger(t, socket => void socket.write(line({ id: 1 })))
  const { lease: held, client } = await lease(t, port)
  await t.rejects(held.obtain(client), { code: 'EPROTO', message: /has no registration/ })
})

t.test('what is granted when nobody wants it any more is undone', async t => {
  const { port } = await daemon(t)
  const { lease: held, client } = await lease(t, port)
  const over = new AbortController()
  const obtained = held.obtain(client, over.signal)
  const reason = new Error('changed my mind')
  over.abort(reason)
  await t.rejects(obtained, reason)
  while ((await names(port)).length > 0);

  const refused = await lease(t, port)
  const late = refused.lease.obtain(refused.client, AbortSignal.abort(reason))
  refused.client.close()
  await t.rejects(late, reason)
})

t.test('a name whose connection has gone is withdrawn already', async t => {
  const { port } = await daemon(t)
  const { lease: held, client } = await lease(t, port)
  await held.obtain(client)
  client.close()
  await held.withdraw()
  while ((await names(port)).length > 0);
})

t.test('how busy a service is, is told to this daemon and the next', async t => {
  const [one, other] = [await daemon(t), await daemon(t)]
  const { lease: held, client } = await lease(t, one.port)
  const loads = (port: number) =>
    new Resolver({ port }).list().then(all => all.map(({ load }) => load))
  held.report(1)
  await held.obtain(client)
  t.same(await loads(one.port), [1])
  held.report(2)
  await client.ask({ op: 'status' })
  t.same(await loads(one.port), [2])
  const next = await Client.connect({ address: '127.0.0.1', port: other.port })
  t.teardown(() => next.close())
  await held.obtain(next)
  t.same(await loads(other.port), [2])
  // One that cannot be told any more is no reason to fail.
  next.close()
  held.report(3)
  await held.withdraw()
})

t.test('its errors are those of what would have failed without a name', async t => {
  const keeper = { drop: () => false, rest: () => {}, evicted: () => {} }
  t.equal(new Lease(tie, keeper, 7).details.syscall, 'listen')
  t.equal(new Lease({ ...tie, transport: 'udp' }, keeper, 7).details.syscall, 'bind')
})
