import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import { inherits } from 'node:util'
import { test, type Test } from 'tap'
import { parse, type Name } from '../../lib/name.ts'
import type { Endpoint } from '../../lib/wire/protocol.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import type { Resolution, ResolveOptions } from '../../lib/resolution.ts'
import { MonikerSocket, connect } from '../../lib/sockets/socket.ts'
import { awake } from '../fixtures/awake.ts'
import { daemon } from '../fixtures/daemon.ts'
import { Held, site } from '../fixtures/held.ts'
import { lookup, named, nobody, portOf, stranger } from '../fixtures/services.ts'

/** A resolver that answers when it is told to. */
function held(t: Test) {
  // A question under way keeps a process alive; so must this one.
  awake(t)
  const { promise, resolve, reject } = withResolvers<Resolution>()
  const asked: { signal?: AbortSignal } = {}
  const resolver = {
    resolve: (_name: Name, { signal }: ResolveOptions) => {
      if (signal) asked.signal = signal
      return promise
    },
  }
  const lead = (port: number) =>
    resolve({
      name: parse('echo'),
      host: '',
      ttl: 0,
      endpoints: [
        { transport: 'tcp', address: '127.0.0.1', port, version: '1.0.0', instance: 'a' },
      ],
    })
  return { resolver, asked, lead, reject }
}

function withResolvers<T>() {
  let resolve!: (value: T) => void
  let reject!: (error: Error) => void
  const promise = new Promise<T>((...both) => ([resolve, reject] = both))
  return { promise, resolve, reject }
}

test('each way to write a name leads to its server', async t => {
  const { port: daemonPort } = await daemon(t)
  process.env.MONIKER_PORT = String(daemonPort)
  t.teardown(() => delete process.env.MONIKER_PORT)
  const server = await named(t, { service: 'ns:echo@1.2.0', daemonPort })
  const at = `ns:echo://localhost:${daemonPort}/path`

  const ways: [string, () => MonikerSocket][] = [
    ['a name', () => connect('ns:echo')],
    ['a range', () => connect('ns:echo@^1')],
    ['a host', () => connect('ns:echo', 'localhost')],
    ['a URI', () => connect(at)],
    ['a name and options', () => connect('ns:echo', { daemonPort, family: 4 })],
    ['a URI and options', () => connect(new URL(at), { daemonPort: 1, wait: 1 }, () => {})],
    ['a host and options', () => connect('ns:echo', 'localhost', { transports: ['tcp'] })],
    ['a socket, and options', () => new MonikerSocket().connect('ns:echo', { daemonPort })],
    ['a URL', () => connect(new URL(at))],
    ['options', () => connect({ service: 'echo', namespace: 'ns', version: '1.x', family: 4 })],
    ['a socket', () => new MonikerSocket().connect('ns:echo')],
  ]
  for (const [way, go] of ways) {
    const socket = go()
    const resolved = once(socket, 'resolve')
    socket.end(way)
    t.equal(await text(socket), way)
    t.match(await resolved, [{ port: portOf(server), version: '1.2.0' }], way)
    t.match(socket.moniker, { service: 'echo', namespace: 'ns', version: '1.2.0' })
  }
})

test('a socket says what the URI says to the program', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'echo', daemonPort })
  const uri = `echo://luke:secret@localhost:${daemonPort}/a?b=1#c`
  for (const go of [
    () => connect(uri),
    () => connect(new URL(uri)),
    () => connect(uri, () => {}),
  ]) {
    const socket = go().end()
    await once(socket, 'resolve')
    t.match(socket.moniker, { host: 'localhost', userinfo: 'luke:secret', path: '/a?b=1#c' })
    await once(socket.resume(), 'close')
  }
  const plain = connect({ service: 'echo', daemonPort }).end()
  await once(plain, 'resolve')
  t.notHas(plain.moniker, { path: '' })
})

