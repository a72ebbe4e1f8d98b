import { fork } from 'node:child_process'
import dgram, { type RemoteInfo } from 'node:dgram'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { test, type Test } from 'tap'
import { createSocket, type MonikerDatagram } from '../../lib/sockets/datagram.ts'
import { parse, type Name } from '../../lib/name.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import type { Reachable, Resolution } from '../../lib/resolution.ts'
import { awake } from '../fixtures/awake.ts'
import { daemon } from '../fixtures/daemon.ts'
import { home } from '../fixtures/home.ts'
import { lines } from '../fixtures/lines.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { lookup } from '../fixtures/services.ts'
import { thrown } from '../fixtures/thrown.ts'

function socket(t: Test, ...args: Parameters<typeof createSocket>): MonikerDatagram {
  const made = createSocket(...args)
  let isClosed = false
  made.once('close', () => (isClosed = true))
  t.teardown(() => isClosed || made.close())
  return made
}

/** A socket bound to `name` that sends back what it gets. */
async function echo(t: Test, name = 'echo@1.2.0', type: 'udp4' | 'udp6' = 'udp4') {
  const made = socket(t, type, (message, { port, address }) => made.send(message, port, address))
  await once(made.bind(name), 'listening')
  return made
}

async function heard(socket: dgram.Socket): Promise<string> {
  const [message] = (await once(socket, 'message')) as [Buffer, RemoteInfo]
  return String(message)
}

/** A resolver that leads to `ports`, one after the other, and counts how often it was asked. */
function leading(ports: number[], now?: () => number) {
  const asked: Name[] = []
  const resolver = new Resolver(now && { now })
  resolver.resolve = async (name: Name): Promise<Resolution> => {
    const port = ports[Math.min(asked.push(name), ports.length) - 1]!
    const instance = String(port)
    return {
      name,
      host: '',
      ttl: 60_000,
      endpoints: [{ transport: 'udp', address: '127.0.0.1', port, version: '1.0.0', instance }],
    }
  }
  return { resolver, asked }
}

test('a connect by port goes there, whatever one by name has failed before', async t => {
  const [here, there] = [socket(t, 'udp4'), socket(t, 'udp4')]
  for (const one of [here, there]) await once(one.bind(0, '127.0.0.1'), 'listening')
  const { resolver } = leading([there.address().port])
  const { resolve } = resolver
  // Nobody may send to this address.
  resolver.resolve = async name => {
    const found = await resolve.call(resolver, name)
    const endpoints = found.endpoints.map(one => ({ ...one, address: '255.255.255.255' }))
    return { ...found, endpoints }
  }
  const client = socket(t, 'udp4')
  client.connect({ service: 'tie', resolver })
  t.match(await once(client, 'error'), [{ code: 'EACCES' }])
  resolver.resolve = resolve
  client.connect(here.address().port, '127.0.0.1')
  await once(client, 'connect')
  client.send('hello')
  t.equal(await heard(here), 'hello')
})

test('a datagram too many that waits for its name asks nothing', async t => {
  let asked = 0
  const resolver = { resolve: () => (asked++, new Promise<never>(() => {})) }
  const client = socket(t, 'udp4')
  const refused: Promise<unknown>[] = []
  for (let n = 0; n < 1_026; n++) {
    const sent = new Promise(resolve =>
      client.send('x', { service: 'tie', wait: 60_000, resolver }, resolve),
    )
    if (n >= 1_024) refused.push(sent)
  }
  for (const error of await Promise.all(refused)) t.match(error, { reason: 'ELIMIT' })
  t.equal(asked, 1_024)
})

