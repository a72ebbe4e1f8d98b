import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'tap'
import { checkGateway } from '../../lib/commands/gateways.ts'
import type { ToldStatus } from '../../lib/commands/findings.ts'
import { site } from '../fixtures/gateway.ts'
import { nobody, stranger } from '../fixtures/services.ts'

const linux = { skip: process.platform !== 'linux' && 'only Linux tells whose a port is' }

const isRoot = process.platform === 'linux' && process.getuid?.() === 0
const root = { skip: !isRoot && 'only root can run programs as somebody else' }

/** The status that a daemon tells of itself. */
const status = { protocol: 1, embedded: false, port: 6664, started: 0 } as unknown as ToldStatus

const own = process.getuid?.()

test('a port that nobody has is not spoken of', async t => {
  const port = await nobody()
  t.strictSame(await checkGateway([], { port }), [])
  const elsewhere = { ...status, gateways: [{ address: '127.0.0.1', port: 1, uid: 7 }] }
  t.strictSame(await checkGateway([elsewhere], { port }), [])
})

test('a gateway of this user is well', linux, async t => {
  const { gateway } = await site(t)
  const { port } = gateway
  const gateways = [{ address: '127.0.0.1', port, uid: own! }]
  const [finding, ...others] = await checkGateway([{ ...status, gateways }], { port, own })
  t.strictSame(others, [])
  t.match(finding, {
    check: 'gateway',
    ok: true,
    text: new RegExp(
      `^the gateway on port ${port} is of user \\S+ \\(${own}\\): process ${process.pid} `,
    ),
  })
})

test('so is that of root and of the daemon’s user, and to root that of anybody', async t => {
  const port = await nobody()
  const of = (uid: number) => ({ ...status, uid: 12, gateways: [{ address: '::1', port, uid }] })
  for (const uid of [0, 7, 12]) {
    const [finding] = await checkGateway([of(uid)], { port, own: 7 })
    t.match(finding, { ok: true, text: / is of user / }, String(uid))
  }
  t.match(await checkGateway([of(987_654)], { port, own: 0 }), [
    { ok: true, text: /^the gateway on port \d+ is of user 987654$/ },
  ])
  const unknown = { ...status, gateways: [{ address: '::1', port }] }
  t.match(await checkGateway([unknown], { port, own: 7 }), [
    { ok: true, text: / is of a user that cannot be known$/ },
  ])
})

test('a port that another user has is named, with that user', root, async t => {
  const server = `require('net').createServer().listen(0, '127.0.0.1', function () { console.log(this.address().port) })`
  const child = spawn(process.execPath, ['-e', server], { uid: 12_345, env: {} })
  t.teardown(() => child.kill())
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(line)
  t.match(await checkGateway([], { port, own: 7 }), [
    {
      ok: false,
      text: new RegExp(`^the program on port ${port} is of user 12345: process ${child.pid} \\(`),
      hint: /^that user sees what is sent to names there: use a gateway of your own/,
    },
  ])
  const ours = await stranger(t, undefined, '127.0.0.2', port)
  t.match(await checkGateway([], { port: ours, own: 7 }), [
    { ok: false, text: / is of user .* and of user / },
  ])
})