test('ports, paths and all else are left to net', async t => {
  const port = await stranger(t, socket => void socket.pipe(socket))
  const ways = [
    () => connect(port),
    () => connect(port, '127.0.0.1'),
    () => connect({ port, host: '127.0.0.1' }),
    () => connect(String(port) as unknown as number),
    () => new MonikerSocket().connect(port, '127.0.0.1'),
    () => new MonikerSocket().connect({ port }),
  ]
  for (const go of ways) {
    const socket = go()
    socket.end('by number')
    t.equal(await text(socket), 'by number')
    t.equal(socket.moniker, undefined)
  }
  const broken = connect(port).destroy(new Error('on purpose'))
  t.match(await once(broken, 'error'), [{ message: 'on purpose' }])
  const [error] = (await once(connect('/no/such.sock'), 'error')) as [NodeJS.ErrnoException]
  t.equal(error.code, 'ENOENT')
  t.throws(() => connect([] as unknown as string), { code: 'ERR_MISSING_ARGS' })
})

test('what is written while resolving arrives, and so does the end', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'echo', daemonPort })
  const socket = new MonikerSocket().connect({ service: 'echo', daemonPort })
  socket.write('early ')
  socket.end('bird')

  t.equal(socket.connecting, true)
  t.equal(socket.pending, true)
  t.equal(socket.readyState, 'opening')
  t.equal(socket.writableLength, 10)
  t.equal(await text(socket), 'early bird')
})

test('a socket for any host knows the one that it has reached', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = await named(t, { service: 'echo', daemonPort })
  const socket = connect('echo', '*', { daemonPort })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  t.equal(socket.remotePort, portOf(server))
  t.match(socket.moniker, { service: 'echo', host: '' })
})

test('the events are those of net, and resolve', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'echo', daemonPort })
  const events: string[] = []
  const socket = connect(
    { service: 'echo', daemonPort, host: 'echo.test', lookup: lookup('127.0.0.1') },
    () => {
      events.push('callback')
      t.equal(socket.connecting, false)
      socket.end()
    },
  )
  for (const event of ['resolve', 'connect', 'ready', 'end', 'finish', 'close']) {
    socket.on(event, () => events.push(event))
  }
  socket.resume()
  await once(socket, 'close')
  t.same(events, ['resolve', 'callback', 'connect', 'ready', 'finish', 'end', 'close'])
  t.equal(socket.moniker?.host, 'echo.test')
})

test('a socket that is destroyed while resolving asks no longer, and connects nowhere', async t => {
  const { resolver, asked, lead } = held(t)
  const socket = connect({ service: 'echo', resolver })
  socket.on('connect', () => t.fail('connected')).on('resolve', () => t.fail('resolved'))
  socket.destroy()
  t.equal(socket.connecting, false)
  t.equal(asked.signal?.aborted, true)
  await once(socket, 'close')
  lead(1)
  await Promise.resolve()
  t.equal(socket.destroyed, true)
})

test('a socket can wait for its name, and stop waiting', async t => {
  const served = await daemon(t)
  const { port: daemonPort } = served
  const [patient, gone] = [1, 2].map(() => connect({ service: 'late', daemonPort, wait: 60_000 }))
  patient!.end('worth the wait')
  while (served.status().followers < 2) await new Promise(setImmediate)
  gone!.destroy()
  while (served.status().followers > 1) await new Promise(setImmediate)
  t.equal(patient!.connecting, true)
  await named(t, { service: 'late', daemonPort })
  t.equal(await text(patient!), 'worth the wait')
  t.throws(() => connect({ service: 'late', wait: -1 }), { code: 'ERR_INVALID_ARG_VALUE' })
})

test('a failure that comes too late is nobody’s business', async t => {
  const { resolver, reject } = held(t)
  const socket = connect({ service: 'echo', resolver })
  socket.on('error', error => t.fail(error.message))
  socket.destroy()
  reject(new Error('too late'))
  await once(socket, 'close')
})

test('the error says what was asked where, and comes before close', async t => {
  const { port: daemonPort } = await daemon(t)
  const socket = connect({ service: 'echo@^1', daemonPort })
  const events: string[] = []
  socket.on('close', hadError => events.push(`close ${hadError}`))
  const [error] = (await once(socket, 'error')) as [Error]
  events.push('error')
  t.match(error, {
    code: 'ECONNREFUSED',
    reason: 'ENOSERVICE',
    service: 'echo@^1',
    syscall: 'connect',
  })
  await once(socket, 'close')
  t.same(events, ['error', 'close true'])
})

test('a name that leads to a closed port is refused as by net', async t => {
  const { resolver, lead } = held(t)
  const port = await nobody()
  const socket = connect({ service: 'echo', resolver })
  lead(port)
  const [error] = (await once(socket, 'error')) as [Error]
  t.match(error, { code: 'ECONNREFUSED', syscall: 'connect', port })
})

