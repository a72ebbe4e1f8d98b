import { EventEmitter, once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test, type Test } from 'tap'
import { createSocket } from '../../lib/sockets/datagram.ts'
import { parse } from '../../lib/name.ts'
import { listenCall } from '../../lib/options/listen.ts'
import { countConnections, publish, withdraw } from '../../lib/sockets/listener.ts'
import { Registrar } from '../../lib/registration/registrar.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { MonikerServer, createServer, listen } from '../../lib/sockets/server.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { abstract, hasUnix } from '../../lib/node/abstract.ts'
import { firstPath } from '../../lib/transports/unix.ts'
import { awake } from '../fixtures/awake.ts'
import { withoutUnix } from '../fixtures/beside.ts'
import { daemon } from '../fixtures/daemon.ts'
import { lines } from '../fixtures/lines.ts'
import { ranged } from '../fixtures/ports.ts'
import { named, nobody, portOf, stranger } from '../fixtures/services.ts'

function find(port: number, name: string) {
  return new Resolver({ port }).resolve(parse(name)).then(({ endpoints }) => endpoints[0])
}

test('any server of node can have a name', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = http.createServer((_request, response) => response.end('over http'))
  const { address, close, emit } = server
  t.equal(listen(server, { service: 'web@1.0.0', daemonPort }), server)
  await once(server, 'listening')
  const endpoint = await find(daemonPort, 'web')
  const response = await fetch(`http://127.0.0.1:${endpoint?.port}/`)
  t.equal(await response.text(), 'over http')

  await new Promise(resolve => {
    server.close(resolve)
    server.closeAllConnections()
  })
  await t.rejects(find(daemonPort, 'web'), { code: 'ECONNREFUSED' })
  t.same([server.address, server.close, server.emit], [address, close, emit], 'its own again')
})

test('the daemon is that of the process, unless another is asked for', async t => {
  const { port } = await daemon(t)
  t.intercept(process, 'env', { value: { ...process.env, MONIKER_PORT: String(port) } })
  const server = await named(t, { service: 'tie' })
  t.match(await find(port, 'tie'), { port: portOf(server) })
})

test('the name goes before the port', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = await named(t, { service: 'tie', daemonPort })
  const port = portOf(server)
  server.close()
  t.equal(server.listening, false)
  t.equal(server.address(), null)
  // Still bound: a peer that was told the port a moment ago is not sent to a stranger.
  const peer = net.connect(port, '127.0.0.1')
  await once(peer, 'connect')
  peer.destroy()
  await once(server, 'close')
  await t.rejects(find(daemonPort, 'tie'), { code: 'ECONNREFUSED' })
})

test('the name goes once the last peer may know that it was there', async t => {
  const { port: daemonPort } = await daemon(t)
  const serve = (socket: net.Socket) => void socket.resume().on('end', () => socket.end())
  const server = await named(t, { service: 'once', daemonPort }, serve)
  const peer = net.connect(portOf(server), '127.0.0.1')
  t.teardown(() => peer.destroy())
  await once(server, 'connection')
  const port = portOf(server)
  server.close()
  t.match(await find(daemonPort, 'once'), { port })
  peer.destroy()
  await once(server, 'close')
  await t.rejects(find(daemonPort, 'once'), { code: 'ECONNREFUSED' })
})

test('closing twice is an error to the second, as in net', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = await named(t, { service: 'tie', daemonPort })
  const said: unknown[] = []
  server.close(error => said.push(error))
  server.close(error => said.push((error as NodeJS.ErrnoException).code))
  server.close()
  await once(server, 'close')
  t.same(said, [undefined, 'ERR_SERVER_NOT_RUNNING'])
  await new Promise<void>(resolve => {
    server.close(error => {
      t.match(error, { code: 'ERR_SERVER_NOT_RUNNING' })
      resolve()
    })
  })
})

