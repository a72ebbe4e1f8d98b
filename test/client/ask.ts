import { live } from '../fixtures/live.ts'
import { Buffer } from 'node:buffer'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { ask, newId, askStream } from '../../lib/client/ask.ts'
import { MAX_LINE } from '../../lib/wire/lines.ts'
import { PADDED } from '../../lib/wire/protocol.ts'
import { active } from '../fixtures/active.ts'
import { awake } from '../fixtures/awake.ts'
import { daemon } from '../fixtures/daemon.ts'
import { byTCP, client, fake, silent } from '../fixtures/fake.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { line } from '../fixtures/lines.ts'

const resolve = { op: 'resolve', service: 'starwars' } as const
const starwars = { op: 'register', service: 'starwars', transport: 'tcp', port: 4000 } as const

const { signal: never } = new AbortController()

t.test('one question is one datagram, padded, and needs no connection', async t => {
  endless(t)
  const place = await fake(t, {
    tcp: byTCP,
    udp: ({ id }, reply) => reply(line({ id, by: 'udp' })),
  })
  t.match(await ask(place, resolve, never), { by: 'udp' })
  t.match(place.datagrams, [{ v: 1, id: /^\d+$/, ...resolve, bytes: PADDED }])
  t.equal(place.sockets.length, 0)
})

t.test('no two questions have the same id', async t => {
  const place = await fake(t, { udp: ({ id }, reply) => reply(line({ id })) })
  for (let n = 0; n < 5; n++) await ask(place, resolve, never)
  t.equal(new Set(place.datagrams.map(({ id }) => id)).size, 5)
})

t.test('nobody can guess the id of a question to another host', async t => {
  const ids = [newId('192.0.2.1'), newId('2001:db8::1')]
  for (const id of ids) t.match(id, /^[0-9a-f-]{36}$/)
  t.not(ids[0], ids[1])
})

t.test('a real daemon answers by UDP, a refusal as well', async t => {
  endless(t)
  const one = await daemon(t)
  const place = { address: '127.0.0.1', port: one.port }
  t.match(await ask(place, resolve, never), { error: { code: 'ENOSERVICE' } })
  const owner = await client(t, place)
  await owner.ask(starwars)
  t.match(await ask(place, resolve, never), { endpoints: [{ port: 4000 }] })
  t.match(one.status(), { connections: 1 })
})

t.test('a daemon is asked over IPv6 as well', { skip: withoutIPv6 }, async t => {
  const { port } = await daemon(t, { hosts: ['::1'] })
  t.match(await ask({ address: '::1', port }, resolve, never), { error: { code: 'ENOSERVICE' } })
})

t.test('an answer too long for a datagram is had over TCP', async t => {
  const { port } = await daemon(t)
  const owner = await client(t, { port })
  await owner.ask({ ...starwars, metadata: { m: 'm'.repeat(600) } })
  const answer = await ask({ address: '127.0.0.1', port }, resolve, never)
  t.match(answer, { endpoints: [{ metadata: { m: /^m{600}$/ } }] })
})

t.test('where UDP is refused TCP is asked at once', async t => {
  endless(t)
  const place = await fake(t, { tcp: byTCP })
  t.match(await ask(place, resolve, never), { by: 'tcp' })
  t.match(place.streamed, [resolve])
})

t.test('where UDP is silent it is asked again, and TCP beside it', async t => {
  const place = await fake(t, { tcp: byTCP, udp: silent })
  t.match(await ask(place, resolve, never), { by: 'tcp' })
  t.ok(place.datagrams.length >= 2)
  t.equal(new Set(place.datagrams.map(({ id }) => id)).size, 1, 'with the same question')
})

t.test('nothing is left of a question to which UDP answers while TCP is silent', async t => {
  let datagrams = 0
  const place = await fake(t, {
    tcp: silent,
    udp: ({ id }, reply) => ++datagrams > 1 && reply(line({ id, by: 'udp' })),
  })
  const before = active('Timeout')
  t.match(await ask(place, resolve, never), { by: 'udp' })
  await new Promise(setImmediate)
  t.equal(active('Timeout'), before)
})

t.test('UDP that wakes up while TCP is silent is heard', async t => {
  const place = await fake(t, {
    tcp: silent,
    udp: ({ id }, reply) => {
      if (place.streamed.length > 0) reply(line({ id, by: 'udp' }))
    },
  })
  t.match(await ask(place, resolve, never), { by: 'udp' })
})

t.test('UDP is heard although TCP is refused', async t => {
  const place = await fake(t, {
    udp: ({ id }, reply) => {
      if (place.datagrams.length > 2) reply(line({ id, by: 'udp' }))
    },
  })
  t.match(await ask(place, resolve, never), { by: 'udp' })
})

t.test('where TCP has failed UDP is waited for a second, and no longer', async t => {
  const refused = await fake(t, { udp: silent })
  const began = performance.now()
  await t.rejects(ask(refused, resolve, never), { code: 'ECONNREFUSED' })
  t.ok(performance.now() - began < 2_000)
  const stranger = await fake(t, { udp: silent, tcp: (_question, socket) => void socket.destroy() })
  await t.rejects(ask(stranger, resolve, never), { code: 'ECONNRESET' })
})

