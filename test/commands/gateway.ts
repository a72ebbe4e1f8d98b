import { test } from 'tap'
import { findGateway } from '../../lib/gateways/location.ts'
import { freePort } from '../../lib/node/proc.ts'
import { moniker } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { announced, ask } from '../fixtures/gateway.ts'
import { home } from '../fixtures/home.ts'
import { web } from '../fixtures/web.ts'
import { stranger } from '../fixtures/services.ts'

const linux = { skip: process.platform !== 'linux' && 'only Linux tells whose a gateway is' }

test('a gateway leads to names until it is stopped', async t => {
  await home(t)
  await web(t, 'web', { serve: (_connections, _request, response) => response.end('hello') })
  const port = await freePort()
  const gateway = moniker(t, ['gateway', '--port', String(port)])
  await gateway.said(/http:\/\/NAME\.localhost:\d+\/ leads to the server NAME/)
  const page = await ask({ port, headers: { host: `web.localhost:${port}` } })
  t.match(page, { status: 200, body: 'hello' })
  gateway.child.kill('SIGTERM')
  t.match(await gateway.ended, { status: 0, signal: null })
})

test('the daemon knows of it for as long as it is there', linux, async t => {
  const { port: daemonPort } = await daemon(t)
  const port = await freePort()
  const gateway = moniker(t, ['gateway', '--port', String(port)], { port: daemonPort })
  await announced(daemonPort)
  t.strictSame(await findGateway(daemonPort), { host: '127.0.0.1', port })
  gateway.child.kill()
  await gateway.ended
  while (await findGateway(daemonPort)) await new Promise(setImmediate)
})

test('a port that is taken, or an address of another host, is said to be so', async t => {
  const taken = await stranger(t)
  const first = moniker(t, ['gateway', '--port', String(taken)])
  t.match(await first.ended, { status: 1, stderr: /port \d+ is taken, perhaps by another gateway/ })
  const other = moniker(t, ['gateway', '--port', String(await freePort()), '--host', '192.0.2.9'])
  t.match(await other.ended, { status: 1, stderr: /EADDRNOTAVAIL/ })
})