test('a server that is closed while registering does not listen, and has not failed', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = createServer()
  server.on('listening', () => t.fail('listening')).on('error', error => t.fail(error.message))
  server.listen({ service: 'tie', daemonPort })
  await Promise.resolve()
  server.close()
  await once(server, 'close')
  t.same(await new Resolver({ port: daemonPort }).list(), [])

  const later = createServer().on('listening', () => t.fail('listening'))
  later.listen({ service: 'tie', daemonPort, transports: ['tcp'] })
  await Promise.resolve()
  await once(later.close(), 'close')

  const beside = createServer().on('listening', () => t.fail('listening'))
  beside.listen({ service: 'tie', daemonPort })
  // It is bound by then, and opens the socket beside its port.
  process.nextTick(() => beside.close())
  await once(beside, 'close')

  const call = listenCall([{ service: 'tie', daemonPort }])!
  const registrar: Pick<Registrar, 'register'> = {
    async register(...args) {
      const lease = await Registrar.at(daemonPort).register(...args)
      moment.close()
      return lease
    },
  }
  const moment = createServer().on('listening', () => t.fail('listening'))
  publish(moment, call, options => net.Server.prototype.listen.call(moment, options), registrar)
  await once(moment, 'close')
  while ((await new Resolver({ port: daemonPort }).list()).length > 0);

  const late = createServer()
  late.on('listening', () => t.fail('listening')).on('error', error => t.fail(error.message))
  late.listen({ service: 'tie', daemonPort: await stranger(t) })
  await new Promise(setImmediate)
  late.close()
  await once(late, 'close')
})

test('a server can listen anew, under another name', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = createServer()
  for (const service of ['tie', 'wing', 'tie']) {
    await once(server.listen({ service, daemonPort }), 'listening')
    t.equal(server.moniker?.service, service)
    t.ok(await find(daemonPort, service))
    await once(server.close(), 'close')
  }
})

test('a name that is taken is an error, and the server does not listen', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'tie', daemonPort })
  const server = createServer()
  server.on('close', () => t.fail('closed')).on('listening', () => t.fail('listening'))
  const [error] = (await once(server.listen({ service: 'tie', daemonPort }), 'error')) as [Error]
  t.match(error, { code: 'EADDRINUSE', reason: 'ETAKEN', syscall: 'listen' })
  t.equal(server.listening, false)
  t.equal(server.moniker, undefined)
  server.removeAllListeners()
  await once(server.listen({ service: 'wing', daemonPort }), 'listening')
  await once(server.close(), 'close')
})

test('a server that listens anew just as its name is refused has the new name', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = createServer()
  const failed = once(server, 'error')
  const refusal = new Error('refused')
  const registrar = {
    register() {
      const refused = Promise.reject<never>(refusal)
      // After the server has heard of it, and before the program does.
      void refused
        .catch(() => {})
        .then(() => {})
        .then(() => {})
        .then(() => server.listening || server.listen({ service: 'wing', daemonPort }))
      return refused
    },
  }
  const call = listenCall([{ service: 'tie', transports: ['tcp'] }])!
  publish(server, call, options => net.Server.prototype.listen.call(server, options), registrar)
  t.strictSame(await failed, [refusal])
  t.equal(server.moniker?.service, 'wing')
  await once(server, 'listening')
  t.match(await find(daemonPort, 'wing'), { port: portOf(server) })
  await once(server.close(), 'close')
})

test('a port that is taken is an error, and no name is registered', async t => {
  const { port: daemonPort } = await daemon(t)
  const port = await stranger(t)
  const server = createServer().listen({ service: 'tie', port, host: '127.0.0.1', daemonPort })
  const [error] = (await once(server, 'error')) as [Error]
  t.match(error, { code: 'EADDRINUSE', syscall: 'listen' })
  t.same(await new Resolver({ port: daemonPort }).list(), [])
  await once(server.listen({ service: 'tie', daemonPort }), 'listening')
  await once(server.close(), 'close')
})

test('listening again before the first has come to anything takes the last name', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = createServer()
  server.listen({ service: 'first', host: 'localhost', daemonPort })
  server.listen({ service: 'second', host: '127.0.0.1', daemonPort })
  await once(server, 'listening')
  t.match(await new Resolver({ port: daemonPort }).list(), [{ service: 'second' }])
  await once(server.close(), 'close')
})

test('a server that cannot be bound at all has no name', t => {
  const server = createServer()
  const { emit } = server
  t.throws(() => server.listen({ service: 'tie', port: 65_536 }), { code: 'ERR_SOCKET_BAD_PORT' })
  t.equal(server.moniker, undefined)
  t.equal(server.emit, emit)
  t.end()
})

