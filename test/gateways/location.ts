import { test, type Test } from 'tap'
import { askForGateway, findGateway, givenGateway } from '../../lib/gateways/location.ts'
import { decode, encode, idOf } from '../../lib/wire/protocol.ts'
import { daemon } from '../fixtures/daemon.ts'
import { announced, site } from '../fixtures/gateway.ts'
import { nobody, stranger } from '../fixtures/services.ts'

/** Sets `MONIKER_GATEWAY` until the test ends. */
function given(t: Test, text: string): void {
  process.env.MONIKER_GATEWAY = text
  t.teardown(() => delete process.env.MONIKER_GATEWAY)
}

const linux = { skip: process.platform !== 'linux' && 'only Linux tells whose a gateway is' }

test('a program finds the gateway of its own user by the daemon', linux, async t => {
  const { gateway, daemonPort } = await site(t)
  await announced(daemonPort)
  t.strictSame(await findGateway(daemonPort), { host: '127.0.0.1', port: gateway.port })
})

test('without one there is none, and without a daemon that is said', async t => {
  const { port } = await daemon(t)
  t.equal(await findGateway(port), undefined)
  const code = 'ECONNREFUSED'
  await t.rejects(findGateway(await nobody()), { code, reason: 'ENODAEMON' })
  const silent = await stranger(t)
  await t.rejects(askForGateway(silent, 1), { code: 'ETIMEDOUT' })
})

test('the variable goes before the daemon', async t => {
  const cases = [
    ['http://localhost:6680', { host: 'localhost', port: 6680 }],
    ['HTTP://localhost:6680/', { host: 'localhost', port: 6680 }],
    ['http://web.example', { host: 'web.example', port: 80 }],
    ['http://[::1]:80', { host: '::1', port: 80 }],
  ] as const
  for (const [text, location] of cases) {
    given(t, text)
    t.strictSame(await findGateway(await nobody()), location, text)
  }
  const wrong = [
    '6680',
    'localhost:6680',
    'https://localhost:6680',
    'http://user@localhost:6680',
    'http://localhost:6680/path',
    'http://localhost:6680/?query',
    'http://localhost:0',
  ]
  for (const text of wrong) {
    given(t, text)
    const message = `MONIKER_GATEWAY to be a URL such as http://localhost:6680, got "${text}"`
    t.throws(givenGateway, {
      reason: 'EARGUMENT',
      message: `ERR_INVALID_ARG_VALUE: expected ${message}`,
    })
    await t.rejects(findGateway(1), { code: 'ERR_INVALID_ARG_VALUE' }, text)
  }
  given(t, '')
  t.equal(givenGateway(), undefined)
})

test('what is no gateway of this host, in an answer, is passed over', async t => {
  const answer = async (gateways: unknown) =>
    findGateway(
      await stranger(t, socket =>
        socket.on('data', data => socket.write(encode(idOf(decode(String(data))), { gateways }))),
      ),
    )
  for (const nothing of [undefined, 7, [], [null], [{ address: 7, port: 7 }], [{ address: 'a' }]]) {
    t.equal(await answer(nothing), undefined, JSON.stringify(nothing))
  }
  const ports = [0, 65_536, 1.5, '80'].map(port => ({ address: '127.0.0.1', port }))
  const elsewhere = { address: '203.0.113.1', port: 80 }
  const all = [...ports, elsewhere, { address: '::', port: 81 }, { address: '::1', port: 82 }]
  t.strictSame(await answer(all), { host: '::', port: 81 })
})
