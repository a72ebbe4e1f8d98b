import { t, test } from 'tap'
import { daemonCommand } from '../../lib/commands/daemon.ts'
import { isFree, freePort } from '../../lib/ports.ts'
import { Resolver } from '../../lib/resolver.ts'
import { moniker, printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { nobody, stranger } from '../fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 4

const status = (port: number, host = '') => new Resolver({ port }).status({ host })

/** For what runs inside this process, and is caught in what it writes. */
const alone = { buffered: false }

test('it answers at all addresses until SIGTERM', async t => {
  const port = await freePort()
  const { child, said, ended } = moniker(t, ['daemon'], { port })
  await said(new RegExp(`answering on port ${port} at all addresses, process ${child.pid}\n`))
  for (const host of ['127.0.0.1', '::1']) {
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
  await t.rejects(status(port, '::1'), { code: 'ECONNREFUSED' })
  child.kill('SIGINT')
  t.match(await ended, { status: 0, signal: null })
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
    await t.rejects(printed(t, daemonCommand, ...at), { message: text })
    t.equal(await printed(t, daemonCommand, ...at, '--if-needed'), `# monikerd: ${text}\n`)
  }
})

test('a program that has the port and is no daemon is in the way', alone, async t => {
  const programs = [
    await stranger(t),
    await stranger(t, socket => void socket.write('220 mail ready\r\n')),
    await stranger(t, socket => void socket.end()),
  ]
  const tries = programs.map(port =>
    t.rejects(printed(t, daemonCommand, '--if-needed', '--port', String(port)), {
      message: `port ${port} is taken by a program that is no daemon; stop it, or choose another with --port`,
    }),
  )
  await Promise.all(tries)
})

test('an address that this host has not cannot be bound', alone, async t => {
  const at = ['--port', String(await nobody()), '--host', '192.0.2.1']
  await t.rejects(printed(t, daemonCommand, ...at), { code: 'EADDRNOTAVAIL' })
})