test('a daemon that goes takes the name with it for a moment, and nothing else', async t => {
  const ours = await daemon(t)
  const server = await named(t, { service: 'tie', daemonPort: ours.port })
  const client = net.connect(portOf(server), '127.0.0.1')
  await once(server, 'connection')
  const log: unknown[] = []
  server
    .on('unregistered', error => log.push(['unregistered', error.reason]))
    .on('registered', () => log.push('registered'))
  const registered = once(server, 'registered')
  await ours.stop()
  await registered
  t.same(log, [['unregistered', 'ELOST'], 'registered'])
  t.match(await find(ours.port, 'tie'), { port: portOf(server) })
  client.end('still here')
  t.equal(await text(client), 'still here')
})

test('a datagram socket comes back as well', async t => {
  const ours = await daemon(t)
  const socket = createSocket('udp4')
  socket.bind({ service: 'clock', daemonPort: ours.port })
  await once(socket, 'listening')
  const registered = once(socket, 'registered')
  await ours.stop()
  await registered
  t.match(await new Resolver({ port: ours.port }).list(), [{ service: 'clock' }])
  await once(socket.close(), 'close')
})

/** Takes `tie` away from its holder, as a program that has had it for longer. */
async function evict(t: Test, port: number) {
  const { ask } = await lines(t, port)
  ask({ op: 'register', service: 'tie', transport: 'tcp', port: 1, since: 1 })
}

test('the program is told that another has its name, or warned if it does not listen', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = await named(t, { service: 'tie', daemonPort })
  const warned = once(process, 'warning')
  await evict(t, daemonPort)
  t.match(await warned, [{ code: 'EADDRINUSE', reason: 'ETAKEN', message: /tie@0.0.0/ }])
  t.equal(server.listening, true)

  const { port: other } = await daemon(t)
  const heard = await named(t, { service: 'tie', daemonPort: other })
  const unregistered = once(heard, 'unregistered')
  await evict(t, other)
  t.match(await unregistered, [{ code: 'EADDRINUSE', reason: 'ETAKEN' }])
})

test('a server that is closed while its name is lost closes, and says no more of it', async t => {
  const ours = await daemon(t)
  const server = await named(t, { service: 'tie', daemonPort: ours.port })
  server.on('registered', () => t.fail('registered'))
  const unregistered = once(server, 'unregistered')
  await ours.stop()
  await unregistered
  await once(server.close(), 'close')
  t.same(await new Resolver({ port: ours.port }).list().catch(() => []), [])
})

test('a server that is closing is told of nothing', async t => {
  const ours = await daemon(t)
  const server = await named(t, { service: 'tie', daemonPort: ours.port })
  server
    .on('unregistered', () => t.fail('unregistered'))
    .on('registered', () => t.fail('registered'))
  const closed = once(server.close(), 'close')
  await ours.stop()
  await closed
})

test('a signal closes the server, and with it the name', async t => {
  const { port: daemonPort } = await daemon(t)
  const controller = new AbortController()
  const server = createServer()
  server.listen({ service: 'tie', daemonPort, signal: controller.signal })
  await once(server, 'listening')
  controller.abort()
  await once(server, 'close')
  await t.rejects(find(daemonPort, 'tie'), { code: 'ECONNREFUSED' })
})

test('services may share a name if all say so, and take turns', async t => {
  const { port: daemonPort } = await daemon(t)
  const both = [
    await named(t, { service: 'tie', shared: true, metadata: { side: 'dark' }, daemonPort }),
    await named(t, { service: 'tie', shared: true, daemonPort }),
  ]
  const turns = [await find(daemonPort, 'tie'), await find(daemonPort, 'tie')]
  t.same(turns.map(endpoint => endpoint?.port).sort(), both.map(portOf).sort())
})

test('a server that had methods of its own has them again', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = createServer()
  const own = () => ({ address: 'mine', family: 'IPv4', port: 1 })
  server.address = own
  server.listen({ service: 'tie', daemonPort })
  t.match(server.address(), { address: 'mine', moniker: 'tie@0.0.0' })
  server.close()
  await once(server, 'close')
  t.equal(server.address, own)
})

test('no daemon to be had is an error', async t => {
  const port = await nobody()
  process.env.MONIKER_HOST = '256.0.0.1'
  t.teardown(() => delete process.env.MONIKER_HOST)
  const server = createServer().listen({ service: 'tie', daemonPort: port })
  await t.rejects(once(server, 'listening'), { service: 'tie@0.0.0' } as never)
})

test('an address there is not is null', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = createServer()
  server.listen({ service: 'tie', daemonPort, host: 'localhost' })
  t.equal(server.address(), null)
  await once(server, 'listening')
  await once(server.close(), 'close')
})

