import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import tls from 'node:tls'
import t from 'tap'
import {
  connect,
  createServer,
  createSocket,
  type ConnectNameOptions,
  type Endpoint,
  type MonikerSocket,
  type Transport,
} from '../../index.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { daemon } from '../fixtures/daemon.ts'
import { going, kinds, options, placeOf, type Kind } from '../fixtures/kinds.ts'

const MEBIBYTES = Buffer.alloc(8 * 1_048_576, 'moniker')

for (const [what, kind] of Object.entries(kinds)) {
  t.test(`${what} that a transport made carries all bytes, and the end, both ways`, async t => {
    const place = await placeOf(t, kind, socket => void socket.pipe(socket))
    const { socket, closed, answer } = going(t, place, kind, options)
    const events: string[] = []
    for (const event of ['lookup', 'resolve', 'connect', 'ready', 'end', 'close']) {
      socket.on(event, () => events.push(event))
    }
    socket.on('connect', () => t.notOk(socket.pending))
    socket.write('hello ')
    socket.end(MEBIBYTES)
    t.equal(socket.readyState, 'opening')
    t.ok(socket.pending)
    answer()
    const all = await buffer(socket)
    t.ok(all.equals(Buffer.concat([Buffer.from('hello '), MEBIBYTES])))
    await closed
    t.strictSame(events, ['lookup', 'resolve', 'connect', 'ready', 'end', 'close'])
    t.match(socket.moniker, { service: 'tell' })
  })

  t.test(`over ${what} the server may speak first, and end`, async t => {
    const place = await placeOf(t, kind, socket => void socket.end('hello'))
    const late: Kind = {
      ...kind,
      async open(to, signal) {
        const made = await kind.open(to, signal)
        // The words of the server, and its end, are there before it is attached.
        await once(made, 'readable')
        while (!made.readableEnded && made.readable && made.readableLength === 0) {
          await new Promise(setImmediate)
        }
        await new Promise(setImmediate)
        return made
      },
    }
    const { socket, closed, answer } = going(t, place, late)
    answer()
    t.equal(await text(socket), 'hello')
    await closed
  })

  t.test(`over ${what} either side may destroy it`, async t => {
    const accepted: Socket[] = []
    const place = await placeOf(t, kind, socket => void accepted.push(socket))
    const one = going(t, place, kind)
    one.answer()
    await once(one.socket, 'connect')
    one.socket.write('hello')
    while (accepted.length < 1) await new Promise(setImmediate)
    // TLS may have told more than was read, and TCP then says that it was lost.
    const ended = new Promise(resolve =>
      accepted[0]!.resume().on('end', resolve).on('error', resolve),
    )
    one.socket.destroy()
    await one.closed
    await ended

    const other = going(t, place, kind)
    other.answer()
    await once(other.socket, 'connect')
    while (accepted.length < 2) await new Promise(setImmediate)
    other.socket.on('error', () => {})
    accepted[1]!.destroy()
    other.socket.resume()
    await other.closed
    t.ok(other.socket.destroyed)
  })

  t.test(`over ${what} an error is that of the socket, which may be used again`, async t => {
    const place = await placeOf(t, kind, socket => void socket.pipe(socket))
    let made!: Duplex
    const own: Kind = {
      ...kind,
      open: async (to, signal) => (made = await kind.open(to, signal)),
    }
    const { socket, closed, answer } = going(t, place, own)
    answer()
    await once(socket, 'connect')
    made.emit('error', new Error('broken'))
    t.match(await once(socket, 'error'), [{ message: 'broken' }])
    await closed

    const plain = await placeOf(t, kinds['a socket']!, socket => void socket.end('again'))
    const again: MonikerSocket = socket.connect(plain.port, '127.0.0.1')
    t.equal(await text(again), 'again')
  })
}

/** A way over TLS to a port of its own beside that of the server. `opened` and `closed` count the latter. */
function lane(given: Partial<Transport> = {}) {
  const counts = { opened: 0, closed: 0 }
  const mine = ({ endpoints = [] }: Endpoint) => endpoints.find(one => one.transport === 'lane')
  const transport: Transport = {
    name: 'lane',
    allows: () => true,
    key(endpoint) {
      const way = mine(endpoint)
      return way && `${endpoint.instance} ${way.port}`
    },
    dial(to) {
      const { port, address = to.address, name } = mine(to)!
      const there = { port: port!, host: address, servername: String(name) }
      return {
        async open(signal) {
          const socket = tls.connect({ ...there, rejectUnauthorized: false })
          await once(socket, 'secureConnect', { signal })
          return socket
        },
      }
    },
    async listen(server, { service, address: host }) {
      const inner = tls.createServer({ key, cert }, socket => server.emit('connection', socket))
      await once(inner.listen({ port: 0, host }), 'listening')
      counts.opened++
      const { port } = inner.address() as AddressInfo
      return {
        adds: { endpoints: [{ transport: 'lane', port, name: service }] },
        close: () => void inner.close(() => counts.closed++),
      }
    },
    ...given,
  }
  return { transport, counts }
}

