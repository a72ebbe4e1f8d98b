import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { disguise, undisguise } from '../../lib/node/disguise.ts'
import { both, withoutUnix } from '../fixtures/beside.ts'

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

if (withoutUnix) {
  t.pass('all that needs them', { skip: withoutUnix })
  process.exit()
}

/** The other end of a socket, once both are connected. */
async function met(server: Server, socket: Socket): Promise<Socket> {
  const [[served]] = await Promise.all([once(server, 'connection'), once(socket, 'connect')])
  return served as Socket
}

t.test(
  'a disguised socket shows the addresses that it is given, and ends where it would be reset',
  async t => {
    const server = createServer()
    const { go } = await both(t, server)
    const socket = go()
    disguise(socket, { address: '127.0.0.1' }, { address: '127.0.0.1', port: 7 })
    const served = await met(server, socket)
    t.match(socket, { localAddress: '127.0.0.1', remoteAddress: '127.0.0.1', remotePort: 7 })
    const ended = once(served.resume(), 'end')
    socket.resetAndDestroy()
    await ended
    undisguise(socket)
    undisguise(socket)
    t.notOk(Object.hasOwn(socket, 'resetAndDestroy'), 'and is like any other again')
  },
)

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

t.test('bytes written before the socket was connected are forgiven as well', async t => {
  const server = createServer(socket => socket.end('the last word', () => socket.destroy()))
  // It is told of the connection once all is over.
  const socket = await left(t, server)
  t.ok(socket.connecting || socket.bytesRead === 0)
  socket.write(Buffer.alloc(300_000))
  t.equal(await text(socket), 'the last word')
})

t.test(
  'a program that writes on and on sees the error, though it leaves no time to read',
  async t => {
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
  },
)

t.test('bytes on their way when the peer goes are forgiven as well', async t => {
  const server = createServer({ pauseOnConnect: true })
  const { go } = await both(t, server)
  const socket = go().resume()
  disguise(socket, { address: '127.0.0.1' }, { address: '127.0.0.1' })
  const served = await met(server, socket)
  socket.write(Buffer.alloc(1_000_000))
  await new Promise(setImmediate)
  const failed = new Promise(resolve => socket.once('error', resolve))
  served.destroy()
  t.match(await failed, { code: 'ECONNRESET' })
})

t.test('a program that does not read sees the error once', async t => {
  const server = createServer()
  const { go } = await both(t, server)
  const socket = go().pause()
  disguise(socket, { address: '127.0.0.1' }, { address: '127.0.0.1' })
  const served = await met(server, socket)
  served.pause().destroy()
  await new Promise(resolve => served.once('close', resolve))
  t.notOk(await new Promise(resolve => socket.write('some', resolve)), 'the first is lost')
  socket.write('more')
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  t.match(error, { code: 'EPIPE', syscall: 'write' })
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