test('a datagram socket has a name as a server has', async t => {
  const { port: daemonPort } = await daemon(t)
  const socket = createSocket('udp4')
  socket.bind({ service: 'clock', daemonPort })
  await once(socket, 'listening')
  t.match(socket.address(), { moniker: 'clock@0.0.0' })
  t.throws(() => socket.bind({ service: 'clock', daemonPort }), {
    code: 'ERR_SOCKET_ALREADY_BOUND',
  })
  const second = createSocket('udp4')
  second.bind({ service: 'clock', daemonPort })
  await t.rejects(once(second, 'listening'), { code: 'EADDRINUSE', service: 'clock@0.0.0' })
  second.close()
  await once(second, 'close')

  const heard: unknown[] = []
  socket.on('message', message => heard.push(message))
  socket.close()
  socket.emit('message', Buffer.from('late'), {} as never)
  t.throws(() => socket.close(), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' })
  await once(socket, 'close')
  t.same(heard, [])
  t.same(await new Resolver({ port: daemonPort }).list(), [])
})

test('it is withdrawn when the daemon has let the name go, and the port is closed', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = await named(t, { service: 'tie', daemonPort })
  const client = net.connect(portOf(server), '127.0.0.1')
  await once(server, 'connection')
  await Promise.all([withdraw(server), withdraw(server)])
  t.equal(server.address(), null, 'whatever the connections do')
  t.same(await new Resolver({ port: daemonPort }).list(), [])
  client.destroy()
  await once(server, 'close')
  await withdraw(server)
})

test('a guarded server lets in the peers that the daemon has sent, and no others', async t => {
  const { port: daemonPort } = await daemon(t)
  for (const transports of [['tcp'], ['unix', 'tcp']] as const) {
    const server = await named(t, { service: 'tie', daemonPort, guarded: true, transports })
    const stranger = net.connect(portOf(server), '127.0.0.1')
    t.teardown(() => stranger.destroy())
    await once(stranger.resume(), 'close')
    const socket = connect({ service: 'tie', daemonPort, transports })
    socket.end('hello')
    t.equal(await text(socket), 'hello')
    await once(server.close(), 'close')
  }
})

test('so does one of http, whatever is sent early', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = http.createServer((_request, response) => response.end('guarded'))
  listen(server, { service: 'web', daemonPort, guarded: true, transports: ['tcp'] })
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  const early = net.connect(portOf(server), '127.0.0.1')
  t.teardown(() => early.destroy())
  early.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n')
  const endpoint = find(daemonPort, 'web')
  early.write('\r\n')
  t.match(await endpoint, { port: portOf(server) })
  t.match(await text(early), /guarded$/)
})

test(
  'the first server of a service is where it is likely to be, unless it is one of several, or guarded',
  { skip: withoutUnix },
  async t => {
    const { port: daemonPort } = await daemon(t)
    const likely = `moniker-${daemonPort}--tie`
    const resolver = new Resolver({ port: daemonPort })
    const paths = async (service: string) => {
      const { endpoints } = await resolver.resolve(parse(service), { transports: ['unix', 'tcp'] })
      return endpoints.map(({ path }) => path)
    }
    const unlikely = /^moniker-[0-9a-f]{24}$/
    for (const service of ['tie@1.0.0', 'tie@2.0.0']) await named(t, { service, daemonPort })
    t.match(await paths('tie@1'), [likely])
    t.match(await paths('tie@2'), [unlikely])

    await named(t, { service: 'wing', daemonPort, guarded: true })
    await named(t, { service: 'fleet', daemonPort, shared: true })
    t.match(await paths('wing'), [unlikely])
    t.match(await paths('fleet'), [unlikely])
  },
)

test('an error that a program emits takes no name away', async t => {
  const { port: daemonPort } = await daemon(t)
  const socket = createSocket('udp4')
  const server = createServer()
  for (const one of [socket, server]) one.on('error', () => {})
  await once(socket.bind({ service: 'tie', daemonPort }), 'listening')
  server.listen({ service: 'wing', daemonPort }).emit('error', new Error('early'))
  await new Promise(resolve => server.once('listening', resolve))
  for (const one of [socket, server]) one.emit('error', new Error('late'))
  t.equal(socket.moniker?.service, 'tie')
  t.equal(server.moniker?.service, 'wing')
  for (const one of [socket, server]) await new Promise<void>(resolve => one.close(() => resolve()))
  await t.rejects(find(daemonPort, 'wing'), { code: 'ECONNREFUSED' })
})

