import { live } from '../fixtures/live.ts'
import { Buffer } from 'node:buffer'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ask, askDatagram, askStream, hasDaemon } from '../../lib/client/ask.ts'
import type { DaemonAddress, HostAnswer } from '../../lib/client/connection.ts'
import { Sessions } from '../../lib/client/sessions.ts'
import { socketName } from '../../lib/node/localsocket.ts'
import { freePort } from '../../lib/node/proc.ts'
import { MAX_LINE } from '../../lib/wire/lines.ts'
import { PADDED, type Answer } from '../../lib/wire/protocol.ts'
import { active } from '../fixtures/active.ts'
import { awake } from '../fixtures/awake.ts'
import { daemon } from '../fixtures/daemon.ts'
import { byTCP, client, fake, silent } from '../fixtures/fake.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { line, type Message } from '../fixtures/lines.ts'
import { folder, unix } from '../fixtures/localsocket.ts'

const resolve = { op: 'resolve', service: 'starwars' } as const
const starwars = { op: 'register', service: 'starwars', transport: 'tcp', port: 4000 } as const

const { signal: never } = new AbortController()

const noHint = () => {}

/** A stranger that has UDP of a daemon's port, and says so. */
async function squat(t: Test, { address, port }: DaemonAddress) {
  const squatter = { heard: 0 }
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  socket.on('message', () => squatter.heard++)
  await once(socket.bind(port, address), 'listening')
  return squatter
}

/** The answer over a connection that is kept. */
async function sessions(t: Test, place: DaemonAddress): Promise<Answer> {
  const kept = new Sessions({ often: 60_000 })
  kept.answered(place)
  kept.answered(place)
  while (!kept.at(place)) await new Promise(setImmediate)
  t.teardown(() => kept.at(place)?.close())
  const found = await kept.ask([place], resolve, { host: 'localhost' }, { hurry: true })
  return found!.answer
}

t.test('a daemon of this host is asked over its Unix socket', unix, async t => {
  endless(t)
  const place = { address: '127.0.0.1', port: await freePort() }
  const squatter = await squat(t, place)
  await daemon(t, { port: place.port })
  t.match(await ask(place, resolve, never), { error: { code: 'ENOSERVICE' } })
  const owner = await client(t, place)
  await owner.ask(starwars)
  t.match(await ask(place, resolve, never), { endpoints: [{ port: 4000 }] })
  t.match(
    await sessions(t, place),
    { endpoints: [{ port: 4000 }] },
    'a connection that is kept too',
  )
  t.equal(squatter.heard, 0)
})

t.test('where its Unix socket is not there, or hangs up, it is asked by TCP', unix, async t => {
  endless(t)
  const place = await fake(t, { tcp: byTCP, udp: silent })
  t.match(await ask(place, resolve, never), { by: 'tcp' })
  const path = join(folder!, socketName(place.port)!)
  const server = createServer(socket => socket.destroy())
  await once(server.listen(path), 'listening')
  t.match(await ask(place, resolve, never), { by: 'tcp' })
  await once(server.close(), 'close')
  // As who was killed leaves it.
  writeFileSync(path, '')
  t.teardown(() => rmSync(path))
  t.match(await ask(place, resolve, never), { by: 'tcp' })
  t.match(await sessions(t, place), { by: 'tcp' })
  t.strictSame(place.datagrams, [], 'nobody else is asked')
})

t.test('a daemon that wants to know who asks is asked by TCP', unix, async t => {
  endless(t)
  const dir = t.testdir({ 'policy.yml': 'rules: [{allow: resolve, user: root}]' })
  const policed = () => daemon(t, { policy: join(dir, 'policy.yml') })
  const one = await policed()
  const place = { address: '127.0.0.1', port: one.port }
  for (const connections of [2, 3]) {
    t.match(await ask(place, resolve, never), { error: { code: 'ENOSERVICE' } })
    t.equal(one.status().connections, connections, 'that is remembered')
  }

  const { port } = await policed()
  const other = { address: '127.0.0.1', port }
  const kept = new Sessions({ often: 60_000 })
  const open = async () => {
    kept.answered(other)
    kept.answered(other)
    while (!kept.at(other)) await new Promise(setImmediate)
    return kept.ask([other], resolve, { host: 'localhost' }, { hurry: true })
  }
  t.equal(await open(), undefined)
  while (kept.at(other)) await new Promise(setImmediate)
  await t.rejects(open(), { code: 'ECONNREFUSED' }, 'it tells by TCP')
  kept.at(other)!.close()
})

t.test('a daemon is asked over IPv6 as well', { skip: withoutIPv6 }, async t => {
  const { port } = await daemon(t, { hosts: ['::1'] })
  const place = { address: '::1', port }
  t.match(await ask(place, resolve, never), { error: { code: 'ENOSERVICE' } })
  t.match(await askDatagram(place, resolve, never), { error: { code: 'ENOSERVICE' } })
})

t.test('an answer too long for a datagram is had over TCP', async t => {
  const { port } = await daemon(t)
  const owner = await client(t, { port })
  await owner.ask({ ...starwars, metadata: { m: 'm'.repeat(600) } })
  const answer = await ask({ address: '127.0.0.1', port }, resolve, never)
  t.match(answer, { endpoints: [{ metadata: { m: /^m{600}$/ } }] })
})

