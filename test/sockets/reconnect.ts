import { getEventListeners, once } from 'node:events'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { reconnect } from '../../lib/sockets/reconnect.ts'
import type { MonikerServer } from '../../lib/sockets/server.ts'
import { createServer } from '../../lib/sockets/server.ts'
import type { MonikerError } from '../../lib/errors.ts'
import { home } from '../fixtures/home.ts'

/** A server that says which life this is of it, over a connection that it keeps unless told otherwise. */
async function life(t: Test, number: number, keep = false): Promise<MonikerServer> {
  const server = createServer(socket => {
    server.once('close', () => socket.destroy())
    t.teardown(() => socket.destroy())
    socket.on('error', () => {})
    if (keep) socket.write(String(number))
    else socket.end(String(number))
  })
  await once(server.listen('web'), 'listening')
  t.teardown(() => server.close())
  return server
}

const soon = { first: 1, longest: 20 }

t.test('a name that moves is followed', async t => {
  await home(t)
  let server = await life(t, 1)
  const ports = new Set<number>()
  const heard: string[] = []
  const reasons: unknown[] = []
  const lost = (error: Error) => reasons.push((error as MonikerError).reason)
  for await (const socket of reconnect('web', { ...soon, lost })) {
    ports.add(socket.remotePort!)
    heard.push(await text(socket))
    await once(server.close(), 'close')
    if (heard.length === 4) break
    server = await life(t, heard.length + 1)
  }
  t.same(heard, ['1', '2', '3', '4'])
  t.equal(ports.size, 4)
  t.ok(reasons.includes('ECLOSED'), 'an end is told as such')
  t.notOk(reasons.includes(undefined))
})

t.test('what is not there is tried again, and why is told', async t => {
  await home(t)
  const errors: unknown[] = []
  let server: Promise<MonikerServer> | undefined
  const lost = (error: unknown) => {
    errors.push(error)
    if (errors.length === 3) server = life(t, 1, true)
  }
  for await (const socket of reconnect({ service: 'web' }, { ...soon, lost })) {
    const [first] = (await once(socket, 'data')) as [Buffer]
    t.equal(String(first), '1')
    t.match(errors.slice(0, 3), Array(3).fill({ reason: 'ENOSERVICE' }))
    break
  }
  t.equal((await server)?.listening, true)
})

t.test('a connection that breaks is an error that is told to lost alone', async t => {
  await home(t)
  const server = createServer(socket => socket.on('data', () => socket.resetAndDestroy()))
  await once(server.listen('web'), 'listening')
  t.teardown(() => server.close())
  const errors: unknown[] = []
  const lost = (error: unknown) => errors.push(error)
  // A Unix socket that is reset just ends.
  const transports = ['tcp'] as const
  let connections = 0
  for await (const socket of reconnect('web', { first: 1, longest: 1, lost, transports })) {
    if (++connections === 3) break
    socket.write('x')
  }
  t.match(errors.slice(0, 2), Array(2).fill({ code: 'ECONNRESET' }))
})

t.test('a loss need not be listened for', async t => {
  await home(t)
  await life(t, 1)
  let connections = 0
  for await (const socket of reconnect('web', soon)) {
    await text(socket)
    if (++connections === 2) break
  }
  t.equal(connections, 2)
})

t.test('leaving the loop destroys the socket, and a signal does both', async t => {
  await home(t)
  await life(t, 1, true)
  let left
  for await (const socket of reconnect('web', soon)) {
    left = socket
    break
  }
  t.equal(left?.destroyed, true)

  const reason = new Error('enough')
  const controller = new AbortController()
  const loop = async (options: Parameters<typeof reconnect>[1]) => {
    for await (const socket of reconnect('web://luke@localhost/a?b', options)) {
      left = socket
      t.match(socket.moniker, { userinfo: 'luke', path: '/a?b' })
      controller.abort(reason)
    }
  }
  await t.rejects(loop({ ...soon, signal: controller.signal }), reason)
  t.equal(left?.destroyed, true)
  await t.rejects(loop({ signal: AbortSignal.abort(reason) }), reason)
})

t.test('nothing is left on the signal by those that have closed', async t => {
  await home(t)
  const { signal } = new AbortController()
  const left: number[] = []
  let server: Promise<MonikerServer> | undefined
  const lost = () => {
    left.push(getEventListeners(signal, 'abort').length)
    if (left.length === 5) server = life(t, 1)
  }
  for await (const _ of reconnect('web', { ...soon, lost, signal })) break
  t.same(new Set(left), new Set([0]))
  await server
})

t.test('a pause can be given up', async t => {
  await home(t)
  const reason = new Error('enough')
  const controller = new AbortController()
  const lost = () => setImmediate(() => controller.abort(reason))
  const never = reconnect({ service: 'web', signal: controller.signal }, { first: 60_000, lost })
  await t.rejects(never.next(), reason)
})

t.test('what is no name fails at once', async t => {
  for (const target of ['1:2', '80', './x.sock'])
    t.throws(() => reconnect(target), { code: 'ERR_MONIKER_NAME' })
  t.throws(() => reconnect({ service: 'web', wait: -1 }), { code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(() => reconnect('web', { wait: -1 }), { code: 'ERR_INVALID_ARG_VALUE' })
  t.throws(() => reconnect('web', { service: 'db' } as never), { code: 'ERR_INVALID_ARG_VALUE' })
})