test('a datagram socket is not guarded', async t => {
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  t.throws(() => socket.bind({ service: 'tie', guarded: true } as object), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /guarded to be left out/,
  })
})

test('a datagram socket takes no transports of the program', async t => {
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  const transport = {
    name: 'lane',
    key: () => '',
    dial: () => ({ net: {} }),
    allows: () => true,
    listen: async () => undefined,
  }
  t.throws(() => socket.bind({ service: 'tie', transports: [transport] } as object), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /transports to be words alone/,
  })
})

test('the number of connections is reported, if that is asked for', async t => {
  const { port: daemonPort } = await daemon(t)
  const hangUp = (socket: net.Socket) => void socket.resume().on('end', () => socket.end())
  const server = await named(t, { service: 'busy', load: true, daemonPort }, hangUp)
  const told = async () => (await find(daemonPort, 'busy'))?.load
  t.equal(await told(), 0)
  const sockets = [1, 2].map(() => connect({ service: 'busy', daemonPort }))
  await Promise.all(sockets.map(socket => once(socket, 'connect')))
  while ((await told()) !== 2) await new Promise(setImmediate)
  for (const socket of sockets) socket.destroy()
  while ((await told()) !== 0) await new Promise(setImmediate)
  await once(server.close(), 'close')
  t.equal(server.listenerCount('connection'), 1, 'its own alone')
})

test('the number of connections is reported when it changes, and not too often', async t => {
  awake(t)
  const server = new EventEmitter()
  const reported: number[] = []
  const stop = countConnections(server as net.Server, count => reported.push(count), 5)
  const sockets = [1, 2, 3].map(() => new EventEmitter())
  for (const socket of sockets) server.emit('connection', socket)
  t.strictSame(reported, [1], 'at once')
  while (reported.length < 2) await new Promise(setImmediate)
  for (const socket of sockets.slice(1)) socket.emit('close')
  while (reported.length < 3) await new Promise(setImmediate)
  t.strictSame(reported, [1, 3, 1])

  sockets[0]!.emit('close')
  stop()
  server.emit('connection', new EventEmitter())
  await new Promise(resolve => setTimeout(resolve, 10))
  t.strictSame(reported, [1, 3, 1], 'nothing is reported after that')
})

test('a number that has not changed in the end is not reported again', async t => {
  awake(t)
  const server = new EventEmitter()
  const reported: number[] = []
  t.teardown(countConnections(server as net.Server, count => reported.push(count), 1))
  const socket = new EventEmitter()
  server.emit('connection', new EventEmitter())
  server.emit('connection', socket)
  socket.emit('close')
  await new Promise(resolve => setTimeout(resolve, 5))
  server.emit('connection', new EventEmitter())
  t.strictSame(reported, [1, 2], 'and one that changes after a while, at once')
})

test('a server that is closed may listen at once, whatever it was before', async t => {
  const { port: daemonPort } = await daemon(t)
  const first = await named(t, { service: 'tie', daemonPort })
  const second = createServer()
  const errors: unknown[] = []
  const again = () => second.close() && second.listen({ service: 'tie', daemonPort })
  second.on('error', (error: NodeJS.ErrnoException) => {
    errors.push(error.code)
    if (errors.length === 2) first.close()
    again()
  })
  again()
  await new Promise(resolve => second.once('listening', resolve))
  t.match(await find(daemonPort, 'tie'), { port: portOf(second) })
  t.ok(errors.length >= 2)

  // Beside the port that it has had, as with `net`.
  let closed = 0
  second.close(() => closed++).listen({ service: 'wing', daemonPort })
  await once(second, 'listening')
  t.match(await find(daemonPort, 'wing'), { port: portOf(second) })
  while (await find(daemonPort, 'tie').catch(() => undefined)) await new Promise(setImmediate)
  t.equal(closed, 1)
  second.close().listen(0)
  await once(second, 'listening')
  t.equal(second.moniker, undefined)
  await new Promise(resolve => second.close(resolve))
  second.listen({ service: 'wing', daemonPort })
  await once(second, 'listening')
  second.close()
  await second[Symbol.asyncDispose]()
  await once(second, 'close')
})