t.test('a truncated answer is had over TCP at once', async t => {
  endless(t)
  const place = await fake(t, {
    tcp: byTCP,
    udp: ({ id }, reply) => reply(line({ id, truncated: true })),
  })
  t.match(await ask(place, resolve, never), { by: 'tcp' })
  t.equal(place.datagrams.length, 1)
})

t.test('datagrams that are not the answer are passed over', async t => {
  const place = await fake(t, {
    udp: ({ id }, reply) => {
      reply('')
      reply('nonsense')
      reply(Buffer.from([0xff]))
      reply('[]')
      reply(JSON.stringify({ v: 2, id, by: 'another version' }))
      reply(line({ id: 'another', by: 'a stranger' }))
      reply(line({ id: 'another', truncated: true }))
      reply(line({ by: 'nobody' }))
      reply(line({ id, by: 'too long' }).padEnd(MAX_LINE + 1))
      reply(line({ id, by: 'udp' }))
    },
  })
  t.match(await ask(place, resolve, never), { by: 'udp' })
})

t.test('where nobody answers at all, it is because TCP was refused', async t => {
  const place = await fake(t, {})
  await t.rejects(ask(place, resolve, never), { code: 'ECONNREFUSED', syscall: 'connect' })
})

t.test('where TCP hangs up, that is what is told', async t => {
  const place = await fake(t, { tcp: (_question, socket) => socket.destroy() })
  await t.rejects(ask(place, resolve, never), { code: 'ECONNRESET', reason: 'ELOST' })
})

t.test('a daemon of this host that goes before it has answered is asked again', async t => {
  for (const how of [ask, askStream]) {
    const place = await fake(t, {
      tcp: (question, socket) =>
        place.streamed.length < 3 ? socket.destroy() : byTCP(question, socket),
    })
    t.match(await how(place, resolve, never), { by: 'tcp' })
    t.equal(place.streamed.length, 3)
  }
})

t.test('where TCP talks nonsense, that is what is told', async t => {
  const place = await fake(t, { tcp: (_question, socket) => void socket.write('SSH-2.0\r\n') })
  await t.rejects(ask(place, resolve, never), { code: 'EPROTO', message: /got "SSH-2\.0/ })
})

t.test('what cannot be reached by UDP at all is asked over TCP, which says why not', async t => {
  // Nobody may connect to a broadcast address.
  for (const address of ['127.255.255.255', '255.255.255.255']) {
    await t.rejects(ask({ address, port: 6664 }, resolve, never), {
      code: /^E/,
      syscall: 'connect',
    })
  }
})

t.test('a caller that gives up before the question asks nothing', async t => {
  const place = await fake(t, { tcp: byTCP, udp: silent })
  const over = AbortSignal.abort(new Error('before'))
  await t.rejects(ask(place, resolve, over), { message: 'before' })
  t.strictSame(place.datagrams, [])
})

t.test('a caller may give up at every stage, and nothing goes on', async t => {
  const stages: [stage: string, given: (abort: () => void) => Parameters<typeof fake>[1]][] = [
    ['while UDP is asked', abort => ({ tcp: byTCP, udp: abort })],
    ['while TCP is asked', abort => ({ tcp: abort, udp: silent })],
    ['while TCP is asked alone', abort => ({ tcp: abort })],
  ]
  for (const [stage, given] of stages) {
    const controller = new AbortController()
    const place = await fake(
      t,
      given(() => controller.abort(new Error('enough'))),
    )
    await t.rejects(ask(place, resolve, controller.signal), { message: 'enough' }, stage)
  }
  const controller = new AbortController()
  const place = await fake(t, {})
  const asked = ask(place, resolve, controller.signal)
  controller.abort(new Error('enough'))
  await t.rejects(asked, { message: 'enough' }, 'before anything has left')
  t.notOk(process.getActiveResourcesInfo().includes('Timeout'), 'and no timer runs')
})

t.test('a question over a connection of its own leaves none behind', async t => {
  const place = await fake(t, { tcp: byTCP })
  t.match(await askStream(place, resolve, never), { by: 'tcp' })
  const [socket] = place.sockets
  if (!socket!.closed) await once(socket!, 'close')
  t.ok(socket!.destroyed)
})

/** Makes every pause last for ever, however busy the machine is. */
function endless(t: Test): void {
  t.intercept(live, 'setTimeout', {
    value: (then: () => void) => setTimeout(then, 600_000),
  })
}

t.test('a question that is asked quietly keeps no process alive', async t => {
  awake(t)
  const before = active('TCPSocketWrap')
  const place = await fake(t, { tcp: silent })
  const over = new AbortController()
  const asked = askStream(place, resolve, over.signal, { ref: false })
  while (place.streamed.length === 0) await new Promise(setImmediate)
  t.equal(active('TCPSocketWrap') - before, 1, 'that of the daemon')
  over.abort(new Error('enough'))
  await t.rejects(asked, { message: 'enough' })
  t.match(await askStream(await fake(t, { tcp: byTCP }), resolve, never, { ref: false }), {
    by: 'tcp',
  })
})
