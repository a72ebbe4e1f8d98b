import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { PADDED } from '../../lib/wire/protocol.ts'
import { askDatagram } from '../../lib/client/ask.ts'
import { line } from '../fixtures/lines.ts'
import { siege, volley } from '../fixtures/siege.ts'

t.test('a datagram with a forged sender sends the victim no more bytes than it has', async t => {
  const { daemon, port, othersAreServed } = await siege(t)
  const small = [
    '{}',
    line({ op: 'list' }),
    line({ op: 'status' }),
    line({ op: 'resolve', service: 'bystander' }),
    line({ op: 'resolve', service: 'nobody' }),
    line({ op: 'resolve', service: 'bystander', version: '99' }),
    line({ op: 'resolve', service: 'x'.repeat(999) }),
    line({ op: 'watch' }),
    line({ id: 'x'.repeat(64), op: 'dance' }),
    line({ op: 'register', service: 'a', transport: 'udp', port: 1 }),
    line({ op: 'resolve', service: 'nobody', wait: 3_600_000 }),
  ]
  const datagrams = Array.from({ length: 4_000 }, (_, n) => small[n % small.length]!)
  const before = daemon.status()
  const { sent, answers } = await volley(t, port, datagrams)
  const got = answers.reduce((sum, { bytes }) => sum + bytes, 0)
  t.ok(got <= sent, `${got} bytes came of ${sent}`)
  const longest = Math.max(...small.map(text => Buffer.byteLength(text)))
  t.ok(answers.every(({ bytes }) => bytes <= longest))
  t.notOk(answers.some(({ message }) => 'services' in message || 'registration' in message))
  t.match(daemon.status(), { names: before.names })
  t.ok(daemon.status().refused - before.refused >= 3_000, 'each is counted')
  await othersAreServed()
})

t.test('a daemon that is sent the answers of another says nothing', async t => {
  const { daemon, port, othersAreServed } = await siege(t)
  const answers = [
    line({ endpoints: [] }),
    line({ error: { code: 'EPROTOCOL', message: 'expected one JSON object a line' } }),
    line({ truncated: true }),
    'nonsense',
  ]
  const { answers: got } = await volley(t, port, answers)
  t.strictSame(got, [], 'two of them could be made to talk for ever')
  t.match(daemon.status(), { refused: answers.length })
  await othersAreServed()
})

t.test(
  'a datagram is told nothing that is for this host alone, and has no server expect it',
  async t => {
    const { port, come, othersAreServed } = await siege(t)
    const owner = await come()
    const offers = [
      { service: 'inner', port: 1, address: '127.0.0.1' },
      { service: 'beside', port: 2, path: 'moniker-beside' },
      { service: 'far', port: 3, endpoints: [{ transport: 'own', address: '127.0.0.1', port: 4 }] },
      { service: 'guarded', port: 5, guarded: true },
    ]
    owner.ask(...offers.map((offer, id) => ({ id, op: 'register', transport: 'tcp', ...offer })))
    for (const _ of offers) t.match(await owner.answer(), { registration: Number })
    const transports = ['tcp', 'unix', 'own']
    const questions = offers.map(({ service }) => ({ op: 'resolve', service, transports }))
    // Its sender is 127.0.0.1: that is what anybody may write.
    const datagrams = questions.map(question => line(question).padEnd(PADDED))
    const { answers } = await volley(t, port, datagrams)
    t.equal(answers.length, 4)
    const told = JSON.stringify(answers)
    t.notMatch(told, /127\.0\.0\.1|moniker-beside/)
    t.match(told, /ENOSERVICE.*"port":2.*"port":3.*"port":5/)

    owner.ask({ op: 'resolve', service: 'guarded', id: 'own' })
    t.match(await owner.answer(), { id: 3, event: 'expect', address: '127.0.0.1' })
    t.match(await owner.answer(), { id: 'own', endpoints: [{ port: 5 }] }, 'there was no other')
    await othersAreServed()
  },
)

/** Somebody at the designated port of 127.0.0.1 whose answers come when we say. */
async function daemonless(t: Test): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return { socket, port: socket.address().port }
}

const answer = (id: unknown, port: number) =>
  line({ id, endpoints: [{ transport: 'tcp', port, version: '1.0.0', instance: 'x' }], ttl: 1 })

const bank = { op: 'resolve', service: 'bank' } as const
const { signal: never } = new AbortController()

t.test('an answer from where nobody was asked is not believed, whatever it says', async t => {
  const { socket, port } = await daemonless(t)
  const forger = createSocket('udp4')
  t.teardown(() => forger.close())
  const found = askDatagram({ address: '127.0.0.1', port }, bank, never)
  const [question, from] = (await once(socket, 'message')) as [Buffer, { port: number }]
  const { id } = JSON.parse(question.toString()) as { id: string }
  t.equal(question.length, PADDED)
  // It could see the question, even; all it cannot do is send from the daemon's own port.
  await new Promise(resolve => forger.send(answer(id, 666), from.port, '127.0.0.1', resolve))
  socket.send(answer(id, 4_000), from.port, '127.0.0.1')
  t.match(await found, { endpoints: [{ port: 4_000 }] })
})

t.test('an answer whose question was guessed is not believed', async t => {
  const { socket, port } = await daemonless(t)
  const found = askDatagram({ address: '127.0.0.1', port }, bank, never)
  const [question, from] = (await once(socket, 'message')) as [Buffer, { port: number }]
  const { id } = JSON.parse(question.toString()) as { id: string }
  const guesses = [null, 1, '', '0000000000000000', `${id}0`, id.toUpperCase() + ' ', [id], { id }]
  for (const guess of guesses) socket.send(answer(guess, 666), from.port, '127.0.0.1')
  socket.send(answer(id, 4_000), from.port, '127.0.0.1')
  t.match(await found, { endpoints: [{ port: 4_000 }] })
})
