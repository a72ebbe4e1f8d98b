import { once } from 'node:events'
import { connect, createServer, isIPv6, Socket, type Server } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { abstract } from '../../lib/node/abstract.ts'
import { serverOfHeadings } from '../../lib/node/adopt.ts'
import { disguise, undisguise } from '../../lib/node/disguise.ts'
import { sendHeading } from '../../lib/node/heading.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { both, withoutUnix } from '../fixtures/beside.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'

if (withoutUnix) {
  t.pass('all that needs them', { skip: withoutUnix })
  process.exit()
}

function count(server: Server): Promise<number> {
  return new Promise(resolve => server.getConnections((_error, found) => resolve(found)))
}

t.test('a connection to the Unix socket is one of the server', async t => {
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

for (const [host, address] of [
  ['0.0.0.0', '127.0.0.1'],
  ['127.0.0.2', '127.0.0.2'],
  ['::', '::ffff:127.0.0.1'],
] as const) {
  const skip = isIPv6(host) && withoutIPv6
  t.test(
    `a server at ${host} is met at ${address} of the loopback interface`,
    { skip },
    async t => {
      const server = createServer()
      const { go } = await both(t, server, host)
      const socket = go()
      const [served] = (await once(server, 'connection')) as [Socket]
      const family = isIPv6(address) ? 'IPv6' : 'IPv4'
      t.match(served, { localAddress: address, remoteAddress: address, remoteFamily: family })
      socket.destroy()
    },
  )
}

/** A server whose connections have headings, and a client of it that sends one, unless told otherwise. */
async function headed(t: Test, server: Server, sends = true) {
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const path = abstract(`moniker-${process.pid}-heading`)
  const inner = serverOfHeadings(server)
  t.teardown(() => void inner.close())
  await once(inner.listen(path), 'listening')
  const go = () => connect(path)
  const socket = go()
  const close = () => new Promise(resolve => inner.close(resolve))
  if (!sends) return { socket, go, close }
  disguise(socket, { address: '127.0.0.1' }, { address: '127.0.0.1', port: 7 })
  sendHeading(socket)
  return { socket, go, close }
}

t.test(
  'a connection with a heading shows the port of its client, and counts none of it',
  async t => {
    for (const pauseOnConnect of [false, true]) {
      const server = createServer({ pauseOnConnect, allowHalfOpen: true })
      const { socket, close } = await headed(t, server)
      const connected = once(socket.end('hello'), 'connect')
      const [served] = (await once(server, 'connection')) as [Socket]
      await connected
      t.equal(served.remotePort, socket.localPort)
      t.equal(served.isPaused(), pauseOnConnect)
      t.equal(await text(served), 'hello')
      t.equal(served.bytesRead, 5)
      t.equal(socket.bytesWritten, 5)
      served.end()
      await once(socket.resume(), 'close')
      t.equal(socket.bytesWritten, 5, 'nor when it has closed')
      await close()
    }
  },
)

t.test('it comes before what is written first, whatever that is', async t => {
  const mixed = Buffer.concat([Buffer.from('ö', 'latin1'), Buffer.from('€')])
  const writes: [expected: Buffer, write: (socket: Socket) => void][] = [
    [Buffer.from('ö€'), socket => socket.end('ö€')],
    [Buffer.from('ö', 'latin1'), socket => socket.end('ö', 'latin1')],
    [Buffer.from('o'), socket => socket.end('o', 'ascii')],
    [Buffer.from('ö€', 'ucs2'), socket => socket.write('ö', 'ucs2', () => socket.end('€', 'ucs2'))],
    [Buffer.from('ö€'), socket => socket.end(Buffer.from('ö€'))],
    [
      Buffer.from('ö€'),
      socket => {
        socket.cork()
        socket.write(Buffer.from('ö'))
        socket.end(Buffer.from('€'))
      },
    ],
    [
      mixed,
      socket => {
        socket.cork()
        socket.write('ö', 'latin1')
        socket.end(Buffer.from('€'))
      },
    ],
    [Buffer.alloc(0), socket => socket.end()],
    [Buffer.alloc(0), socket => socket.once('connect', () => socket.destroy())],
    [
      Buffer.alloc(0),
      socket => socket.once('connect', () => socket.destroy()).write('lost, as by TCP'),
    ],
  ]
  for (const [expected, write] of writes) {
    const server = createServer()
    const { socket, close } = await headed(t, server)
    let localPort: number | undefined
    socket.once('connect', () => ({ localPort } = socket))
    const connected = once(socket, 'connect')
    write(socket)
    const [served] = (await once(server, 'connection')) as [Socket]
    await connected
    t.equal(served.remotePort, localPort)
    t.strictSame(await buffer(served), expected)
    await close()
  }
})

t.test('a socket that could not be connected sends none, and fails as it does', async t => {
  const socket = connect(abstract(`moniker-${process.pid}-nobody`))
  disguise(socket, { address: '127.0.0.1' }, { address: '127.0.0.1', port: 7 })
  sendHeading(socket)
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  t.match(error, { code: 'ECONNREFUSED', syscall: 'connect' })
})

t.test('a connection counts before its heading has come', async t => {
  const server = createServer(socket => void socket.resume().end())
  server.maxConnections = 1
  const { socket, go } = await headed(t, server, false)
  await once(socket, 'connect')
  const other = go()
  const [dropped] = (await once(server, 'drop')) as [object]
  t.match(dropped, { localAddress: '127.0.0.1', remoteAddress: '127.0.0.1' })
  await once(other.resume(), 'close')
  t.equal(await count(server), 1)
  const events: string[] = []
  for (const event of ['connection', 'close']) server.once(event, () => events.push(event))
  server.close()
  socket.end('@@A')
  await once(server, 'close')
  t.strictSame(events, ['connection', 'close'], 'no server hears of one after it has closed')
})

t.test('a server that closes waits for none that has no heading', async t => {
  const server = createServer()
  const { socket } = await headed(t, server, false)
  await once(socket, 'connect')
  socket.write('no heading')
  await once(socket.resume(), 'close')
  t.equal(await count(server), 0)
  server.close()
  await once(server, 'close')
})

t.test('TLS goes after it, also where it begins as soon as the socket is connected', async t => {
  for (const isConnected of [false, true]) {
    const secure = tls.createServer({ key, cert }, socket => socket.pipe(socket))
    const server = createServer(socket => void secure.emit('connection', socket))
    const { socket, close } = await headed(t, server)
    const wrap = () => tls.connect({ socket, rejectUnauthorized: false }).end('hello')
    const wrapped = isConnected
      ? new Promise<Socket>(resolve => socket.once('connect', () => resolve(wrap())))
      : wrap()
    t.equal(await text(await wrapped), 'hello')
    await close()
  }
})
