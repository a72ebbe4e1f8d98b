import { once } from 'node:events'
import { connect } from 'node:net'
import { test, type Test } from 'tap'
import { Names, isUnknown } from '../../lib/gateways/names.ts'
import { DEFAULTS, Router } from '../../lib/gateways/router.ts'
import { Visitors, type Visitor } from '../../lib/gateways/visitor.ts'
import { parse } from '../../lib/name.ts'
import { daemon } from '../fixtures/daemon.ts'
import { fake } from '../fixtures/fake.ts'
import { line } from '../fixtures/lines.ts'
import { site } from '../fixtures/gateway.ts'
import { named, nobody, stranger } from '../fixtures/services.ts'

/** A user that no program here has. */
const OTHER = 12_345

const ours: Visitor = {
  address: '127.0.0.1',
  at: '127.0.0.1',
  isLocal: true,
  uid: process.getuid?.(),
  isOurs: true,
}
const other: Visitor = { ...ours, uid: OTHER, isOurs: false }
const far: Visitor = {
  ...other,
  address: '192.0.2.77',
  at: '192.0.2.1',
  isLocal: false,
  uid: undefined,
}

const reason = (error: unknown) => error as { status: number }

/** The names of a daemon, closed with the test. */
async function names(t: Test, port: number): Promise<Names> {
  const names = new Names(port)
  t.teardown(() => names.close())
  return names
}

test('a visitor is who the kernel says', async t => {
  const port = await stranger(t)
  const visitors = new Visitors({ of: async () => OTHER })
  const client = connect(port, '127.0.0.1')
  t.teardown(() => client.destroy())
  await once(client, 'connect')
  const found = await visitors.of(client)
  t.match(found, { address: '127.0.0.1', isLocal: true, uid: OTHER, isOurs: false })
  t.equal(await visitors.of(client), found, 'it is looked for once')
  const unknown = new Visitors({ of: () => Promise.reject(new Error('too many files')) })
  t.match(await unknown.of(client), { uid: undefined, isOurs: false })
  const gone = connect(port, '127.0.0.1')
  gone.destroy()
  t.match(await new Visitors().of(gone), { address: '', isOurs: false })
})

test('what another user may have is what the daemon tells it', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'web', host: '127.0.0.1', daemonPort })
  const found = await names(t, daemonPort)
  t.match(await found.find(parse('web'), other), { endpoints: [{ address: '127.0.0.1' }] })
  t.match(await found.list(other), [{ service: 'web' }])
  t.match(await found.list(ours), [{ service: 'web' }])
  await t.rejects(found.find(parse('nope'), other), { code: 'ECONNREFUSED' })
  await t.rejects(found.find(parse('nope'), other, { wait: 10 }), { code: 'ECONNREFUSED' })
})

test('a program of another host has what it could have come to', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'here', host: '127.0.0.1', daemonPort })
  await named(t, { service: 'all', daemonPort })
  const found = await names(t, daemonPort)
  await t.rejects(found.find(parse('here'), far), { code: 'ECONNREFUSED' })
  t.match(await found.find(parse('all'), far), { endpoints: [{}] })
  await t.rejects(found.find(parse('all'), far, { host: '127.0.0.1' }), { code: 'EACCES' })
  t.match(await found.find(parse('all'), other, { host: '127.0.0.1' }), { endpoints: [{}] })
})

test('a service that is bound to one address is for those who came to that', async t => {
  const tell = (address?: string) => async (t: Test) => {
    const place = await fake(t, {
      tcp: ({ id }, socket) => {
        const endpoint = { transport: 'tcp', port: 1, version: '', instance: 'x', address }
        socket.write(line({ id, for: true, endpoints: [endpoint], ttl: 0 }))
      },
    })
    return (await names(t, place.port)).find(parse('web'), far)
  }
  t.match(await tell()(t), { endpoints: [{}] })
  t.match(await tell('192.0.2.1')(t), { endpoints: [{ address: '192.0.2.1' }] })
  await t.rejects(tell('192.0.2.2')(t), { code: 'ECONNREFUSED' })
})

