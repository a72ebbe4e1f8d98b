import { lookup } from 'node:dns/promises'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { t, test } from 'tap'
import { daemonCommand } from '../../lib/commands/daemon.ts'
import { isFree, freePort } from '../../lib/node/proc.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { moniker, printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { elsewhere, external } from '../fixtures/external.ts'
import { client } from '../fixtures/fake.ts'
import { ask } from '../fixtures/gateway.ts'
import { hasIPv6 } from '../fixtures/ipv6.ts'
import { lines } from '../fixtures/lines.ts'
import { linux, scarce } from '../fixtures/scarce.ts'
import { named, nobody, stranger } from '../fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 4

const status = (port: number, host = '') => new Resolver({ port }).status({ host })

const loopback = hasIPv6 ? ['127.0.0.1', '::1'] : ['127.0.0.1']

const answer = await lookup('nowhere.invalid').catch((error: NodeJS.ErrnoException) => error.code)
const withoutNames = answer !== 'ENOTFOUND' && 'no server of names says what there is not'

/** For what runs inside this process, and is caught in what it writes. */
const alone = { buffered: false }

test('it answers at all addresses until SIGTERM', async t => {
  const port = await freePort()
  const { child, said, ended } = moniker(t, ['daemon'], { port })
  await said(new RegExp(`answering on port ${port} at all addresses, process ${child.pid}\n`))
  for (const host of loopback) {
    t.match(await status(port, host), { pid: child.pid, embedded: false }, host)
  }
  child.kill('SIGTERM')
  t.match(await ended, { status: 0, signal: null, stdout: '' })
  t.equal(await isFree(port), true)
})

test('or at those it is told, until SIGINT', async t => {
  // With the privilege, 1 will do.
  const mayOne = process.getuid?.() === 0 && (await isFree(1))
  const port = mayOne ? 1 : await freePort()
  const args = ['daemon', '--port', String(port), '--host', '127.0.0.1', '127.0.0.2']
  const { child, said, ended } = moniker(t, args, { port: await nobody() })
  await said(new RegExp(`answering on port ${port} at 127.0.0.1, 127.0.0.2, `))
  t.match(await status(port, '127.0.0.2'), { pid: child.pid })
  await t.rejects(status(port, '127.0.0.3'), { code: 'ECONNREFUSED' })
  child.kill('SIGINT')
  t.match(await ended, { status: 0, signal: null })
})

test('an address to bind may be written in any way', async t => {
  const port = await freePort()
  const { said } = moniker(t, ['daemon', '--host', '::ffff:7f00:1', '127.0.0.2'], { port })
  await said(new RegExp(`answering on port ${port} at 127.0.0.1, 127.0.0.2, `))
  t.match(await status(port, '::ffff:127.0.0.1'), { udp: ['127.0.0.1', '127.0.0.2'] })
  await t.rejects(status(port, '127.0.0.3'), { code: 'ECONNREFUSED' })
})

test('a user gets as many names as it says, and root as many as there are', async t => {
  const port = await freePort()
  const args = ['daemon', '--host', '127.0.0.1', '--user-names', '1']
  const { said } = moniker(t, args, { port })
  await said(/answering on port/)
  const owner = await client(t, { port })
  const register = (service: string) =>
    owner.ask({ op: 'register', service, transport: 'tcp', port: 4_000 })
  t.match(await register('x'), { registration: Number })
  const isRoot = process.getuid?.() === 0
  t.match(await register('y'), isRoot ? { registration: Number } : { error: { code: 'ELIMIT' } })
})

test('it is a gateway too, if it is told to be', async t => {
  const [port, gateway] = [await freePort(), await freePort()]
  const args = ['daemon', '--host', '127.0.0.1', '--gateway', String(gateway)]
  const { child, said, ended } = moniker(t, args, { port })
  await said(new RegExp(`a gateway is at port ${gateway}`))
  await named(t, { service: 'web', host: '127.0.0.1', daemonPort: port })
  const page = await ask({ port: gateway, headers: { host: 'localhost' } })
  t.match(page, { status: 404, body: /web/ })
  child.kill('SIGTERM')
  t.match(await ended, { status: 0, signal: null })
  t.equal(await isFree(gateway), true)
})

