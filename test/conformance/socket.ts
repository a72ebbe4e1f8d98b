// Each line of what `net` documents of sockets, over a port and over a name: the same comes of it.
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import net from 'node:net'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test, type Test } from 'tap'
import { events, roads, type Road } from '../fixtures/roads.ts'
import { bound, canMove, thread } from '../fixtures/thread.ts'
import { throws, uncaught } from '../fixtures/thrown.ts'

type Line = (road: Road, t: Test) => unknown

/** A server on a road; it echoes unless told otherwise. */
async function serve(
  { api, listening }: Road,
  t: Test,
  options: net.ServerOpts = {},
  serve: (socket: net.Socket) => void = socket => void socket.pipe(socket),
): Promise<net.Server> {
  const sockets = new Set<net.Socket>()
  const server = api.createServer(options, socket => {
    sockets.add(socket.on('error', () => {}))
    serve(socket)
  })
  await once(server.listen(listening()), 'listening')
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    if (server.listening) await once(server.close(), 'close')
  })
  return server
}

/** The state that a socket tells of itself. */
function state(socket: net.Socket) {
  const {
    connecting,
    pending,
    readyState,
    destroyed,
    bytesWritten,
    bytesRead,
    writable,
    readable,
  } = socket
  return { connecting, pending, readyState, destroyed, bytesWritten, bytesRead, writable, readable }
}

/** The settings that a socket remembers, under symbols that are internal to Node. */
function kept(socket: net.Socket): unknown[] {
  return Object.getOwnPropertySymbols(socket)
    .filter(({ description = '' }) => /^kSet(NoDelay|KeepAlive)/.test(description))
    .map(key => Reflect.get(socket, key) as unknown)
}

function closed(socket: net.Socket): Promise<unknown> {
  return new Promise(resolve => socket.once('close', resolve))
}