t.test('another daemon is asked by TCP, and one datagram gives a hint', async t => {
  endless(t)
  let hinted!: (hint: HostAnswer) => void
  const hint = new Promise<HostAnswer>(resolve => (hinted = resolve))
  const place = await fake(t, {
    address: '127.0.0.2',
    tcp: (question, socket) => void hint.then(() => byTCP(question, socket)),
    udp: ({ id }, reply) => reply(line({ id, by: 'udp' })),
  })
  t.match(await ask(place, resolve, never, { onHint: hint => hinted(hint) }), { by: 'tcp' })
  t.match(await hint, { daemon: place, answer: { by: 'udp' } })
  t.match(place.datagrams, [{ v: 1, id: /^[0-9a-f-]{36}$/, ...resolve, bytes: PADDED }])
  t.match(place.streamed, [resolve])
})

t.test('no hint is asked for where nobody takes it', async t => {
  const place = await fake(t, { address: '127.0.0.2', tcp: byTCP, udp: silent })
  t.match(await ask(place, resolve, never), { by: 'tcp' })
  t.strictSame(place.datagrams, [])
})

t.test('where TCP is refused, or silent, a datagram is not believed', async t => {
  const hints: HostAnswer[] = []
  const udp = ({ id }: Message, reply: (text: string) => void) => reply(line({ id, by: 'udp' }))
  const refused = await fake(t, { address: '127.0.0.2', udp })
  const onHint = (hint: HostAnswer) => void hints.push(hint)
  await t.rejects(ask(refused, resolve, never, { onHint }), { code: 'ECONNREFUSED' })
  const limit = new AbortController()
  const mute = await fake(t, { address: '127.0.0.2', tcp: silent, udp })
  const asked = ask(mute, resolve, limit.signal, {
    onHint: hint => {
      onHint(hint)
      limit.abort(new Error('enough'))
    },
  })
  await t.rejects(asked, { message: 'enough' })
  t.match(hints.at(-1), { answer: { by: 'udp' } }, 'but it is a hint')
})

t.test(
  'a datagram to which there is no answer is sent again, and nothing is left of it',
  async t => {
    const before = active('Timeout')
    // On a busy machine both may come before the question.
    const onceSentAgain = () => {
      const { streamed, datagrams, sockets } = place
      if (streamed.length > 0 && datagrams.length > 1) byTCP(streamed[0]!, sockets[0]!)
    }
    const udp = onceSentAgain
    const place = await fake(t, { address: '127.0.0.2', tcp: onceSentAgain, udp })
    t.match(await ask(place, resolve, never, { onHint: noHint }), { by: 'tcp' })
    t.equal(new Set(place.datagrams.map(({ id }) => id)).size, 1, 'with the same question')
    await new Promise(setImmediate)
    t.equal(active('Timeout'), before)
  },
)

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
  t.match(await askDatagram(place, resolve, never), { by: 'udp' })
})

t.test('a truncated answer is one', async t => {
  const place = await fake(t, { udp: ({ id }, reply) => reply(line({ id, truncated: true })) })
  t.match(await askDatagram(place, resolve, never), { truncated: true })
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
  const now = live.uptime()
  // However long the attempts take.
  t.intercept(live, 'uptime', { value: () => now })
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

t.test('what cannot be reached at all says why not', async t => {
  // Nobody may connect to a broadcast address.
  for (const address of ['127.255.255.255', '255.255.255.255']) {
    await t.rejects(ask({ address, port: 6664 }, resolve, never, { onHint: noHint }), {
      code: /^E/,
      syscall: 'connect',
    })
  }
})

t.test('a caller that gives up before the question asks nothing', async t => {
  const place = await fake(t, { tcp: byTCP, udp: silent })
  const over = AbortSignal.abort(new Error('before'))
  await t.rejects(ask(place, resolve, over), { message: 'before' })
  t.strictSame(place.streamed, [])
})

t.test('a caller may give up at every stage, and nothing goes on', async t => {
  const addresses = ['127.0.0.1', '127.0.0.2']
  for (const address of addresses) {
    const controller = new AbortController()
    const place = await fake(t, { address, tcp: () => controller.abort(new Error('enough')) })
    await t.rejects(
      ask(place, resolve, controller.signal, { onHint: noHint }),
      { message: 'enough' },
      address,
    )
  }
  for (const address of addresses) {
    const controller = new AbortController()
    const place = await fake(t, { address })
    const asked = ask(place, resolve, controller.signal, { onHint: noHint })
    controller.abort(new Error('enough'))
    await t.rejects(asked, { message: 'enough' }, 'before anything has left')
  }
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

t.test('a host has a daemon, or has none, at once', async t => {
  const port = await freePort()
  t.equal(await hasDaemon(port), false)
  const one = await daemon(t, { port })
  t.equal(await hasDaemon(port), true)
  await ask({ address: '127.0.0.1', port }, resolve, never)
  await one.stop()
  t.equal(await hasDaemon(port), true, 'one that has answered may be back soon')
})
