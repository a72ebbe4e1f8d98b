import { Buffer } from 'node:buffer'
import { createSocket, type Socket } from 'node:dgram'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { isIPv6 } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { Handler, Peer } from '../../lib/daemon/chain.ts'
import type { Dialect } from '../../lib/daemon/dialect.ts'
import { json } from '../../lib/daemon/json.ts'
import { Datagrams, canBind, type UDPOptions } from '../../lib/daemon/udp.ts'
import { MonikerError } from '../../lib/errors.ts'
import { MAX_LINE } from '../../lib/wire/lines.ts'
import { type Answer } from '../../lib/wire/protocol.ts'
import { active } from '../fixtures/active.ts'
import { interfaces } from '../fixtures/interfaces.ts'
import { hasIPv6, withoutIPv6 } from '../fixtures/ipv6.ts'
import { line, type Message } from '../fixtures/lines.ts'
import { nobody } from '../fixtures/services.ts'
import { wanting } from '../fixtures/wanting.ts'

const echo: Handler = question => ({ got: question.op })

/** A listener at `host`, on a free port for each address, its sockets, and what it refused. */
async function listener(
  t: Test,
  given: Partial<Omit<UDPOptions, 'dialects'>> & { host?: string; dialects?: Dialect[] } = {},
) {
  const { answer = echo, host = '127.0.0.1', dialects = [], ...ref } = given
  const refused: MonikerError[] = []
  const datagrams = new Datagrams({
    dialects: [json, ...dialects],
    answer,
    refused: error => refused.push(error),
    ...ref,
  })
  t.teardown(() => datagrams.close())
  const sockets = created(t)
  await datagrams.bind(0, host)
  const { port } = sockets[0]!.address()
  return { datagrams, port, refused, sockets }
}

/** Every datagram socket that is made from now on, in this process. */
function created(t: Test): Socket[] {
  const sockets: Socket[] = []
  const note = (message: unknown) => sockets.push((message as { socket: Socket }).socket)
  subscribe('udp.socket', note)
  t.teardown(() => unsubscribe('udp.socket', note))
  return sockets
}

/** A socket to ask with, as `nc -u` would. */
async function asker(t: Test, port: number, address = '127.0.0.1') {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4')
  t.teardown(() => socket.close())
  socket.connect(port, address)
  await once(socket, 'connect')
  return {
    socket,
    ask: (text: string | Buffer) => socket.send(text),
    async answer(): Promise<{ text: string; message: Message }> {
      const [bytes] = (await once(socket, 'message')) as [Buffer]
      const text = bytes.toString()
      return { text, message: JSON.parse(text) as Message }
    },
  }
}

const status = { op: 'status' }

/** A question, padded to so many bytes. */
const padded = (question: object, length = 512) => line(question).padEnd(length)

t.test('a datagram is answered by a datagram with the same id', async t => {
  const { port } = await listener(t)
  const { ask, answer } = await asker(t, port)
  for (const id of [1, 'ab', 0, '€']) {
    ask(padded({ ...status, id }))
    t.strictSame((await answer()).message, { v: 1, id, got: 'status' })
  }
})

t.test('datagrams have a turn together while others wait, and too many are dropped', async t => {
  const waiting: (() => void)[] = []
  const seats = new Set<unknown>()
  const turns = {
    takeAtOnce: () => false,
    wait(work: () => void, seat: unknown) {
      waiting.push(work)
      seats.add(seat)
    },
  }
  const { port } = await listener(t, { turns })
  const { ask, answer } = await asker(t, port)
  // No more at once than the buffers of the kernel take.
  for (let id = 1; id <= 256; id++) {
    ask(padded({ ...status, id }))
    while (waiting.length < id) await setImmediate()
  }
  let dropped = 0
  turns.takeAtOnce = () => dropped++ === 1
  ask(padded({ ...status, id: 'dropped' }))
  ask(padded({ ...status, id: 'last' }))
  t.equal((await answer()).message.id, 'last')
  t.equal(waiting.length, 256)
  t.equal(seats.size, 1)
  for (const work of waiting) {
    const answered = answer()
    work()
    t.match((await answered).message, { got: 'status' })
  }
})