test('a resolve listener may destroy the socket, or send it elsewhere', async t => {
  const port = await stranger(t, socket => socket.end('elsewhere'))
  const first = held(t)
  const destroyed = connect({ service: 'echo', resolver: first.resolver })
  destroyed.on('resolve', () => destroyed.destroy()).on('connect', () => t.fail('connected'))
  first.lead(port)
  await once(destroyed, 'close')

  const second = held(t)
  const away = connect({ service: 'echo', resolver: second.resolver })
  away.once('resolve', () => away.connect(port, '127.0.0.1'))
  second.lead(await nobody())
  t.equal(await text(away), 'elsewhere')
})

test('connecting again forgets the first question', async t => {
  const { resolver, asked, lead } = held(t)
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'echo', daemonPort })
  const socket = connect({ service: 'echo', resolver })
  const { signal } = asked
  socket.connect({ service: 'echo', daemonPort })
  t.equal(signal?.aborted, true)
  lead(await nobody())
  socket.end('second')
  t.equal(await text(socket), 'second')
})

test('a socket that has closed can connect again', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'echo', daemonPort })
  const socket = new MonikerSocket()
  for (const word of ['once', 'twice']) {
    socket.connect({ service: 'echo', daemonPort })
    socket.end(word)
    let heard = ''
    const listener = (data: Buffer) => void (heard += String(data))
    socket.on('data', listener)
    await once(socket, 'close')
    socket.off('data', listener)
    t.equal(heard, word)
  }
})

test('what is set while resolving holds when connected', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'echo', daemonPort })
  const socket = connect({ service: 'echo', daemonPort, timeout: 30_000 })
  t.equal(socket.timeout, 30_000)
  t.equal(socket.setNoDelay(true).setKeepAlive(true).ref(), socket)
  t.equal(socket.bufferSize, 0)
  socket.setEncoding('utf8').pause()
  await once(socket, 'connect')
  socket.end('paused')
  t.equal(socket.isPaused(), true)
  t.equal(await text(socket), 'paused')
})

test('a socket that gets no answer times out as its user wishes', async t => {
  const { resolver } = held(t)
  const socket = connect({ service: 'echo', resolver, timeout: 1 })
  await once(socket, 'timeout')
  t.equal(socket.connecting, true)
  socket.destroy()
})

test('a signal ends a socket that is resolving', async t => {
  const { resolver } = held(t)
  const controller = new AbortController()
  const socket = connect({ service: 'echo', resolver, signal: controller.signal })
  controller.abort()
  const [error] = (await once(socket, 'error')) as [Error]
  t.match(error, { name: 'AbortError', code: 'ABORT_ERR' })
})

test('resetAndDestroy while resolving waits for the connection, as in net', async t => {
  const reset = new Promise<Error>(resolve => {
    void stranger(t, socket => socket.once('error', resolve)).then(port => lead(port))
  })
  const { resolver, lead } = held(t)
  const socket = connect({ service: 'echo', resolver })
  socket.resetAndDestroy()
  await once(socket, 'close')
  t.match(await reset, { code: 'ECONNRESET' })
})

test('TLS goes over a socket that is still resolving', async t => {
  const { port: daemonPort } = await daemon(t)
  const hello = named(t, { service: 'hello', daemonPort }, socket => {
    socket.once('data', data => {
      // The first byte of a TLS handshake.
      t.equal(data[0], 0x16)
      socket.destroy()
    })
  })
  await hello
  const socket = connect({ service: 'hello', daemonPort })
  const secure = tls.connect({ socket, rejectUnauthorized: false })
  const [error] = (await once(secure, 'error')) as [NodeJS.ErrnoException]
  t.equal(error.code, 'ECONNRESET')
})

test('options beside a name are those of the socket too', async t => {
  const { resolver } = held(t)
  const socket = connect('echo', { resolver, timeout: 1, allowHalfOpen: true, noDelay: true })
  t.teardown(() => socket.destroy())
  t.equal(socket.allowHalfOpen, true)
  await once(socket, 'timeout')
  const path = connect('/nowhere.sock', { timeout: 1 } as never)
  t.equal(path.timeout, undefined, 'net has none beside a path')
  await t.rejects(once(path, 'connect'), { code: 'ENOENT' })
})

