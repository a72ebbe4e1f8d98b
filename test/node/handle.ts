import { once } from 'node:events'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import {
  dial,
  replaceHandle,
  closePolitely,
  handleOf,
  isWrapped,
  redial,
  pauseReading,
} from '../../lib/node/handle.ts'
import { nobody } from '../fixtures/services.ts'

/** A server, and how to reach it. */
async function serving(t: Test, serve: (socket: Socket) => void = () => {}) {
  const sockets = new Set<Socket>()
  const server: Server = net.createServer({ allowHalfOpen: true }, socket => {
    sockets.add(socket)
    serve(socket)
  })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return { server, port, host: '127.0.0.1' }
}

t.test('a socket goes elsewhere in the middle of connecting, and hears of that alone', async t => {
  const first = await serving(t)
  const second = await serving(t, socket => void socket.pipe(socket))
  const socket = new net.Socket()
  // Out of a timer: the loop tells of what is connected before it tells of what is closed.
  await new Promise(resolve => setTimeout(resolve, 1))
  dial(socket, first, () => t.equal(socket.remotePort, second.port))
  socket.end('hello')
  socket.unref()
  await new Promise(process.nextTick)
  replaceHandle(socket, () => dial(socket, second), 'connecting')
  t.notOk(handleOf(socket)!.hasRef(), 'and keeps no more alive than before')
  socket.ref()
  const [echo] = (await once(socket, 'data')) as [Buffer]
  t.equal(String(echo), 'hello', 'with what was written, and ended, before')
  await once(socket, 'close')
  t.equal(handleOf(socket), null)
})

t.test('a socket that has failed, or was never sent anywhere, goes elsewhere too', async t => {
  const { port, host } = await serving(t, socket => void socket.end('hello'))
  for (const isFailed of [true, false]) {
    const socket = new net.Socket()
    const look = !isFailed && { host: 'nowhere.invalid', lookup: () => {} }
    dial(socket, { host, port: await nobody(), ...look })
    if (isFailed) {
      const destroy = socket.destroy.bind(socket)
      await new Promise(resolve => Object.assign(socket, { destroy: resolve }))
      Object.assign(socket, { destroy })
    }
    replaceHandle(socket, () => dial(socket, { port, host }))
    t.equal(await text(socket), 'hello')
  }
})

t.test('a server that was called by mistake hears an end, whatever it has said', async t => {
  const accepted: Socket[] = []
  const mistaken = await serving(t, socket => {
    accepted.push(socket)
    socket.resume().write('welcome')
  })
  const right = await serving(t)
  for (const isPatient of [true, false]) {
    const socket = new net.Socket()
    t.teardown(() => socket.destroy())
    dial(socket, mistaken)
    await once(socket, 'connect')
    const [served] = await Promise.all([
      accepted.at(-1) ??
        (once(mistaken.server, 'connection').then(([one]) => one) as Promise<Socket>),
      new Promise(setImmediate),
    ])
    accepted.length = 0
    replaceHandle(socket, () => dial(socket, right), 'connected')
    await once(served, 'end')
    if (isPatient) served.end('goodbye')
    else served.destroy()
    await once(served, 'close')
  }
})

t.test('a server that goes on speaking is heard for a second', async t => {
  const { server, ...there } = await serving(t)
  const called = once(server, 'connection') as Promise<[Socket]>
  const socket = new net.Socket()
  dial(socket, there)
  await once(socket, 'connect')
  const [peer] = await called
  const began = performance.now()
  closePolitely(socket, 'connected')
  socket.destroy()
  const speaking = setInterval(() => peer.write('and another thing'), 20)
  t.teardown(() => clearInterval(speaking))
  await new Promise(resolve => peer.on('error', () => {}).once('close', resolve))
  t.ok(performance.now() - began > 900)
})