t.test('an answer is never longer than its question, whatever that is long', async t => {
  const fat = '€'.repeat(20)
  const { port } = await listener(t, { answer: () => ({ fat }) })
  const { ask, answer } = await asker(t, port)
  const whole = Buffer.byteLength(line({ fat }))
  const truncated = Buffer.byteLength(line({ truncated: true }))
  for (let length = Buffer.byteLength(line(status)); length <= whole + 2; length++) {
    ask(padded(status, length))
    ask(padded({ ...status, id: 'next' }))
    const first = await answer()
    if (length < truncated) {
      t.equal(first.message.id, 'next', `${length} bytes get no answer at all`)
      continue
    }
    t.ok(Buffer.byteLength(first.text) <= length, `${length} bytes`)
    t.strictSame(first.message, {
      v: 1,
      id: 1,
      ...(length < whole ? { truncated: true } : { fat }),
    })
    t.equal((await answer()).message.id, 'next')
  }
})

t.test('a refusal is an answer, and no longer than the question', async t => {
  const { port, refused } = await listener(t, {
    answer: () => {
      throw new MonikerError('EDENIED', { text: 'not for you' })
    },
  })
  const { ask, answer } = await asker(t, port)
  ask(padded(status))
  const error = { code: 'EDENIED', message: 'not for you' }
  t.strictSame((await answer()).message, { v: 1, id: 1, error })
  ask(padded(status, 60))
  t.strictSame((await answer()).message, { v: 1, id: 1, truncated: true })
  ask(padded({ op: 'resolve', service: 7 }))
  t.match((await answer()).message, { error: { message: /expected "service" to be/ } })
  t.strictSame(
    refused.map(error => error.reason),
    ['EDENIED', 'EDENIED', 'EPROTOCOL'],
  )
})

const noQuestions: [what: string, text: string | Buffer][] = [
  ['nothing', ''],
  ['no JSON', 'hello'],
  ['no text', Buffer.from([0xff, 0xfe, 0, 1])],
  ['an array', '[]'],
  ['another version', '{"v":2,"id":1,"op":"status"}'],
  ['no id', '{"v":1,"op":"status"}'],
  ['an id too long', padded({ ...status, id: 'x'.repeat(65) })],
  ['no op', '{"v":1,"id":1}'],
  ['an op that is no string', '{"v":1,"id":1,"op":["status"]}'],
  ['an answer', line({ got: 'status' })],
  ['a refusal', line({ error: { code: 'EPROTOCOL', message: 'expected …' } })],
  ['two questions', line(status) + line(status)],
  ['a datagram too long', padded(status, MAX_LINE + 1)],
]

t.test('what is no question gets no answer, and the next question does', async t => {
  const { port, refused } = await listener(t)
  const { ask, answer } = await asker(t, port)
  for (const [n, [what, text]] of noQuestions.entries()) {
    ask(text)
    ask(padded({ ...status, id: `after ${what}` }))
    t.match((await answer()).message, { id: `after ${what}` })
    t.equal(refused.length, n + 1, what)
  }
})

t.test('the longest datagram that is allowed is answered', async t => {
  const { port } = await listener(t)
  const { ask, answer } = await asker(t, port)
  ask(padded(status, MAX_LINE))
  t.match((await answer()).message, { got: 'status' })
})

t.test('a question is never taken for one of this host, and owns nothing', async t => {
  const peers: Peer[] = []
  const { port } = await listener(t, {
    answer: (_question, peer) => {
      peers.push(peer)
      return {}
    },
  })
  const { ask, answer } = await asker(t, port)
  ask(padded(status))
  await answer()
  t.match(peers, [{ local: false, address: '127.0.0.1', remote: { address: '127.0.0.1' } }])
  t.notOk('owner' in peers[0]!)
})

t.test('an answer that comes later is sent then, be it a refusal', async t => {
  const settle: { resolve: (answer: Answer) => void; reject: (error: unknown) => void }[] = []
  const { port, refused } = await listener(t, {
    answer: () => new Promise((resolve, reject) => settle.push({ resolve, reject })),
  })
  const { ask, answer } = await asker(t, port)
  ask(padded({ ...status, id: 1 }))
  ask(padded({ ...status, id: 2 }))
  while (settle.length < 2) await setImmediate()
  settle[1]!.resolve({ got: 'second' })
  t.match((await answer()).message, { id: 2, got: 'second' })
  settle[0]!.reject(new MonikerError('EDENIED', { text: 'no' }))
  t.match((await answer()).message, { id: 1, error: { code: 'EDENIED' } })
  t.match(refused, [{ reason: 'EDENIED' }])
})