test('it may listen anew in whatever order', async t => {
  const { port: daemonPort } = await daemon(t)
  const target = { service: 'tie', daemonPort }
  const server = http.createServer()
  t.teardown(() => server.close())
  await once(listen(server, target), 'listening')
  server.close()
  await once(listen(server, target), 'listening')
  t.match(await find(daemonPort, 'tie'), { port: portOf(server) })

  // A peer has just come, and may be waiting for the answer of the daemon.
  const silent = net.connect(portOf(server), '127.0.0.1').on('error', () => {})
  t.teardown(() => silent.destroy())
  await once(server, 'connection')
  server.close()
  await once(listen(server, target), 'listening')

  const other = createServer()
  let heard = 0
  const failed = new Promise(resolve => other.once('error', resolve))
  other.on('listening', () => heard++)
  other.listen({ service: 'wing', daemonPort }).close()
  other.listen(target)
  t.match(await failed, { code: 'EADDRINUSE' })
  t.equal(heard, 0)
  await t.rejects(find(daemonPort, 'wing'), { code: 'ECONNREFUSED' })
})

test('a peer that has said all there is to say before the server listens is heard', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = createServer({ allowHalfOpen: true }, socket => {
    socket.resume().on('end', () => socket.end('reply'))
  })
  t.teardown(() => server.close())
  server.listen({ service: 'tie', daemonPort })
  const socket = net.connect(portOf(server), '127.0.0.1').end()
  t.equal(await text(socket), 'reply')
})

test('a datagram socket that is closed has nothing to abort', async t => {
  const { port: daemonPort } = await daemon(t)
  const controller = new AbortController()
  const socket = createSocket({ type: 'udp4', signal: controller.signal })
  await once(socket.bind({ service: 'tie', daemonPort }), 'listening')
  socket.close()
  t.throws(() => socket.close(), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' })
  controller.abort()
  let called = 0
  t.throws(() => socket.close(() => called++), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' })
  await once(socket, 'close')
  t.equal(called, 1)
})

test('one that is closed by a close of `net` lets its name go', async t => {
  const { port: daemonPort } = await daemon(t)
  const early = createServer(() => {}).listen({ service: 'early', daemonPort })
  early.on('listening', () => t.fail('it is closed'))
  setImmediate(() => net.Server.prototype.close.call(early))
  await once(early, 'close')
  const again = await named(t, { service: 'ghost', daemonPort })
  net.Server.prototype.close.call(again)
  await once(again.listen({ service: 'other', daemonPort }), 'listening')
  while (await find(daemonPort, 'ghost').catch(() => undefined)) await new Promise(setImmediate)
  const server = await named(t, { service: 'tie', daemonPort })
  await t.rejects(find(daemonPort, 'early'), { code: 'ECONNREFUSED' })
  net.Server.prototype.close.call(server)
  while (await find(daemonPort, 'tie').catch(() => undefined)) await new Promise(setImmediate)
  t.notOk(server.listening)
})

test('a method that a program puts on a server stays', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = await named(t, { service: 'tie', daemonPort })
  const { emit } = server
  const mine = (...args: unknown[]) => Reflect.apply(emit, server, args)
  server.emit = mine as typeof emit
  await new Promise(resolve => server.close(resolve))
  t.equal(server.emit, mine)
})

test('a close of a class of its own is called by the program alone', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'tie', daemonPort })
  let closed = 0
  class Own extends MonikerServer {
    override close(callback?: (error?: Error) => void): this {
      closed++
      return super.close(callback)
    }
  }
  const server = new Own()
  await once(server.listen({ service: 'tie', daemonPort }), 'error')
  t.equal(closed, 0)
})

test('a peer that connects before the server is known to listen is let in after', async t => {
  const { port: daemonPort } = await daemon(t)
  const events: string[] = []
  const server = createServer(socket => void socket.end('hello'))
  for (const event of ['listening', 'connection']) server.on(event, () => events.push(event))
  for (const isKept of [true, false]) {
    server.listen({ service: 'tie', daemonPort })
    const socket = net.connect(portOf(server), '127.0.0.1')
    // It is there already, and the program is not told: not of its error either.
    const early = new PassThrough()
    server.emit('connection', early)
    early.emit('error', new Error('reset'))
    if (!isKept) server.close()
    t.equal(await text(socket).catch(() => ''), isKept ? 'hello' : '')
    if (isKept) await new Promise(resolve => server.close(resolve))
  }
  t.strictSame(events, ['listening', 'connection', 'connection'])
})

