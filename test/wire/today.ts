/**
 * The wire as it was in version 0.1.0, byte for byte, both ways: an old program that asks our daemon, and our
 * library that asks an old daemon. Programs and daemons are not replaced all at once, so this must stay green
 * whatever is added to the protocol. A change that needs a change here is one that breaks what is deployed.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect as connectTCP, createServer as createTCPServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import moniker, { Resolver } from '../../index.ts'
import { Daemon } from '../../lib/daemon/daemon.ts'
import { takeOver } from '../../lib/registration/takeover.ts'
import { daemon } from '../fixtures/daemon.ts'
import { fake, type Serve } from '../fixtures/fake.ts'
import { lines, type Message } from '../fixtures/lines.ts'

t.setTimeout(60_000)

// -- An old program and our daemon

/** The words of 0.1.0 for a transport, to a program that is told of a service. */
const TRANSPORTS = ['tcp', 'udp']

/** Throws where a program of 0.1.0 would: it fails the whole of a list for one service that it cannot read. */
function read(answer: Message | undefined): Message {
  const { event, services = event === 'up' || event === 'down' ? [answer] : [] } = answer!
  for (const service of services as Message[]) {
    const { transport, port, instance } = service
    const isRead = Number.isInteger(port) && typeof instance === 'string'
    if (isRead && TRANSPORTS.includes(transport as string)) continue
    throw new Error(`a program of 0.1.0 cannot read ${JSON.stringify(service)}`)
  }
  return answer!
}

/** A connection over which bytes are sent as they are written here. */
async function old(t: Test, port: number) {
  const { socket, answer, rest } = await lines(t, port)
  return {
    say: (bytes: string) => socket.write(bytes),
    hear: async () => read(await answer()),
    rest,
  }
}

t.test('an old server registers, tells how busy it is, and goes', async t => {
  const { port } = await daemon(t)
  const { say, hear } = await old(t, port)
  say(
    '{"v":1,"id":2,"op":"register","service":"starwars","version":"1.2.0","transport":"tcp","port":40321}\n',
  )
  t.match(await hear(), { v: 1, id: 2, registration: 1, generation: Number, connections: 1 })
  say('{"v":1,"id":3,"op":"update","registration":1,"load":12}\n')
  t.match(await hear(), { v: 1, id: 3, updated: true })
  say('{"v":1,"id":"x","op":"unregister","registration":1}\n')
  t.match(await hear(), { v: 1, id: 'x', unregistered: true })
  say('{"v":1,"id":4,"op":"unregister","registration":1}\n')
  t.match(await hear(), { v: 1, id: 4, unregistered: false })
})

t.test('an old server says all that it can say', async t => {
  const { port } = await daemon(t)
  const { say, hear } = await old(t, port)
  const offer =
    '"namespace":"reynolds","service":"Web","version":"1","transport":"tcp","port":80,"address":"127.0.0.1",' +
    '"path":"moniker-6664-reynolds-web","shared":"group","guarded":true,"metadata":{"a":1},"load":3,"pid":7,"since":5'
  say(`{"v":1,"id":1,"op":"register",${offer}}\n`)
  t.match(await hear(), { id: 1, registration: 1 })
  say(
    '{"v":1,"id":2,"op":"resolve","service":"web","namespace":"reynolds","transports":["unix","tcp"]}\n',
  )
  // A guarded server is told first.
  const [expect, found] = [await hear(), await hear()].sort(
    ({ id: a }, { id: b }) => Number(a) - Number(b),
  )
  t.match(expect, { id: 1, event: 'expect', address: '127.0.0.1', ttl: 30_000 })
  t.match(found, {
    id: 2,
    endpoints: [
      {
        transport: 'tcp',
        address: '127.0.0.1',
        port: 80,
        path: 'moniker-6664-reynolds-web',
        version: '1.0.0',
        instance: String,
        metadata: { a: 1 },
        load: 3,
      },
    ],
    ttl: 30_000,
  })
})

t.test(
  'an old server is told that a name is held, and that another has held it longer',
  async t => {
    const { port } = await daemon(t)
    const { say, hear } = await old(t, port)
    say('{"v":1,"id":1,"op":"register","service":"a","transport":"tcp","port":2,"pid":7}\n')
    t.match(await hear(), { registration: 1 })
    say('{"v":1,"id":2,"op":"register","service":"a","transport":"tcp","port":3}\n')
    t.match(await hear(), {
      id: 2,
      error: { code: 'ETAKEN', message: /^held by process 7 on port 2$/ },
    })
    say('{"v":1,"id":3,"op":"register","service":"a","transport":"tcp","port":4,"since":9}\n')
    const [evicted, registered] = [await hear(), await hear()].sort(
      ({ id: a }, { id: b }) => Number(a) - Number(b),
    )
    t.match(evicted, { id: 1, event: 'evicted', registration: 1, error: { code: 'ETAKEN' } })
    t.match(registered, { id: 3, registration: 2 })
  },
)