t.test('only so many questions may wait, and none is answered once it is over', async t => {
  let answerAll = () => {}
  const over = new Promise<Answer>(resolve => (answerAll = () => resolve({ got: 'late' })))
  const { port, refused, datagrams } = await listener(t, { answer: () => over })
  const { ask, answer } = await asker(t, port)
  const refusal = answer()
  while (refused.length === 0) {
    ask(padded(status))
    await setImmediate()
  }
  t.match((await refusal).message, { error: { code: 'ELIMIT' } })
  datagrams.close()
  answerAll()
  await over
})

t.test('a mistake of ours is told to whoever met with it', async t => {
  const fail = () => {
    throw new TypeError('ours')
  }
  const { port, refused } = await listener(t, { answer: fail })
  const { ask, answer } = await asker(t, port)
  ask(padded(status))
  t.match((await answer()).message, { error: { code: 'EPROTOCOL' } })
  t.match(refused, [{ reason: 'EPROTOCOL', cause: { message: 'ours' } }])
})

/** A language in capital letters. It has no connections. */
function shout(datagram?: Dialect['datagram']): Dialect {
  const none = () => t.fail('no connection speaks it')
  const some = datagram && { datagram }
  return { claims: byte => byte === 0x41, serve: none as never, turnAway: none, ...some }
}

t.test('the first byte says in which language a datagram is answered', async t => {
  const heard: string[] = []
  const { port, refused } = await listener(t, {
    dialects: [
      shout((bytes, peer, { answer }) => {
        heard.push(bytes.toString())
        const found = answer({ op: 'status' }, peer) as Answer
        return Buffer.from(String(found.got).toUpperCase())
      }),
    ],
  })
  const { socket, ask, answer } = await asker(t, port)
  ask('AHOY THERE')
  const [bytes] = (await once(socket, 'message')) as [Buffer]
  t.equal(bytes.toString(), 'STATUS')
  // The answer would be longer.
  ask('AHOY')
  ask(padded(status))
  t.match((await answer()).message, { got: 'status' })
  t.strictSame(heard, ['AHOY THERE', 'AHOY'])
  ask('BYE')
  ask(padded(status))
  await answer()
  t.match(refused, [{ reason: 'EPROTOCOL' }], 'what none of them claims is refused')
})

t.test('a language answers later, or not, and its mistakes are survived', async t => {
  const { port, refused } = await listener(t, {
    dialects: [
      shout(async bytes => {
        if (bytes.toString() === 'AWKWARD') throw new TypeError('theirs')
        return bytes.toString() === 'AHOY' ? 'AYE' : undefined
      }),
    ],
  })
  const { socket, ask } = await asker(t, port)
  ask('AWKWARD')
  ask('AND NOTHING')
  ask('AHOY')
  const [bytes] = (await once(socket, 'message')) as [Buffer]
  t.equal(bytes.toString(), 'AYE')
  t.match(refused, [{ reason: 'EPROTOCOL', cause: { message: 'theirs' } }])

  const deaf = await listener(t, { dialects: [shout()] })
  const other = await asker(t, deaf.port)
  other.ask('AHOY')
  other.ask(padded(status))
  t.match((await other.answer()).message, { got: 'status' })
  t.match(deaf.refused, [{ reason: 'EPROTOCOL' }], 'a language without datagrams has none')
})

t.test('a datagram from port 0, where nothing can be sent, is ignored', async t => {
  const { port, sockets, refused } = await listener(t)
  sockets[0]!.emit('message', Buffer.from(padded(status)), { address: '127.0.0.1', port: 0 })
  t.match(refused, [{ reason: 'EPROTOCOL', message: /from port 0/ }])
  const { ask, answer } = await asker(t, port)
  ask(padded(status))
  t.match((await answer()).message, { got: 'status' })
})

t.test('an error of the socket is survived', async t => {
  const { port, sockets } = await listener(t)
  sockets[0]!.emit('error', new Error('send EHOSTUNREACH'))
  const { ask, answer } = await asker(t, port)
  ask(padded(status))
  t.match((await answer()).message, { got: 'status' })
})