test('a server may be closed again and again, and each call is answered', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = createServer(socket => void socket.resume())
  await once(server.listen({ service: 'tie', daemonPort, host: '127.0.0.1' }), 'listening')
  const socket = net.connect(portOf(server), '127.0.0.1')
  await once(server, 'connection')
  const answers: unknown[] = []
  const answered = (error?: Error) =>
    answers.push((error as NodeJS.ErrnoException | undefined)?.code)
  server.close(answered)
  await withdraw(server)
  server.close(answered)
  socket.end()
  await once(server, 'close')
  await new Promise(setImmediate)
  t.strictSame(answers.toSorted(), ['ERR_SERVER_NOT_RUNNING', undefined])
})

if (hasUnix) {
  test('a server that is closed before it has its name is closed to every transport', async t => {
    const mute = net.createServer(socket => void socket.resume())
    await once(mute.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => mute.close())
    const daemonPort = portOf(mute)
    const path = abstract(firstPath('slow', daemonPort)!)
    const server = createServer(socket => void socket.resume())
    server.listen({ service: 'slow', daemonPort })
    const [asking] = (await once(mute, 'connection')) as [net.Socket]
    const early = net.connect(path).on('error', () => {})
    await once(early, 'connect')
    server.on('connection', () => t.fail('a connection to a server that does not listen'))
    server.close()
    const [error] = (await once(net.connect(path), 'error')) as [NodeJS.ErrnoException]
    t.equal(error.code, 'ECONNREFUSED')
    await once(early.resume(), 'close')
    asking.destroy()
  })
}

test('a port that is ours to choose is within MONIKER_PORTS, and a full range is told', async t => {
  const { port: daemonPort } = await daemon(t)
  const elsewhere = await nobody()
  const first = await ranged(t, 3)
  await stranger(t, undefined, '127.0.0.1', first)
  let listening = 0
  const ports: number[] = []
  for (const service of ['a', 'b']) {
    const server = createServer()
    t.teardown(() => server.close())
    server.listen(
      { service, daemonPort, host: service === 'a' ? '0.0.0.0' : 'localhost' },
      () => listening++,
    )
    await once(server, 'listening')
    ports.push(portOf(server))
  }
  t.equal(listening, 2, 'each listener is called once')
  t.same(ports.toSorted(), [first + 1, first + 2])

  const full = createServer().listen({ service: 'c', daemonPort })
  const [error] = await once(full, 'error')
  const message = new RegExp(
    `: no port of ${first}-${first + 2} is free for c@0.0.0; .*MONIKER_PORTS`,
  )
  t.match(error, {
    code: 'EADDRINUSE',
    reason: 'EPORTS',
    syscall: 'listen',
    port: daemonPort,
    message,
  })
  t.equal(full.listening, false)
  t.equal(full.moniker, undefined)

  const other = createServer().listen({ service: 'c', port: elsewhere, daemonPort })
  await once(other, 'listening')
  await once(other.close(), 'close')
  const plain = createServer().listen({ service: 'd', port: first, daemonPort })
  t.match(await once(plain, 'error'), [
    { code: 'EADDRINUSE', syscall: 'listen', reason: undefined },
  ])
})

test('so is that of a socket for datagrams', async t => {
  const { port: daemonPort } = await daemon(t)
  const first = await ranged(t, 2)
  const sockets = [createSocket('udp4'), createSocket('udp4'), createSocket('udp4')] as const
  t.teardown(() => sockets.forEach(socket => socket.close()))
  let listening = 0
  for (const [index, service] of ['a', 'b'].entries()) {
    sockets[index]!.bind({ service, daemonPort }, () => listening++)
    await once(sockets[index]!, 'listening')
  }
  t.equal(listening, 2)
  const ports = [sockets[0].address().port, sockets[1].address().port]
  t.same(ports.toSorted(), [first, first + 1])
  const error = once(sockets[2], 'error')
  sockets[2].bind({ service: 'c', daemonPort })
  t.match(await error, [{ code: 'EADDRINUSE', reason: 'EPORTS', syscall: 'bind' }])
})

test('what is closed while it looks for a port listens nowhere', async t => {
  const { port: daemonPort } = await daemon(t)
  const first = await ranged(t, 1)
  await stranger(t, undefined, '127.0.0.1', first)
  const server = createServer()
  server.on('listening', () => t.fail('listening')).on('error', error => t.fail(error.message))
  server.listen({ service: 'a', daemonPort, host: 'localhost' })
  await once(server.close(), 'close')
})