test('a daemon that does not know of others is asked for programs of our own user alone', async t => {
  const place = await fake(t, {
    tcp: ({ id }, socket) => {
      const endpoint = { transport: 'tcp', port: 1, version: '', instance: 'x' }
      socket.write(line({ id, endpoints: [endpoint], ttl: 0, services: [] }))
    },
  })
  const found = await names(t, place.port)
  await t.rejects(found.find(parse('web'), other), { code: 'EACCES', message: /older/ })
  await t.rejects(found.list(other), { code: 'EACCES', message: /older/ })
  await t.rejects(found.find(parse('web'), ours, { trusted: true }), {
    reason: 'EDENIED',
    message: /older/,
  })
  t.match(await found.find(parse('web'), ours), { endpoints: [{}] })
})

test('a daemon that comes back is asked again', async t => {
  const first = await daemon(t)
  const { port } = first
  const found = await names(t, port)
  await t.rejects(found.find(parse('web'), other), { code: 'ECONNREFUSED' })
  await first.stop()
  await t.rejects(found.find(parse('web'), other))
  const second = await daemon(t, { port })
  await named(t, { service: 'web', host: '127.0.0.1', daemonPort: second.port })
  // The end of the first connection may not have been heard of yet.
  while (
    await found.find(parse('web'), other).then(
      () => false,
      () => true,
    )
  )
    await new Promise(setImmediate)
  t.pass()
})

test('a name that has gone is remembered for a minute', async t => {
  const { port: daemonPort } = await daemon(t)
  const found = await names(t, daemonPort)
  const name = parse('web')
  t.notOk(found.wasThere(name))
  const server = await named(t, { service: 'web@1.2.0', host: '127.0.0.1', daemonPort })
  await once(server.close(), 'close')
  while (!found.wasThere(name)) await new Promise(setImmediate)
  await named(t, { service: 'web', host: '127.0.0.1', daemonPort })
  while (found.wasThere(name)) await new Promise(setImmediate)
  t.pass()
})

test('nobody else is led to other hosts, nor waits for a name', async t => {
  const { port: daemonPort } = await daemon(t)
  const router = new Router({ ...DEFAULTS, daemonPort })
  const shared = new Router({ ...DEFAULTS, daemonPort, shared: true })
  t.teardown(() => (router.close(), shared.close()))
  router.assertProxied('theforce.net', ours)
  shared.assertProxied('theforce.net', other)
  for (const [one, visitor] of [
    [router, other],
    [router, far],
    [shared, far],
  ] as const) {
    t.throws(() => one.assertProxied('theforce.net', visitor), { message: /own user/ })
  }
  const aim = { to: 'name', name: parse('web'), host: '', isBare: false } as const
  t.match(await router.find(aim, other, { until: router.until }).catch(reason), { status: 404 })
  const there = { ...aim, host: '192.0.2.1' }
  t.match(await router.find(there, far, { until: 0 }).catch(reason), { status: 403 })
  const alone = new Router({ ...DEFAULTS, daemonPort: await nobody() })
  t.teardown(() => alone.close())
  t.strictSame(await alone.list(other), [])
  t.ok(isUnknown({ reason: 'EVERSION' }))
})

test('a name without a dot goes by name if a trusted program holds it', async t => {
  const { get, say, serve } = await site(t)
  await serve({ service: 'web' })
  const absolute = (uri: string) => say(`GET ${uri} HTTP/1.1\r\nConnection: close\r\n\r\n`)
  t.match(await absolute('http://web/x'), /^HTTP\/1\.1 200 [^]*"url":"\/x"/)
  t.match(await say('CONNECT web:80 HTTP/1.1\r\n\r\nGET /y HTTP/1.0\r\n\r\n'), /"url":"\/y"/)
  t.equal((await get('web.localhost')).status, 200)
})

test('a program of another user has its own rights through a gateway', async t => {
  const { get, say, serve } = await site(t, { identities: { of: async () => OTHER } })
  await serve({ service: 'web' })
  t.equal((await get('web.localhost')).status, 200)
  t.match((await get('localhost')).body, 'web')
  const absolute = (uri: string) => say(`GET ${uri} HTTP/1.1\r\nConnection: close\r\n\r\n`)
  t.match(await absolute('http://127.0.0.1:1/'), /^HTTP\/1\.1 403 /)
})
