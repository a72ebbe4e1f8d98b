// Each line of what `dgram` documents, over a port and over a name: the same comes of it.
import dgram from 'node:dgram'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test, type Test } from 'tap'
import { createSocket } from '../../index.ts'
import { daemon } from '../fixtures/daemon.ts'
import { thrown, throws, uncaught } from '../fixtures/thrown.ts'

/** One way for datagrams: by a port as in `dgram`, or by a name as with us. */
interface Road {
  readonly createSocket: typeof dgram.createSocket
  /** The arguments that bind a socket where others look for it. */
  bound(): never[]
  /** The arguments that lead there, to put before a callback. */
  to(server: dgram.Socket): never[]
}

type Line = (road: Road, t: Test) => unknown

const EVENTS = ['listening', 'connect', 'error', 'close']

/** The events of a socket as they come; of an error, its code. */
function events(socket: dgram.Socket): unknown[] {
  const log: unknown[] = []
  for (const event of EVENTS) {
    socket.on(event, (error?: NodeJS.ErrnoException) =>
      log.push(error ? `${event} ${error.code}` : event),
    )
  }
  return log
}

/** A socket of the road that sends back what it hears, and says how much it was. */
async function echo(road: Road, t: Test): Promise<dgram.Socket> {
  const server = road.createSocket('udp4')
  server.on('message', (message, { port, address }) => server.send(message, port, address))
  server.bind(...road.bound())
  t.teardown(() => server.close())
  await once(server, 'listening')
  return server
}

async function heard(socket: dgram.Socket): Promise<[string, object]> {
  const [message, { address, family, size }] = (await once(socket, 'message')) as [
    Buffer,
    dgram.RemoteInfo,
  ]
  return [String(message), { address, family, size }]
}

/** The result of `use` with a socket that is closed afterwards. */
async function client<T>(road: Road, use: (socket: dgram.Socket) => T | Promise<T>): Promise<T> {
  const socket = road.createSocket('udp4')
  try {
    return await use(socket)
  } finally {
    await new Promise<void>(resolve => socket.close(resolve))
  }
}

