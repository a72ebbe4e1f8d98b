import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { t, test } from 'tap'
import { registerCommand } from '../../lib/commands/register.ts'
import { parse } from '../../lib/name.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { moniker, printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { stranger } from '../fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 4

const find = (port: number, name: string, transport: 'tcp' | 'udp' = 'tcp') =>
  new Resolver({ port })
    .resolve(parse(name), { transports: [transport] })
    .then(({ endpoints }) => endpoints[0]!)

/** For what runs inside this process, and is caught in what it writes. */
const alone = { buffered: false }

test('a port of another program has a name until a signal', async t => {
  const { port } = await daemon(t)
  const connections: unknown[] = []
  const ours = await stranger(t, socket => void connections.push(socket))
  const { child, said, ended } = moniker(t, ['register', 'db@16.1.0', String(ours)], { port })
  await said(new RegExp(`^moniker: db@16.1.0 is port ${ours}\n$`))
  t.match(await find(port, 'db'), { port: ours, address: '127.0.0.1', version: '16.1.0' })
  if (process.platform === 'linux') t.same(connections, [], 'which the program does not notice')
  child.kill()
  const stderr = /db@16.1.0 is withdrawn: we are told to stop\n$/
  t.match(await ended, { status: 0, signal: null, stderr })
  await t.rejects(find(port, 'db'), { code: 'ECONNREFUSED' })
})

test('so has one of UDP', async t => {
  const { port } = await daemon(t)
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  await once(socket.bind(0, '127.0.0.1'), 'listening')
  const ours = socket.address().port
  const { said } = moniker(t, ['register', 'clock', String(ours), '--udp'], { port })
  await said(new RegExp(`clock@0.0.0 is port ${ours} of UDP\n`))
  t.match(await find(port, 'clock', 'udp'), { port: ours, address: '127.0.0.1' })
})

test('a list of names and ports is read again when it changes, and kept while it is broken', async t => {
  const { port } = await daemon(t)
  const ours = [await stranger(t), await stranger(t)]
  const file = join(t.testdir(), 'names.yaml')
  writeFileSync(file, `db: ${ours[0]}\n`)
  const { child, said, ended } = moniker(t, ['register', '--file', file], { port })
  await said(/db@0.0.0 is port/)
  writeFileSync(file, `db: ${ours[0]}\ncache: redis\n`)
  await said(/names.yaml:2: expected a port .* got "redis"; the list as it was stays in force\n/)
  t.match(await find(port, 'db'), { port: ours[0] })
  writeFileSync(file, `cache: ${ours[1]}\n`)
  await said(/db@0.0.0 is withdrawn(.|\n)*cache@0.0.0 is port/)
  t.match(await find(port, 'cache'), { port: ours[1] })
  await t.rejects(find(port, 'db'), { code: 'ECONNREFUSED' })
  child.kill('SIGINT')
  t.match(await ended, { status: 0, signal: null })
})

test('what cannot work is refused at once', alone, async t => {
  const broken = join(t.testdir({ broken: 'db' }), 'broken')
  const cases: [args: string[], message: RegExp][] = [
    [['db@^1', '5432'], /a server to give an exact version/],
    [['80', '5432'], /a name such as starwars/],
    [['--file', broken], /broken:1: expected lines/],
    [['--file', `${broken}.not`], /ENOENT/],
  ]
  for (const [args, message] of cases) {
    await t.rejects(printed(t, registerCommand, ...args), { message }, args.join(' '))
  }
  registerCommand.exitOverride()
  for (const args of [[], ['db'], ['db', '80', '--file', broken]]) {
    const message = "error: expected a name and a port, or '--file' alone"
    const refused = printed(t, registerCommand, ...args)
    await t.rejects(refused, { code: 'commander.error', message }, args.join(' '))
  }
})

test('a fault of the holder ends the command', alone, async t => {
  t.intercept(process, 'platform', {
    get: () => {
      throw new Error('no such platform')
    },
  })
  await t.rejects(printed(t, registerCommand, 'db', '80'), { message: 'no such platform' })
})