test('a socket is bound to a name, on a port that the system chose', async t => {
  const port = await home(t)
  const server = socket(t, 'udp4')
  t.ok(server instanceof dgram.Socket)
  const ways: (() => void)[] = [
    () => server.bind('clock@1.2.0'),
    () => socket(t, { type: 'udp4' }).bind('ns:clock', '127.0.0.1'),
    () => socket(t, 'udp4').bind({ service: 'other', address: '127.0.0.1', exclusive: true }),
  ]
  for (const bind of ways) bind()
  await once(server, 'listening')
  t.match(server.address(), { moniker: 'clock@1.2.0', address: '0.0.0.0' })
  t.match(server.moniker, { service: 'clock', version: '1.2.0' })
  while ((await new Resolver({ port }).list()).length < 3);
  t.match(await new Resolver({ port }).list(), [
    { service: 'clock', transport: 'udp', address: '0.0.0.0' },
    { service: 'other', transport: 'udp', address: '127.0.0.1' },
    { service: 'clock', namespace: 'ns', address: '127.0.0.1' },
  ])

  await new Promise<void>(resolve => server.close(resolve))
  t.equal((await new Resolver({ port }).list()).length, 2)
  const again = socket(t, 'udp4')
  await new Promise<void>(resolve => again.bind('clock@1.2.0', resolve))
})