t.test('a port that is taken is refused, and nothing is left behind', async t => {
  const { port } = await listener(t)
  const second = new Datagrams({ dialects: [json], answer: echo, refused: () => {} })
  await t.rejects(second.bind(port, '127.0.0.1'), { code: 'EADDRINUSE' })
  t.strictSame(second.addresses, [])
  second.close()
})

t.test('all addresses are answered at, each from itself', async t => {
  const addresses = ['127.0.0.1', '127.0.0.2', ...(hasIPv6 ? ['::1'] : [])]
  interfaces(t, { none: undefined, lo: addresses.map(address => ({ address })) })
  const { datagrams, sockets } = await listener(t, { host: '::' })
  t.strictSame(datagrams.addresses, addresses)
  for (const { address, port } of sockets.map(socket => socket.address())) {
    const { ask, answer } = await asker(t, port, address)
    ask(padded(status))
    // The asker's socket is connected, so an answer from another address would not reach it.
    t.match((await answer()).message, { got: 'status' })
  }
})

t.test('all addresses of IPv4 are those and no others', async t => {
  interfaces(t, { lo: [{ address: '127.0.0.1' }, { address: '::1' }] })
  const { datagrams } = await listener(t, { host: '0.0.0.0' })
  t.strictSame(datagrams.addresses, ['127.0.0.1'])
})

t.test('a link-local address is told with its zone', { skip: withoutIPv6 }, async t => {
  interfaces(t, { lo: [{ address: '::1', scopeid: 1 }] })
  const { datagrams } = await listener(t, { host: '::' })
  t.strictSame(datagrams.addresses, ['::1%lo'])
})

t.test('an address where the port is taken does not keep the others from answering', async t => {
  const { port, datagrams: other } = await listener(t, { host: '127.0.0.2' })
  interfaces(t, { lo: [{ address: '127.0.0.1' }, { address: '127.0.0.2' }] })
  const lost: string[] = []
  const datagrams = new Datagrams({
    dialects: [json],
    answer: echo,
    refused: () => {},
    rescan: 1,
    lost: (address, { message }) => lost.push(`${address} ${message.split(' ')[1]}`),
  })
  t.teardown(() => datagrams.close())
  await datagrams.bind(port, '::')
  t.strictSame(datagrams.addresses, ['127.0.0.1'])
  t.strictSame(datagrams.lost, ['127.0.0.2'])
  other.close()
  while (datagrams.addresses.length < 2) await setImmediate()
  t.strictSame(lost, ['127.0.0.2 EADDRINUSE'], 'it is told once, and tried again')
  t.strictSame(datagrams.lost, [])
})

t.test('an address that this host has no more is not one where the port is taken', async t => {
  const { port } = await listener(t, { host: '127.0.0.2' })
  interfaces(t, { lo: [{ address: '127.0.0.1' }, { address: '127.0.0.2' }] })
  const given = { dialects: [json], answer: echo, refused: () => {}, rescan: 1 } as const
  const datagrams = new Datagrams(given)
  t.teardown(() => datagrams.close())
  await datagrams.bind(port, '::')
  t.strictSame(datagrams.lost, ['127.0.0.2'])
  interfaces(t, { lo: [{ address: '127.0.0.1' }] })
  while (datagrams.lost.length > 0) await setImmediate()
  t.strictSame(datagrams.addresses, ['127.0.0.1'])
})

t.test('one address is tried again as well', async t => {
  const { port, datagrams: other } = await listener(t, { host: '127.0.0.2' })
  const given = { dialects: [json], answer: echo, refused: () => {}, rescan: 1 } as const
  const datagrams = new Datagrams(given)
  t.teardown(() => datagrams.close())
  await t.rejects(datagrams.bind(port, '127.0.0.2'), { code: 'EADDRINUSE' })
  other.close()
  while (datagrams.addresses.length === 0) await setImmediate()
  t.strictSame(datagrams.addresses, ['127.0.0.2'])
})

t.test('an address whose link is down is kept, one that is gone is not', async t => {
  interfaces(t, { lo: [{ address: '127.0.0.1' }, { address: '127.0.0.2' }] })
  const { datagrams, sockets } = await listener(t, { host: '::', rescan: 1 })
  interfaces(t, { lo: [{ address: '127.0.0.2' }] })
  // Each look tries the address by a socket of its own.
  while (sockets.length < 5) await setImmediate()
  t.strictSame(datagrams.addresses, ['127.0.0.1', '127.0.0.2'])
})

