import { once } from 'node:events'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import { inherits } from 'node:util'
import { test } from 'tap'
import { parse } from '../../lib/name.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { MonikerServer, createServer, listen } from '../../lib/sockets/server.ts'
import type { NamedAddress } from '../../lib/sockets/listener.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { daemon } from '../fixtures/daemon.ts'

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

test('wrong options are thrown at once', t => {
  const server = createServer()
  t.throws(() => server.listen('starwars@^1'), { code: 'ERR_MONIKER_NAME' })
  t.throws(() => server.listen('star wars'), { code: 'ERR_MONIKER_NAME' })
  t.throws(() => server.listen('starwars://localhost'), { code: 'ERR_MONIKER_NAME' })
  t.throws(() => server.listen({ service: 'tie', port: 65_536 }), { code: 'ERR_SOCKET_BAD_PORT' })
  t.equal(server.moniker, undefined)
  t.end()
})

test('a server is made without new too', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = MonikerServer({}, socket => socket.end('hello'))
  t.ok(server instanceof MonikerServer)
  await once(server.listen({ service: 'tie', daemonPort }), 'listening')
  t.equal(await text(connect({ service: 'tie', daemonPort })), 'hello')
  await once(server.close(), 'close')

  function Older(this: MonikerServer) {
    MonikerServer.call(this, { pauseOnConnect: true })
  }
  inherits(Older, MonikerServer)
  const older = Reflect.construct(Older, []) as MonikerServer
  await once(older.listen({ service: 'tie', daemonPort }), 'listening')
  t.match(older.moniker, { service: 'tie' })
  await once(older.close(), 'close')
})
