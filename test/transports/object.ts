import { once } from 'node:events'
import net, { createServer, type AddressInfo, type Socket } from 'node:net'
import { Duplex, type DuplexOptions } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { connect, type MonikerSocket, type Reachable, type Transport } from '../../index.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { Held } from '../fixtures/held.ts'

type Serve = (socket: Socket) => void

/** A way to carry bytes that this library knows nothing of: its server, and the connection made elsewhere. */
interface Kind {
  serve(onSocket: Serve): net.Server
  open(to: Reachable, signal: AbortSignal): Promise<Duplex>
}

const options = { allowHalfOpen: true }

const overTCP = async ({ port, address }: Reachable, signal: AbortSignal) => {
  const socket = net.connect({ port, host: address, signal, ...options })
  await once(socket, 'connect')
  return socket
}

const overTLS = async (to: Reachable, signal: AbortSignal) => {
  const { port, address: host } = to
  const socket = tls.connect({ port, host, rejectUnauthorized: false, ...options })
  await once(socket, 'secureConnect', { signal })
  return socket
}

/** A stream that is no socket: it has no handle. */
class Plain extends Duplex {
  readonly inner: Socket

  constructor(inner: Socket, options?: DuplexOptions) {
    super({ ...options, allowHalfOpen: true })
    this.inner = inner
    inner
      .on('data', chunk => this.push(chunk) || inner.pause())
      .on('end', () => this.push(null))
      .on('error', error => this.destroy(error))
  }

  override _read(): void {
    this.inner.resume()
  }

  override _write(chunk: Buffer, encoding: BufferEncoding, done: () => void): void {
    this.inner.write(chunk, encoding, done)
  }

  override _final(done: () => void): void {
    this.inner.end(done)
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.inner.destroy()
    done(error)
  }
}

const kinds: Record<string, Kind> = {
  'a socket': { serve: serve => createServer(options, serve), open: overTCP },
  TLS: { serve: serve => tls.createServer({ key, cert, ...options }, serve), open: overTLS },
  'a stream': {
    serve: serve => createServer(options, serve),
    open: async (to, signal) => new Plain(await overTCP(to, signal)),
  },
}

/** A transport of a program's own, for what is registered as TCP. */
function transportOf(kind: Pick<Kind, 'open'>): Transport {
  return {
    name: 'tcp',
    allows: () => true,
    key: ({ transport, instance }) => (transport === 'tcp' ? instance : undefined),
    dial: to => ({ open: signal => kind.open(to, signal) }),
  }
}

async function placeOf(t: Test, kind: Kind, serve: Serve): Promise<Reachable> {
  const sockets = new Set<Socket>()
  const server = kind.serve(socket => {
    sockets.add(socket.on('error', () => {}))
    serve(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  return { transport: 'tcp', address: '127.0.0.1', port, version: '1.0.0', instance: 'one' }
}

/** A socket on its way to a place, and what says that the name leads there. */
function going(t: Test, place: Reachable, kind: Pick<Kind, 'open'>, more: object = {}) {
  // A guess too would have the connection opened, were it not for the bytes that it may send.
  const resolver = new Held(place)
  const call = { service: 'tell', resolver, transports: [transportOf(kind)], ...more }
  const socket = connect(call as { service: string })
  t.teardown(() => socket.destroy())
  const closed = new Promise(resolve => socket.once('close', resolve))
  return { socket, closed, answer: () => resolver.answer(place) }
}

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
        // What the server has said, and its end, is there before it is attached.
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

t.test('what is opened for a socket that is not wanted any more is given up', async t => {
  const { serve } = kinds['a socket']!
  const place = await placeOf(t, { serve, open: overTCP }, () => {})
  for (const isHeard of [true, false]) {
    let signal!: AbortSignal
    let give!: (made: Duplex) => void
    const open = (_to: Reachable, given: AbortSignal) => {
      signal = given
      return new Promise<Duplex>((resolve, reject) => {
        give = resolve
        if (isHeard) given.addEventListener('abort', () => reject(given.reason as Error))
      })
    }
    const { socket, closed, answer } = going(t, place, { open })
    answer()
    await once(socket, 'resolve')
    t.notOk(signal.aborted)
    socket.destroy()
    await closed
    t.ok(signal.aborted)
    const late = await overTCP(place, AbortSignal.timeout(5_000))
    give(late)
    if (!isHeard) await once(late, 'close')
    else late.destroy()
  }
})

t.test('where one transport fails the next that leads there is taken', async t => {
  const place = await placeOf(t, kinds['a socket']!, socket => void socket.end('by port'))
  const open = () => Promise.reject(new Error('not today'))
  const last = going(t, place, { open })
  last.answer()
  t.match(await once(last.socket, 'error'), [{ message: 'not today' }])
  const transports = [transportOf({ open }), 'tcp']
  const other = going(t, place, { open }, { transports })
  other.answer()
  t.equal(await text(other.socket), 'by port')
})

t.test('a transport that does not allow a call, or leads nowhere, is not taken', async t => {
  const place = await placeOf(t, kinds['a socket']!, socket => void socket.end('by port'))
  const open = () => Promise.reject(new Error('not today'))
  const closed: Transport = { ...transportOf({ open }), allows: () => false }
  const skipped = going(t, place, { open }, { transports: [closed, 'tcp'] })
  skipped.answer()
  t.equal(await text(skipped.socket), 'by port')

  const elsewhere: Transport = { ...transportOf({ open }), name: 'sctp', key: () => undefined }
  const nowhere = going(t, place, { open }, { transports: [elsewhere] })
  nowhere.answer()
  const [error] = (await once(nowhere.socket, 'error')) as [NodeJS.ErrnoException]
  t.match(error, { code: 'EPROTO', reason: 'EPROTOCOL', message: /no endpoint that a transport/ })
})
