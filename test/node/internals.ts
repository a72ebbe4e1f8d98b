// The contract with Node: each of its insides that `lib/node/` relies on, tried on the real thing. A Node that has
// moved one fails the test of that name.
import cluster from 'node:cluster'
import dgram from 'node:dgram'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import net, { type AddressInfo, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { TLSSocket } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { MessageChannel } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { CONNECTION_OPTIONS } from '../../lib/node/adopt.ts'
import { withoutUnix } from '../fixtures/beside.ts'

/** One of Node's insides. */
interface Internal {
  /** The name, as Node spells it. */
  readonly name: string
  /** The thing that has it, and the part of it that we rely on. */
  readonly promise: string
  /** The reason to skip it, or false. */
  readonly skip?: string | false
  /** Tries it on the real thing. */
  readonly check: (t: Test) => Promise<unknown>
}

/** A handle, whose type is internal to Node. */
type Handle = Record<string, unknown> & {
  reading: boolean
  readStart(): void
  readStop(): void
  hasRef(): boolean
  close(): void
}

function handleOf(owner: Socket | Server): Handle {
  return Reflect.get(owner, '_handle') as Handle
}

/** A server that listens, and ends with the test. */
async function listening(t: Test, options: net.ServerOpts = {}, path?: string): Promise<Server> {
  const sockets = new Set<Socket>()
  const server = net.createServer(options, socket => sockets.add(socket.on('error', () => {})))
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    if (server.listening) server.close()
  })
  const target = path === undefined ? { port: 0, host: '127.0.0.1' } : { path }
  await once(server.listen(target), 'listening')
  return server
}

/** A socket on its way to a server. */
function connecting(t: Test, server: Server): Socket {
  const to = server.address()
  const target = typeof to === 'string' ? { path: to } : (to as AddressInfo)
  const { port, path } = { port: 0, path: undefined, ...target }
  const options = path === undefined ? { port, host: '127.0.0.1' } : { path }
  const socket = net.connect(options).on('error', () => {})
  t.teardown(() => socket.destroy())
  return socket
}

/** Both ends of a connection. */
async function pair(t: Test, server: Server): Promise<[near: Socket, far: Socket]> {
  const socket = connecting(t, server)
  const [[far]] = await Promise.all([once(server, 'connection'), once(socket, 'connect')])
  return [socket, far as Socket]
}

/** Has `method` of an object counted when Node calls it, and done as before. */
function counted(object: object, method: string | symbol): { calls: number } {
  const count = { calls: 0 }
  const own = Reflect.get(object, method) as (...args: unknown[]) => unknown
  const value = function (this: unknown, ...args: unknown[]): unknown {
    count.calls++
    return Reflect.apply(own, this, args)
  }
  Object.defineProperty(object, method, { value, configurable: true, writable: true })
  return count
}

/** The methods of a handle that `disguise` has others in front of, and the call by which Node comes to each. */
const HANDLED: readonly [method: string, call: (socket: Socket) => unknown][] = [
  ['getsockname', socket => socket.localAddress],
  ['getpeername', socket => socket.remoteAddress],
  ['setNoDelay', socket => socket.setNoDelay(true)],
  ['setKeepAlive', socket => socket.setKeepAlive(true)],
  ['writeBuffer', socket => socket.write(Buffer.from('x'))],
  ['writeUtf8String', socket => socket.write('x', 'utf8')],
  ['writeLatin1String', socket => socket.write('x', 'latin1')],
  ['writeAsciiString', socket => socket.write('x', 'ascii')],
  ['writeUcs2String', socket => socket.write('x', 'ucs2')],
  ['writev', socket => (socket.cork(), socket.write('x'), socket.write('x'), socket.uncork())],
  ['close', socket => socket.destroy()],
]

const HANDLES = HANDLED.map(([name, call]): Internal => {
  return {
    name,
    promise: 'of a handle, which a call of the socket comes to',
    async check(t) {
      const [socket] = await pair(t, await listening(t))
      const count = counted(handleOf(socket), name)
      call(socket)
      t.equal(count.calls, 1)
    },
  }
})

/** The methods of a stream that a connection which is made elsewhere has in front of those of `net`. */
const STREAMED: readonly [method: string, call: (socket: Socket, far: Socket) => unknown][] = [
  ['_read', (socket, far) => far.write('x', () => socket.resume())],
  ['_writeGeneric', socket => socket.write('x')],
  ['_final', socket => socket.end()],
]