test('options are checked at once, as by net', async t => {
  t.throws(() => connect({ service: 'echo', lookup: 'dns' as never }), {
    code: 'ERR_INVALID_ARG_TYPE',
  })
  t.throws(() => connect({ service: 'echo', localAddress: 'here' }), {
    code: 'ERR_INVALID_IP_ADDRESS',
  })
  t.throws(() => connect('no such name'), { code: 'ERR_MONIKER_NAME' })
  t.throws(() => connect({ service: 'echo', daemonPort: 0 }), { code: 'ERR_INVALID_ARG_VALUE' })
})

test('it is a socket of net', t => {
  t.ok(new MonikerSocket() instanceof net.Socket)
  t.end()
})

test('a socket that was made for a name goes there, whatever port or path it is told', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'db@1.2.0', daemonPort })
  const sockets: (() => MonikerSocket)[] = [
    () => new MonikerSocket({ service: 'db', daemonPort }).connect(5432, 'localhost'),
    () =>
      new MonikerSocket({ service: 'db', daemonPort, host: '127.0.0.1' }).connect(1, 'x.invalid'),
    () => new MonikerSocket({ service: 'db@^1', daemonPort }).connect({ port: 5432, family: 4 }),
    () => new MonikerSocket({ service: 'db', daemonPort }).connect({ path: '/tmp/.s.PGSQL.5432' }),
    () => MonikerSocket({ service: 'db', daemonPort }).connect(5432),
  ]
  for (const go of sockets) {
    const socket = go()
    socket.end('hello')
    t.equal(await text(socket), 'hello')
    t.match(socket.moniker, { service: 'db', version: '1.2.0' })
  }

  function Driver(this: MonikerSocket) {
    MonikerSocket.call(this, { service: 'db', daemonPort })
  }
  inherits(Driver, MonikerSocket)
  const old = (Reflect.construct(Driver, []) as MonikerSocket).connect(5432)
  t.equal(await text(old.end('of old')), 'of old')

  const elsewhere = new MonikerSocket({ service: 'db', daemonPort }).connect({
    service: 'cache',
    daemonPort,
  })
  const [error] = await once(elsewhere, 'error')
  t.match(error, { service: 'cache', reason: 'ENOSERVICE' }, 'another name is another name')
  t.throws(() => new MonikerSocket({ service: 'no name!' }), { code: 'ERR_MONIKER_NAME' })
})

test('a socket that was made by connect forgets the name when it is used again', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'echo', daemonPort })
  const port = await stranger(t, socket => socket.end('plain'))
  const socket = connect({ service: 'echo', daemonPort })
  socket.end('named')
  const closed = once(socket, 'close')
  t.equal(await text(socket), 'named')
  await closed
  socket.connect(port, '127.0.0.1')
  t.equal(await text(socket), 'plain')
  t.equal(socket.moniker, undefined)
})

test('it is told of as net tells of its own', async t => {
  const heard: unknown[] = []
  const hear = (message: unknown) => void heard.push(message)
  subscribe('net.client.socket', hear)
  t.teardown(() => unsubscribe('net.client.socket', hear))
  const socket = connect({ service: 'echo', resolver: held(t).resolver })
  t.same(heard.length, 1)
  t.equal((heard[0] as { socket: unknown }).socket, socket)
  socket.destroy()
})

