import { once } from 'node:events'
import { connect, createServer, isIPv6, type AddressInfo, Socket, type Server } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import {
  abstract,
  canOpenBeside,
  disguise,
  firstPath,
  hasUnix,
  newPath,
  openBeside,
  undisguise,
} from '../lib/unix.ts'
import { hasIPv6 } from './fixtures/ipv6.ts'

/** A server with an abstract Unix socket beside its port. */
async function both(t: Test, server: Server, host = '127.0.0.1') {
  const sockets = new Set<Socket>()
  server.on('connection', socket => sockets.add(socket.on('error', () => {})))
  await once(server.listen(0, host), 'listening')
  const beside = (await openBeside(server))!
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    beside.close()
    if (server.listening) server.close()
  })
  const { port } = server.address() as AddressInfo
  return { port, ...beside, go: () => connect(abstract(beside.path)) }
}

/** A disguised socket to `server`, which has closed its end of it already. */
async function left(t: Test, server: Server): Promise<Socket> {
  const { go } = await both(t, server)
  const called = once(server, 'connection') as Promise<[Socket]>
  const socket = go()
  disguise(socket, { address: '127.0.0.1' }, { address: '127.0.0.1' })
  const [served] = await called
  await new Promise(resolve => served.once('close', resolve))
  return socket
}

function count(server: Server): Promise<number> {
  return new Promise(resolve => server.getConnections((_error, found) => resolve(found)))
}

t.test('a path is like no other, and its socket has the longest of names', async t => {
  t.match(newPath(), /^moniker-[0-9a-f]{24}$/)
  t.not(newPath(), newPath())
  t.equal(abstract('moniker-1').length, 108)
  t.match(abstract('moniker-1'), /^\0moniker-1\.+$/)
})

t.test('the first path of a service says what it is of, where that fits', async t => {
  t.equal(firstPath({ namespace: '', service: 'web' }, 6664), 'moniker-6664--web')
  t.equal(firstPath({ namespace: 'ns', service: 'web-2' }, 7), 'moniker-7-ns-web-2')
  for (const service of ['Web', 'web.app', 'web_1', 'web+', 'a'.repeat(99)]) {
    t.equal(firstPath({ namespace: '', service }, 6664), undefined, service)
  }
})

if (!hasUnix) {
  t.pass('there are no abstract Unix sockets here')
  process.exit()
}

t.test('what comes by the Unix socket is a connection of the server', async t => {
  const server = createServer({ allowHalfOpen: true }, socket => void socket.pipe(socket))
  const { go, port, close } = await both(t, server)
  const socket = go()
  const [served] = (await once(server, 'connection')) as [Socket]
  t.match(served, {
    localAddress: '127.0.0.1',
    localPort: port,
    remoteAddress: '127.0.0.1',
    remoteFamily: 'IPv4',
    allowHalfOpen: true,
    server,
  })
  t.ok(served.remotePort! < 32_768, 'no port that another client has')
  t.equal(await count(server), 1)
  const other = connect(port, '127.0.0.1')
  await once(server, 'connection')
  t.equal(await count(server), 2)
  t.equal(await text(socket.end('hello')), 'hello')
  other.destroy()
  close()
  await once(server.close(), 'close')
})

t.test('a server closes when the last of its connections has gone, of whichever kind', async t => {
  const server = createServer()
  const { go, close } = await both(t, server)
  const socket = go()
  const [served] = (await once(server, 'connection')) as [Socket]
  let isClosed = false
  server.close(() => (isClosed = true))
  close()
  await new Promise(setImmediate)
  t.notOk(isClosed)
  served.resetAndDestroy()
  await once(server, 'close')
  socket.destroy()
  undisguise(served)
  t.equal(served.resetAndDestroy, Socket.prototype.resetAndDestroy)
})

t.test('what is reset before it is connected ends when it is', async t => {
  const server = createServer()
  const { go } = await both(t, server)
  const socket = go()
  disguise(socket, { address: '127.0.0.1' }, { address: '127.0.0.1' })
  let isConnected = false
  socket.on('connect', () => (isConnected = true)).resetAndDestroy()
  await once(socket, 'close')
  t.ok(isConnected)
})

t.test('what is written to who has closed takes nothing from his last word', async t => {
  const server = createServer(socket => socket.end('the last word', () => socket.destroy()))
  const socket = await left(t, server)
  const errors: unknown[] = []
  for (const encoding of ['utf8', 'latin1', 'ascii', 'ucs2'] as const) {
    socket.write('HELO', encoding, error => errors.push(error))
  }
  socket.cork()
  for (let time = 0; time < 2; time++) socket.write(Buffer.from('HELO'))
  socket.uncork()
  t.equal(await text(socket), 'the last word')
  t.notOk(errors.some(Boolean))
})

t.test('that more is lost than TCP would hold is told, once all is heard', async t => {
  const server = createServer(socket => socket.end('the last word', () => socket.destroy()))
  const socket = await left(t, server)
  for (let time = 0; time < 2; time++) socket.write(Buffer.alloc(300_000))
  let heard = ''
  socket.on('data', chunk => (heard += String(chunk)))
  const error = await new Promise<NodeJS.ErrnoException>(resolve => socket.once('error', resolve))
  t.match(error, { code: 'ECONNRESET', syscall: 'write', errno: -104 })
  t.equal(heard, 'the last word')
})

