import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { abstract } from '../../lib/node/abstract.ts'
import { canOpenBeside, firstPath, newPath, openBeside, unix } from '../../lib/transports/unix.ts'
import { listenBeside } from '../../lib/transports/transports.ts'
import { question, type Offer, type Reachable, type Register } from '../../lib/wire/protocol.ts'
import { withoutUnix } from '../fixtures/beside.ts'

t.test('a path is like no other, and its socket has the longest of names', async t => {
  t.match(newPath(), /^moniker-[0-9a-f]{24}$/)
  t.not(newPath(), newPath())
  t.equal(abstract('moniker-1').length, 108)
  t.match(abstract('moniker-1'), /^\0moniker-1\.+$/)
})

t.test('the first path of a service has its name in it, where that fits', async t => {
  t.equal(firstPath('web', 6664), 'moniker-6664--web')
  t.equal(firstPath('web-2', 7), 'moniker-7--web-2')
  const likely = (namespace: string) => unix.likely!({ namespace, service: 'web', version: '' }, 7)
  t.match(likely(''), { path: 'moniker-7--web' })
  t.equal(likely('luke'), undefined, 'that of a user is not guessed')
  for (const service of ['Web', 'web.app', 'web_1', 'web+', 'a'.repeat(99)]) {
    t.equal(firstPath(service, 6664), undefined, service)
  }
})

if (withoutUnix) {
  t.pass('all that needs them', { skip: withoutUnix })
  process.exit()
}

t.test('a server does without a socket that cannot be opened', async t => {
  const server = createServer()
  t.ok(canOpenBeside(server))
  t.notOk(canOpenBeside(Object.assign(createServer(), { blockList: {} })))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  const { listen } = Object.getPrototypeOf(server) as Server
  t.intercept(Object.getPrototypeOf(server) as Server, 'listen', {
    value(this: Server, options: { path: string }) {
      return Reflect.apply(listen, this, [{ ...options, path: '/no/such/folder' }])
    },
  })
  t.equal(await openBeside(Object.assign(server, { highWaterMark: 1_024 })), undefined)
})

t.test('the first server has the path that it prefers, and the next another', async t => {
  const wanted = newPath()
  const open = () => openBeside(createServer(), wanted)
  const [first, second] = [(await open())!, (await open())!]
  t.teardown(() => second.close())
  t.equal(first.path, wanted)
  t.match(second.path, /^moniker-[0-9a-f]{24}$/)
  first.close()
  const third = (await open())!
  t.teardown(() => third.close())
  t.equal(third.path, wanted, 'which is free again once it is closed')
})

t.test(
  'what it adds to the offer is the path, which can be guessed of a server that is alone',
  async t => {
    const server = createServer()
    await once(server.listen(0, '127.0.0.1'), 'listening')
    t.teardown(() => server.close())
    const service = `s${process.pid}`
    const offer = {
      ...question({ op: 'register', id: 1, service, transport: 'tcp', port: 1 }),
    } as Register
    const first = firstPath(service, 7)
    const tcp = { name: 'own', allows: () => true, key: () => 'x', dial: unix.dial }
    const added = async (given: Partial<Offer>, outer = server) => {
      const beside = await listenBeside(
        ['udp', 'unix', 'tcp', tcp],
        outer,
        { ...offer, ...given },
        7,
      )
      beside.close()
      beside.close()
      return beside.adds
    }
    t.match(await added({}), { path: first })
    for (const given of [{ shared: true }, { shared: 'group' }, { guarded: true }]) {
      t.match((await added(given)).path, /^moniker-[0-9a-f]{24}$/)
    }
    t.strictSame(await added({}, Object.assign(createServer(), { blockList: {} })), {})
  },
)

t.test('a connection shows the addresses that one over TCP would have', async t => {
  const server = createServer(socket => void socket.end('hello'))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const beside = (await openBeside(server))!
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const place: Reachable = {
    transport: 'tcp',
    address: '127.0.0.1',
    port,
    path: beside.path,
    version: '1.0.0',
    instance: 'x',
  }
  const way = unix.dial(place, { isThisHost: true, net: {} })
  const socket = connect(('net' in way && way.net) as { path: string })
  unix.dress!(socket, place)
  await once(socket, 'connect')
  t.match(socket, { remoteAddress: '127.0.0.1', remotePort: port, localAddress: '127.0.0.1' })
  t.equal(await text(socket), 'hello')
  beside.close()
})