test('without the port of the gateway, or its own, it does not start', async t => {
  const taken = await stranger(t)
  const other = moniker(t, ['daemon', '--gateway', String(taken)], { port: await freePort() })
  t.match(await other.ended, { status: 1, stderr: /port \d+ is taken, perhaps by another gateway/ })
  const both = ['daemon', '--host', '127.0.0.1', '--gateway', String(await freePort())]
  t.match(await moniker(t, both, { port: taken }).ended, {
    status: 1,
    stderr: /not a daemon|does not answer/,
  })
})

test('one that stands for all, however it is written, is bound beside no other', async t => {
  const port = await freePort()
  const { said } = moniker(t, ['daemon', '--host', '::ffff:0.0.0.0'], { port })
  await said(new RegExp(`answering on port ${port} at 0.0.0.0, `))
  t.match(await status(port, '127.0.0.3'), { embedded: false })
})

test('a daemon that is running already is enough for some', alone, async t => {
  const cases = [
    ['as process', await daemon(t)],
    ['inside process', await daemon(t, { embedded: true })],
    ['as process', await daemon(t, { hosts: ['127.0.0.2'] }), '--host', '127.0.0.1', '127.0.0.2'],
  ] as const
  for (const [how, { port }, ...host] of cases) {
    const text = `a daemon is already running on port ${port}, ${how} ${process.pid}`
    const at = ['--port', String(port), ...host]
    if (how === 'as process') {
      await t.rejects(printed(t, daemonCommand, ...at), { message: text })
    }
    t.equal(await printed(t, daemonCommand, ...at, '--if-needed'), `# monikerd: ${text}\n`)
  }
})

test('an embedded daemon gives way', async t => {
  const { port } = await daemon(t, { embedded: true })
  await named(t, { service: 'tie', daemonPort: port })
  const { child, said } = moniker(t, ['daemon', '--host', '127.0.0.1'], { port })
  await said(/answering on port/)
  const registered = () => new Resolver({ port }).resolve('tie', { wait: 60_000 })
  await registered()
  t.match(await status(port), { pid: child.pid, embedded: false, names: 1 })
  child.kill('SIGTERM')
  await once(child, 'exit')
  await registered()
  t.match(await status(port), { pid: process.pid, embedded: true })
})

test('a program that has the port and is no daemon is in the way', alone, async t => {
  const programs = [
    await stranger(t, socket => void socket.write('220 mail ready\r\n')),
    await stranger(t, socket => void socket.end()),
  ]
  const tries = programs.map(port =>
    t.rejects(printed(t, daemonCommand, '--if-needed', '--port', String(port)), {
      message: `port ${port} is taken by a program that is not a daemon; stop it, or choose another with --port`,
    }),
  )
  await Promise.all(tries)
})

test('one that says nothing may be a daemon that is stopped', alone, async t => {
  const port = await freePort()
  const { child, said } = moniker(t, ['daemon', '--host', '127.0.0.1'], { port })
  await said(/answering on port/)
  child.kill('SIGSTOP')
  const args = ['--if-needed', '--port', String(port), '--host', '127.0.0.1']
  await t.rejects(printed(t, daemonCommand, ...args), {
    message:
      /is taken by a program that does not answer: a daemon that is stopped or busy, or none/,
  })
  child.kill('SIGKILL')
})

for (const [host, skip] of [
  ['192.0.2.199', false],
  ['0x7f.1', false],
  ['nowhere.invalid', withoutNames],
] as const) {
  test(
    `${host}, which is not an address of this host, cannot be bound`,
    { ...alone, skip },
    async t => {
      const at = ['--port', String(await nobody()), '--host']
      const message = new RegExp(`^${host} is not an address of this host \\(.*\\); see --host$`)
      for (const hosts of [[host], ['127.0.0.1', host]]) {
        await t.rejects(printed(t, daemonCommand, ...at, ...hosts), { message }, hosts.join())
      }
    },
  )
}

