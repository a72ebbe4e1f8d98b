import dgram from 'node:dgram'
import { once } from 'node:events'
import http from 'node:http'
import net, { type AddressInfo, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import {
  patchDatagrams,
  patchListen,
  patchSockets,
  type Find,
  type Place,
} from '../../lib/node/patches.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'

/** The places of the host names that are asked for here, or the promise of them. */
const known = new Map<string, readonly Place[] | Promise<readonly Place[]>>()

/** The questions that were asked, and the signals of their answers. */
const asked: { host: string; transport: string; signal: AbortSignal | undefined }[] = []

function redirect(host: string): Find | undefined {
  const places = known.get(host)
  return (
    places &&
    (async ({ transport, signal }) => {
      asked.push({ host, transport, signal })
      return places
    })
  )
}

patchSockets(redirect)
patchDatagrams(redirect)

t.afterEach(() => {
  known.clear()
  asked.length = 0
})

/** A server that echoes, and what it is called at. */
async function echo(t: Test): Promise<Place> {
  const sockets = new Set<Socket>()
  const server = net.createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket.on('error', () => {}))
    socket.pipe(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return server.address() as AddressInfo
}

/** A socket that echoes datagrams. */
async function echoed(t: Test, address = '127.0.0.1'): Promise<Place> {
  const socket = dgram.createSocket(address === '::1' ? 'udp6' : 'udp4')
  socket.on('message', (message, { port, address }) => socket.send(message, port, address))
  await once(socket.bind(0, address), 'listening')
  t.teardown(() => socket.close())
  return socket.address()
}

/** A socket for datagrams, which closes with the test. */
function datagrams(t: Test, options: dgram.SocketOptions = { type: 'udp4' }): dgram.Socket {
  const socket = dgram.createSocket(options)
  let isClosed = false
  socket.once('close', () => (isClosed = true))
  t.teardown(() => isClosed || socket.close())
  return socket
}

async function next(socket: dgram.Socket): Promise<string> {
  const [message] = (await once(socket, 'message')) as [Buffer]
  return String(message)
}

/** A promise, and what settles it. */
function later(): {
  found: Promise<readonly Place[]>
  resolve: (places: readonly Place[]) => void
} {
  let resolve!: (places: readonly Place[]) => void
  const found = new Promise<readonly Place[]>(settle => (resolve = settle))
  return { found, resolve }
}

t.test('each call of `connect` goes to where the host leads, whatever the port', async t => {
  const place = await echo(t)
  known.set('web', [place])
  const calls: Record<string, () => Socket> = {
    'net.connect(port, host)': () => net.connect(9, 'web'),
    'net.connect(options)': () => net.connect({ port: 9, host: 'web' }),
    'net.connect(options, listener)': () => net.connect({ port: 9, host: 'web' }, () => called++),
    'connect(port, host) of a socket': () => new net.Socket().connect(9, 'web'),
    'connect(port, host, listener) of a socket': () =>
      new net.Socket().connect(9, 'web', () => called++),
    'connect(options, listener) of a socket': () =>
      new net.Socket().connect({ port: 9, host: 'web' }, () => called++),
  }
  let called = 0
  for (const [call, connect] of Object.entries(calls)) {
    const socket = connect()
    t.ok(socket.connecting, call)
    socket.write('early')
    socket.end(' bird')
    t.equal(await text(socket), 'early bird', call)
  }
  t.equal(called, 3, 'each listener once')
  t.ok(asked.every(({ host, transport }) => host === 'web' && transport === 'tcp'))
  t.equal(asked.length, 6)
})

t.test('it tells of a look-up, as `net` does', async t => {
  const place = await echo(t)
  known.set('web', [place])
  const socket = net.connect(9, 'web')
  const [told] = await Promise.all([once(socket, 'lookup'), once(socket, 'connect')])
  t.same(told, [null, '127.0.0.1', 4, 'web'])
  t.equal(socket.remotePort, place.port)
  t.equal(socket.listenerCount('close'), net.connect(place.port).destroy().listenerCount('close'))
  socket.destroy()
})

t.test('a host that leads nowhere is one', async t => {
  const { port } = await echo(t)
  known.set('localhost', [])
  const socket = net.connect(port, 'localhost')
  socket.end('home')
  t.equal(await text(socket), 'home')
  t.equal(asked.length, 1)
})

t.test('what is no name is left alone', async t => {
  const place = await echo(t)
  known.set('web', [place])
  const lookup: net.LookupFunction = (_host, { all }, found) =>
    all
      ? found(null, [{ address: '127.0.0.1', family: 4 }])
      : (found as (error: null, address: string, family: number) => void)(null, '127.0.0.1', 4)
  const own = net.connect({ port: place.port, host: 'web', lookup })
  own.end('own')
  t.equal(await text(own), 'own')
  for (const socket of [
    net.connect({ path: '/nowhere/at/all', host: 'web' } as net.NetConnectOpts),
    (new net.Socket() as { connect(...args: unknown[]): Socket }).connect('/nowhere/at/all', 'web'),
  ]) {
    const [error] = (await once(socket, 'error').catch(error => [error])) as [Error]
    t.match(error, { code: 'ENOENT' }, 'a path')
  }
  t.throws(() => net.connect(70_000, 'web'), { code: 'ERR_SOCKET_BAD_PORT' })
  t.throws(() => Reflect.apply(net.connect, net, [null]) as Socket, TypeError)
  t.same(asked, [])
})

t.test('a socket that is destroyed meanwhile goes nowhere', async t => {
  const { found, resolve } = later()
  known.set('web', found)
  const socket = net.connect(9, 'web')
  socket.on('connect', () => t.fail('it is connected'))
  socket.destroy()
  await once(socket, 'close')
  t.ok(asked[0]!.signal!.aborted, 'and the question is given up')
  resolve([await echo(t)])
  await found
  await new Promise(setImmediate)
  t.ok(socket.destroyed)
})

t.test('one that is sent elsewhere meanwhile goes there alone', async t => {
  const { found, resolve } = later()
  known.set('web', found)
  const socket = net.connect(9, 'web')
  socket.destroy()
  await once(socket, 'close')
  known.set('web', [await echo(t)])
  socket.connect(9, 'web')
  socket.end('other')
  resolve([{ address: '127.0.0.1', port: 9 }])
  t.equal(await text(socket), 'other')
})

t.test('a listener of the look-up may destroy it', async t => {
  known.set('web', [await echo(t)])
  const socket = net.connect(9, 'web')
  socket.on('connect', () => t.fail('it is connected'))
  socket.once('lookup', () => socket.destroy())
  await once(socket, 'close')
  t.ok(socket.destroyed)
})

t.test('an error at the place is that of `net`', async t => {
  const place = await echo(t)
  const gone = net.createServer()
  await once(gone.listen(0, '127.0.0.1'), 'listening')
  const { port } = gone.address() as AddressInfo
  await once(gone.close(), 'close')
  known.set('web', [{ ...place, port }])
  const socket = net.connect(9, 'web')
  const error: unknown = await once(socket, 'connect').catch((error: unknown) => error)
  t.match(error, { code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port })
})

t.test('datagrams go to where the host leads, whatever the port', async t => {
  const { address, port } = await echoed(t)
  known.set('clock', [
    { address: '::1', port: 9 },
    { address, port },
  ])
  const socket = datagrams(t)
  const sent = new Promise(resolve => socket.send('one', 9, 'clock', resolve))
  t.equal(await next(socket), 'one')
  t.equal(await sent, null)
  socket.send(Buffer.from('-two-'), 1, 3, 9, 'clock')
  t.equal(await next(socket), 'two')
  socket.send(['th', 'ree'], '9' as unknown as number, 'clock')
  t.equal(await next(socket), 'three')
  socket.send('four', port, address)
  t.equal(await next(socket), 'four', 'an address is one')
  socket.send(Buffer.from('-five-'), 1, 4, port, address, () => {})
  t.equal(await next(socket), 'five')
  t.equal(asked.length, 3)
})

t.test('a datagram to what is a host goes there', async t => {
  const { port } = await echoed(t)
  known.set('localhost', [])
  const socket = datagrams(t)
  socket.send('home', port, 'localhost')
  t.equal(await next(socket), 'home')
})

t.test('datagrams of IPv6', { skip: withoutIPv6 }, async t => {
  const [four, six] = [await echoed(t), await echoed(t, '::1')]
  known.set('four', [four]).set('both', [four, six]).set('six', [six])
  const socket = datagrams(t, { type: 'udp6' })
  socket.send('mapped', 9, 'four')
  t.equal(await next(socket), 'mapped')
  socket.send('six', 9, 'six')
  t.equal(await next(socket), 'six')
  const only = datagrams(t, { type: 'udp6', ipv6Only: true })
  only.send('only', 9, 'both')
  t.equal(await next(only), 'only')
})

t.test('a datagram socket connects to where the host leads', async t => {
  const { found, resolve } = later()
  known.set('clock', found)
  const socket = datagrams(t)
  socket.connect(9, 'clock')
  t.throws(() => socket.connect(9, '127.0.0.1'), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
  t.throws(() => socket.connect(9, 'clock'), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
  resolve([await echoed(t)])
  await once(socket, 'connect')
  socket.send('hi')
  t.equal(await next(socket), 'hi')
  t.throws(() => socket.send('hi', 0, 2, 9, 'clock'), { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
  socket.disconnect()
  known.set('localhost', [])
  const { port } = await echoed(t)
  await new Promise<void>(resolve => socket.connect(port, 'localhost', resolve))
  socket.send('home')
  t.equal(await next(socket), 'home')
})

t.test('what cannot be sent is told at once', async t => {
  known.set('clock', [])
  const socket = datagrams(t)
  for (const port of [0, 65_536, 1.5, '', true]) {
    t.throws(() => socket.send('hi', port as number, 'clock'), { code: 'ERR_SOCKET_BAD_PORT' })
    t.throws(() => socket.connect(port as number, 'clock'), { code: 'ERR_SOCKET_BAD_PORT' })
  }
  t.throws(() => socket.send(7 as unknown as string, 9, 'clock'), { code: 'ERR_INVALID_ARG_TYPE' })
  await new Promise<void>(resolve => socket.close(resolve))
  t.throws(() => socket.send('hi', 9, 'clock'), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' })
  t.throws(() => socket.connect(9, 'clock'), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' })
  t.same(asked, [])
})

t.test('what cannot be sent by then is an error', async t => {
  const { found, resolve } = later()
  const { address, port } = await echoed(t)
  known.set('clock', found)
  const [one, other] = [datagrams(t), datagrams(t)]
  const called = new Promise(resolve => one.send('hi', 0, 2, 9, 'clock', resolve))
  other.send('hi', 0, 2, 9, 'clock')
  for (const socket of [one, other]) {
    await new Promise<void>(resolve => socket.connect(port, address, resolve))
  }
  const told = once(other, 'error')
  resolve([{ address, port }])
  t.match(await called, { code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' })
  t.match(await told, [{ code: 'ERR_SOCKET_DGRAM_IS_CONNECTED' }])
})

t.test('a datagram socket that is closed meanwhile says nothing', async t => {
  const { found, resolve } = later()
  known.set('clock', found)
  const [one, other] = [datagrams(t), datagrams(t)]
  for (const socket of [one, other]) socket.on('error', error => t.fail(error.message))
  one.send('hi', 9, 'clock', () => t.fail('it is sent'))
  other.connect(9, 'clock', () => t.fail('it is connected'))
  one.close()
  other.close()
  resolve([await echoed(t)])
  await found
  await new Promise(setImmediate)
})

t.test(
  'servers that listen are heard of, before the program is told, until one is meant',
  async t => {
    const heard: unknown[] = []
    const servers = [http.createServer(), ...[1, 2, 3].map(() => net.createServer())]
    t.teardown(() => servers.forEach(server => server.close()))
    patchListen(server => {
      heard.push(servers.indexOf(server))
      return heard.includes(2)
    })
    const [one, two, three, four] = servers as [net.Server, net.Server, net.Server, net.Server]
    one.listen(0, '127.0.0.1', () => heard.push('told'))
    await once(one, 'listening')
    const { port } = one.address() as AddressInfo
    for (let tries = 0; tries < 2; tries++) {
      const error: unknown = await once(two.listen(port, '127.0.0.1'), 'listening').catch(
        error => error,
      )
      t.match(error, { code: 'EADDRINUSE' })
    }
    t.equal(two.listenerCount('listening'), 1, 'it waits once')
    await once(two.listen(0), 'listening')
    three.listen(0)
    four.listen(0)
    await Promise.all([once(three, 'listening'), once(four, 'listening')])
    const fifth = net.createServer().listen(0)
    t.teardown(() => fifth.close())
    await once(fifth, 'listening')
    t.same(heard, [0, 'told', 1, 2])
  },
)