t.test('a transport has both its halves in one object, and a word of its own', async t => {
  const { port: daemonPort } = await daemon(t)
  const { transport, counts } = lane()
  const ways: unknown[] = []
  const server = createServer(socket => {
    ways.push('encrypted' in socket)
    socket.end('hello')
  })
  t.teardown(() => server.close())
  server.listen({ service: 'web', daemonPort, transports: [transport, 'tcp'] })
  await once(server, 'listening')
  for (const transports of [[transport], [transport, 'tcp'], ['tcp'], undefined] as const) {
    t.equal(await text(connect({ service: 'web', daemonPort, transports })), 'hello')
  }
  t.strictSame(ways, [true, true, false, false])
  const other = lane().transport
  Object.assign(other, { name: 'other' })
  const lost = connect({ service: 'web', daemonPort, transports: [other] })
  t.match(await once(lost, 'error'), [{ code: 'ECONNREFUSED', reason: 'ENOSERVICE' }])
  await once(server.close(), 'close')
  while (counts.closed < 1) await new Promise(setImmediate)
  t.strictSame(counts, { opened: 1, closed: 1 })
})

t.test('a transport that cannot be closed does not keep others open', async t => {
  const { port: daemonPort } = await daemon(t)
  const ends: string[] = []
  const stick = (end: string) => () => {
    ends.push(end)
    throw new Error('stuck')
  }
  const beside = { adds: {}, leave: stick('leave'), close: stick('close') }
  const stuck = lane({ listen: async () => beside }).transport
  const { transport, counts } = lane()
  const server = createServer()
  server.listen({ service: 'web', daemonPort, transports: [stuck, transport] })
  await once(server, 'listening')
  await new Promise(resolve => server.close(resolve))
  while (counts.closed < 1) await new Promise(setImmediate)
  t.notOk(server.listening)
  t.strictSame(ends, ['leave', 'close'])
})

t.test('where a transport does not lead to a server, the next one does', async t => {
  const { port: daemonPort } = await daemon(t)
  const failing = { open: () => Promise.reject(new Error('no way')) }
  const { transport } = lane({ dial: () => failing })
  const server = createServer(socket => void socket.end('hello'))
  t.teardown(() => server.close())
  server.listen({ service: 'web', daemonPort, transports: [transport] })
  await once(server, 'listening')
  const by = (transports: ConnectNameOptions['transports']) =>
    connect({ service: 'web', daemonPort, transports })
  t.equal(await text(by([transport, 'tcp'])), 'hello')
  t.match(await once(by([transport]), 'error'), [{ message: 'no way' }])
})

t.test('a transport is asked once for the way to a place', async t => {
  const { port: daemonPort } = await daemon(t)
  const { transport } = lane()
  const ways: number[] = []
  const counting: Transport = {
    ...transport,
    dial(to, route) {
      ways.push(to.port)
      return transport.dial(to, route)
    },
  }
  const server = createServer(socket => void socket.end('hello'))
  t.teardown(() => server.close())
  server.listen({ service: 'web', daemonPort, transports: [transport] })
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = connect({ service: 'web', daemonPort, transports: [counting] })
  t.equal(await text(socket), 'hello')
  t.strictSame(ways, [port])
})

t.test('a server that a transport cannot be opened beside does not listen', async t => {
  const { port: daemonPort } = await daemon(t)
  const { transport, counts } = lane()
  const endpoint = (fields: object) => ({ transport: 'lane', ...fields })
  const adding = (endpoints: unknown[]) =>
    lane({ listen: async () => ({ adds: { endpoints: endpoints as [] }, close: () => {} }) })
  const leading = (path: unknown) =>
    lane({ listen: async () => ({ adds: { path: path as string }, close: () => {} }) }).transport
  const taken = Object.assign(new Error('taken'), { code: 'EADDRINUSE' })
  const wrong: [Transport, expected: object][] = [
    [lane({ listen: () => Promise.reject(new Error('no way')) }).transport, /lane failed: no way/],
    [lane({ listen: () => Promise.reject(taken) }).transport, { code: 'EADDRINUSE' }],
    [adding([endpoint({ port: 0 })]).transport, { code: 'ERR_INVALID_ARG_VALUE' }],
    [adding(Array(8).fill(endpoint({}))).transport, /the transports of a server to add at most 8/],
    [adding([endpoint({ key: 'k'.repeat(512) })]).transport, /in 512 bytes, got \[\{"transport"/],
    [leading('/tmp/sock'), /to add a path of moniker- and lower-case .*, got "\/tmp\/sock"/],
    [leading(Symbol('path')), /to add a path of moniker- and lower-case .*, got symbol/],
  ].map(([one, says]) => [one, says instanceof RegExp ? { message: says } : says] as never)
  for (const [one, expected] of wrong) {
    const server = createServer()
    server.listen({ service: 'web', daemonPort, transports: [transport, one] })
    t.match(await once(server, 'error'), [expected])
    t.notOk(server.listening)
  }
  while (counts.closed < counts.opened) await new Promise(setImmediate)
  t.equal(counts.opened, wrong.length)
  // Nothing is left of a server that is closed before it has its name.
  const server = createServer().on('listening', () => t.fail('listening'))
  server.listen({ service: 'web', daemonPort, transports: [transport] })
  process.nextTick(() => server.close())
  await once(server, 'close')
  while (counts.closed <= wrong.length) await new Promise(setImmediate)
})

t.test('a server needs not have the transport, and a datagram socket has none', async t => {
  const { port: daemonPort } = await daemon(t)
  const { transport } = lane({ listen: async () => undefined })
  const server = createServer(socket => void socket.end('hello'))
  t.teardown(() => server.close())
  server.listen({ service: 'web', daemonPort, transports: [transport] })
  await once(server, 'listening')
  const socket = connect({ service: 'web', daemonPort, transports: [transport, 'tcp'] })
  t.equal(await text(socket), 'hello')
  const clock = createSocket('udp4')
  t.teardown(() => clock.close())
  t.throws(() => clock.bind({ service: 'clock', daemonPort, transports: [transport] }), {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /options\.transports to be words alone/,
  })
})
