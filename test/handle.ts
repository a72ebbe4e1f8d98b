import { once } from 'node:events'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { dial, exchange, handleOf, isWrapped } from '../lib/handle.ts'
import { nobody } from './fixtures/services.ts'

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
  exchange(socket, () => dial(socket, second), 'connecting')
  t.notOk(handleOf(socket)!.hasRef(), 'and keeps no more alive than before')
  socket.ref()
  const [echo] = (await once(socket, 'data')) as [Buffer]
  t.equal(String(echo), 'hello', 'with what was written, and ended, before')
  await once(socket, 'close')
  t.equal(handleOf(socket), null)
})

t.test('one that has failed, or was never sent anywhere, goes elsewhere too', async t => {
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
    exchange(socket, () => dial(socket, { port, host }))
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
    exchange(socket, () => dial(socket, right), 'connected')
    await once(served, 'end')
    if (isPatient) served.end('goodbye')
    else served.destroy()
    await once(served, 'close')
  }
})

t.test('whether TLS has a handle is seen', async t => {
  const { port, host } = await serving(t)
  const socket = net.connect(port, host)
  t.teardown(() => socket.destroy())
  t.notOk(isWrapped(socket))
  tls.connect({ socket, rejectUnauthorized: false }).on('error', () => {})
  t.ok(isWrapped(socket))
})