t.test('what it says is not read to where the program reads', async t => {
  const mistaken = await serving(t, socket => void socket.end('a stranger'))
  const right = await serving(t)
  const buffer = Buffer.alloc(16)
  const onread = { buffer, callback: () => true }
  // The types of Node 20 know it of `connect` alone.
  const socket = new net.Socket({ onread } as net.SocketConstructorOpts)
  t.teardown(() => socket.destroy())
  const called = once(mistaken.server, 'connection') as Promise<[Socket]>
  dial(socket, mistaken)
  await once(socket, 'connect')
  replaceHandle(socket, () => dial(socket, right), 'connected')
  const [served] = await called
  await new Promise(resolve => served.resume().once('close', resolve))
  t.strictSame(buffer, Buffer.alloc(16))
})

t.test('the next handle reads into the buffer that was made for the last', async t => {
  const first = await serving(t)
  const second = await serving(t, socket => void socket.end('hello'))
  let made = 0
  const onread = { buffer: () => Buffer.alloc(16 + made++), callback: () => true }
  const socket = new net.Socket({ onread } as net.SocketConstructorOpts)
  dial(socket, first)
  await once(socket, 'connect')
  const before = made
  replaceHandle(socket, () => dial(socket, second), 'connected')
  t.equal(made, before)
  await once(socket, 'close')
  t.ok(made > before, 'and the program makes the next')
})

t.test('a socket that is destroyed ends its connection politely, and closes as ever', async t => {
  const { server, port, host } = await serving(t, socket => void socket.resume().end('welcome'))
  for (const error of [undefined, new Error('enough')]) {
    const socket = new net.Socket()
    socket.on('error', () => {})
    socket._destroy = function (error, callback) {
      closePolitely(this, 'connected')
      net.Socket.prototype._destroy.call(this, error, callback)
    }
    dial(socket, { port, host })
    const called = once(server, 'connection') as Promise<[Socket]>
    await once(socket, 'connect')
    socket.destroy(error)
    t.strictSame(await new Promise(resolve => socket.once('close', (...args) => resolve(args))), [
      error !== undefined,
    ])
    const [served] = await called
    if (!served.closed) await new Promise(resolve => served.once('close', resolve))
    t.equal(served.errored, null)
  }
  const idle = new net.Socket()
  closePolitely(idle, 'connected')
  t.equal(handleOf(idle), null, 'one that has no handle has none to leave')
  dial(idle, { port, host })
  const handle = handleOf(idle)
  closePolitely(idle, 'nowhere')
  t.equal(handleOf(idle), handle, 'and one that has reached nobody is closed')
  idle.destroy()
})

t.test('nothing is read of a connection until it is to be', async t => {
  const { server, port, host } = await serving(t)
  const socket = net.connect(port, host)
  t.teardown(() => socket.destroy())
  let go!: () => void
  const [served] = await new Promise<[Socket]>(resolve =>
    server.once('connection', (one: Socket) => {
      go = pauseReading(one)
      resolve([one])
    }),
  )
  socket.end('hello')
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate)
  t.equal(served.bytesRead, 0)
  pauseReading(served)()
  go()
  t.equal(await text(served), 'hello')
  served.destroy()
  go()
  t.equal(handleOf(served), null, 'nor of one that has closed')
  pauseReading(new net.Socket())()
})

t.test('a write that somebody has put in the place of its own stays', async t => {
  const { port, host } = await serving(t)
  const socket = new net.Socket()
  t.teardown(() => socket.destroy())
  for (const own of [undefined, () => true]) {
    if (own) socket.write = own
    redial(socket, { port, host })
    t.equal(socket.write, own ?? net.Socket.prototype.write)
    await once(socket, 'connect')
    socket.destroy()
    await once(socket, 'close')
  }
})

t.test('whether TLS has a handle is seen', async t => {
  const { port, host } = await serving(t)
  const socket = net.connect(port, host)
  t.teardown(() => socket.destroy())
  t.notOk(isWrapped(socket))
  t.notOk(isWrapped(new net.Socket()), 'where there is one')
  tls.connect({ socket, rejectUnauthorized: false }).on('error', () => {})
  t.ok(isWrapped(socket))
})
