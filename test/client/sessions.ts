import { once } from 'node:events'
import t from 'tap'
import { Sessions } from '../../lib/client/sessions.ts'
import { Client } from '../../lib/client/connection.ts'
import { awake } from '../fixtures/awake.ts'
import { daemon } from '../fixtures/daemon.ts'
import { nobody } from '../fixtures/services.ts'

// Nothing of what is tested here keeps a process alive.
awake(t)

const question = { op: 'resolve', service: 'tie' } as const

t.test('a daemon that has answered twice in a second is worth a connection', async t => {
  const ours = await daemon(t)
  const place = { address: '127.0.0.1', port: ours.port }
  const sessions = new Sessions()
  sessions.answered(place)
  t.equal(ours.status().connections, 0)
  sessions.answered(place)
  sessions.answered(place)
  while (!sessions.at(place)) await new Promise(setImmediate)
  const client = sessions.at(place)!
  t.match(await client.ask(question), { error: { code: 'ENOSERVICE' } })
  t.equal(ours.status().connections, 1)
  t.equal(sessions.at({ ...place, port: 1 }), undefined)

  const closed = once(client, 'close')
  await ours.stop()
  await closed
  t.equal(sessions.at(place), undefined)
})

t.test('a session that answers now and then is not', async t => {
  const ours = await daemon(t)
  const place = { address: '127.0.0.1', port: ours.port }
  const sessions = new Sessions({ often: 1 })
  for (let time = 0; time < 3; time++) {
    sessions.answered(place)
    const start = performance.now()
    while (performance.now() < start + 1) await new Promise(setImmediate)
  }
  t.equal(ours.status().connections, 0)
})

t.test('a connection over which nothing is asked is not kept for ever', async t => {
  const ours = await daemon(t)
  const place = { address: '127.0.0.1', port: ours.port }
  const sessions = new Sessions({ kept: 200 })
  sessions.answered(place)
  sessions.answered(place)
  while (!sessions.at(place)) await new Promise(setImmediate)
  const client = sessions.at(place)!
  await client.ask(question)
  await once(client, 'close')
  t.equal(sessions.at(place), undefined)
})

t.test('a connection that cannot be made is done without', async t => {
  const place = { address: '127.0.0.1', port: await nobody() }
  const sessions = new Sessions()
  sessions.answered(place)
  sessions.answered(place)
  // The session has failed, or will.
  await t.rejects(Client.connect(place), { code: 'ECONNREFUSED' })
  t.equal(sessions.at(place), undefined)
  const { port } = await daemon(t, { port: place.port })
  while (!sessions.at(place)) {
    sessions.answered({ ...place, port })
    await new Promise(setImmediate)
  }
  sessions.at(place)!.close()
})

t.test('a lease is asked for over a session, and a use of it keeps that open', async t => {
  const ours = await daemon(t)
  const place = { address: '127.0.0.1', port: ours.port }
  const holder = await Client.connect(place, undefined, { background: true })
  t.teardown(() => holder.close())
  await holder.ask({ op: 'register', service: 'tie', transport: 'tcp', port: 1 })
  const sessions = new Sessions({ kept: 50 })
  sessions.answered(place)
  sessions.answered(place)
  while (!sessions.at(place)) await new Promise(setImmediate)
  const client = sessions.at(place)!
  t.equal((await sessions.ask([place], question, {}, { hurry: true }))!.lease, undefined)
  const { lease } = (await sessions.ask([place], question, {}, { hurry: true, follow: true }))!
  t.ok(lease!.isHeld)

  let isClosed = false
  client.once('close', () => (isClosed = true))
  const start = performance.now()
  while (performance.now() < start + 250) {
    lease!.use()
    await new Promise(setImmediate)
  }
  t.notOk(isClosed)
  await once(client, 'close')
  t.notOk(lease!.isHeld)
})
