import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { hasUnix } from '../../lib/node/abstract.ts'
import { userFolder } from '../../lib/node/localsocket.ts'
import { connect as connectTo } from '../../lib/sockets/socket.ts'
import { local } from '../../lib/transports/local.ts'
import type { Transport } from '../../lib/transports/transport.ts'
import type { Endpoint, OtherEndpoint } from '../../lib/wire/protocol.ts'
import { Held } from '../fixtures/held.ts'
import { kinds, placeOf } from '../fixtures/kinds.ts'
import { offer } from '../fixtures/offers.ts'

const user = process.getuid?.() ?? -1
const folder = userFolder(user)

async function listening(t: Test): Promise<Server> {
  const server = createServer()
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return server
}

/** An endpoint that has these further ones. */
const at = (...endpoints: OtherEndpoint[]): Endpoint => ({
  transport: 'tcp',
  port: 1,
  version: '1.0.0',
  instance: 'x-1',
  endpoints,
})

const tried = createServer().listen(0)
const trial = await local.listen!(tried, offer(), 1)
trial?.close()
tried.close()
const has = { skip: !trial && 'this user has no folder for a Unix socket' }

t.test('a server has a socket whose folder proves whose it is', has, async t => {
  const server = await listening(t)
  const beside = (await local.listen!(server, offer(), 1))!
  const [endpoint] = beside.adds.endpoints!
  t.match(endpoint, { transport: 'local', path: /^moniker-[0-9a-f]{32}$/, user })
  const path = join(folder!.path, endpoint!.path!)
  t.strictSame(local.dial({ ...at(endpoint!), address: '::1' }, {} as never), { net: { path } })
  t.equal(local.key(at(endpoint!)), `x-1 ${path}`)
  const socket = connect(path)
  t.teardown(() => socket.destroy())
  socket.write('BJW')
  const [served] = (await once(server, 'connection')) as [{ remotePort: number }]
  t.equal(served.remotePort, 2_391)
  beside.close()
  t.notOk(existsSync(path))
})

t.test('it is for calls that go to this host, and to no address of it in particular', t => {
  const call = { isThisHost: true, net: {} }
  t.equal(local.allows(call), hasUnix)
  t.notOk(local.allows({ ...call, isThisHost: false }))
  t.notOk(local.allows({ ...call, net: { family: 4 } }))
  const socket = { _handle: Object.create({}) as object }
  local.dress!(socket as never, { ...at(), address: '127.0.0.1', port: 7 })
  t.match(socket, { _handle: { own: { address: '127.0.0.1' }, peer: { port: 7 } } })
  t.end()
})

t.test('what proves nothing is no place', async t => {
  const path = 'moniker-1'
  for (const endpoint of [
    { transport: 'other', path, user },
    { transport: 'local', user },
    { transport: 'local', path },
    { transport: 'local', path, user: 'root' },
    { transport: 'local', path, user: user + 1 },
  ]) {
    t.equal(local.key(at(endpoint)), undefined, JSON.stringify(endpoint))
    t.throws(() => local.dial({ ...at(endpoint), address: '::1' }, {} as never), {
      message: 'its socket is in no folder that proves whose it is',
    })
  }
  t.equal(local.key({ ...at(), endpoints: undefined } as never), undefined)
})

t.test('a folder that proves nothing any more is not gone to, but another way is', async t => {
  const place = await placeOf(t, kinds['a socket']!, socket => void socket.end('hello'))
  const late = { ...local, key: () => 'believed a moment ago' }
  const call = (transports: (Transport | 'tcp')[]) => {
    const resolver = new Held(place)
    const socket = connectTo({ service: 'tell', resolver, transports })
    resolver.answer(place)
    return socket
  }
  t.equal(await text(call([late, 'tcp'])), 'hello')
  t.match(await once(call([late]), 'error'), [
    {
      code: 'ERR_MONIKER_TRANSPORT',
      message: /its socket is in no folder that proves whose it is/,
    },
  ])
})

t.test('a server that leaves its connections unread, as to pass them on, has none', async t => {
  const server = createServer({ pauseOnConnect: true })
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.equal(await local.listen!(server, offer(), 1), undefined)
})

t.test('a server does without where it cannot be had', async t => {
  const server = await listening(t)
  const none = Object.assign(createServer(), { blockList: {} })
  t.equal(await local.listen!(none, offer(), 1), undefined)
  t.intercept(process, 'getuid', { value: () => 4_294_967_294 })
  t.equal(await local.listen!(server, offer(), 1), undefined, 'this user has no folder')
  t.intercept(process, 'getuid', { value: undefined })
  t.equal(await local.listen!(server, offer(), 1), undefined, 'there are no users')
})