const STREAMS = STREAMED.map(([name, call]): Internal => {
  return {
    name,
    promise: 'of a socket, which a call of its stream comes to',
    async check(t) {
      const [socket, far] = await pair(t, await listening(t))
      const count = counted(socket, name)
      call(socket, far)
      while (count.calls === 0) await new Promise(setImmediate)
      t.ok(count.calls > 0)
    },
  }
})

/** The address that a socket remembers of its handle, until it is `null`. */
const ADDRESSES = (
  [['_sockname', 'getsockname', socket => socket.localAddress]] as const satisfies [
    string,
    string,
    (socket: Socket) => unknown,
  ][]
).map(([name, method, address]): Internal => {
  return {
    name,
    promise: 'of a socket, which asks its handle anew once that is null',
    async check(t) {
      const [socket] = await pair(t, await listening(t))
      const first = address(socket)
      const count = counted(handleOf(socket), method)
      Reflect.set(socket, name, null)
      t.equal(address(socket), first)
      t.equal(count.calls, 1)
    },
  }
})

const INTERNALS: readonly Internal[] = [
  ...STREAMS,
  ...ADDRESSES,
  {
    name: '_handle',
    promise: 'of a socket and of a server, there while it is open',
    async check(t) {
      t.equal(handleOf(new net.Socket()), null)
      const server = await listening(t)
      const [socket] = await pair(t, server)
      for (const one of [server, socket]) {
        t.type(handleOf(one).close, 'function')
        t.equal(handleOf(one).hasRef(), true)
      }
      socket.destroy()
      server.close()
      t.equal(handleOf(socket), null)
      t.equal(handleOf(server), null)
    },
  },
  {
    name: '_handle',
    promise: 'of a socket that connects again, which is another once it is set to null',
    async check(t) {
      const server = await listening(t)
      const socket = net.connect({ port: 1, host: 'moniker.invalid', lookup: () => {} })
      t.teardown(() => socket.destroy())
      const first = handleOf(socket)
      Object.assign(socket, { _handle: null })
      socket.connect((server.address() as AddressInfo).port, '127.0.0.1')
      t.not(handleOf(socket), first)
      first.close()
      await once(socket, 'connect')
    },
  },
  {
    name: 'handle',
    promise: 'an option of a socket, which takes a handle that is on its way, and ends it',
    async check(t) {
      const server = await listening(t)
      const socket = connecting(t, server)
      await new Promise(process.nextTick)
      const handle = handleOf(socket)
      Object.assign(socket, { _handle: null })
      const other = new net.Socket({ handle, manualStart: true } as object)
      Object.assign(other, { connecting: true })
      other.on('error', () => {})
      const [far] = (await once(server, 'connection')) as [Socket]
      other.resume().end()
      t.equal(await text(far), '')
      other.destroy()
    },
  },
  {
    name: '_undestroy',
    promise: 'of a socket, by which `connect` renews its state',
    async check(t) {
      const server = await listening(t)
      const socket = new net.Socket()
      t.teardown(() => socket.destroy())
      t.type(Reflect.get(net.Socket.prototype, '_undestroy'), 'function')
      const count = counted(socket, '_undestroy')
      socket.connect((server.address() as AddressInfo).port, '127.0.0.1')
      t.equal(count.calls, 1)
      await once(socket, 'connect')
    },
  },
  {
    name: '_host',
    promise: 'of a socket, the host that is looked up',
    async check(t) {
      const socket = net.connect({ port: 1, host: 'moniker.invalid', lookup: () => {} })
      t.equal(Reflect.get(socket, '_host'), 'moniker.invalid')
      socket.destroy()
    },
  },
  {
    name: 'owner_symbol',
    promise: 'of a handle, the socket that Node tells of it, under one key for all',
    async check(t) {
      const server = await listening(t)
      const socket = connecting(t, server)
      const handle = handleOf(socket)
      const owner = Object.getOwnPropertySymbols(handle).find(
        ({ description }) => description === 'owner_symbol',
      )
      if (!owner) return t.fail('the handle has no such symbol')
      t.equal(Reflect.get(handle, owner), socket)
      const local = net.connect({ path: '\\\\.\\pipe\\moniker-none' }).on('error', () => {})
      t.equal(Reflect.get(handleOf(local), owner), local)
      local.destroy()
      const told = new Promise(resolve => {
        Reflect.set(handle, owner, {
          get destroyed() {
            resolve(true)
            return true
          },
        })
      })
      t.equal(
        await told,
        true,
        'asked whether it is destroyed before it is told that it is connected',
      )
      handle.close()
    },
  },
  {
    name: 'reading',
    promise: 'of the handle of an accepted socket, with readStop and readStart',
    async check(t) {
      const [near, far] = await pair(t, await listening(t))
      const handle = handleOf(far)
      t.equal(handle.reading, true)
      handle.reading = false
      handle.readStop()
      const seen: string[] = []
      far.on('data', chunk => seen.push(String(chunk)))
      handle.reading = false
      handle.readStop()
      await new Promise<void>(resolve => near.write('x', () => resolve()))
      for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
      t.strictSame(seen, [])
      handle.reading = true
      handle.readStart()
      await once(far, 'data')
      t.strictSame(seen, ['x'])
    },
  },
  {
    name: 'reading',
    promise: 'of a handle that TLS has made part of another, a getter',
    async check(t) {
      const [socket] = await pair(t, await listening(t))
      const handle = handleOf(socket)
      t.equal(Object.getOwnPropertyDescriptor(handle, 'reading')?.get, undefined)
      const wrapped = new TLSSocket(socket).on('error', () => {})
      t.type(Object.getOwnPropertyDescriptor(handle, 'reading')?.get, 'function')
      wrapped.destroy()
    },
  },
  {
    name: 'bytesRead',
    promise: 'of a handle, the bytes that it has read',
    async check(t) {
      const [near, far] = await pair(t, await listening(t))
      near.write('hello')
      await once(far, 'data')
      t.equal(handleOf(far).bytesRead, 5)
    },
  },
  {
    name: '_readableState',
    promise: 'of a socket, with `ended`',
    async check(t) {
      const [near, far] = await pair(t, await listening(t, { allowHalfOpen: true }))
      const state = Reflect.get(far, '_readableState') as { ended: boolean }
      t.equal(state.ended, false)
      near.end()
      await once(far.resume(), 'end')
      t.equal(state.ended, true)
    },
  },
  {
    name: '_reset',
    promise: 'of a socket, which comes to `reset` of its handle',
    async check(t) {
      const [near, far] = await pair(t, await listening(t))
      const error = once(far.resume(), 'error')
      const count = counted(handleOf(near), 'reset')
      ;(Reflect.get(near, '_reset') as () => void).call(near)
      t.equal(count.calls, 1)
      t.match(await error, [{ code: 'ECONNRESET' }])
    },
  },
  {
    name: 'resetAndDestroy',
    promise: 'of a socket, which insists on TCP',
    skip: withoutUnix,
    async check(t) {
      const [socket] = await pair(t, await listening(t, {}, `\0moniker-internals-${process.pid}`))
      t.throws(() => socket.resetAndDestroy(), { code: 'ERR_INVALID_HANDLE_TYPE' })
    },
  },
  {
    name: 'oncomplete',
    promise: 'of the request of a write, called with the status',
    skip: withoutUnix,
    async check(t) {
      const [near, far] = await pair(
        t,
        await listening(t, {}, `\0moniker-internals-${process.pid}`),
      )
      const handle = handleOf(near)
      const write = handle.writeBuffer as (request: object | null, ...args: unknown[]) => unknown
      const seen: unknown[] = []
      handle.writeBuffer = function (request: object | null, ...args: unknown[]) {
        const status = write.call(handle, request, ...args)
        const made = request ?? (typeof status === 'object' && status)
        if (!made) return status
        const own = Reflect.get(made, 'oncomplete') as unknown
        const wrap = (oncomplete: unknown) =>
          function (this: { handle: unknown }, code: number, ...rest: unknown[]) {
            seen.push(code, this.handle === handle)
            Reflect.apply(oncomplete as () => void, this, [code, ...rest])
          }
        if (own) return Object.assign(made, { oncomplete: wrap(own) }) === request ? status : made
        let later: unknown
        Object.defineProperty(made, 'oncomplete', {
          get: () => later,
          set(oncomplete: unknown) {
            later = wrap(oncomplete)
          },
        })
        return status
      }
      // More than the kernel takes at once.
      near.write(Buffer.alloc(8 * 2 ** 20))
      far.resume()
      await once(near, 'drain')
      t.strictSame(seen, [0, true])
    },
  },
  {
    name: '_pendingData',
    promise: 'of a socket, until what was written before it was connected is sent',
    async check(t) {
      const server = await listening(t)
      const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1')
      t.teardown(() => socket.destroy())
      t.notOk(Reflect.get(socket, '_pendingData'))
      socket.write('hello')
      t.equal(String(Reflect.get(socket, '_pendingData')), 'hello')
      const pending: unknown[] = []
      socket.prependListener('connect', () => pending.push(Reflect.get(socket, '_pendingData')))
      await once(socket, 'connect')
      t.equal(String(pending[0]), 'hello')
      t.notOk(Reflect.get(socket, '_pendingData'))
    },
  },
  ...(['_read', '_writeGeneric', '_final'] as const).map((name): Internal => ({
    name,
    promise: 'of a socket, called again once it is connected',
    async check(t) {
      const socket = net.connect({ port: 1, host: 'moniker.invalid', lookup: () => {} })
      t.teardown(() => socket.destroy())
      socket.end('hello')
      socket.read(0)
      await new Promise(setImmediate)
      const called: string[] = []
      for (const method of ['_read', '_writeGeneric', '_final']) {
        const done = (...args: unknown[]) => {
          called.push(method)
          const last = args.at(-1)
          if (typeof last === 'function') last()
        }
        Object.assign(socket, { [method]: done })
      }
      Object.assign(socket, { connecting: false })
      socket.emit('connect')
      await new Promise(setImmediate)
      t.ok(called.includes(name))
    },
  })),
  ...(['kBuffer', 'kSetNoDelay', 'kSetKeepAlive', 'kSetKeepAliveInitialDelay'] as const).map(
    (name): Internal => ({
      name,
      promise: 'of a socket, a setting that it keeps for its handle, under a symbol',
      async check(t) {
        const onread = { buffer: Buffer.alloc(7), callback: () => true }
        const socket = new net.Socket({ onread } as net.SocketConstructorOpts)
        socket.setNoDelay(true).setKeepAlive(true, 2_000)
        const symbol = Object.getOwnPropertySymbols(socket).find(
          ({ description }) => description === name,
        )
        const values = {
          kBuffer: onread.buffer,
          kSetNoDelay: true,
          kSetKeepAlive: true,
          kSetKeepAliveInitialDelay: 2,
        }
        t.equal(symbol && Reflect.get(socket, symbol), values[name])
      },
    }),
  ),
  {
    name: 'useUserBuffer',
    promise: 'of a handle, the buffer that it reads into',
    async check(t) {
      const [, far] = await pair(t, await listening(t))
      t.type(handleOf(far).useUserBuffer, 'function')
    },
  },
  {
    name: 'onerror',
    promise: 'of the handle of a socket of TLS, which is `ssl` of that, with `onhandshakedone`',
    async check(t) {
      const [near] = await pair(t, await listening(t))
      const secure = new TLSSocket(near).on('error', () => {})
      const handle = Reflect.get(secure, 'ssl') as Record<string, unknown>
      t.equal(Reflect.get(secure, '_handle'), handle)
      t.type(handle.onerror, 'function')
      t.type(handle.onhandshakedone, 'function')
      secure.destroy()
    },
  },
  {
    name: '_connections',
    promise: 'of a server, the count of its connections',
    async check(t) {
      const server = await listening(t)
      await pair(t, server)
      t.equal(Reflect.get(server, '_connections'), 1)
      Reflect.set(server, '_connections', 7)
      const told = await new Promise(resolve => server.getConnections((_, count) => resolve(count)))
      t.equal(told, 7)
      Reflect.set(server, '_connections', 1)
    },
  },
  {
    name: '_server',
    promise: 'of an accepted socket, the server that it is counted for, and that closes after it',
    async check(t) {
      const [first, second] = [await listening(t), await listening(t)]
      const [, far] = await pair(t, first)
      t.equal(Reflect.get(far, '_server'), first)
      Object.assign(far, { _server: second })
      Object.assign(first, { _connections: 0 })
      Object.assign(second, { _connections: 1 })
      let isClosed = false
      second.close(() => (isClosed = true))
      await once(first.close(), 'close')
      await new Promise(setImmediate)
      t.notOk(isClosed)
      far.destroy()
      await once(second, 'close')
      t.equal(Reflect.get(second, '_connections'), 0)
    },
  },
  {
    name: 'options',
    promise: 'of a server, which it reads from itself at each connection',
    async check(t) {
      const server = await listening(t)
      const read = new Set<string>()
      for (const option of CONNECTION_OPTIONS) {
        const value: unknown = Reflect.get(server, option)
        const get = () => {
          read.add(option)
          // One that is kept alive has a delay.
          return option === 'keepAlive' ? true : value
        }
        Object.defineProperty(server, option, { get })
      }
      await pair(t, server)
      t.strictSame([...read].sort(), [...CONNECTION_OPTIONS].sort())
    },
  },
  {
    name: 'blockList',
    promise: 'of a server that looks at addresses by itself',
    async check(t) {
      const blockList = new net.BlockList()
      blockList.addAddress('127.0.0.1')
      const server = await listening(t, { blockList } as net.ServerOpts)
      const socket = connecting(t, server).resume()
      const isRefused = await Promise.race([
        once(socket, 'close').then(() => true),
        once(server, 'connection').then(() => false),
      ])
      t.equal(Boolean(Reflect.get(server, 'blockList')), isRefused)
    },
  },
  {
    name: 'connectState',
    promise: 'of the state of a datagram socket: 0, 1 while it connects, and 2',
    async check(t) {
      const socket = dgram.createSocket({ type: 'udp6', ipv6Only: true })
      const key = Object.getOwnPropertySymbols(socket).find(
        ({ description }) => description === 'state symbol',
      )!
      const state = Reflect.get(socket, key) as Record<string, unknown>
      t.match(state, { connectState: 0, ipv6Only: true, handle: {} })
      await once(socket.bind(0), 'listening')
      socket.connect(9, '::1')
      t.equal(state.connectState, 1)
      // A host may have no IPv6.
      const isConnected = await once(socket, 'connect').then(Boolean, () => false)
      t.equal(state.connectState, isConnected ? 2 : 0)
      socket.close()
      t.equal(state.handle, null)
    },
  },
  {
    name: 'messaging_transfer_symbol',
    promise: 'of a server, the method that is called when it is posted to another thread',
    async check(t) {
      const server = await listening(t)
      const symbol = Object.getOwnPropertySymbols(net.Server.prototype).find(
        ({ description }) => description === 'messaging_transfer_symbol',
      )
      const count = symbol && counted(server, symbol)
      const { port1 } = new MessageChannel()
      t.teardown(() => port1.close())
      try {
        port1.postMessage(server, [server as never])
      } catch {
        return t.equal(symbol, undefined, 'this Node moves no servers')
      }
      t.equal(count?.calls, 1)
    },
  },
  {
    name: 'NODE_CLUSTER',
    promise: 'the message by which a worker tells that it listens',
    async check(t) {
      const exec = fileURLToPath(new URL('../fixtures/announcer.ts', import.meta.url))
      cluster.setupPrimary({ exec })
      const worker = cluster.fork()
      const [told] = (await once(worker, 'listening')) as [object]
      t.match(told, { address: '192.0.2.1', port: 7, addressType: 4 })
      await once(worker, 'exit')
    },
  },
  ...HANDLES,
]

for (const { name, promise, skip = false, check } of INTERNALS) {
  t.test(`${name} ${promise}`, { skip }, t => check(t).then(() => {}))
}

t.test('each of them is named in lib/node, and nowhere else', async t => {
  const lib = new URL('../../lib/', import.meta.url)
  const inside = new Set<string>()
  const named = new Map<string, string[]>()
  for (const file of readdirSync(lib, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue
    const names = namesIn(readFileSync(new URL(file, lib), 'utf8'))
    if (file.startsWith('node/')) for (const name of names) inside.add(name)
    else named.set(file, names)
  }
  const known = new Set(INTERNALS.map(({ name }) => name))
  t.strictSame(
    [...inside].filter(name => !known.has(name)),
    [],
    'each has its test',
  )
  for (const [file, names] of named) {
    const foreign = names.filter(name => inside.has(name))
    if (foreign.length > 0) t.fail(`${file} names ${foreign.join(', ')}`)
  }
  t.ok(named.size > 0)
})

/** The words of a source that begin with `_`, as Node's own members do, and the names of Node's own symbols. */
function namesIn(source: string): string[] {
  return source.match(/(?<![\w$])_[a-z]\w*|\b\w+_symbol\b/g) ?? []
}