t.test('nothing is bound any more once it is closed, be it during a look', async t => {
  interfaces(t, { lo: [{ address: '127.0.0.1' }] })
  let looked!: () => void
  const looking = new Promise<void>(resolve => (looked = resolve))
  const hasAddress = async () => {
    looked()
    await setImmediate()
    return true
  }
  const { datagrams, sockets } = await listener(t, { host: '::', rescan: 1, hasAddress })
  interfaces(t, { lo: [{ address: '127.0.0.2' }] })
  await looking
  datagrams.close()
  for (let turn = 0; turn < 5; turn++) await setImmediate()
  t.strictSame(datagrams.addresses, [])
  t.equal(sockets.length, 1)
})

t.test('the kernel knows which addresses of IPv6 a host has', { skip: withoutIPv6 }, async t => {
  t.equal(await canBind('::1'), true)
  t.equal(await canBind('2001:db8::1'), false)
})

t.test('the kernel knows which addresses a host has lost', async t => {
  t.equal(await canBind('127.0.0.1'), true)
  t.equal(await canBind('192.0.2.1'), false)
  interfaces(t, { lo: [{ address: '127.0.0.1' }] })
  const { datagrams } = await listener(t, { host: '::', rescan: 1, hasAddress: async () => false })
  interfaces(t, { lo: [] })
  while (datagrams.addresses.length > 0) await setImmediate()
})

t.test('addresses that come and go are noticed by the next look', async t => {
  interfaces(t, { lo: [{ address: '127.0.0.1' }, { address: '127.0.0.2' }] })
  const hasAddress = async () => false
  const { datagrams, sockets } = await listener(t, { host: '::', rescan: 1, hasAddress })
  interfaces(t, { lo: [{ address: '127.0.0.2' }, { address: '127.0.0.3' }] })
  const [gone] = sockets
  await once(gone!, 'close')
  while (!datagrams.addresses.includes('127.0.0.3')) await setImmediate()
  t.strictSame(datagrams.addresses, ['127.0.0.2', '127.0.0.3'])
  const { ask, answer } = await asker(t, sockets.at(-1)!.address().port, '127.0.0.3')
  ask(padded(status))
  t.match((await answer()).message, { got: 'status' })

  datagrams.close()
  const { datagrams: others } = await listener(t, { host: '::', rescan: 1 })
  for (const address of ['127.0.0.4', '127.0.0.5']) {
    interfaces(t, { lo: [{ address }] })
    while (!others.addresses.includes(address)) await setImmediate()
  }
  t.strictSame(datagrams.addresses, [], 'nobody looks after the end')
})

t.test('addresses that cannot be known now are looked for at the next look', async t => {
  const { again, tries } = wanting(t)
  const given = { dialects: [json], answer: echo, refused: () => {}, rescan: 1 } as const
  const datagrams = new Datagrams(given)
  t.teardown(() => datagrams.close())
  await datagrams.bind(await nobody(), '0.0.0.0')
  while (tries.addresses < 2) await setImmediate()
  t.strictSame(datagrams.addresses, [])
  again()
  while (!datagrams.addresses.includes('127.0.0.1')) await setImmediate()
})

t.test('to close is to answer no more, however often it is said', async t => {
  const { datagrams, port, sockets } = await listener(t)
  datagrams.close()
  datagrams.close()
  await once(sockets[0]!, 'close')
  t.strictSame(datagrams.addresses, [])
  const { socket, ask } = await asker(t, port)
  ask(padded(status))
  const [error] = (await once(socket, 'error')) as [Error]
  t.match(error, { code: 'ECONNREFUSED' })
})

t.test('sockets that are not to be waited for are not', async t => {
  /** The number of datagram sockets that keep this process alive, when those that are closing have closed. */
  const counted = async () => {
    // Handles close at the end of a turn of the loop.
    for (let turn = 0; turn < 2; turn++) await setImmediate()
    return active('UDPWrap')
  }
  const before = await counted()
  await listener(t, { ref: false })
  t.equal(await counted(), before)
  await listener(t)
  t.equal(await counted(), before + 1)
})