const lines: Record<string, Line> = {
  'connect(options): events in their order': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    const log = events(socket)
    socket.end('hello')
    return [await text(socket), await closed(socket), log]
  },
  'connect(options, listener) comes after connect, once': async (road, t) => {
    const server = await serve(road, t)
    let called = 0
    const socket = road.api.connect(road.connecting(server), () => called++)
    await once(socket, 'ready')
    socket.destroy()
    await closed(socket)
    return called
  },
  'createConnection is connect': road => road.api.createConnection === road.api.connect,
  'new Socket().connect returns the socket': async (road, t) => {
    const server = await serve(road, t)
    const socket = new road.api.Socket()
    const before = state(socket)
    const same = socket.connect(road.connecting(server)) === socket
    const during = state(socket)
    await once(socket, 'connect')
    const after = state(socket)
    socket.destroy()
    await closed(socket)
    return [before, same, during, after, state(socket)]
  },
  'Socket() without new': road => {
    const socket = (road.api.Socket as unknown as () => net.Socket)()
    return [socket instanceof road.api.Socket, socket instanceof net.Socket, state(socket)]
  },
  'properties once connected': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    const keys = (object: object) => Object.keys(object).sort()
    const before = keys(socket.address())
    await once(socket, 'connect')
    const { remoteAddress, remoteFamily, localAddress, localFamily, timeout } = socket
    const port = socket.remotePort === (server.address() as net.AddressInfo).port
    const after = keys(socket.address())
    socket.destroy()
    return [before, after, remoteAddress, remoteFamily, localAddress, localFamily, timeout, port]
  },
  'what a listener throws is nobody’s to catch': async (road, t) => {
    const server = await serve(road, t)
    const log: unknown[] = []
    for (const event of ['connect', 'ready', 'data', 'end', 'finish', 'close', 'connect']) {
      const socket = road.api
        .connect(road.connecting(server))
        .on('error', error => log.push(error.message))
      const thrown = uncaught()
      socket.once(event, throws).resume().end('hello')
      log.push(event, (await thrown).message, socket.connecting)
      socket.destroy()
    }
    return log
  },
  'what the listener of connect throws is nobody’s to catch': async (road, t) => {
    const server = await serve(road, t)
    const thrown = uncaught()
    const socket = road.api.connect(road.connecting(server), throws)
    const { message } = await thrown
    socket.destroy()
    return message
  },
  'write before connect: its callback, return value and count': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    const log = events(socket)
    const returned = [
      socket.write('small', () => log.push('written')),
      socket.write('x'.repeat(100_000), 'latin1', () => log.push('written')),
    ]
    const { bytesWritten, writableLength, writableNeedDrain } = socket
    const over = closed(socket)
    await once(socket, 'drain')
    socket.end()
    return [
      returned,
      bytesWritten,
      writableLength,
      writableNeedDrain,
      (await text(socket)).length,
      await over,
      log,
    ]
  },
  'end before connect, with data and a callback': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    const log = events(socket)
    socket.end('early bird', () => log.push('ended'))
    const during = state(socket)
    return [during, await text(socket), await closed(socket), log]
  },
  'write after end': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    const log = events(socket)
    socket.end()
    socket.write('late')
    await closed(socket)
    return log
  },
  'destroy before connect': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server), () => t.fail('connected'))
    const log = events(socket)
    socket.write('lost', error => log.push((error as NodeJS.ErrnoException | undefined)?.code))
    socket.destroy()
    return [state(socket), await closed(socket), log]
  },
  'destroy before connect, with an error': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    const log = events(socket)
    socket.destroy(Object.assign(new Error('own'), { code: 'OWN' }))
    return [await closed(socket), log]
  },
  'close says whether there was an error': async (road, t) => {
    const server = await serve(road, t)
    const log: unknown[] = []
    // The second goes to where the first has been, and the fourth to what is remembered.
    for (const turns of [0, 1, 2, 3, 10]) {
      for (const error of [undefined, new Error('own')]) {
        const socket = road.api.connect(road.connecting(server)).on('error', () => {})
        for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
        socket.destroy(error)
        log.push(await new Promise(resolve => socket.once('close', (...args) => resolve(args))))
        log.push([socket.bytesRead, socket.bytesWritten])
      }
    }
    return log
  },
  'an error of somebody else destroys it': async (road, t) => {
    const server = await serve(road, t)
    const log: unknown[] = []
    for (const turns of [0, 1, 5]) {
      const socket = road.api.connect(road.connecting(server))
      const heard = events(socket)
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
      const foreign = { code: 'ECONNREFUSED', syscall: 'connect', address: '127.0.0.1', port: 1 }
      socket.destroy(Object.assign(new Error('of another socket'), foreign))
      await closed(socket)
      log.push(heard.slice(-2))
    }
    return log
  },
  'settings on the way are those of the connection': async (road, t) => {
    const server = await serve(road, t)
    const log: unknown[] = []
    for (const turns of [0, 1, 2]) {
      const socket = road.api.connect(road.connecting(server))
      for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
      log.push(socket.setNoDelay() === socket, socket.setKeepAlive(true, 9_000) === socket)
      const write = () => true
      socket.write = write
      if (socket.connecting) await once(socket, 'connect')
      log.push(socket.write === write, kept(socket))
      socket.destroy()
    }
    return log
  },
  'destroySoon before connect': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    const log = events(socket)
    socket.write('soon')
    socket.destroySoon()
    return [await closed(socket), log]
  },
  'resetAndDestroy before and after connect': async (road, t) => {
    const reset: unknown[] = []
    const server = await serve(road, t, {}, socket => {
      socket.on('error', error => reset.push((error as NodeJS.ErrnoException).code)).resume()
    })
    const early = road.api.connect(road.connecting(server))
    const log = events(early)
    early.resetAndDestroy()
    await closed(early)
    const late = road.api.connect(road.connecting(server))
    await Promise.all([once(late, 'connect'), once(server, 'connection')])
    late.resetAndDestroy()
    while (reset.length < 2) await new Promise(setImmediate)
    return [log, reset]
  },
  'resetAndDestroy of a socket that was never connected': road => {
    const socket = new road.api.Socket()
    const log = events(socket)
    socket.resetAndDestroy()
    return closed(socket).then(() => log)
  },
  'a socket is used again': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    const answers: unknown[] = []
    for (let life = 0; life < 3; life++) {
      const log = events(socket)
      const over = closed(socket)
      socket.end(`life ${life}`)
      answers.push(await text(socket), await over, log)
      socket.removeAllListeners()
      socket.connect(road.connecting(server))
    }
    socket.destroy()
    return answers
  },
  'a socket that is destroyed and connected at once': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    socket.destroy()
    await closed(socket)
    socket.connect(road.connecting(server))
    socket.end('second')
    return text(socket)
  },
  'nobody there: one error, before close, not at once': async road => {
    const socket = road.api.connect(road.connecting(undefined))
    const log = events(socket)
    log.push('returned')
    const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
    await closed(socket)
    // The port of a name is known only where there is one.
    return [
      error.code,
      error instanceof Error,
      log.filter(event => event !== 'connectionAttempt'),
      state(socket),
    ]
  },
  'nobody there: what has failed': async road => {
    const socket = road.api.connect(road.connecting(undefined))
    const error = await new Promise<NodeJS.ErrnoException>(resolve => socket.once('error', resolve))
    return [error.code, error.syscall, error.errno]
  },
  'nobody there, and something written': async road => {
    const socket = road.api.connect(road.connecting(undefined))
    const log: unknown[] = []
    socket.write('x', error => log.push((error as NodeJS.ErrnoException).code))
    socket.on('error', error => log.push(`error ${(error as NodeJS.ErrnoException).code}`))
    await closed(socket)
    return log
  },
  'pipe in and out before connect, with back-pressure': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    const source = new PassThrough()
    source.pipe(socket)
    const sink = socket.pipe(new PassThrough())
    for (let count = 0; count < 50; count++) source.write('x'.repeat(20_000))
    source.end()
    return (await text(sink)).length
  },
  'setEncoding, pause and resume before connect': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server)).setEncoding('utf8').pause()
    const paused = socket.isPaused()
    socket.end('żółw')
    await once(socket, 'connect')
    const chunks: unknown[] = []
    socket.on('data', chunk => chunks.push(chunk)).resume()
    await closed(socket)
    return [paused, chunks]
  },
  'setTimeout before connect, and timeout as an option': async (road, t) => {
    const server = await serve(road, t)
    const first = road.api.connect(road.connecting(server)).setTimeout(20)
    const second = road.api.connect(road.connecting(server, { timeout: 20 }))
    await Promise.all([once(first, 'timeout'), once(second, 'timeout')])
    const told = [first.timeout, second.timeout, first.destroyed]
    const none = first.setTimeout(0).timeout
    first.destroy()
    second.destroy()
    return [told, none]
  },
  'chained settings before connect': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    const same = [
      socket.setNoDelay(),
      socket.setNoDelay(false),
      socket.setKeepAlive(true, 1000),
      socket.unref(),
      socket.ref(),
      socket.setTimeout(0),
    ].every(one => one === socket)
    socket.end('set')
    return [same, await text(socket)]
  },
  'setTypeOfService and the option, where Node has them': async (road, t) => {
    if (!('setTypeOfService' in net.Socket.prototype)) return 'not here'
    type Aware = net.Socket & { setTypeOfService(type: number): Aware; getTypeOfService(): number }
    const server = await serve(road, t)
    const one = road.api.connect(road.connecting(server, { typeOfService: 0x10 })) as Aware
    const other = new road.api.Socket() as Aware
    const log: unknown[] = [other.setTypeOfService(0x08) === other, other.getTypeOfService()]
    other.connect(road.connecting(server))
    await Promise.all([once(one, 'connect'), once(other, 'connect')])
    for (const socket of [one, other]) {
      log.push(socket.getTypeOfService(), socket.setTypeOfService(0x20).getTypeOfService())
      socket.destroy()
    }
    return log
  },
  'a place that was bound before, where Node can': async (road, t) => {
    if (!canMove) return 'not here'
    const server = await serve(road, t)
    const place = bound()
    const { port } = place.address()
    const socket = new road.api.Socket({ handle: place } as net.SocketConstructorOpts)
    socket.connect(road.connecting(server)).end('hello')
    await once(socket, 'connect')
    return [socket.localPort === port, await text(socket)]
  },
  'a socket is moved to another thread, where Node can': async (road, t) => {
    if (!canMove) return 'not here'
    const server = await serve(road, t, {}, socket => socket.resume())
    const heard = once(server, 'connection').then(([peer]) => text(peer as net.Socket))
    const socket = road.api.connect(road.connecting(server))
    await once(socket, 'connect')
    await thread(t)(socket)
    return [socket.destroyed, await heard]
  },
  'what is stored for a call is there for its events': async (road, t) => {
    const server = await serve(road, t)
    const storage = new AsyncLocalStorage<number>()
    const log: unknown[] = []
    const one = (call: number) =>
      storage.run(call, async () => {
        const socket = road.api.connect(road.connecting(server), () =>
          log.push(storage.getStore() === call),
        )
        for (const event of ['lookup', 'connect', 'ready', 'data', 'end', 'finish', 'close']) {
          socket.on(event, () => log.push(storage.getStore() === call))
        }
        socket.write('hello', () => log.push(storage.getStore() === call))
        socket.end()
        await closed(socket)
      })
    await one(1)
    await Promise.all([2, 3, 4].map(one))
    return new Set(log)
  },
  'noDelay, keepAlive, keepAliveInitialDelay, highWaterMark as options': async (road, t) => {
    const server = await serve(road, t)
    const options = {
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 1000,
      highWaterMark: 10,
    }
    const socket = road.api.connect(road.connecting(server, options))
    const { writableHighWaterMark, readableHighWaterMark } = socket
    socket.end('options')
    return [writableHighWaterMark, readableHighWaterMark, await text(socket)]
  },
  onread: async (road, t) => {
    const server = await serve(road, t)
    const read: unknown[] = []
    const onread = {
      buffer: Buffer.alloc(4),
      callback: (bytes: number, buffer: Buffer) => {
        read.push(String(buffer.subarray(0, bytes)))
        return true
      },
    }
    const socket = road.api.connect(road.connecting(server, { onread }))
    socket.end('12345678')
    await closed(socket)
    return read.join('')
  },
  'onread with a buffer each time': async (road, t) => {
    const server = await serve(road, t)
    const given: Buffer[] = []
    const used = new Set<Buffer>()
    const onread = {
      buffer: () => given[given.push(Buffer.alloc(4)) - 1]!,
      callback: (_bytes: number, buffer: Buffer) => Boolean(used.add(buffer)),
    }
    const told: unknown[] = []
    // The second knows where the first has been.
    for (let times = 0; times < 2; times++) {
      const socket = road.api.connect(road.connecting(server, { onread }))
      socket.end('12345678')
      await closed(socket)
      told.push(given.length, used.size)
    }
    return told
  },
  'allowHalfOpen on both sides': async (road, t) => {
    const server = await serve(road, t, { allowHalfOpen: true }, socket => {
      socket.resume().on('end', () => socket.end('after your end'))
    })
    const socket = road.api.connect(road.connecting(server, { allowHalfOpen: true }))
    socket.end()
    const heard = await text(socket)
    return [heard, socket.allowHalfOpen, socket.readyState]
  },
  'half open: readyState on the way': async (road, t) => {
    const server = await serve(road, t, { allowHalfOpen: true }, socket => socket.end('bye'))
    const socket = road.api.connect(road.connecting(server, { allowHalfOpen: true }))
    const said = await text(socket)
    const half = socket.readyState
    socket.end()
    await closed(socket)
    return [said, half, socket.readyState]
  },
  'signal, aborted before, during and after': async (road, t) => {
    const server = await serve(road, t)
    const told: unknown[] = []
    for (const when of ['before', 'during', 'after']) {
      const controller = new AbortController()
      if (when === 'before') controller.abort()
      const socket = road.api.connect(road.connecting(server, { signal: controller.signal }))
      const log = events(socket)
      if (when === 'after') await once(socket, 'connect')
      controller.abort()
      await closed(socket)
      told.push(log)
    }
    return told
  },
  'lookup as an option, for a host by name': async (road, t) => {
    const server = await serve(road, t)
    const lookup: net.LookupFunction = (host, _options, done) => {
      asked.push(host)
      process.nextTick(done, null, [{ address: '127.0.0.1', family: 4 }])
    }
    const asked: string[] = []
    const socket = road.api.connect(road.connecting(server, { lookup, host: 'theforce.test' }))
    const log = events(socket)
    socket.end('x')
    return [await text(socket), await closed(socket), asked, log]
  },
  'lookup that fails': async (road, t) => {
    const server = await serve(road, t)
    const error = Object.assign(new Error('no'), { code: 'ENOTFOUND' })
    const lookup: net.LookupFunction = (_host, _options, done) => process.nextTick(done, error, [])
    const socket = road.api.connect(road.connecting(server, { lookup, host: 'theforce.test' }))
    const log = events(socket)
    await closed(socket)
    return log
  },
  'family, localAddress and localPort': async (road, t) => {
    const server = await serve(road, t)
    const options = { family: 4, localAddress: '127.0.0.2' }
    const socket = road.api.connect(road.connecting(server, options))
    await once(socket, 'connect')
    const { localAddress } = socket
    socket.destroy()
    return localAddress
  },
  'autoSelectFamily with two addresses, one where nobody is': async (road, t) => {
    const server = await serve(road, t)
    const lookup: net.LookupFunction = (_host, _options, done) =>
      process.nextTick(done, null, [
        { address: '::1', family: 6 },
        { address: '127.0.0.1', family: 4 },
      ])
    const options = { lookup, host: 'theforce.test', autoSelectFamily: true }
    const socket = road.api.connect(road.connecting(server, options))
    // An end before that is forgotten by `net` itself, where the first address fails.
    await once(socket, 'connect')
    socket.end('either')
    return text(socket)
  },
  blockList: async (road, t) => {
    const server = await serve(road, t)
    const blockList = new net.BlockList()
    blockList.addAddress('127.0.0.1')
    const socket = road.api.connect(road.connecting(server, { blockList }))
    const failed = once(socket, 'error').then(([error]) => (error as NodeJS.ErrnoException).code)
    socket.once('connect', () => socket.destroy(Object.assign(new Error(), { code: 'connected' })))
    return failed
  },
  'bad options are thrown at once': (road, t) => {
    void t
    const bad = [
      { localAddress: 'here' },
      { localPort: 'x' },
      { lookup: 'dns' },
      { hints: 0x7fff_ffff },
    ]
    return bad.map(options => {
      try {
        road.api
          .connect(road.connecting(undefined, options))
          .on('error', () => {})
          .destroy()
        return 'fine'
      } catch (error) {
        return (error as NodeJS.ErrnoException).code
      }
    })
  },
  'asyncDispose closes': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    await once(socket, 'connect')
    const log = events(socket)
    const over = closed(socket)
    await socket[Symbol.asyncDispose]()
    return [socket.destroyed, await over, log]
  },
  'for await reads to the end': async (road, t) => {
    const server = await serve(road, t)
    const socket = road.api.connect(road.connecting(server))
    socket.end('iterate')
    const chunks: unknown[] = []
    for await (const chunk of socket) chunks.push(String(chunk))
    return chunks
  },
  'a path is a path': async (road, t) => {
    const path = `${t.testdir()}/x.sock`
    const server = road.api.createServer(socket => socket.end('by path')).listen(path)
    await once(server, 'listening')
    const answers = [await text(road.api.connect(path)), await text(road.api.connect({ path }))]
    await once(server.close(), 'close')
    return [answers, server.address()]
  },
  'a port is a port': async (road, t) => {
    const server = await serve({ ...road, listening: () => ({ port: 0, host: '127.0.0.1' }) }, t)
    const { port } = server.address() as net.AddressInfo
    const ways = [
      road.api.connect(port, '127.0.0.1'),
      road.api.connect(String(port) as never, '127.0.0.1'),
      road.api.connect({ port, host: '127.0.0.1' }),
      road.api.connect(
        Object.assign(Object.create(null) as object, {
          port,
          host: '127.0.0.1',
          path: null,
        }) as never,
      ),
      new road.api.Socket().connect(port, '127.0.0.1'),
    ]
    return Promise.all(ways.map(socket => text(socket.end('x'))))
  },
  'what is no place to connect to is thrown': road => {
    const bad: unknown[] = [
      undefined,
      {},
      [],
      { port: 65_536 },
      { port: 'x' },
      { port: -1 },
      { path: 7 },
    ]
    return bad.map(target => {
      try {
        road.api
          .connect(target as never)
          .on('error', () => {})
          .destroy()
        return 'fine'
      } catch (error) {
        return (error as NodeJS.ErrnoException).code
      }
    })
  },
}

const DIFFERS = new Set([
  // A Unix socket knows no reset; docs/differences.md says so.
  'resetAndDestroy before and after connect',
  // A bad look-up is none where the host is an address.
  'bad options are thrown at once',
  // Nor is a Unix socket moved to another thread.
  'a socket is moved to another thread, where Node can',
])

/** The events without the look-ups of this host, which there are none of where an address is given. */
function withoutLookups(found: unknown): unknown {
  if (!Array.isArray(found)) return found
  return found.filter(one => one !== 'lookup').map(withoutLookups)
}

for (const [what, line] of Object.entries(lines)) {
  test(what, async t => {
    const { port, name, near, sure } = await roads(t)
    const expected: unknown = await line(port, t)
    t.strictSame(await line(name, t), expected, 'over TCP')
    if (DIFFERS.has(what)) return
    const alike = withoutLookups(expected)
    t.strictSame(withoutLookups(await line(near, t)), alike, 'on this host')
    // Of one that was aborted before, `net` tells the end and then the connection; here it comes later yet.
    if (what.startsWith('signal, aborted before')) return
    t.strictSame(withoutLookups(await line(sure, t)), alike, 'where nobody is asked')
  })
}
