import { once } from 'node:events'
import { createServer, Server, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { Resolver } from '../../lib/client/resolver.ts'
import { Daemon } from '../../lib/daemon/daemon.ts'
import { register } from '../../lib/gateways/registration.ts'
import { daemon } from '../fixtures/daemon.ts'
import { home } from '../fixtures/home.ts'
import { named, nobody } from '../fixtures/services.ts'

/** A server that listens, and closes with the test. */
async function listening(t: Test): Promise<Server & { port: number }> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  t.teardown(() => server.listening && server.close())
  return Object.assign(server, { port: (server.address() as AddressInfo).port })
}

/** The port of a name, if it has one. */
async function portOf(name: string): Promise<number | undefined> {
  try {
    return (await new Resolver().resolve(name)).endpoints[0]!.port
  } catch {
    return undefined
  }
}

/** The warnings of this process while something is done. */
async function warnings(during: () => Promise<void>): Promise<Error[]> {
  const told: Error[] = []
  const listener = (warning: Error) => told.push(warning)
  process.on('warning', listener)
  await during()
  await new Promise(setImmediate)
  process.off('warning', listener)
  return told
}

t.test('a server has its name until it is closed', async t => {
  await home(t)
  for (const close of [Server.prototype.close, undefined]) {
    const server = await listening(t)
    await register('web@1.2.0', server)
    t.equal(await portOf('web@^1'), server.port)
    const closed = once(server, 'close')
    t.equal(close ? close.call(server) : server.close(), server)
    await closed
    t.notOk(Object.hasOwn(server, 'close'), 'and its methods are its own again')
    while (await portOf('web')) await new Promise(setImmediate)
  }
})

t.test('one that is closed before has none', async t => {
  await home(t)
  const server = await listening(t)
  const registered = register('web', server)
  server.close()
  await registered
  while (await portOf('web')) await new Promise(setImmediate)
  t.same(await warnings(() => register('web', server)), [], 'nor has one that was closed')
  t.equal(await portOf('web'), undefined)
})

t.test('what a daemon refuses is a warning', async t => {
  await named(t, { service: 'web', daemonPort: await home(t) })
  const server = await listening(t)
  t.match(await warnings(() => register('web', server)), [{ code: 'EADDRINUSE' }])
  t.match(await warnings(() => register('no name', server)), [{ code: 'ERR_MONIKER_NAME' }])
})

t.test('without a daemon nothing happens', async t => {
  const port = await nobody()
  process.env.MONIKER_PORT = String(port)
  t.teardown(() => delete process.env.MONIKER_PORT)
  const server = await listening(t)
  t.same(await warnings(() => register('web', server)), [])
  await daemon(t, { port })
  t.equal(await portOf('web'), undefined, 'and this process has not become one')
})

t.test('a name comes back with the daemon', async t => {
  const port = await home(t)
  const server = await listening(t)
  const first = new Daemon({ port: await nobody(), hosts: ['127.0.0.1'], grace: 0 })
  process.env.MONIKER_PORT = String(first.port)
  await first.start()
  await register('web', server)
  await first.stop()
  await daemon(t, { port: first.port })
  while (!(await portOf('web'))) await new Promise(setImmediate)
  t.equal(await portOf('web'), server.port)
  process.env.MONIKER_PORT = String(port)
})

t.test('the daemon in a program has no name', async t => {
  const port = await home(t)
  const server = Object.assign(createServer(), { address: () => ({ address: '::', port }) })
  t.same(await warnings(() => register('web', server)), [])
  t.equal(await portOf('web'), undefined)
})