test('a look-up of the host is heard of, as from net', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'echo', daemonPort, host: '127.0.0.1' })
  const one: net.LookupFunction = (_host, _options, done) =>
    process.nextTick(done, null, '127.0.0.1', 4)
  const cases = [
    [{}, [[null, '127.0.0.1', 4, 'localhost']]],
    [{ host: '127.0.0.1' }, []],
    [{ host: 'localhost', lookup: one }, [[null, '127.0.0.1', 4, 'localhost']]],
    [{ lookup: one }, [[null, '127.0.0.1', 4, 'localhost']]],
    [{ host: 'far.test', lookup: one }, [[null, '127.0.0.1', 4, 'far.test']]],
    [{ host: 'far.test', lookup: lookup('127.0.0.1') }, [[null, '127.0.0.1', 4, 'far.test']]],
    [
      { host: 'far.test', lookup: lookup('127.0.0.2', '127.0.0.1') },
      [
        [null, '127.0.0.2', 4, 'far.test'],
        [null, '127.0.0.1', 4, 'far.test'],
      ],
    ],
  ] as const
  for (const [options, expected] of cases) {
    const heard: unknown[] = []
    const socket = connect({ service: 'echo', daemonPort, ...options })
    socket.on('lookup', (...args) => heard.push(args))
    socket.end()
    await once(socket.resume(), 'close')
    t.same(heard, expected)
  }

  const failure = Object.assign(new Error('no'), { code: 'ENOTFOUND' })
  const none: net.LookupFunction = (_host, _options, done) => process.nextTick(done, failure, [])
  const socket = connect({ service: 'echo', daemonPort, host: 'far.test', lookup: none })
  const lost = once(socket, 'lookup')
  await t.rejects(once(socket, 'connect'), { code: 'ENOTFOUND', host: 'far.test' })
  t.same(await lost, [failure, undefined, undefined, 'far.test'])

  // Not an address in Node's eyes, and one that needs no network to be looked up.
  const numeric = connect({ service: 'echo', daemonPort, host: '127.1' })
  t.same(await once(numeric, 'lookup'), [null, '127.0.0.1', 4, '127.1'])
  numeric.destroy()
})

test('a socket that is sent elsewhere on its way goes there', async t => {
  const [first, second] = [await site(t, 'first'), await site(t, 'second')]
  const resolver = new Held(first.place)
  const socket = connect({ service: 'echo', resolver, transports: ['tcp'] })
  while (first.seen.connections === 0) await new Promise(setImmediate)
  awake(t)
  const events: string[] = []
  for (const event of ['resolve', 'connect', 'ready']) socket.on(event, () => events.push(event))
  const other = new Held()
  socket.connect({ service: 'echo', resolver: other })
  other.answer(second.place)
  t.equal(resolver.left, 1)
  t.equal(await text(socket.end('hello')), 'hello')
  t.equal(first.seen.bytes, 0)
  t.strictSame(events, ['resolve', 'connect', 'ready'])

  const third = connect({ service: 'echo', resolver: new Held(first.place), transports: ['tcp'] })
  while (first.seen.connections === 1) await new Promise(setImmediate)
  third.connect(second.place.port, '127.0.0.1')
  t.equal(await text(third.end('by number')), 'by number')

  const stale = new Held({ ...first.place, port: await nobody(), instance: 'stale' })
  const mended = connect({ service: 'echo', resolver: stale, transports: ['tcp'] })
  setImmediate(() => setImmediate(() => stale.answer(second.place)))
  t.equal(await text(mended.end('mended')), 'mended')
})

test('of several servers that is gone to which is selected', async t => {
  const { port: daemonPort } = await daemon(t)
  const web = { service: 'web', daemonPort }
  for (const side of ['light', 'dark']) {
    await named(t, { ...web, shared: true, metadata: { side } }, socket => socket.end(side))
  }
  const select = (endpoints: readonly Endpoint[]) =>
    endpoints.find(({ metadata }) => metadata?.side === 'dark') as never
  for (let times = 0; times < 4; times++) t.equal(await text(connect({ ...web, select })), 'dark')
  const lost = connect({ ...web, select: () => undefined as never })
  await t.rejects(once(lost, 'connect'), { code: 'ERR_INVALID_ARG_VALUE' })
})

test('clients go to the server with the fewest connections, if the servers tell', async t => {
  const { port: daemonPort } = await daemon(t)
  const web = { service: 'web', daemonPort }
  const all = { ...web, shared: true, load: true }
  const counts = [0, 0, 0]
  for (const at of counts.keys()) await named(t, all, () => void counts[at]!++)
  const resolver = new Resolver({ port: daemonPort })
  for (let total = 1; total <= 6; total++) {
    const socket = connect(web)
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    const isTold = async () => {
      const { endpoints } = await resolver.resolve(parse('web'))
      return endpoints.reduce((sum, { load }) => sum + load!, 0) === total
    }
    while (!(await isTold())) await new Promise(setImmediate)
  }
  t.same(counts, [2, 2, 2])
})

test('ref and unref are those of net, be it connecting or not', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'echo', daemonPort })
  const socket = connect({ service: 'echo', daemonPort })
  t.equal(socket.unref().ref(), socket)
  await once(socket, 'connect')
  t.equal(socket.unref().ref(), socket)
  socket.destroy()
})
