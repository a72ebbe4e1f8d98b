import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { Duplex, Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import t from 'tap'
import { attach, isAttachable } from '../../lib/node/attach.ts'
import { handleOf } from '../../lib/node/handle.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { kinds, options as halfOpen, placeOf } from '../fixtures/kinds.ts'

/** A socket of `net` that is looking its host up, for as long as it is left to. */
function waiting(
  options: net.SocketConstructorOpts & { onread?: net.OnReadOpts } = {},
): net.Socket {
  return new net.Socket(options).connect({ host: 'moniker.invalid', port: 1, lookup: () => {} })
}

for (const [what, kind] of Object.entries(kinds)) {
  t.test(`a socket is given ${what} that was made elsewhere`, async t => {
    const place = await placeOf(t, kind, socket => void socket.pipe(socket))
    const signal = AbortSignal.timeout(5_000)
    const socket = waiting(halfOpen)
    const closed = new Promise(resolve => socket.once('close', resolve))
    socket.setNoDelay(true).setKeepAlive(true, 2_000).write('hello ')
    socket.cork()
    for (const word of ['how ', 'are ', 'you']) socket.write(word)
    socket.uncork()
    socket.end()
    attach(socket, await kind.open(place, signal))
    t.notOk(socket.pending)
    t.equal(await text(socket), 'hello how are you')
    await closed

    const told = await placeOf(t, kind, socket => void socket.end('told'))
    const made = await kind.open(told, signal)
    await once(made, 'readable')
    // The end is on its way, and may be read with what comes before it, or not.
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
    const late = waiting(halfOpen).unref()
    attach(late, made)
    t.equal(await text(late.ref()), 'told')

    const mute = waiting().pause()
    attach(mute, await kind.open(told, signal))
    t.ok(mute.isPaused())
    const lost = once(mute, 'error')
    mute.destroy(new Error('lost'))
    t.match(await lost, [{ message: 'lost' }])
  })
}

t.test(
  'bytes of a connection that was made elsewhere are read into a buffer of the program',
  async t => {
    const { serve, open } = kinds['a socket']!
    const place = await placeOf(t, { serve, open }, socket => void socket.end('hello'))
    const bytes: string[] = []
    const read = (size: number, into: Uint8Array) => {
      bytes.push(Buffer.from(into.subarray(0, size)).toString())
      return true
    }
    const socket = waiting({ onread: { buffer: Buffer.alloc(64), callback: read } })
    const made = await open(place, AbortSignal.timeout(5_000))
    const closed = once(socket, 'close')
    attach(socket, made)
    await closed
    t.equal(bytes.join(''), 'hello')
  },
)

t.test('an error of TLS is told to the socket that has its handle', async t => {
  const { serve, open } = kinds.TLS!
  const place = await placeOf(t, { serve, open }, () => {})
  const socket = waiting()
  attach(socket, await open(place, AbortSignal.timeout(5_000)))
  const { onerror } = handleOf(socket) as unknown as { onerror: (error: Error) => void }
  const failed = once(socket, 'error')
  onerror(new Error('bad record mac'))
  t.match(await failed, [{ message: 'bad record mac' }])
})

t.test('TLS may shake hands again', async t => {
  const twice = (socket: Socket) => {
    const renewed = () => void socket.end('again')
    if (socket instanceof tls.TLSSocket) socket.renegotiate({ rejectUnauthorized: false }, renewed)
  }
  const serve = (onSocket: (socket: Socket) => void) =>
    tls.createServer({ key, cert, maxVersion: 'TLSv1.2' }, onSocket)
  const { open } = kinds.TLS!
  const place = await placeOf(t, { serve, open }, twice)
  const socket = waiting()
  attach(socket, await open(place, AbortSignal.timeout(5_000)))
  t.equal(await text(socket), 'again')
})

t.test('a stream is read no faster than the socket', async t => {
  const { serve, open } = kinds['a stream']!
  const size = 4 * 1_048_576
  const place = await placeOf(
    t,
    { serve, open },
    socket => void socket.end(Buffer.alloc(size, '.')),
  )
  const made = await open(place, AbortSignal.timeout(5_000))
  const socket = waiting()
  attach(socket, made)
  while (socket.readableLength < socket.readableHighWaterMark) await new Promise(setImmediate)
  for (let turn = 0; turn < 100; turn++) await new Promise(setImmediate)
  t.ok(made.isPaused())
  t.ok(socket.readableLength < size / 2)
  t.equal((await text(socket)).length, size)
})

t.test('a socket is given nothing but a stream of bytes', async t => {
  for (const one of [new net.Socket(), Duplex.from(['hello'])]) t.ok(isAttachable(one))
  const read = () => {}
  for (const one of [undefined, {}, { read }, { read, write: read }, Readable.from([])])
    t.notOk(isAttachable(one as Duplex))
})
