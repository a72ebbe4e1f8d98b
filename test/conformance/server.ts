// Each line of what `net` documents of servers, on a port and on a name: the same comes of it.
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import { test, type Test } from 'tap'
import { listen as listenOnName } from '../../index.ts'
import { events, roads, type Road } from '../fixtures/roads.ts'
import { bound, canMove, thread } from '../fixtures/thread.ts'
import { thrown, throws, uncaught } from '../fixtures/thrown.ts'

type Line = (road: Road, t: Test) => unknown

const settled = (server: net.Server): Promise<unknown> =>
  new Promise(resolve => server.once('close', resolve))

/** Done when both ends of a connection, and its server, are closed. */
async function parted(server: net.Server, ...ends: net.Socket[]): Promise<void> {
  const closed = settled(server)
  for (const end of ends) end.destroy()
  server.close()
  await closed
}

/** An address without what no two servers have in common. */
function address(server: net.Server) {
  const found = server.address()
  return typeof found === 'string' || !found
    ? found
    : { address: found.address, family: found.family }
}

const lines: Record<string, Line> = {
  'listen: events in their order, and what it says of itself': async ({ api, listening }) => {
    const server = api.createServer()
    const log = events(server)
    const before = [server.listening, server.address(), server.connections]
    const same = server.listen(listening()) === server
    const during = [server.listening, address(server), log.length]
    await once(server, 'listening')
    const after = [server.listening, address(server)]
    const closed = settled(server)
    const chained = server.close() === server
    const closing = server.listening
    await closed
    return [before, same, during, after, chained, closing, server.listening, server.address(), log]
  },
  'listen calls its listener once': async ({ api, listening }) => {
    let called = 0
    const server = api.createServer()
    await new Promise<void>(resolve => {
      server.listen(listening(), () => {
        called++
        resolve()
      })
    })
    await once(server.close(), 'close')
    await once(server.listen(listening()), 'listening')
    await once(server.close(), 'close')
    return called
  },
  'Server() without new, with options and a listener': async ({ api, listening, connecting }) => {
    const make = api.Server as unknown as (...args: unknown[]) => net.Server
    const server = make({ allowHalfOpen: true }, (socket: net.Socket) => socket.end('hello'))
    await once(server.listen(listening()), 'listening')
    const said = await text(api.connect(connecting(server)))
    await once(server.close(), 'close')
    return [server instanceof api.Server, server instanceof net.Server, said]
  },
  'listen twice': async ({ api, listening }) => {
    const server = api.createServer().listen(listening())
    const early = thrown(() => server.listen(listening()))
    await once(server, 'listening')
    const late = thrown(() => server.listen(listening()))
    const still = server.listening
    await once(server.close(), 'close')
    return [early, late, still]
  },
  'close before listening': async ({ api, listening }) => {
    const server = api.createServer()
    const log = events(server)
    server.listen(listening(), () => log.push('called'))
    const closed = settled(server)
    server.close(error => log.push(`closed ${(error as NodeJS.ErrnoException | undefined)?.code}`))
    await closed
    return log
  },
  'close of a server that does not listen': async ({ api }) => {
    const server = api.createServer()
    const log = events(server)
    await new Promise<void>(resolve => {
      server.close(error => {
        log.push((error as NodeJS.ErrnoException).code)
        resolve()
      })
    })
    return log
  },
  'close twice': async ({ api, listening }) => {
    const server = api.createServer()
    const log = events(server)
    await once(server.listen(listening()), 'listening')
    const code = (error?: Error) => (error as NodeJS.ErrnoException | undefined)?.code
    const both = [
      new Promise(resolve => server.close(error => resolve(code(error)))),
      new Promise(resolve => server.close(error => resolve(code(error)))),
    ]
    return [await Promise.all(both), log]
  },
  'close waits for connections, and takes no new ones': async ({ api, listening, connecting }) => {
    const server = api.createServer({ allowHalfOpen: true })
    const log = events(server)
    await once(server.listen(listening()), 'listening')
    const target = connecting(server)
    const socket = api.connect(target)
    const [peer] = (await once(server, 'connection')) as [net.Socket]
    const closed = settled(server)
    server.close()
    const early = log.includes('close')
    peer.end('still here')
    socket.end()
    const said = await text(socket)
    peer.destroy()
    await closed
    const [error] = (await once(api.connect(target), 'error')) as [NodeJS.ErrnoException]
    return [early, said, error.code, log]
  },
  'listen again after close': async ({ api, listening, connecting }) => {
    const server = api.createServer(socket => socket.end('again'))
    const log = events(server)
    for (let life = 0; life < 2; life++) {
      await once(server.listen(listening()), 'listening')
      await text(api.connect(connecting(server)))
      await once(server.close(), 'close')
    }
    return log
  },
  'a port that is taken': async ({ api, listening }) => {
    const other = net.createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as net.AddressInfo
    const server = api.createServer()
    const log = events(server)
    const [error] = (await once(server.listen(listening({ port })), 'error')) as [
      NodeJS.ErrnoException,
    ]
    const { code, syscall, message } = error
    const after = [server.listening, server.address()]
    await once(server.listen(listening()), 'listening')
    await Promise.all([once(server.close(), 'close'), once(other.close(), 'close')])
    return [code, syscall, message.replaceAll(String(port), ''), after, log]
  },
  'a host that is not ours': async ({ api, listening }) => {
    const server = api.createServer().listen(listening({ host: '192.0.2.1' }))
    const [error] = (await once(server, 'error')) as [NodeJS.ErrnoException]
    return [error.code, server.listening]
  },
  'options that are wrong are thrown': ({ api, listening }) =>
    [{ port: 65_536 }, { port: -1 }, { port: 'x' }, { signal: 'x' }, { backlog: 'x' }].map(
      options => {
        const server = api.createServer()
        const code = thrown(() => server.listen(listening(options as never)))
        server.close()
        return code
      },
    ),
  'options of a server that are wrong are thrown': ({ api }) =>
    ['x', 7, true].map(options => thrown(() => api.createServer(options as never))),
  'a signal closes it': async ({ api, listening }) => {
    const controller = new AbortController()
    const server = api.createServer()
    const log = events(server)
    server.listen(listening({ signal: controller.signal }))
    await once(server, 'listening')
    const closed = settled(server)
    controller.abort()
    await closed
    return log
  },
  'a signal that is aborted already': async ({ api, listening }) => {
    const server = api.createServer()
    const log = events(server)
    const closed = settled(server)
    server.listen(listening({ signal: AbortSignal.abort() }))
    await closed
    return log
  },
  'backlog, exclusive, ipv6Only, readableAll and writableAll are taken': async ({
    api,
    listening,
  }) => {
    const options = {
      backlog: 5,
      exclusive: true,
      ipv6Only: false,
      readableAll: true,
      writableAll: true,
    }
    const server = api.createServer().listen(listening(options))
    await once(server, 'listening')
    const found = address(server)
    await once(server.close(), 'close')
    return found
  },
  'reusePort, where Node has it': async ({ api, listening }) => {
    const server = api.createServer().listen(listening({ reusePort: true } as never))
    await once(server, 'listening')
    const found = address(server)
    await once(server.close(), 'close')
    return found
  },
  'a place that was bound before, where Node can': async ({ api, listening, connecting }) => {
    if (!canMove) return 'not here'
    const server = api.createServer(socket => socket.end('hello'))
    const place = bound()
    const { port } = place.address()
    await once(server.listen(listening({ handle: place } as object)), 'listening')
    const isThere = (server.address() as net.AddressInfo).port === port
    const said = await text(api.connect(connecting(server)))
    await once(server.close(), 'close')
    return [isThere, said]
  },
  'a server is moved to another thread, where Node can': async (
    { api, listening, connecting },
    t,
  ) => {
    if (!canMove) return 'not here'
    const server = api.createServer(socket => socket.end('from here'))
    await once(server.listen(listening()), 'listening')
    const there = connecting(server)
    await thread(t)(server)
    const said = [await text(api.connect(there)), await text(api.connect(there))]
    const told = [server.listening, server.address()]
    server.close()
    return [said, told]
  },
  'what is stored for a call is there for its events': async ({ api, listening, connecting }) => {
    const storage = new AsyncLocalStorage<string>()
    const log: unknown[] = []
    const server = api.createServer(socket => {
      log.push('listener', storage.getStore())
      socket.on('close', () => log.push('closed', storage.getStore())).pipe(socket)
    })
    for (const event of ['listening', 'connection', 'close']) {
      server.on(event, () => log.push(event, storage.getStore()))
    }
    const run = (call: string, begin: (done: () => void) => unknown) =>
      new Promise<void>(resolve =>
        storage.run(call, () =>
          begin(() => {
            log.push(storage.getStore())
            resolve()
          }),
        ),
      )
    await run('listen', done => server.listen(listening(), done))
    await run('connect', done =>
      api.connect(connecting(server)).resume().end('hello').once('close', done),
    )
    await run('close', done => server.close(done))
    return log
  },
  'all addresses, and IPv6': async ({ api, listening }) => {
    const found: unknown[] = []
    for (const host of ['::', '0.0.0.0', undefined, 'localhost'] as string[]) {
      const server = api.createServer().listen(listening({ host }))
      await once(server, 'listening')
      found.push(address(server))
      await once(server.close(), 'close')
    }
    return found
  },
  maxConnections: async ({ api, listening, connecting }) => {
    const server = api.createServer(socket => void socket.on('error', () => {}).resume())
    const log = events(server)
    server.maxConnections = 1
    await once(server.listen(listening()), 'listening')
    const first = api.connect(connecting(server))
    await once(server, 'connection')
    const second = api.connect(connecting(server)).on('error', () => {})
    const [drop] = (await once(server, 'drop')) as [net.DropArgument]
    const count = await new Promise(resolve =>
      server.getConnections((_error, found) => resolve(found)),
    )
    const closed = settled(server)
    first.destroy()
    second.destroy()
    server.close()
    await closed
    return [Object.keys(drop), drop.remoteAddress, drop.remoteFamily, count, log]
  },
  'getConnections without connections, and when closed': async ({ api, listening }) => {
    const server = api.createServer()
    const count = () =>
      new Promise(resolve => server.getConnections((error, found) => resolve(error ?? found)))
    await once(server.listen(listening()), 'listening')
    const before = await count()
    await once(server.close(), 'close')
    return [before, await count()]
  },
  'pauseOnConnect, noDelay, keepAlive and highWaterMark': async ({
    api,
    listening,
    connecting,
  }) => {
    const options = {
      pauseOnConnect: true,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: 1000,
      highWaterMark: 10,
    }
    const server = api.createServer(options)
    await once(server.listen(listening()), 'listening')
    const socket = api.connect(connecting(server))
    socket.end('paused')
    const [peer] = (await once(server, 'connection')) as [net.Socket]
    const told = [peer.isPaused(), peer.readableHighWaterMark, await text(peer.resume())]
    await once(server.close(), 'close')
    return told
  },
  blockList: async ({ api, listening, connecting }) => {
    const blockList = new net.BlockList()
    blockList.addAddress('127.0.0.1')
    const server = api.createServer({ blockList } as net.ServerOpts, socket => socket.end('let in'))
    await once(server.listen(listening()), 'listening')
    const socket = api.connect(connecting(server)).on('error', () => {})
    const said = await text(socket).catch(() => '')
    await once(server.close(), 'close')
    return said
  },
  asyncDispose: async ({ api, listening }) => {
    const server = api.createServer()
    const log = events(server)
    await once(server.listen(listening()), 'listening')
    await server[Symbol.asyncDispose]()
    await server[Symbol.asyncDispose]()
    return [server.listening, log]
  },
  'ref and unref are chained': async ({ api, listening }) => {
    const server = api.createServer().listen(listening())
    const same = server.unref() === server && server.ref() === server
    await once(server, 'listening')
    await once(server.close(), 'close')
    return same
  },
  'errors of connections are theirs, not the server’s': async ({ api, listening, connecting }) => {
    const server = api.createServer(socket =>
      socket.on('error', () => {}).destroy(new Error('own')),
    )
    const log = events(server)
    await once(server.listen(listening()), 'listening')
    await text(api.connect(connecting(server))).catch(() => {})
    await once(server.close(), 'close')
    return log
  },
  'what a listener throws is nobody’s to catch': async ({ api, listening, connecting }) => {
    const log: unknown[] = []
    for (const event of ['listening', 'connection', 'close']) {
      const server = api
        .createServer(socket => socket.destroy())
        .on('error', error => log.push(error.message))
      const thrown = uncaught()
      server.once(event, throws).listen(listening())
      if (event !== 'listening') {
        await once(server, 'listening')
        api
          .connect(connecting(server))
          .on('error', () => {})
          .resume()
        if (event === 'close') server.close()
      }
      log.push(event, (await thrown).message, server.listening)
      if (server.listening) await once(server.close(), 'close')
    }
    return log
  },
  'one that cannot listen tries again, as Node’s documentation has it': async ({
    api,
    listening,
  }) => {
    const log: unknown[] = []
    const server = api.createServer()
    const holder = api.createServer()
    await once(holder.listen(listening()), 'listening')
    const { port } = holder.address() as net.AddressInfo
    const again = () => server.listen(listening({ port }))
    server.on('error', (error: NodeJS.ErrnoException) => {
      log.push(error.code, error.syscall)
      server.close(() => log.push('closed'))
      if (log.length < 6) return again()
      holder.close()
      holder.once('close', again)
    })
    again()
    await new Promise(resolve => server.once('listening', resolve))
    log.push(server.listening)
    server.close()
    log.push(server.address(), server.listening)
    await server[Symbol.asyncDispose]()
    return log
  },
  'closed, and made to listen at once': async ({ api, listening, connecting }) => {
    const server = api.createServer(socket => socket.end('hello'))
    const log = events(server)
    await once(server.listen(listening()), 'listening')
    server.close(() => log.push('called')).listen(listening())
    await once(server, 'listening')
    const said = await text(api.connect(connecting(server)))
    await once(server.close(), 'close')
    return [said, log]
  },
  'a connection knows its server': async ({ api, listening, connecting }) => {
    const server = api.createServer()
    await once(server.listen(listening()), 'listening')
    const socket = api.connect(connecting(server))
    const [peer] = (await once(server, 'connection')) as [net.Socket & { server: unknown }]
    const told = [peer.server === server, peer instanceof net.Socket, peer.remoteAddress]
    await parted(server, socket, peer)
    return told
  },
  'what is a Socket, and what is a Server': async ({ api, listening, connecting }) => {
    const server = api.createServer()
    await once(server.listen(listening()), 'listening')
    const socket = api.connect(connecting(server))
    const [peer] = (await once(server, 'connection')) as [net.Socket]
    class Own extends api.Socket {}
    const all: unknown[] = [socket, peer, new Own(), new net.Socket(), new tls.TLSSocket(peer)]
    all.push(server, new http.Server(), new net.Server(), {}, null)
    const told = all.map(one => [api.Socket, api.Server, Own].map(kind => one instanceof kind))
    await parted(server, socket, peer)
    return told
  },
  'http: closeAllConnections, closeIdleConnections and keep-alive': async ({
    api,
    listening,
    connecting,
  }) => {
    const server = http.createServer((_request, response) => response.end('kept'))
    if (api === net) server.listen(listening())
    else listenOnName(server, listening() as never)
    await once(server, 'listening')
    const agent = new http.Agent({ keepAlive: true })
    agent.createConnection = () => api.connect(connecting(server))
    const get = async () => {
      const [response] = (await once(http.get('http://localhost/', { agent }), 'response')) as [
        http.IncomingMessage,
      ]
      return text(response)
    }
    const said = [await get(), await get()]
    const count = await new Promise(resolve =>
      server.getConnections((_error, found) => resolve(found)),
    )
    const closed = settled(server)
    server.close()
    server.closeIdleConnections()
    server.closeAllConnections()
    await closed
    agent.destroy()
    return [said, count]
  },
}

for (const [what, line] of Object.entries(lines)) {
  test(what, async t => {
    const { port, name, near, sure } = await roads(t)
    const expected: unknown = await line(port, t)
    t.strictSame(await line(name, t), expected, 'over TCP')
    t.strictSame(await line(near, t), expected, 'on this host')
    t.strictSame(await line(sure, t), expected, 'where nobody is asked')
  })
}
