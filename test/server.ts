import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'tap'
import { parse } from '../lib/name.ts'
import { Registrar } from '../lib/registrar.ts'
import { Resolver } from '../lib/resolver.ts'
import { createServer, listen, type MonikerServer, type NamedAddress } from '../lib/server.ts'
import { connect } from '../lib/socket.ts'
import { daemon } from './fixtures/daemon.ts'
import { named, nobody, portOf, stranger } from './fixtures/services.ts'

function find(port: number, name: string) {
  return new Resolver({ port }).resolve(parse(name)).then(({ endpoints }) => endpoints[0])
}

test('a server listens under a name on a port that the system chose', async t => {
  const { port: daemonPort } = await daemon(t)
  process.env.MONIKER_PORT = String(daemonPort)
  t.teardown(() => delete process.env.MONIKER_PORT)
  const server = createServer(socket => socket.end('hello'))
  t.ok(server instanceof net.Server)
  t.equal(server.listen('starwars@1.2.0'), server)
  t.equal(server.listening, true, 'bound at once, as in net')
  const { port } = server.address() as NamedAddress
  await once(server, 'listening')

  t.match(server.address(), { port, moniker: 'starwars@1.2.0' })
  t.match(server.moniker, { service: 'starwars', version: '1.2.0', namespace: '', host: '' })
  t.equal((await find(daemonPort, 'starwars'))?.port, port)
  t.equal(await text(connect('starwars@^1')), 'hello')

  await once(server.close(), 'close')
  t.equal(server.moniker, undefined)
  await t.rejects(find(daemonPort, 'starwars'), { code: 'ECONNREFUSED' })
})

test('a callback and a backlog are taken as by net', async t => {
  const { port: daemonPort } = await daemon(t)
  process.env.MONIKER_PORT = String(daemonPort)
  t.teardown(() => delete process.env.MONIKER_PORT)
  const ways = [
    (server: MonikerServer, done: () => void) => server.listen('tie', done),
    (server: MonikerServer, done: () => void) => server.listen('tie', 5, done),
    (server: MonikerServer, done: () => void) => server.listen({ service: 'tie' }, done),
    (server: MonikerServer, done: () => void) => listen(server, 'tie', done),
  ]
  for (const way of ways) {
    const server = createServer()
    await new Promise<void>(resolve => way(server, resolve))
    t.ok(await find(daemonPort, 'tie'))
    await new Promise(resolve => server.close(resolve))
  }
})

test('ports and all else are left to net', async t => {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.equal(server.moniker, undefined)
  t.notOk('moniker' in (server.address() as object))
  t.throws(() => server.listen('tie'), { code: 'ERR_SERVER_ALREADY_LISTEN' })
  await once(server.close(), 'close')

  const plain = listen(net.createServer(), { port: 0, host: '127.0.0.1' } as never)
  await once(plain, 'listening')
  await once(plain.close(), 'close')
})

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

test('the name goes before the port', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = await named(t, { service: 'tie', daemonPort })
  const port = portOf(server)
  server.close()
  t.equal(server.listening, false)
  // Still bound: whoever was told the port a moment ago is not sent to a stranger.
  t.equal(portOf(server), port)
  await once(server, 'close')
  await t.rejects(find(daemonPort, 'tie'), { code: 'ECONNREFUSED' })
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

  const { register } = Registrar.prototype
  t.teardown(() => (Registrar.prototype.register = register))
  Registrar.prototype.register = async function (...args) {
    const lease = await register.apply(this, args)
    moment.close()
    return lease
  }
  const moment = createServer().on('listening', () => t.fail('listening'))
  await once(moment.listen({ service: 'tie', daemonPort }), 'close')
  while ((await new Resolver({ port: daemonPort }).list()).length > 0);
  Registrar.prototype.register = register

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
  t.match(error, { code: 'EADDRINUSE', reason: 'ETAKEN', syscall: 'register' })
  t.equal(server.listening, false)
  t.equal(server.moniker, undefined)
  server.removeAllListeners()
  await once(server.listen({ service: 'wing', daemonPort }), 'listening')
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

test('wrong options are thrown at once', t => {
  const server = createServer()
  t.throws(() => server.listen('starwars@^1'), { code: 'ERR_MONIKER_NAME' })
  t.throws(() => server.listen('star wars'), { code: 'ERR_MONIKER_NAME' })
  t.throws(() => server.listen('starwars://localhost'), { code: 'ERR_MONIKER_NAME' })
  t.throws(() => server.listen({ service: 'tie', port: 65_536 }), { code: 'ERR_SOCKET_BAD_PORT' })
  t.equal(server.moniker, undefined)
  t.end()
})

test('the daemon that goes takes the name with it, not the server', async t => {
  const ours = await daemon(t)
  const server = await named(t, { service: 'tie', daemonPort: ours.port })
  const unregistered = once(server, 'unregistered')
  await ours.stop()
  t.match(await unregistered, [{ code: 'ECONNRESET', service: 'tie@0.0.0' }])
  t.equal(server.listening, true)

  const client = net.connect(portOf(server), '127.0.0.1')
  client.end('still here')
  t.equal(await text(client), 'still here')
})

test('a lost name that nobody listens for is a warning', async t => {
  const ours = await daemon(t)
  await named(t, { service: 'tie', daemonPort: ours.port })
  const warned = once(process, 'warning')
  await ours.stop()
  t.match(await warned, [{ reason: 'ELOST', message: /tie@0.0.0/ }])
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
