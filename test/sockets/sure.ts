import { once } from 'node:events'
import { renameSync, rmSync, unlinkSync } from 'node:fs'
import { connect as connectByPath, createServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { Resolver } from '../../lib/client/resolver.ts'
import type { DaemonOptions, Owner, Step } from '../../lib/daemon/daemon.ts'
import { serverSocket } from '../../lib/node/localsocket.ts'
import type { Leased } from '../../lib/resolution.ts'
import { connect, type MonikerSocket } from '../../lib/sockets/socket.ts'
import { cert, key } from '../fixtures/certificate.ts'
import { daemon } from '../fixtures/daemon.ts'
import { folder } from '../fixtures/localsocket.ts'
import { named } from '../fixtures/services.ts'

if (folder === undefined) {
  t.pass('all that needs it', { skip: 'this user has no folder for a Unix socket' })
  process.exit()
}

/** A server by name, and a resolver for which the daemon vouches for it, and which counts what it is asked. */
async function vouched(
  t: Test,
  serve?: (socket: Socket) => void,
  options?: Pick<DaemonOptions, 'steps'>,
) {
  const { port: daemonPort } = await daemon(t, options)
  const server = await named(t, { service: 'echo', daemonPort }, serve)
  const resolver = new Resolver({ port: daemonPort })
  const found = await resolver.resolve('echo', { transports: ['unix', 'tcp'] })
  const { path, user } = found.endpoints[0]!.endpoints![0]!
  const asked = { count: 0 }
  const lease = { resolution: found, isHeld: true }
  const ask: Resolver['ask'] = (...args) => {
    asked.count++
    return resolver.ask(...args)
  }
  const sure = {
    resolve: resolver.resolve.bind(resolver),
    ask,
    leased: (): Leased => lease,
  }
  const go = () => connect({ service: 'echo', resolver: sure })
  return { server, go, asked, lease, path: serverSocket(path!, user as number)! }
}

/** A socket that nobody listens to. */
async function left(t: Test, path: string): Promise<void> {
  const server = createServer()
  await once(server.listen(`${path}-`), 'listening')
  renameSync(`${path}-`, path)
  t.teardown(() => rmSync(path, { force: true }))
  await new Promise(resolve => server.close(resolve))
}

const EVENTS = ['connectionAttempt', 'lookup', 'resolve', 'connect', 'ready', 'error', 'close']

function history(socket: Socket): string[] {
  const log: string[] = []
  for (const event of EVENTS) socket.on(event, () => log.push(event))
  return log
}

t.test('where the daemon vouches for a place, nobody is asked', async t => {
  const { server, go, asked } = await vouched(t)
  const socket = go()
  const log = history(socket)
  t.equal(socket.moniker, undefined)
  t.strictSame(socket.address(), {})
  const [served] = await Promise.all([
    once(server, 'connection') as Promise<[Socket]>,
    once(socket, 'connect'),
  ])
  t.match(socket.moniker, { service: 'echo', version: '0.0.0', source: 'daemon' })
  t.equal(served[0].remotePort, socket.localPort, 'both ends show the same port')
  t.equal(served[0].localPort, socket.remotePort)
  t.equal(await text(socket.end('hello')), 'hello')
  await once(socket, 'close')
  t.strictSame(log, ['connectionAttempt', 'lookup', 'resolve', 'connect', 'ready', 'close'])
  t.equal(asked.count, 0)
})

t.test('of many clients each shows a port of its own', async t => {
  const ports: (number | undefined)[] = []
  const { go } = await vouched(t, socket => void ports.push(socket.remotePort))
  const all = Array.from({ length: 100 }, go)
  t.teardown(() => all.forEach(socket => socket.destroy()))
  while (ports.length < 100) await new Promise(setImmediate)
  t.equal(new Set(ports).size, 100)
  t.strictSame(ports.toSorted(), all.map(({ localPort }) => localPort).toSorted())
})

t.test('where it cannot be had any more, the daemon is asked, and all is as ever', async t => {
  for (const isLeft of [false, true]) {
    const { go, asked, path, server } = await vouched(t)
    unlinkSync(path)
    // As where its program was killed: nobody listens there.
    if (isLeft) await left(t, path)
    const socket = go()
    const log = history(socket)
    t.equal(await text(socket.end('hello')), 'hello')
    t.equal(asked.count, 1)
    t.match(
      log.filter(event => event !== 'connectionAttempt'),
      ['lookup', 'resolve', 'connect', 'ready'],
    )
    await new Promise<void>(resolve => server.close(() => resolve()))
  }
})

t.test('where the daemon tells otherwise before the connection is there, it is asked', async t => {
  const { go, asked, lease } = await vouched(t)
  const socket = go()
  const log = history(socket)
  lease.isHeld = false
  t.equal(await text(socket.end('hello')), 'hello')
  t.equal(asked.count, 1)
  t.equal(log.filter(event => event === 'connect').length, 1)
  const other = go().on('error', () => {})
  while (asked.count < 2) await new Promise(setImmediate)
  await new Promise(resolve => other.destroy().once('close', resolve))
})

t.test('one that is destroyed when it is connected is told of nothing', async t => {
  const { go, server } = await vouched(t)
  let told = 0
  server.on('connection', () => told++)
  const socket = go()
  const log = history(socket)
  const { emit } = socket
  socket.emit = (event: string, ...args: unknown[]) => {
    // In the turn in which the connection is there, and before the one in which that is told.
    if (event === 'ready') socket.destroy()
    return Reflect.apply(emit, socket, [event, ...args]) as boolean
  }
  await once(socket, 'close')
  t.notOk(log.includes('connect'))
  t.equal(told, 0)
})

t.test('where the name has gone, the error is that of the daemon', async t => {
  const { go, server } = await vouched(t)
  await new Promise<void>(resolve => server.close(() => resolve()))
  await t.rejects(once(go(), 'connect'), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
})

t.test('a listener may end it before it is told of the connection', async t => {
  const { go } = await vouched(t)
  for (const event of ['lookup', 'resolve']) {
    const socket = go()
    const log = history(socket)
    socket.on(event, () => socket.destroy())
    await once(socket, 'close')
    t.notOk(log.includes('connect'))
  }
})

t.test('it may be sent elsewhere on its way', async t => {
  const { go, server } = await vouched(t)
  const { port } = server.address() as { port: number }
  const socket = go()
  socket.connect(port, '127.0.0.1')
  t.equal(await text(socket.end('hello')), 'hello')
  t.equal((socket as MonikerSocket).moniker, undefined)
})

t.test('who has come before the name has gone is served', async t => {
  let path = ''
  let come: Promise<string> | undefined
  const unregister = async ({ tell }: Owner) => {
    // The kernel tells first of where something came just before: of the answer, and then of the connection.
    tell(0, { event: 'moved' })
    for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate)
    come = text(connectByPath(path).end('BJWhello'))
  }
  const count: Step = async (question, peer, next) => {
    if (question.op === 'unregister') await unregister(peer.owner!)
    return next()
  }
  const { server, path: found } = await vouched(t, undefined, { steps: { count } })
  path = found
  await new Promise<void>(resolve => server.close(() => resolve()))
  t.equal(await come, 'hello')
})

t.test('TLS goes over it', async t => {
  const secure = tls.createServer({ key, cert }, socket => socket.pipe(socket))
  const { go, asked, path } = await vouched(t, socket => void secure.emit('connection', socket))
  const hello = () => {
    const socket = tls.connect({ socket: go(), rejectUnauthorized: false })
    return text(socket.end('hello'))
  }
  t.equal(await hello(), 'hello')
  t.equal(asked.count, 0)
  unlinkSync(path)
  await t.rejects(hello(), { code: 'ENOENT' }, 'a handle that is wrapped cannot be another')
})

t.test('what proves nothing is asked for', async t => {
  const { go, asked, lease } = await vouched(t)
  for (const one of lease.resolution.endpoints) Object.assign(one, { endpoints: [] })
  t.equal(await text(go().end('hello')), 'hello')
  t.equal(asked.count, 1)
})