t.test('an old client asks by TCP, and is told no as ever', async t => {
  const { port } = await daemon(t)
  const server = await old(t, port)
  server.say(
    '{"v":1,"id":1,"op":"register","service":"starwars","version":"1.2.0","transport":"tcp","port":40321}\n',
  )
  await server.hear()
  const { say, hear, rest } = await old(t, port)
  say('{"v":1,"id":1,"op":"resolve","service":"starwars","version":"^1"}\n')
  const found = await hear()
  const [endpoint] = found.endpoints as Message[]
  t.match(endpoint, { transport: 'tcp', port: 40_321, version: '1.2.0', instance: String })
  t.notOk('address' in endpoint!, 'it is where the answer came from')
  t.equal(found.ttl, 30_000)
  say('{"v":1,"id":2,"op":"resolve","service":"starwars","version":"^2"}\r\n')
  t.match(await hear(), { id: 2, error: { code: 'EVERSION', offered: ['1.2.0'], message: String } })
  say('{"v":1,"id":3,"op":"resolve","service":"starwars","transports":["udp"]}\n')
  t.match(await hear(), { id: 3, error: { code: 'ENOSERVICE' } })
  say('{"v":1,"id":4,"op":"resolve","service":"nobody","also":["a","b"],"future":[1]}\n')
  t.match(await hear(), { id: 4, error: { code: 'ENOSERVICE' } })
  say('{"v":1,"id":5,"op":"resolve","service":"later","wait":60000}\n')
  server.say('{"v":1,"id":2,"op":"register","service":"later","transport":"tcp","port":5}\n')
  t.match(await hear(), { id: 5, endpoints: [{ port: 5 }] }, 'what it waits for comes')
  say('{"v":1,"id":6,"op":"resolve","service":7}\n{"v":1,"id":7,"op":"status"}\n')
  t.match(await rest(), [{ id: 6, error: { code: 'EPROTOCOL' } }], 'what is no question ends it')
})