t.test('so it is with what was written before it was connected', async t => {
  const server = createServer(socket => socket.end('the last word', () => socket.destroy()))
  // It is told of the connection once all is over.
  const socket = await left(t, server)
  t.ok(socket.connecting || socket.bytesRead === 0)
  socket.write(Buffer.alloc(300_000))
  t.equal(await text(socket), 'the last word')
})

t.test('whoever writes on and on hears of it, though he leaves no time to read', async t => {
  const server = createServer(socket => socket.destroy())
  const socket = await left(t, server)
  let writes = 0
  const failed = new Promise<NodeJS.ErrnoException>(resolve => socket.once('error', resolve))
  const write = () => {
    if (writes++ > 1_000) t.fail('it is never told')
    else while (socket.write(Buffer.alloc(10_000)));
  }
  write()
  socket.on('drain', write)
  t.match(await failed, { code: /EPIPE|ECONNRESET/ })
})

t.test('so is what is on its way when he goes', async t => {
  const server = createServer({ pauseOnConnect: true })
  const { go } = await both(t, server)
  const socket = go().resume()
  disguise(socket, { address: '127.0.0.1' }, { address: '127.0.0.1' })
  const [[served]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [
    [Socket],
    unknown,
  ]
  socket.write(Buffer.alloc(1_000_000))
  await new Promise(setImmediate)
  const failed = new Promise(resolve => socket.once('error', resolve))
  served.destroy()
  t.match(await failed, { code: 'ECONNRESET' })
})

t.test('it is told to who does not read, once', async t => {
  const server = createServer()
  const { go } = await both(t, server)
  const socket = go().pause()
  disguise(socket, { address: '127.0.0.1' }, { address: '127.0.0.1' })
  const [[served]] = (await Promise.all([once(server, 'connection'), once(socket, 'connect')])) as [
    [Socket],
    unknown,
  ]
  served.pause().destroy()
  await new Promise(resolve => served.once('close', resolve))
  t.notOk(await new Promise(resolve => socket.write('some', resolve)), 'the first is lost')
  socket.write('more')
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  t.match(error, { code: 'EPIPE', syscall: 'write' })
})

t.test('no two connections show the same port, while there are enough', async t => {
  const open = () => {
    const handle = Object.create({ close: () => {} }) as { own: AddressInfo; close: () => void }
    disguise({ _handle: handle } as never, { address: '::1' }, { address: '::1', port: 1 })
    return handle
  }
  const all = [open()]
  while (all.length < 30_000) all.push(open())
  t.equal(new Set(all.map(({ own }) => own.port)).size, 30_000)
  for (const { own } of all) if (own.port < 2_048 || own.port > 32_767) t.fail(String(own.port))
  for (let time = 0; time < 1_000; time++) all.push(open())
  t.ok(all.length > new Set(all.map(({ own }) => own.port)).size, 'then they do')
  for (const handle of all) handle.close()
  const first = open()
  for (let time = 0; time < 30_720; time++) {
    const next = open()
    if (next.own.port === first.own.port) t.fail('a port that is shown')
    next.close()
  }
  const some = Array.from({ length: 1_000 }, open)
  t.equal(new Set(some.map(({ own }) => own.port)).size, 1_000)
  for (const handle of [first, ...some]) handle.close()
})

t.test('what is set of it is kept, as a Unix socket has no such setting', async t => {
  const server = createServer()
  const { go } = await both(t, server)
  const socket = go()
  disguise(socket, { address: '127.0.0.1' }, { address: '127.0.0.1' })
  t.equal(socket.setNoDelay(), socket)
  t.equal(socket.setKeepAlive(true), socket)
  const settings = Object.getOwnPropertySymbols(socket).filter(
    key => Reflect.get(socket, key) === true,
  )
  t.match(settings.map(String).join(), /NoDelay.*KeepAlive/)
  socket.destroy()
})

t.test('beyond maxConnections they are dropped', async t => {
  const server = createServer()
  server.maxConnections = 1
  const { go, port } = await both(t, server)
  const first = go()
  await once(server, 'connection')
  const second = go()
  const [dropped] = (await once(server, 'drop')) as [object]
  t.match(dropped, { localPort: port, localAddress: '127.0.0.1', remoteAddress: '127.0.0.1' })
  await once(second.resume(), 'close')
  t.equal(await count(server), 1)
  first.destroy()
})

t.test('maxConnections of 0 means what it means to Node', async t => {
  const server = createServer(socket => void socket.end('hello'))
  server.maxConnections = 0
  const { go, port } = await both(t, server)
  const said = (socket: Socket) => text(socket).catch(() => '')
  t.equal(await said(go()), await said(connect(port, '127.0.0.1')))
})

t.test('the addresses are those of the loopback interface, as the server is bound', async t => {
  for (const [host, address] of [
    ['0.0.0.0', '127.0.0.1'],
    ['127.0.0.2', '127.0.0.2'],
    ['::', '::ffff:127.0.0.1'],
  ] as const) {
    if (host === '::' && !hasIPv6) continue
    const server = createServer()
    const { go } = await both(t, server, host)
    const socket = go()
    const [served] = (await once(server, 'connection')) as [Socket]
    const family = isIPv6(address) ? 'IPv6' : 'IPv4'
    t.match(served, { localAddress: address, remoteAddress: address, remoteFamily: family }, host)
    socket.destroy()
  }
})

t.test('what cannot be opened is done without', async t => {
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

t.test('who comes first has the path that is wanted, and the next another', async t => {
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
