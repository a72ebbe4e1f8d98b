import { test, type Test } from 'tap'
import { findWebURL, webURL } from '../../lib/commands/weburl.ts'
import { targetOf } from '../../lib/commands/options.ts'
import { parse } from '../../lib/name.ts'
import { daemon } from '../fixtures/daemon.ts'
import { announced, site } from '../fixtures/gateway.ts'
import { named, nobody } from '../fixtures/services.ts'

const linux = { skip: process.platform !== 'linux' && 'only Linux tells whose a gateway is' }

/** The URL of a name by the daemon at a port. */
const url = (daemonPort: number, text: string, host?: string) =>
  findWebURL(targetOf(text, host, { daemonPort }))

/** Sets `MONIKER_GATEWAY` until the test ends. */
function given(t: Test, text: string): void {
  process.env.MONIKER_GATEWAY = text
  t.teardown(() => delete process.env.MONIKER_GATEWAY)
}

test('a name has a URL by a gateway of this host', async t => {
  const local = { host: 'localhost', port: 6680 }
  const cases = [
    ['web', 'http://web.localhost:6680/'],
    ['luke:web@1.0.0', 'http://web.luke.localhost:6680/'],
    ['luke.skywalker:web', 'http://web.luke.skywalker.localhost:6680/'],
    ['web.v2', undefined],
    ['moniker', undefined],
  ] as const
  for (const [name, expected] of cases) t.equal(webURL(local, parse(name)), expected, name)
  const web = parse('web')
  t.equal(webURL({ host: '::1', port: 80 }, web), 'http://web.localhost/')
  t.equal(webURL({ host: '0.0.0.0', port: 81 }, web), 'http://web.localhost:81/')
  t.equal(webURL({ host: 'host.docker.internal', port: 6680 }, web), undefined)
  const options = { metadata: { path: '/api', scheme: 'https' } }
  t.equal(webURL(local, web, options), 'http://web.localhost:6680/api')
  const rest = { userinfo: 'luke:s%40', path: '/a?b#c' }
  t.equal(webURL(local, web, { ...options, rest }), 'http://luke:s%40@web.localhost:6680/a?b#c')
})

test('the gateway is found by the daemon', linux, async t => {
  const { gateway, daemonPort } = await site(t)
  await named(t, { service: 'web', daemonPort, metadata: { path: '/a' } })
  await announced(daemonPort)
  const { port } = gateway
  t.equal(await url(daemonPort, 'web'), `http://web.localhost:${port}/a`)
  t.equal(await url(daemonPort, 'web://localhost?b'), `http://web.localhost:${port}/a?b`)
})

test('the namespace is that in which the name is found', async t => {
  t.teardown(() => delete process.env.MONIKER_NAMESPACE)
  given(t, 'http://localhost')
  const { port } = await daemon(t)
  await named(t, { service: 'ns:tie', daemonPort: port })
  await named(t, { service: 'wing', daemonPort: port })
  process.env.MONIKER_NAMESPACE = 'ns'
  t.equal(await url(port, 'tie'), 'http://tie.ns.localhost/')
  t.equal(await url(port, 'wing'), 'http://wing.localhost/')
})

test('where there is no such URL, that is said', async t => {
  const { port } = await daemon(t)
  for (const service of ['web', 'web.v2']) await named(t, { service, daemonPort: port })
  const refused = (text: string, message: RegExp | string, host?: string) =>
    t.rejects(url(port, text, host), { message }, text)
  await refused('web', /^there is no gateway of this user or of root; run moniker gateway, or /)
  await refused(
    'web',
    /^a gateway leads to the names of theforce.net as a proxy alone; /,
    'theforce.net',
  )
  await refused(
    'web@^0',
    /^the URL of a gateway has no version, so web@\^0 has none; moniker resolve/,
  )
  given(t, 'http://localhost:6680')
  await refused('wing', /^ECONNREFUSED: .*wing is not offered/)
  await refused('web.v2', /^no host name says web\.v2; moniker resolve web\.v2 --url http prints/)
  given(t, 'http://gate.example:6680')
  await refused(
    'web',
    /^the gateway at gate\.example is no program of this host, and leads to names as /,
  )
  await t.rejects(url(await nobody(), 'web'), { code: 'ECONNREFUSED' })
})

test('the usual daemon is asked, unless another is given', linux, async t => {
  const { daemonPort, gateway } = await site(t)
  process.env.MONIKER_PORT = String(daemonPort)
  t.teardown(() => delete process.env.MONIKER_PORT)
  await named(t, { service: 'web', daemonPort })
  await announced(daemonPort)
  t.equal(await findWebURL({ name: parse('web'), at: {} }), `http://web.localhost:${gateway.port}/`)
})
