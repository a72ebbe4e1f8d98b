import { Buffer } from 'node:buffer'
import { createSocket, type RemoteInfo, type Socket as DatagramSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { Client, accept, ask, askStream, type Place } from '../lib/client.ts'
import { MAX_LINE } from '../lib/lines.ts'
import { PADDED } from '../lib/protocol.ts'
import { daemon } from './fixtures/daemon.ts'
import { hasIPv6 } from './fixtures/ipv6.ts'
import { line, type Message } from './fixtures/lines.ts'
import { stranger } from './fixtures/services.ts'

const resolve = { op: 'resolve', service: 'starwars' } as const
const starwars = { op: 'register', service: 'starwars', transport: 'tcp', port: 4000 } as const
const status = { op: 'status' } as const

const { signal: never } = new AbortController()

/** What answers a question that came over a stream; it may say nothing at all. */
type Serve = (question: Message, socket: Socket) => void

/** A daemon of our own making. */
interface Fake extends Place {
  /** What came by stream, and by datagram. */
  readonly streamed: Message[]
  readonly datagrams: Message[]
  readonly sockets: Socket[]
}

/**
 * A daemon that does over TCP and over UDP what it is told to. What it is not told it does not
 * listen to; `'silent'` hears and says nothing.
 */
async function fake(
  t: Test,
  given: {
    tcp?: Serve
    udp?: (question: Message, reply: (text: string | Buffer) => void) => void
  },
): Promise<Fake> {
  const streamed: Message[] = []
  const datagrams: Message[] = []
  const sockets: Socket[] = []
  const server = createServer(socket => {
    sockets.push(socket.on('error', () => {}))
    createInterface({ input: socket }).on('line', text => {
      const question = JSON.parse(text) as Message
      streamed.push(question)
      given.tcp?.(question, socket)
    })
  })
  const udp = createSocket('udp4')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    if (server.listening) server.close()
    udp.close()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  if (!given.tcp) await once(server.close(), 'close')
  if (given.udp) {
    await bind(udp, port)
    udp.on('message', (bytes: Buffer, from: RemoteInfo) => {
      const question = JSON.parse(bytes.toString()) as Message
      datagrams.push({ ...question, bytes: bytes.length })
      given.udp!(question, text => udp.send(text, from.port, from.address))
    })
  }
  return { address: '127.0.0.1', port, streamed, datagrams, sockets }
}

async function bind(socket: DatagramSocket, port: number): Promise<void> {
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
}

const silent = () => {}

/** Answers over TCP, and says so. */
const byTCP: Serve = ({ id }, socket) => void socket.write(line({ id, by: 'tcp' }))

/** A client of a daemon; it closes with the test. */
async function client(t: Test, { port }: { port: number }, background = false): Promise<Client> {
  const place = { address: '127.0.0.1', port }
  const client = await Client.connect(place, undefined, { background })
  t.teardown(() => client.close())
  return client
}

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

t.test('who is in a hurry waits for nobody to share a write with', async t => {
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
  t.equal(one.asked, 0)
  t.match(await one.askSoon(status, 60_000), { pid: process.pid })
  const quiet = await client(t, await fake(t, { tcp: silent }))
  await t.rejects(quiet.askSoon(status, 1), { code: 'ETIMEDOUT', reason: 'ESILENT' })
  t.equal(quiet.asked, 1)
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

t.test('who gives up is told so, and the others get their answers', async t => {
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
  const sockets = () => process.getActiveResourcesInfo().filter(name => name === 'TCPSocketWrap')
  const one = await client(t, place)
  const idle = sockets().length
  const controller = new AbortController()
  const asked = one.ask(status, controller.signal)
  t.equal(sockets().length, idle + 1)
  controller.abort()
  await t.rejects(asked, { name: 'AbortError' })
  t.equal(sockets().length, idle)
})

t.test('one question is one datagram, padded, and needs no connection', async t => {
  endless(t)
  const place = await fake(t, {
    tcp: byTCP,
    udp: ({ id }, reply) => reply(line({ id, by: 'udp' })),
  })
  t.match(await ask(place, resolve, never), { by: 'udp' })
  t.match(place.datagrams, [{ v: 1, id: /^[0-9a-f-]{36}$/, ...resolve, bytes: PADDED }])
  t.equal(place.sockets.length, 0)
})

t.test('no two questions have the same id', async t => {
  const place = await fake(t, { udp: ({ id }, reply) => reply(line({ id })) })
  for (let n = 0; n < 5; n++) await ask(place, resolve, never)
  t.equal(new Set(place.datagrams.map(({ id }) => id)).size, 5)
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

t.test('a daemon is asked over IPv6 as well', { skip: !hasIPv6 }, async t => {
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

t.test('who gives up before the question asks nothing', async t => {
  const place = await fake(t, { tcp: byTCP, udp: silent })
  const over = AbortSignal.abort(new Error('before'))
  await t.rejects(ask(place, resolve, over), { message: 'before' })
  t.strictSame(place.datagrams, [])
})

t.test('who gives up is told so at every stage, and nothing goes on', async t => {
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

/** What an error should match. */
interface Expected {
  code: string
  [property: string]: unknown
}

const details = { service: 'starwars@^1', host: 'theforce.net', port: 7, syscall: 'resolve' }

t.test('an answer that is no refusal is accepted as it is', async t => {
  const answer = { endpoints: [] }
  t.equal(accept(answer, details), answer)
})

t.test('a refusal is thrown as the error it is, with what was asked for', async t => {
  const table: [error: unknown, expected: Expected][] = [
    [
      { code: 'ENOSERVICE', message: 'as the daemon sees it' },
      {
        code: 'ECONNREFUSED',
        ...details,
        message: /starwars@\^1 is not offered at theforce\.net:7/,
      },
    ],
    [
      { code: 'EVERSION', message: 'as the daemon sees it', offered: ['2.0.0'] },
      {
        code: 'ECONNREFUSED',
        ...details,
        offered: ['2.0.0'],
        message: /theforce\.net:7; 2\.0\.0 is/,
      },
    ],
    [
      { code: 'ETAKEN', message: 'held by process 7' },
      { code: 'EADDRINUSE', ...details, message: /registered at .* held by process 7; close/ },
    ],
    [
      { code: 'EWHATEVER', message: 'of a time to come' },
      { code: 'EPROTO', ...details, message: 'of a time to come' },
    ],
    [{}, { code: 'EPROTO', ...details, message: 'no reason was given' }],
  ]
  for (const [error, expected] of table) t.throws(() => accept({ error }, details), expected)
})

/** Makes every pause last for ever, however busy the machine is. */
function endless(t: Test): void {
  const real = setTimeout
  t.intercept(globalThis, 'setTimeout', {
    value: (then: () => void) => real(then, 600_000),
  })
}