const lines: Record<string, Line> = {
  'bind: events, address, and close with a callback': async road => {
    const socket = road.createSocket('udp4')
    const log = events(socket)
    const same = socket.bind(...road.bound(), (() => log.push('called')) as never) === socket
    const early = thrown(() => socket.address())
    await once(socket, 'listening')
    const { address, family } = socket.address()
    const again = thrown(() => socket.bind(...road.bound()))
    await new Promise<void>(resolve => socket.close(resolve))
    return [same, early, address, family, again, log]
  },
  'bind, and close at once': async road => {
    const socket = road.createSocket('udp4')
    const log = events(socket)
    socket.bind(...road.bound())
    const closed = once(socket, 'close')
    const same = socket.close() === socket
    await closed
    return [same, log]
  },
  'close twice, and all else after it': async road => {
    const socket = road.createSocket('udp4')
    socket.bind(...road.bound())
    await once(socket, 'listening')
    const closed = once(socket, 'close')
    socket.close()
    const twice = thrown(() => socket.close())
    await closed
    const after = [
      () => socket.close(),
      () => socket.address(),
      () => socket.bind(...road.bound()),
      () => socket.send('x', 9, '127.0.0.1'),
      () => socket.connect(9),
      () => socket.setBroadcast(true),
      () => socket.setTTL(1),
      () => socket.ref(),
      () => socket.unref(),
    ].map(thrown)
    return [twice, after]
  },
  'what a listener throws is nobody’s to catch': async (road, t) => {
    const server = await echo(road, t)
    const log: unknown[] = []
    for (const event of ['connect', 'message', 'close']) {
      const thrown = uncaught()
      const socket = road
        .createSocket('udp4')
        .on('error', error => log.push(error.message))
        .once(event, throws)
      Reflect.apply(socket.connect, socket, road.to(server))
      socket.once('connect', () => (event === 'close' ? socket.close() : socket.send('hello')))
      log.push(event, (await thrown).message)
      if (event !== 'close') socket.close()
    }
    return log
  },
  'what a listener of listening throws is nobody’s to catch': async road => {
    const thrown = uncaught()
    const socket = road.createSocket('udp4').once('listening', throws)
    socket.bind(...road.bound())
    const { message } = await thrown
    await new Promise<void>(resolve => socket.close(resolve))
    return message
  },
  'what the callback of connect or send throws is nobody’s to catch': async (road, t) => {
    const server = await echo(road, t)
    return client(road, async socket => {
      const thrown = uncaught()
      socket.send('hello', ...road.to(server), throws as never)
      const { message } = await thrown
      const again = uncaught()
      Reflect.apply(socket.connect, socket, [...road.to(server), throws])
      return [message, (await again).message]
    })
  },
  'send in its long and short forms': async (road, t) => {
    const server = await echo(road, t)
    return client(road, async socket => {
      const to = road.to(server)
      const answers: unknown[] = []
      const send = async (...args: unknown[]) => {
        const bytes = new Promise(resolve => {
          Reflect.apply(socket.send, socket, [
            ...args,
            ...to,
            (_error: unknown, sent: number) => resolve(sent),
          ])
        })
        answers.push(await Promise.all([heard(socket), bytes]))
      }
      await send('text')
      await send(Buffer.from('bytes'))
      await send(new Uint8Array([104, 105]))
      await send(['a ', Buffer.from('list')])
      await send('cut from this', 4, 4)
      await send(Buffer.from('cut from this'), 4, 4)
      await send('')
      return answers
    })
  },
  'send before bind binds, and says so once': async (road, t) => {
    const server = await echo(road, t)
    return client(road, async socket => {
      const log = events(socket)
      for (const text of ['one', 'two', 'three']) socket.send(text, ...road.to(server))
      const answers: unknown[] = []
      while (answers.length < 3) answers.push((await heard(socket))[0])
      return [answers, log, socket.address().address]
    })
  },
  'send of what cannot be sent': async (road, t) => {
    const server = await echo(road, t)
    return client(road, socket => {
      const to = road.to(server)
      const bad: unknown[][] = [
        [7, ...to],
        [{}, ...to],
        [undefined, ...to],
        ['x'],
        ['x', -1],
        ['x', 65_536],
        ['x', 0],
      ]
      return bad.map(args => thrown(() => Reflect.apply(socket.send, socket, args)))
    })
  },
  'a datagram that is too long': async (road, t) => {
    const server = await echo(road, t)
    return client(road, async socket => {
      const sent = new Promise(resolve => {
        Reflect.apply(socket.send, socket, [Buffer.alloc(70_000), ...road.to(server), resolve])
      })
      const { code, syscall } = (await sent) as NodeJS.ErrnoException
      return [code, syscall]
    })
  },
  'connect: events, remoteAddress, send and disconnect': async (road, t) => {
    const server = await echo(road, t)
    return client(road, async socket => {
      const log = events(socket)
      const before = [thrown(() => socket.remoteAddress()), thrown(() => socket.disconnect())]
      Reflect.apply(socket.connect, socket, [...road.to(server), () => log.push('called')])
      const during = [thrown(() => socket.connect(9)), thrown(() => socket.remoteAddress())]
      await once(socket, 'connect')
      const { address, family, port } = socket.remoteAddress()
      const isThere = port === server.address().port
      const again = thrown(() => socket.connect(9))
      const aimed = thrown(() =>
        Reflect.apply(socket.send, socket, ['x', 0, 1, ...road.to(server)]),
      )
      const bytes = new Promise(resolve =>
        socket.send('connected', (_error, sent) => resolve(sent)),
      )
      const answers = [await heard(socket), await bytes]
      socket.send('cut from this', 4, 4)
      answers.push(await heard(socket))
      socket.disconnect()
      const after = [thrown(() => socket.remoteAddress()), thrown(() => socket.disconnect())]
      return [before, during, address, family, isThere, again, aimed, answers, after, log]
    })
  },
  settings: async road => {
    const socket = road.createSocket('udp4')
    socket.bind(...road.bound())
    await once(socket, 'listening')
    const settings = [
      () => socket.setBroadcast(true),
      () => socket.setTTL(64),
      () => socket.setTTL(0),
      () => socket.setMulticastTTL(1),
      () => socket.setMulticastTTL(256),
      () => socket.setMulticastLoopback(true),
      () => socket.setMulticastInterface('127.0.0.1'),
      () => socket.setMulticastInterface('x'),
      () => socket.addMembership('224.0.0.114', '127.0.0.1'),
      () => socket.dropMembership('224.0.0.114', '127.0.0.1'),
      () => socket.dropMembership('224.0.0.114', '127.0.0.1'),
      () => socket.addMembership('127.0.0.1'),
      () => socket.addSourceSpecificMembership('127.0.0.1', '232.1.1.1', '127.0.0.1'),
      () => socket.dropSourceSpecificMembership('127.0.0.1', '232.1.1.1', '127.0.0.1'),
      () => socket.setRecvBufferSize(8192),
      () => socket.setSendBufferSize(8192),
    ].map(thrown)
    const { length } = [socket.getRecvBufferSize(), socket.getSendBufferSize()].filter(
      size => size >= 8192,
    )
    const queued = [socket.getSendQueueSize(), socket.getSendQueueCount()]
    const same = socket.unref() === socket && socket.ref() === socket
    await new Promise<void>(resolve => socket.close(resolve))
    return [settings, length, queued, same]
  },
  'options of the socket': async road => {
    const controller = new AbortController()
    const options: dgram.SocketOptions = {
      type: 'udp4',
      reuseAddr: true,
      recvBufferSize: 16_384,
      sendBufferSize: 16_384,
      signal: controller.signal,
    }
    const socket = road.createSocket(options, () => {})
    const log = events(socket)
    socket.bind(...road.bound())
    await once(socket, 'listening')
    const listeners = socket.listenerCount('message')
    const closed = once(socket, 'close')
    controller.abort()
    await closed
    return [listeners, socket instanceof dgram.Socket, log]
  },
  'what is no type of a socket': road =>
    ['udp5', undefined, { type: 'x' }, {}].map(type =>
      thrown(() => road.createSocket(type as never).close()),
    ),
  'asyncDispose closes': async road => {
    const socket = road.createSocket('udp4')
    socket.bind(...road.bound())
    await once(socket, 'listening')
    const log = events(socket)
    await socket[Symbol.asyncDispose]()
    return log
  },
  'a port is a port': async (road, t) => {
    const server = await echo({ ...road, bound: () => [0, '127.0.0.1'] as never[] }, t)
    const { port } = server.address() as AddressInfo
    return client(road, async socket => {
      socket.send('number', port, '127.0.0.1')
      const answers = [await heard(socket)]
      socket.send('string', String(port) as never, '127.0.0.1')
      answers.push(await heard(socket))
      await new Promise<void>(resolve => socket.connect(port, '127.0.0.1', resolve))
      socket.send('connected')
      return [...answers, await heard(socket)]
    })
  },
  'bindSync and connectSync to a port, where Node has them': async (road, t) => {
    if (!('bindSync' in dgram.Socket.prototype)) return 'not here'
    type Prompt = dgram.Socket & {
      bindSync(options: object): AddressInfo
      connectSync(port: number, address: string): void
    }
    const server = await echo({ ...road, bound: () => [0, '127.0.0.1'] as never[] }, t)
    return client(road, async socket => {
      const prompt = socket as Prompt
      const { port, address } = prompt.bindSync({ address: '127.0.0.1' })
      prompt.connectSync(server.address().port, '127.0.0.1')
      socket.send('prompt')
      return [address, port === socket.address().port, await heard(socket)]
    })
  },
  'bind with options': async road => {
    const socket = road.createSocket({ type: 'udp4' })
    const [target] = road.bound() as unknown[]
    const place = typeof target === 'object' ? target : { port: 0, address: '127.0.0.1' }
    socket.bind({ ...place, exclusive: true } as dgram.BindOptions)
    await once(socket, 'listening')
    const { address } = socket.address()
    await new Promise<void>(resolve => socket.close(resolve))
    return address
  },
}

for (const [what, line] of Object.entries(lines)) {
  test(what, async t => {
    const { port: daemonPort } = await daemon(t)
    const target = { service: 'road', daemonPort }
    const port: Road = {
      createSocket: dgram.createSocket,
      bound: () => [0, '127.0.0.1'] as never[],
      to: server => [server.address().port, '127.0.0.1'] as never[],
    }
    const name: Road = {
      createSocket: createSocket as typeof dgram.createSocket,
      bound: () => [{ ...target, address: '127.0.0.1' }] as never[],
      to: () => [target] as never[],
    }
    const expected: unknown = await line(port, t)
    t.strictSame(await line(name, t), expected)
  })
}