t.test('an old client that ends its side still gets its answers', async t => {
  const { port } = await daemon(t)
  const socket = connectTCP({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.end('{"v":1,"id":1,"op":"resolve","service":"nobody"}\n{"v":1,"id":2,"op":"status"}\n')
  const answers = (await text(socket)).trimEnd().split('\n')
  t.match(
    answers.map(answer => JSON.parse(answer) as Message),
    [
      { id: 1, error: { code: 'ENOSERVICE' } },
      { id: 2, protocol: 1 },
    ],
  )
})

t.test('an old client asks by datagram', async t => {
  const { port } = await daemon(t)
  const server = await old(t, port)
  server.say('{"v":1,"id":1,"op":"register","service":"starwars","transport":"udp","port":5}\n')
  await server.hear()
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const ask = async (question: string, length = 512): Promise<Message> => {
    socket.send(question.padEnd(length))
    const [bytes] = (await once(socket, 'message')) as [Buffer]
    t.ok(bytes.length <= Math.max(length, question.length), 'no answer is longer than its question')
    return JSON.parse(bytes.toString()) as Message
  }
  const resolve = '"op":"resolve","service":"starwars"'
  const id = '0f8fad5b-d9cb-469f-a165-70867728950e'
  t.match(await ask(`{"v":1,"id":"${id}",${resolve},"transports":["udp"]}`), {
    v: 1,
    id,
    endpoints: [{ transport: 'udp', port: 5 }],
  })
  t.match(await ask(`{"v":1,"id":1,${resolve},"transports":["udp"]}`, 0), {
    id: 1,
    truncated: true,
  })
  t.match(await ask(`{"v":1,"id":2,${resolve}}\n`), { id: 2, error: { code: 'ENOSERVICE' } })
  t.match(await ask('{"v":1,"id":3,"op":"list"}'), { id: 3, error: { code: 'EDENIED' } })
  socket.send('{"v":2,"id":4,"op":"status"}')
  t.match(await ask(`{"v":1,"id":5,${resolve}}`), { id: 5 }, 'what is no question has no answer')
})

t.test('an old program lists, watches, and asks how the daemon is', async t => {
  const { port } = await daemon(t)
  const server = await old(t, port)
  const { say, hear } = await old(t, port)
  const starwars = {
    namespace: '',
    service: 'starwars',
    version: '1.2.0',
    transport: 'tcp',
    port: 40_321,
    address: '::',
    shared: false,
  }
  say('{"v":1,"id":5,"op":"watch","service":"starwars"}\n')
  t.match(await hear(), { v: 1, id: 5, services: [] })
  server.say(
    '{"v":1,"id":1,"op":"register","service":"starwars","version":"1.2.0","transport":"tcp","port":40321}\n',
  )
  t.match(await hear(), { v: 1, id: 5, event: 'up', ...starwars, instance: String })
  say('{"v":1,"id":4,"op":"list"}\n')
  t.match(await hear(), { v: 1, id: 4, services: [{ ...starwars, instance: String }] })
  say('{"v":1,"id":6,"op":"list","namespace":"reynolds"}\n')
  t.match(await hear(), { v: 1, id: 6, services: [] })
  server.say('{"v":1,"id":2,"op":"unregister","registration":1}\n')
  t.match(await hear(), { v: 1, id: 5, event: 'down', ...starwars, instance: String })
  say('{"v":1,"id":7,"op":"status"}\n')
  const numbers = { pid: Number, started: Number, questions: Number }
  const counters = { refused: 0, limited: 0, denied: 0, connections: 2 }
  const state = { embedded: false, port, udp: ['127.0.0.1'], names: 0, open: 2, followers: 1 }
  t.match(await hear(), { id: 7, protocol: 1, ...numbers, ...counters, ...state })
})

t.test('an old daemon has ours make way', async t => {
  const { port } = await daemon(t, { embedded: true })
  const { say, hear, rest } = await old(t, port)
  say('{"v":1,"id":1,"op":"handover"}\n')
  t.match(await hear(), { v: 1, id: 1, handover: true })
  const server = createTCPServer()
  await once(server.listen(port, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  say('{"v":1,"id":2,"op":"handover"}\n')
  t.match(await rest(), [{ v: 1, id: 2, handover: true }], 'and the connection closes')
})

t.test('an old daemon is told that ours makes way for none', async t => {
  const { port } = await daemon(t)
  const { say, hear } = await old(t, port)
  say('{"v":1,"id":1,"op":"handover"}\n')
  t.match(await hear(), { v: 1, id: 1, error: { code: 'EDENIED' } })
})

// -- Our library and an old daemon

const OPS = ['resolve', 'register', 'update', 'unregister', 'list', 'watch', 'status', 'handover']

/** Messages that a daemon of 0.1.0 would not have understood: it answers `EPROTOCOL`, and closes. */
function fault({ v, id, op, service, transport, transports }: Message): string | undefined {
  if (v !== 1) return 'v'
  if (typeof id !== 'string' && !Number.isInteger(id)) return 'id'
  if (!OPS.includes(op as string)) return 'op'
  if ((op === 'resolve' || op === 'register') && typeof service !== 'string') return 'service'
  if (op === 'register' && !TRANSPORTS.includes(transport as string)) return 'transport'
  if (transports === undefined) return undefined
  const known: unknown[] = [...TRANSPORTS, 'unix']
  const some = transports as unknown[]
  return some.length > 0 && some.every(one => known.includes(one)) ? undefined : 'transports'
}

/**
 * A daemon of 0.1.0 that answers each operation in the bytes that are given for it, after `"v"` and `"id"`; `⏎`
 * begins another line. What it does not understand it refuses as ever, and closes the connection.
 */
async function oldDaemon(t: Test, said: Record<string, string>) {
  const answer = (question: Message) => {
    const field = fault(question)
    const wrong = `"error":{"code":"EPROTOCOL","message":"expected another \\"${field}\\""}`
    return `{"v":1,"id":${JSON.stringify(question.id)},${field ? wrong : said[question.op as string]}}`
  }
  const tcp: Serve = (question, socket: Socket) => {
    socket.write(`${answer(question).replaceAll('⏎', '\n')}\n`)
    if (fault(question)) socket.end()
  }
  const { port, streamed, datagrams } = await fake(t, {
    tcp,
    udp: (question, reply) => reply(answer(question)),
  })
  const asked = (op: string) => streamed.find(question => question.op === op)
  return { port, datagrams, asked }
}

/** A server of `net` that echoes. */
async function echo(t: Test): Promise<number> {
  const server = createTCPServer(socket => void socket.pipe(socket))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  return (server.address() as { port: number }).port
}

const endpoint = (port: number) =>
  `{"transport":"tcp","port":${port},"version":"1.2.0","instance":"mwu25anx-1"}`

t.test('our client finds what an old daemon knows', async t => {
  const port = await echo(t)
  const { port: daemonPort, datagrams } = await oldDaemon(t, {
    resolve: `"endpoints":[${endpoint(port)}],"ttl":30000`,
  })
  const socket = moniker.connect({ service: 'starwars', host: '127.0.0.1', daemonPort })
  socket.end('early bird')
  t.equal(await text(socket), 'early bird')
  t.strictSame(datagrams, [], 'it is asked by TCP, as any daemon of its own host')
  const here = moniker.connect({ service: 'starwars', daemonPort })
  here.end('bird')
  t.equal(await text(here), 'bird')
})

t.test('our client asks an old daemon by TCP where a datagram is too small', async t => {
  const port = await echo(t)
  const said = `"endpoints":[${endpoint(port)}],"ttl":30000`
  const { port: daemonPort } = await fake(t, {
    tcp: ({ id }, socket) => socket.write(`{"v":1,"id":${JSON.stringify(id)},${said}}\n`),
    udp: ({ id }, reply) => reply(`{"v":1,"id":${JSON.stringify(id)},"truncated":true}`),
  })
  const socket = moniker.connect({ service: 'starwars', host: '127.0.0.1', daemonPort })
  socket.end('by TCP')
  t.equal(await text(socket), 'by TCP')
})

t.test('our client is told no by an old daemon', async t => {
  const { port } = await oldDaemon(t, {
    resolve: '"error":{"code":"EVERSION","message":"no","offered":["2.0.0"]}',
    list: '"error":{"code":"EDENIED","message":"not for you"}',
  })
  const resolver = new Resolver({ port })
  const name = moniker.parse('starwars@^1')
  const expected = { code: 'ECONNREFUSED', reason: 'EVERSION', offered: ['2.0.0'] }
  await t.rejects(resolver.resolve(name), expected)
  await t.rejects(resolver.list(), { code: 'EACCES', message: /not for you/ })
})

const listed =
  '{"namespace":"","service":"starwars","version":"1.2.0","transport":"tcp","port":40321,"address":"::","shared":false,"instance":"mwu25anx-1"}'

t.test('our client lists, watches, and asks how an old daemon is', async t => {
  const { port } = await oldDaemon(t, {
    list: `"services":[${listed}],"more":true}⏎{"v":1,"id":1,"services":[]`,
    watch: `"services":[${listed}]}⏎{"v":1,"id":1,"event":"down",${listed.slice(1, -1)}`,
    status: '"protocol":1,"pid":7,"embedded":false,"names":1',
  })
  const resolver = new Resolver({ port })
  t.match(await resolver.list(), [{ service: 'starwars', port: 40_321, instance: 'mwu25anx-1' }])
  t.match(await resolver.status(), { protocol: 1, pid: 7, embedded: false, names: 1 })
  const watched = moniker.watch('starwars', { daemonPort: port })
  t.teardown(() => watched.close())
  const told = (await Promise.all([once(watched, 'up'), once(watched, 'down')])) as Message[][]
  t.match(told, [
    [{ service: 'starwars', port: 40_321 }],
    [{ service: 'starwars', instance: 'mwu25anx-1' }],
  ])
})

t.test('our server is known to an old daemon, and goes', async t => {
  const { port: daemonPort, asked } = await oldDaemon(t, {
    register: '"registration":1,"generation":1763949600000',
    update: '"updated":true',
    unregister: '"unregistered":true',
  })
  const server = moniker.createServer(socket => socket.resume())
  server.listen({ service: 'starwars', version: '1.2.0', load: true, daemonPort })
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  t.match(asked('register'), { service: 'starwars', version: '1.2.0', transport: 'tcp', port })
  const socket = connectTCP(port, '127.0.0.1')
  await once(server, 'connection')
  while (!asked('update')) await new Promise(setImmediate)
  t.match(asked('update'), { registration: 1, load: 1 })
  socket.destroy()
  await once(server.close(), 'close')
  t.match(asked('unregister'), { registration: 1 })
})

t.test('our server hears from an old daemon that its name is held', async t => {
  const { port: daemonPort } = await oldDaemon(t, {
    register: '"error":{"code":"ETAKEN","message":"held by process 4711 on port 40321"}',
  })
  const server = moniker.createServer()
  server.listen({ service: 'starwars', daemonPort })
  const [error] = (await once(server, 'error')) as [Error]
  t.match(error, { code: 'EADDRINUSE', message: /held by process 4711 on port 40321/ })
})

t.test('our daemon takes the place of an old one', async t => {
  const asked: unknown[] = []
  const server = createTCPServer(socket => {
    socket
      .on('error', () => {})
      .on('data', bytes => {
        const { id, op } = JSON.parse(bytes.toString()) as Message
        asked.push(op)
        if (asked.length === 1) server.close()
        socket.write(`{"v":1,"id":${JSON.stringify(id)},"handover":true}\n`)
        if (asked.length === 2) socket.end()
      })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as { port: number }
  const ours = new Daemon({ port, hosts: ['127.0.0.1'] })
  t.teardown(() => ours.stop())
  await takeOver(port, ours)
  await once(server, 'close')
  t.strictSame(asked, ['handover', 'handover'])
  t.match(await new Resolver({ port }).status(), { protocol: 1 })
})