test('programs of this host find it, whatever address it is for', elsewhere, async t => {
  const port = await freePort()
  const { child, said } = moniker(t, ['daemon', '--host', external!], { port })
  await said(new RegExp(`answering on port ${port} at ${[external, ...loopback].join(', ')}, `))
  for (const host of ['', external!]) t.match(await status(port, host), { pid: child.pid }, host)
})

test('it goes on if nobody reads its log any more', async t => {
  const port = await freePort()
  const policy = join(t.testdir({ 'p.yaml': 'rules: [{deny: publish}]' }), 'p.yaml')
  const args = ['daemon', '--host', '127.0.0.1', '--policy', policy]
  const { child, said, ended } = moniker(t, args, { port })
  await said(/answering on port/)
  child.stderr.destroy()
  for (let i = 0; i < 3; i++) {
    const nc = await lines(t, port)
    nc.ask({ op: 'register', service: 'a', transport: 'tcp', port: 1 })
    t.match(await nc.answer(), { error: { code: 'EDENIED' } })
  }
  t.match(await status(port), { denied: 3 })
  child.kill('SIGTERM')
  t.match(await ended, { status: 0 })
})

test(
  'short of descriptors it lives, answers programs of this host, and holds no other up',
  linux,
  async t => {
    const { child, port } = await scarce(t, 64)
    const held = Array.from({ length: 90 }, () => connect(port, '127.0.0.1').on('error', () => {}))
    t.teardown(() => held.forEach(socket => socket.destroy()))
    await Promise.all(held.map(socket => once(socket, 'connect')))
    t.match(await status(port), { pid: child.pid }, 'while they are there')
    // Longer than from one look at the addresses of the host to the next.
    const ended = once(child, 'exit', { signal: AbortSignal.timeout(6_000) })
    await t.rejects(ended, { name: 'AbortError' })
    t.match(await status(port), { pid: child.pid })
  },
)

test('a policy is read at the start, and again on SIGHUP', async t => {
  const port = await freePort()
  const file = join(t.testdir({ 'p.yaml': 'rules: []' }), 'p.yaml')
  const args = ['daemon', '--host', '127.0.0.1', '--policy', file]
  const { child, said, ended } = moniker(t, args, { port })
  await said(/answering on port .*, by the policy of .*p\.yaml\n/)
  const register = async (id: number) => {
    const nc = await lines(t, port)
    nc.ask({ op: 'register', service: `a${id}`, transport: 'tcp', port: 1 })
    return nc.answer()
  }
  t.match(await register(1), { registration: 1 })

  writeFileSync(file, 'rules:\n  - deny: publish')
  child.kill('SIGHUP')
  await said(/the policy of .*p\.yaml has been read again/)
  t.match(await register(2), { error: { code: 'EDENIED' } })
  await said(/monikerd: denied 127\.0\.0\.1: publish a2@0\.0\.0 \(.*p\.yaml:2\)/)
  t.match(await status(port), { denied: 1 })

  writeFileSync(file, 'rules:\n  - deny: dance')
  child.kill('SIGHUP')
  await said(/p\.yaml:2: expected publish or .*; the policy stays as it was/)
  t.match(await register(3), { error: { code: 'EDENIED' } })
  child.kill('SIGTERM')
  t.match(await ended, { status: 0 })
})

test('a policy that is broken at the start is a reason not to', alone, async t => {
  const file = join(t.testdir({ 'p.yaml': 'rules: 1' }), 'p.yaml')
  const args = ['--port', String(await nobody()), '--host', '127.0.0.1', '--policy', file]
  await t.rejects(printed(t, daemonCommand, ...args), { code: 'ERR_MONIKER_POLICY' })
})

test('without a policy there is none to read again', async t => {
  const { child, said, ended } = moniker(t, ['daemon', '--host', '127.0.0.1'], {
    port: await freePort(),
  })
  await said(/answering on port/)
  child.kill('SIGHUP')
  await said(/there is no policy to read again/)
  child.kill('SIGTERM')
  t.match(await ended, { status: 0 })
})