test('ports and all else are left to dgram', async t => {
  await home(t)
  const server = socket(t, 'udp4', (message, { port, address }) =>
    server.send(message, port, address),
  )
  await new Promise<void>(resolve => server.bind(0, '127.0.0.1', resolve))
  t.equal(server.moniker, undefined)
  const { port } = server.address()
  const client = socket(t, 'udp4')
  for (const to of [port, String(port)] as number[]) {
    client.send('hello', to, '127.0.0.1')
    t.equal(await heard(client), 'hello')
  }
  await new Promise<void>(resolve => client.connect(port, '127.0.0.1', resolve))
  client.send('connected')
  t.equal(await heard(client), 'connected')
  t.throws(() => client.send('x', 'echo'), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
  t.throws(() => client.connect('echo'), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
  client.disconnect()
  t.throws(() => client.remoteAddress(), { code: 'ERR_SOCKET_DGRAM_NOT_CONNECTED' })
})

test('each way to send to a name gets there', async t => {
  const daemonPort = await home(t)
  await echo(t)
  const client = socket(t, 'udp4')
  const ways: ((sent: (error: Error | null, bytes: number) => void) => void)[] = [
    sent => client.send('hello', 'echo', sent),
    sent => client.send(Buffer.from('hello'), 'echo@^1', 'localhost', sent),
    sent => client.send('oh hello!', 3, 5, 'echo', sent),
    sent => client.send('oh hello!', 3, 5, 'echo', '127.0.0.1', sent),
    sent => client.send(['he', Buffer.from('llo')], 'echo://localhost', sent),
    sent => client.send('hello', new URL('echo://localhost'), sent),
    sent => client.send('hello', { service: 'echo', version: '1.x', daemonPort }, sent),
    sent => client.send('hello', 'echo', { version: '1.x', daemonPort }, sent),
    sent =>
      client.send(
        'hello',
        { service: 'echo', host: 'far.test', lookup: lookup('127.0.0.1') },
        sent,
      ),
  ]
  for (const send of ways) {
    const both = [
      heard(client),
      new Promise((resolve, reject) =>
        send((error, bytes) => (error ? reject(error) : resolve(bytes))),
      ),
    ]
    t.same(await Promise.all(both), ['hello', 5])
  }
  client.send('no callback', 'echo')
  t.equal(await heard(client), 'no callback')
  await new Promise<void>(resolve => client.connect('echo', 'localhost', { daemonPort }, resolve))
  client.send('connected')
  t.equal(await heard(client), 'connected')
})

test('datagrams keep their order while the name is resolved', async t => {
  await home(t)
  await echo(t)
  const client = socket(t, 'udp4')
  const answers: string[] = []
  client.on('message', message => answers.push(String(message)))
  const sent = Array.from({ length: 20 }, (_, index) => String(index))
  for (const text of sent) client.send(text, 'echo')
  while (answers.length < sent.length) await once(client, 'message')
  t.same(answers, sent)
})

test('a name that is known costs no question, and one that moved is found', async t => {
  const first = socket(t, 'udp4').bind(0, '127.0.0.1')
  const second = socket(t, 'udp4').bind(0, '127.0.0.1')
  await Promise.all([once(first, 'listening'), once(second, 'listening')])
  const served = await daemon(t)
  const { port: daemonPort } = served
  const nc = await lines(t, daemonPort)
  const register = { op: 'register', service: 'echo', transport: 'udp' }
  const questions = () => served.status().questions
  nc.ask({ ...register, port: first.address().port })
  const { registration } = (await nc.answer())!

  let time = 0
  const resolver = new Resolver({ port: daemonPort, now: () => time })
  const client = socket(t, 'udp4')
  const target = { service: 'echo', resolver }
  const before = questions()
  for (let count = 0; count < 5; count++) {
    client.send('known', target)
    t.equal(await heard(first), 'known')
  }
  t.equal(questions(), before + 1)

  nc.ask({ op: 'unregister', registration }, { ...register, port: second.address().port })
  await nc.answer()
  await nc.answer()
  time = 81
  client.send('moved', target)
  t.equal(await heard(second), 'moved')
})

/** A service of datagrams that another program may be in the place of: each tells what it hears. */
async function moving(t: Test) {
  const { port: daemonPort } = await daemon(t)
  const nc = await lines(t, daemonPort)
  const places = [socket(t, 'udp4'), socket(t, 'udp4')] as const
  for (const place of places) await once(place.bind(0, '127.0.0.1'), 'listening')
  const register = { op: 'register', service: 'echo', transport: 'udp' }
  let registration: unknown
  const goTo = async (place: MonikerDatagram | undefined) => {
    if (registration) {
      nc.ask({ op: 'unregister', registration })
      await nc.answer()
    }
    registration = undefined
    if (!place) return
    nc.ask({ ...register, port: place.address().port })
    ;({ registration } = (await nc.answer())!)
  }
  let time = 0
  const resolver = new Resolver({ port: daemonPort, now: () => time })
  const later = (ms: number) => (time += ms)
  const far = { service: 'echo', host: 'far.test', lookup: lookup('127.0.0.1'), resolver }
  return { places, goTo, later, targets: { near: { service: 'echo', resolver }, far } }
}

for (const which of ['near', 'far'] as const) {
  test(`a connected socket follows its name: ${which}`, async t => {
    const { places, goTo, later, targets } = await moving(t)
    const [first, second] = places
    await goTo(first)
    const client = socket(t, 'udp4')
    const resolved: number[] = []
    client.on('resolve', ({ port }: { port: number }) => resolved.push(port))
    await new Promise<void>(resolve => client.connect(targets[which], resolve))
    const { port } = client.address()
    client.send('one')
    t.equal(await heard(first), 'one')

    await goTo(second)
    later(which === 'near' ? 81 : 1_151)
    client.send('two')
    client.send(Buffer.from('not three'), 4, 5)
    t.equal(await heard(second), 'two')
    t.equal(await heard(second), 'three')
    t.equal(client.remoteAddress().port, second.address().port)
    t.equal(client.address().port, port, 'it keeps its own port')
    t.strictSame(resolved, [first.address().port, second.address().port])
    const [answer] = await Promise.all([
      heard(client),
      new Promise(resolve => second.send('back', port, '127.0.0.1', resolve)),
    ])
    t.equal(answer, 'back')

    await goTo(undefined)
    later(which === 'near' ? 81 : 1_151)
    const expected = { code: 'ECONNREFUSED', reason: 'ENOSERVICE' }
    const sent = new Promise((_resolve, reject) => client.send('lost', reject))
    await t.rejects(sent, expected)
    client.send('lost')
    t.match(await once(client, 'error'), [expected])
  })
}

test('a place that refuses a datagram is asked for at once', async t => {
  const { places, goTo, targets } = await moving(t)
  const [first, second] = places
  await goTo(first)
  const told = socket(t, 'udp4')
  await new Promise<void>(resolve => told.connect(targets.far, resolve))
  first.close()
  await goTo(second)
  told.send('lost')
  t.match(await once(told, 'error'), [{ code: 'ECONNREFUSED' }])
  told.send('found')
  t.equal(await heard(second), 'found')
  second.close()
  // The kernel tells of the first by the second.
  told.send('lost')
  const sent = new Promise((_resolve, reject) => told.send('lost', reject))
  await t.rejects(sent, { code: 'ECONNREFUSED', syscall: 'send' })
})

test('a name that has moved to where no datagram can go is an error', async t => {
  const { resolver } = leading([9])
  const client = socket(t, 'udp4')
  await new Promise<void>(resolve => client.connect({ service: 'echo', resolver }, resolve))
  const { resolve } = resolver
  const ways = [
    { address: '255.255.255.255', code: 'EACCES' },
    { address: '::1', code: 'EHOSTUNREACH' },
  ]
  for (const { address, code } of ways) {
    resolver.resolve = async name => {
      const found = await resolve(name)
      return { ...found, endpoints: [{ ...found.endpoints[0]!, address }] }
    }
    resolver.doubt(parse('echo'), { transports: ['udp'], family: 4 })
    const sent = new Promise((_resolve, reject) => client.send('x', reject))
    await t.rejects(sent, { code }, address)
  }
})

test('of several endpoints a connected socket stays with its own, unless it selects', async t => {
  const places = [socket(t, 'udp4'), socket(t, 'udp4')] as const
  for (const place of places) await once(place.bind(0, '127.0.0.1'), 'listening')
  const [one, other] = places.map(place => place.address().port) as [number, number]
  const { resolver } = leading([one])
  const { resolve } = resolver
  const select = (endpoints: readonly Reachable[]) => endpoints.at(-1)!
  for (const own of [{}, { select }]) {
    const client = socket(t, 'udp4')
    resolver.resolve = resolve
    await new Promise<void>(resolve =>
      client.connect({ service: 'echo', resolver, ...own }, resolve),
    )
    resolver.resolve = async name => {
      const found = await resolve(name)
      const [first] = found.endpoints
      return {
        ...found,
        endpoints: [
          { ...first!, port: one },
          { ...first!, port: other },
        ],
      }
    }
    resolver.doubt(parse('echo'), { transports: ['udp'], family: 4 })
    client.send('hello')
    t.equal(await heard('select' in own ? places[1] : places[0]), 'hello')
  }
})

test('the program may close a socket that is about to be connected', async t => {
  const { resolver } = leading([9])
  const client = socket(t, 'udp4')
  const select = ([first]: readonly Reachable[]) => {
    client.close()
    return first!
  }
  client.on('resolve', () => t.fail('it is closed'))
  client.connect({ service: 'echo', resolver, select })
  await once(client, 'close')

  const early = socket(t, 'udp4')
  early.on('resolve', () => early.close())
  early.connect({ service: 'echo', resolver }, () => t.fail('it is closed'))
  await once(early, 'close')
})

test('what waits for a place is bounded, and given up with the socket', async t => {
  const { goTo, later, places, targets } = await moving(t)
  await goTo(places[0])
  const client = socket(t, 'udp4')
  await new Promise<void>(resolve => client.connect(targets.near, resolve))
  later(81)
  const errors: (Error | null)[] = []
  for (let count = 0; count < 1_024; count++) client.send('x')
  client.send('too much', error => void errors.push(error))
  client.disconnect()
  t.throws(() => client.send('x'), { code: 'ERR_SOCKET_BAD_PORT' })
  const lost: unknown[] = []
  client.on('error', error => lost.push((error as NodeJS.ErrnoException).code))
  while (lost.length < 1_024) await new Promise(setImmediate)
  t.match(errors, [{ code: 'EBUSY', reason: 'ELIMIT' }])
  t.same(new Set(lost), new Set(['ERR_SOCKET_DGRAM_NOT_CONNECTED']))

  await new Promise<void>(resolve => client.connect(targets.near, resolve))
  later(81)
  client.send('x', () => t.fail('it is closed'))
  await new Promise<void>(resolve => client.close(resolve))
  await new Promise(setImmediate)
})

test('a name that is not offered is an error to the callback, or an event', async t => {
  await home(t)
  const client = socket(t, 'udp4')
  const unknown = {
    code: 'ECONNREFUSED',
    reason: 'ENOSERVICE',
    service: 'nobody',
    syscall: 'resolve',
  }
  const toCallback = new Promise((_resolve, reject) => client.send('x', 'nobody', reject))
  await t.rejects(toCallback, unknown)
  client.send('x', 'nobody')
  await t.rejects(once(client, 'message'), unknown)
  const connecting = new Promise((_resolve, reject) =>
    client.connect('nobody', reject as () => void),
  )
  await t.rejects(connecting, unknown)
  client.connect('nobody')
  await t.rejects(once(client, 'message'), unknown)
})

test('a datagram to a place that is known leaves in the call itself', async t => {
  await home(t)
  const server = socket(t, 'udp4')
  await once(server.bind('echo', '127.0.0.1'), 'listening')
  const client = createSocket('udp4')
  const events: string[] = []
  client.on('listening', () => events.push('listening'))
  client.send('asked', 'echo')
  t.equal(await heard(server), 'asked')
  t.same(events, ['listening'])
  client.send('known', 'echo')
  const sent = new Promise(resolve =>
    client.send('also known', 5, 5, 'echo', (...args) => resolve(args)),
  )
  client.close()
  t.equal(await heard(server), 'known')
  t.equal(await heard(server), 'known')
  t.same(await sent, [null, 5])
  t.throws(() => client.send('x', 'echo'), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' })

  const other = socket(t, 'udp4')
  other.on('listening', () => events.push('bound'))
  other.send('known', 'echo')
  t.same(events, ['listening'], 'it is bound a turn later')
  t.equal(await heard(server), 'known')
})

test('a call that cannot send throws at once, as that of dgram', async t => {
  const { resolver } = leading([9])
  const client = socket(t, 'udp4')
  const target = { service: 'echo', resolver }
  t.throws(() => client.send(7 as never, target), { code: 'ERR_INVALID_ARG_TYPE' })
  t.throws(() => client.send('x', 'not a name'), { code: 'ERR_MONIKER_NAME' })
  t.throws(() => client.bind('clock@^1'), { code: 'ERR_MONIKER_NAME' })
  const closed = createSocket('udp4')
  const unknown = { resolve: () => Promise.reject(new Error('no')) }
  const forever = { resolve: () => new Promise<never>(() => {}) }
  closed.send('x', { service: 'other', resolver: forever })
  closed.close()
  for (const resolver of [unknown, leading([9]).resolver]) {
    t.throws(() => closed.send('x', { service: 'other', resolver }), {
      code: 'ERR_SOCKET_DGRAM_NOT_RUNNING',
    })
  }
  const never = createSocket('udp4')
  never.close()
  for (const resolver of [unknown, leading([9]).resolver]) {
    t.throws(() => never.send('x', { service: 'other', resolver, timeout: 60_000 }), {
      code: 'ERR_SOCKET_DGRAM_NOT_RUNNING',
    })
  }
})

test('a socket that is connected to a port sends to no name until it is disconnected', async t => {
  await home(t)
  const server = await echo(t)
  const client = socket(t, 'udp4')
  const { port } = server.address()
  t.throws(() => client.connect(0), { code: 'ERR_SOCKET_BAD_PORT' })
  client.send('unconnected', 'echo')
  t.equal(await heard(client), 'unconnected')
  for (let times = 0; times < 2; times++) {
    client.connect(port, '127.0.0.1')
    await once(client, 'connect')
    // Of such a call by port `dgram` itself says nothing.
    t.throws(() => client.send('x', 'echo'), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
    client.disconnect()
    client.send('disconnected', 'echo')
    t.equal(await heard(client), 'disconnected')
  }
})

test('the options of a socket are those of dgram', async t => {
  const lookup = 1 as never
  for (const options of [{ type: 'udp4', lookup } as const, null, 5, { type: 'udp4', signal: 1 }]) {
    t.match(
      thrown(() => createSocket(options as never)),
      thrown(() => dgram.createSocket(options as never)),
    )
  }
  class Inherited {
    get type() {
      return 'udp4' as const
    }
    get reuseAddr() {
      return true
    }
  }
  for (const create of [dgram.createSocket, createSocket]) {
    const [one, other] = [create(new Inherited()), create(new Inherited())]
    await once(one.bind(0, '127.0.0.1'), 'listening')
    await once(other.bind(one.address().port, '127.0.0.1'), 'listening')
    one.close()
    other.close()
  }
  const aborted = createSocket({ type: 'udp4', signal: AbortSignal.abort() })
  t.throws(() => aborted.send('x', 'echo'), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' })
})

test('a socket is connected to a name', async t => {
  await home(t)
  const server = await echo(t)
  const client = socket(t, 'udp4')
  const events: string[] = []
  for (const event of ['resolve', 'listening', 'connect', 'error'])
    client.on(event, () => events.push(event))
  client.connect('echo@^1', 'localhost', () => events.push('callback'))
  t.throws(() => client.connect(9), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
  t.throws(() => client.connect('echo'), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
  await once(client, 'connect')
  t.same(events, ['resolve', 'listening', 'connect', 'callback'])
  t.equal(client.remoteAddress().port, server.address().port)
  t.match(client.moniker, { service: 'echo', version: '1.2.0', host: 'localhost' })
  client.send('hello')
  t.equal(await heard(client), 'hello')
  client.disconnect()
  t.equal(client.moniker, undefined)

  const other = socket(t, 'udp4')
  other.connect({ service: 'echo' })
  await once(other, 'connect')
  t.ok(other.remoteAddress())

  const third = socket(t, 'udp4')
  third.connect('echo://luke@localhost/a?b#c')
  await once(third, 'connect')
  t.match(third.moniker, { service: 'echo', userinfo: 'luke', path: '/a?b#c' })
})

test('a socket that is closed while it resolves hears no more of it', async t => {
  awake(t)
  let found!: (resolution: Resolution) => void
  let lost!: (error: Error) => void
  const resolver = {
    resolve: () =>
      new Promise<Resolution>((resolve, reject) => ([found, lost] = [resolve, reject])),
  }
  const { resolver: ready } = leading([9])
  const resolution = await ready.resolve(parse('echo'))
  for (const settle of [() => found(resolution), () => lost(new Error('no'))]) {
    const client = createSocket('udp4')
    client.on('error', error => t.fail(error.message)).on('connect', () => t.fail('connected'))
    client.connect({ service: 'echo', resolver })
    await once(client.close(), 'close')
    settle()
    await new Promise(setImmediate)

    const sender = createSocket('udp4').on('error', error => t.fail(error.message))
    sender.send('x', { service: 'echo', resolver }, () => t.fail('sent'))
    sender.close()
    settle()
    await new Promise(setImmediate)
  }
})

test('IPv4 and IPv6 meet where they can', { skip: withoutIPv6 }, async t => {
  await home(t, ['127.0.0.1', '::1'])
  await echo(t, 'four')
  await echo(t, 'six', 'udp6')
  const both = socket(t, 'udp6')
  const six = socket(t, { type: 'udp6', ipv6Only: true })
  const four = socket(t, 'udp4')
  const pairs = [
    [both, 'four'],
    [both, 'six'],
    [six, 'six'],
    [four, 'four'],
    [four, 'six'],
  ] as const
  for (const [client, name] of pairs) {
    client.send(name, name)
    t.equal(await heard(client), name)
  }

  const bound = socket(t, 'udp6')
  await once(bound.bind('bound', '::1'), 'listening')
  const unreachable = {
    code: 'EHOSTUNREACH',
    message: /it is at ::1, and this socket knows IPv4 alone/,
  }
  await t.rejects(new Promise((_resolve, reject) => four.send('x', 'bound', reject)), unreachable)
  await t.rejects(
    new Promise((_resolve, reject) => four.connect('bound', reject as () => void)),
    unreachable,
  )
})

test('a look-up of the socket is its own', async t => {
  await home(t)
  await echo(t)
  const one = (_host: string, _options: unknown, done: (...found: unknown[]) => void) =>
    process.nextTick(done, null, '127.0.0.1', 4)
  const client = socket(t, { type: 'udp4', lookup: one as never })
  client.send('hello', 'echo', 'far.test')
  t.equal(await heard(client), 'hello')
})

test('a socket that is unref’d keeps no program alive', async t => {
  const port = await home(t)
  const path = fileURLToPath(new URL('../fixtures/unref.ts', import.meta.url))
  const child = fork(path, { env: { ...process.env, MONIKER_PORT: String(port) } })
  t.same(await once(child, 'exit'), [0, null])
})

test('a name can be waited for, be it to connect or to send', async t => {
  await home(t)
  const [client, other] = [socket(t, 'udp4'), socket(t, 'udp4')]
  client.connect({ service: 'echo', wait: 60_000 }, () => client.send('connected'))
  other.send('sent', { service: 'echo', wait: 60_000 })
  // They may hear before we do that it is there.
  const answers = Promise.all([heard(client), heard(other)])
  await echo(t)
  t.same(await answers, ['connected', 'sent'])
})

test('of several endpoints that is gone to which is selected', async t => {
  const { port: daemonPort } = await daemon(t)
  const peers = [1, 2].map(() => socket(t, 'udp4'))
  for (const peer of peers) {
    peer.bind({ service: 'echo', shared: true, daemonPort })
    await once(peer, 'listening')
  }
  const { port } = peers[1]!.address()
  const select = (all: readonly { port: number }[]) => all.find(one => one.port === port) as never
  const [client, other] = [socket(t, 'udp4'), socket(t, 'udp4')]
  for (let times = 0; times < 2; times++) {
    client.send('sent', { service: 'echo', daemonPort, select })
    t.equal(await heard(peers[1]!), 'sent')
  }
  other.connect({ service: 'echo', daemonPort, select }, () => other.send('connected'))
  t.equal(await heard(peers[1]!), 'connected')
})

test('one that is closed goes nowhere, as any', async t => {
  const made = createSocket('udp4')
  await new Promise<void>(resolve => made.close(resolve))
  t.throws(() => made.connect('echo'), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' })
})

test('a socket that is connecting to a name cannot connect elsewhere meanwhile', async t => {
  await home(t)
  await echo(t)
  const made = socket(t, 'udp4')
  const codes: unknown[] = []
  const again = () => codes.push(thrown(() => made.connect(9)))
  made.on('resolve', again)
  made.connect('echo')
  again()
  if ('connectSync' in made) {
    t.throws(() => (made.connectSync as (port: number) => void)(9), {
      code: 'ERR_SOCKET_DGRAM_IS_CONNECTED',
    })
  }
  await once(made, 'connect')
  t.strictSame(codes, ['ERR_SOCKET_DGRAM_IS_CONNECTED', 'ERR_SOCKET_DGRAM_IS_CONNECTED'])
})

test('a call that does not wait takes no name, where Node has such calls', async t => {
  const made = socket(t, 'udp4') as MonikerDatagram & Record<string, (target: unknown) => void>
  if (!('bindSync' in dgram.Socket.prototype)) return t.notOk('bindSync' in made)
  for (const method of ['bindSync', 'connectSync']) {
    for (const target of ['echo', { service: 'echo' }]) {
      t.throws(() => made[method]!(target), {
        code: 'ERR_INVALID_ARG_VALUE',
        message: new RegExp(
          `a port for ${method}, as a name has to be asked for: use (bind|connect)$`,
        ),
      })
    }
  }
})

test('a wait for a name ends with its signal, or its time', async t => {
  await home(t)
  const wait = 60_000
  const cases: [options: object, error: object][] = [
    [{ signal: AbortSignal.timeout(50) }, { name: 'TimeoutError' }],
    [{ timeout: 50 }, { code: 'ETIMEDOUT', reason: 'ESILENT', service: 'nobody' }],
    [{ timeout: 50, signal: new AbortController().signal }, { code: 'ETIMEDOUT' }],
  ]
  for (const [options, error] of cases) {
    const asked = { service: 'nobody', wait, ...options }
    const [client, other] = [socket(t, 'udp4'), socket(t, 'udp4')]
    const failed = once(client, 'error')
    client.connect(asked)
    const sent = new Promise(resolve => other.send('lost', asked, resolve))
    t.match((await failed)[0], error)
    t.match(await sent, error)
  }
})

test('a datagram socket takes no transport of streams', async t => {
  const client = socket(t, 'udp4')
  const invalid = {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /options\.transports to be left out or udp/,
  }
  const target = { service: 'echo', transports: ['tcp'] as const }
  t.throws(() => client.connect(target), invalid)
  t.throws(() => client.send('x', target), invalid)
})
