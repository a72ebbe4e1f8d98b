import { execFileSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { t, test, type Test } from 'tap'
import { Resolver } from '../../lib/client/resolver.ts'
import {
  Holder,
  MAX_ENTRIES,
  Portlist,
  entry,
  parseList,
  registerCommand,
  type Entry,
} from '../../lib/commands/register.ts'
import { parse } from '../../lib/name.ts'
import { freePort } from '../../lib/node/proc.ts'
import { MAX_FILE } from '../../lib/policy/file.ts'
import { Registrar } from '../../lib/registration/registrar.ts'
import { moniker, printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named, stranger } from '../fixtures/services.ts'

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
  const stderr = /db@16.1.0 is withdrawn: moniker was told to stop\n$/
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
  await said(/names.yaml:2: expected a port .* got "redis"; the last good list stays in force\n/)
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
  const conflict = { code: 'commander.conflictingOption' }
  const flags = ['--address=::1', '--check=true', '--udp', '--shared', '--metadata=path=/api']
  for (const flag of flags) {
    await t.rejects(printed(t, registerCommand, '--file', broken, flag), conflict)
  }
  for (const args of [[], ['db'], ['db', '80', '--file', broken]]) {
    const message = "error: expected a name and a port, or '--file' alone"
    const refused = printed(t, registerCommand, ...args)
    await t.rejects(refused, { code: 'commander.error', message }, args.join(' '))
  }
})

test('a name is held at the address that is given, while its check ends with 0', async t => {
  const { port } = await daemon(t)
  const ours = await stranger(t, undefined, '0.0.0.0')
  const alive = join(t.testdir({ alive: '' }), 'alive')
  const check = `test -f ${alive} && test $HOST:$PORT = 127.0.0.2:${ours}`
  const args = ['register', 'db', String(ours), '--address', '127.0.0.2', '--check', check]
  const { child, said, ended } = moniker(t, args, { port })
  await said(new RegExp(`^moniker: db@0.0.0 is port ${ours}\n`))
  t.match(await find(port, 'db'), { port: ours, address: '127.0.0.2' })
  rmSync(alive)
  await said(/db@0.0.0 is withdrawn: its check ended with 1\n/)
  await t.rejects(find(port, 'db'), { code: 'ECONNREFUSED' })
  writeFileSync(alive, '')
  await said(/withdrawn(.|\n)*db@0.0.0 is port/)
  child.kill()
  t.match(await ended, { status: 0 })
})

test('a check that takes too long, or is killed, has failed; a signal ends it', async t => {
  const ours = await stranger(t)
  const { said } = await holding(
    t,
    entry('slow', { port: ours, check: 'sleep 60 & wait' }),
    entry('dead', { port: ours, check: 'kill -9 $$' }),
  )
  t.same((await said()).toSorted(), [
    'dead@0.0.0 is not registered yet: its check ended with SIGKILL',
    'slow@0.0.0 is not registered yet: its check took more than 5000 ms',
  ])
  const slow = await holding(t, entry('slow', { port: ours, check: 'sleep 600' }))
  const reason = new Error('stop')
  await t.rejects(slow.holder.round(AbortSignal.timeout(20)), { name: 'TimeoutError' })
  await t.rejects(slow.holder.round(AbortSignal.abort(reason)), reason)
  // No check goes on: one that was killed is gone a moment later.
  while (process.getActiveResourcesInfo().includes('ProcessWrap')) await new Promise(setImmediate)
})

test('a check at all addresses is told one that leads here', async t => {
  const ours = await stranger(t, undefined, '0.0.0.0')
  const check = 'test $HOST = 127.0.0.1'
  const { said } = await holding(t, entry('tie', { port: ours, check }))
  t.same(await said(), [`tie@0.0.0 is port ${ours}`])
})

test('a fault of the holder ends the command', alone, async t => {
  t.intercept(process, 'platform', {
    get: () => {
      throw new Error('no such platform')
    },
  })
  await t.rejects(printed(t, registerCommand, 'db', '80'), { message: 'no such platform' })
})

const never = new AbortController().signal

/** A holder, what it has said since it was last asked, and what the daemon has of it. */
async function holding(t: Test, ...entries: Entry[]) {
  const ours = await daemon(t)
  const { port } = ours
  const lines: string[] = []
  const tell = (text: string) => void lines.push(text)
  const holder = new Holder({ registrar: new Registrar(port), tell })
  t.teardown(() => holder.close())
  holder.hold(entries)
  const said = async () => {
    await holder.round(never)
    return lines.splice(0)
  }
  const known = async () => {
    const services = await new Resolver({ port }).list()
    return services.map(({ service, address, port }) => `${service} ${address} ${port}`).toSorted()
  }
  return { holder, said, known, lines, ours, port }
}

async function listens(port: number, host = '127.0.0.1'): Promise<Server> {
  const server = createServer()
  await once(server.listen(port, host), 'listening')
  return server
}

const ends = (server: Server) => once(server.close(), 'close')

test('a name is held while its port answers, wherever it does', async t => {
  const port = await freePort()
  const { said, known } = await holding(t, entry('tie', { port }))
  const nobody = `no program answers on port ${port}`

  t.same(await said(), [`tie@0.0.0 is not registered yet: ${nobody}`])
  t.same(await said(), [], 'and not said twice')
  let server = await listens(port)
  t.same(await said(), [`tie@0.0.0 is port ${port}`])
  t.same(await known(), [`tie 127.0.0.1 ${port}`])
  t.same(await said(), [])

  await ends(server)
  t.same(await said(), [`tie@0.0.0 is withdrawn: ${nobody}`])
  t.same(await known(), [])
  t.same(await said(), [])
  server = await listens(port)
  t.same(await said(), [`tie@0.0.0 is port ${port}`])

  await ends(server)
  server = await listens(port, '127.0.0.2')
  t.same(await said(), [
    `tie@0.0.0 is withdrawn: it is served at 127.0.0.2 now`,
    `tie@0.0.0 is port ${port}`,
  ])
  t.same(await known(), [`tie 127.0.0.2 ${port}`])
  await ends(server)
})

test('a list that changes leaves alone what stays', async t => {
  const servers = await Promise.all([listens(0), listens(0)])
  const [one, two] = servers.map(server => (server.address() as { port: number }).port)
  const metadata = { path: '/api' }
  const first = entry('tie', { port: one!, metadata })
  const { holder, said, known } = await holding(t, first)
  t.same(await said(), [`tie@0.0.0 is port ${one}`])

  holder.hold([entry('tie', { port: one!, metadata }), entry('wing', { port: two! })])
  t.same(await said(), [`wing@0.0.0 is port ${two}`])
  holder.hold([entry('tie', { port: two! })])
  const gone = 'is withdrawn: the list no longer has it'
  t.same((await said()).toSorted(), [
    `tie@0.0.0 is port ${two}`,
    `tie@0.0.0 ${gone}`,
    `wing@0.0.0 ${gone}`,
  ])
  t.same(await known(), [`tie 127.0.0.1 ${two}`])
  await holder.close()
  t.same(await known(), [])
  await Promise.all(servers.map(ends))
})

test('a name that is taken is tried again after ever more rounds, until it is had', async t => {
  const server = await listens(0)
  t.teardown(() => ends(server))
  const { port } = server.address() as { port: number }
  const { said, port: daemonPort } = await holding(t, entry('tie', { port }))
  const other = await named(t, { service: 'tie', daemonPort })
  t.match(await said(), [/^EADDRINUSE: tie@0.0.0 is already registered.*; trying again$/])
  t.same(await said(), [])
  t.same(await said(), [], 'the same is not said again')
  await once(other.close(), 'close')
  t.same(await said(), [])
  t.same(await said(), [])
  t.same(await said(), [`tie@0.0.0 is port ${port}`])
})

test('a name that the daemon has lost is registered again', async t => {
  const server = await listens(0)
  t.teardown(() => ends(server))
  const { port } = server.address() as { port: number }
  const { said, known, ours } = await holding(t, entry('tie', { port }))
  t.same(await said(), [`tie@0.0.0 is port ${port}`])
  await ours.stop()
  await new Resolver({ port: ours.port }).resolve('tie', { wait: 60_000 })
  t.same(await known(), [`tie 127.0.0.1 ${port}`])
  t.same(await said(), [])
})

test('a port of UDP is called so', async t => {
  const port = await freePort()
  const { said } = await holding(t, entry('clock', { port, udp: true }))
  t.same(await said(), [
    `clock@0.0.0 is not registered yet: no program answers on port ${port} of UDP`,
  ])
})

test('a round that nobody wants any more says nothing', async t => {
  const server = await listens(0)
  t.teardown(() => ends(server))
  const { port } = server.address() as { port: number }
  const { holder, known, lines } = await holding(t, entry('tie', { port }))
  const reason = new Error('stop')
  await t.rejects(holder.round(AbortSignal.abort(reason)), reason)
  t.same(lines, [])
  t.same(await known(), [])
})

const tie = { namespace: '', service: 'tie', version: '0.0.0' }

test('a list has a name and a port a line, in YAML or JSON', async t => {
  const list = `
    # what we did not start
    tie: 5432
    ns:wing@1.2.0: { port: 8080, shared: true, metadata: { path: /api } }
    clock:
      port: 123
      address: 192.0.2.1
      udp: true`
  t.match(parseList(list, 'list'), [
    { name: tie, transport: 'tcp', port: 5432, shared: false, metadata: undefined },
    {
      name: { namespace: 'ns', service: 'wing', version: '1.2.0' },
      transport: 'tcp',
      port: 8080,
      shared: true,
      metadata: { path: '/api' },
    },
    { name: { service: 'clock' }, transport: 'udp', port: 123, address: '192.0.2.1' },
  ])
  t.match(parseList('{ "tie": 5432 }', 'list'), [{ name: tie, port: 5432 }])
  for (const nothing of ['', '# nothing\n', '{}']) t.same(parseList(nothing, 'list'), [])
})

test('what is wrong in a list is told with its line', async t => {
  const cases: [text: string, message: RegExp][] = [
    ['tie', /^list:1: expected lines such as "web: 8080"$/],
    ['- tie', /^list:1: expected lines/],
    ['tie: 1\nwing: [', /^list:2: .*end with a \]/],
    ['tie: 1\ntie: 2', /^list:2: Map keys must be unique$/],
    ['tie: 1\n---\nwing: 2', /^list:2: .*multiple documents/],
    ['tie: 1\nwing: http', /^list:2: expected a port from 1 to 65535, got "http"$/],
    ['tie:', /^list:1: expected a port .* got null$/],
    ['tie: 65536', /^list:1: expected a port .* got 65536$/],
    ['tie: 0', /^list:1: expected a port .* got 0$/],
    ['tie: [1]', /^list:1: expected a port .* got \[1\]$/],
    ['tie: {}', /^list:1: expected a port .* got nothing$/],
    ['? tie', /^list:1: expected a port .* got nothing$/],
    ['tie: { port: 1, udp: 1 }', /^list:1: expected udp to be true or false, got 1$/],
    [
      'tie: { port: 1, host: x }',
      /^list:1: expected port, udp, address, shared, metadata, got "host"$/,
    ],
    ['tie: { port: 1, check: x }', /^list:1: expected port, .* got "check"$/],
    ['tie: { port: 1, address: x }', /^list:1: expected address to be an IP address, got "x"$/],
    ['tie: { port: 1, address: [127.0.0.1] }', /to be an IP address, got \["127.0.0.1"\]$/],
    ['tie: { port: 1, shared: 1 }', /^list:1: .*options.shared to be true, false or a group/],
    ['tie: { port: 1, metadata: 1 }', /^list:1: .*options.metadata to be an object/],
    ['tie@^1: 1', /^list:1: .*exact version/],
    ['\n\n80: 80', /^list:3: expected a name, got 80$/],
    ['"a b": 80', /^list:1: .*expected a name such as starwars/],
    ['tie: &x 1\nwing: *x', /^list:2: Alias resolution is disabled/],
    ['['.repeat(MAX_FILE - 1), /^list:1: /],
  ]
  for (const [text, message] of cases) {
    t.throws(() => parseList(text, 'list'), { message }, text.slice(0, 40))
  }
})

test('a list has an end', async t => {
  const lines = Array.from({ length: MAX_ENTRIES }, (_, index) => `tie${index}: 1`)
  t.equal(parseList(lines.join('\n'), 'list').length, MAX_ENTRIES)
  t.throws(() => parseList([...lines, 'tie: 1'].join('\n'), 'list'), {
    message: `list:1: expected at most ${MAX_ENTRIES} names`,
  })
  const file = join(t.testdir(), 'list')
  writeFileSync(file, 'tie: 1'.padEnd(MAX_FILE))
  t.match(await new Portlist(file).changed(), [{ port: 1 }])
  writeFileSync(file, 'tie: 1'.padEnd(MAX_FILE + 1))
  await t.rejects(new Portlist(file).changed(), { message: /at most 65536 bytes/ })
})

test('a list tells of itself when it has changed, and of what is wrong once', async t => {
  const file = join(t.testdir(), 'list')
  const list = new Portlist(file)
  const cases: [text: string | undefined, told: object | undefined | RegExp][] = [
    [undefined, /ENOENT/],
    [undefined, undefined],
    ['tie: 1', [{ name: tie, port: 1 }]],
    ['tie: 1', undefined],
    ['tie', /^.*list:1: expected lines/],
    ['tie', undefined],
    ['tie: 2', [{ port: 2 }]],
  ]
  for (const [text, told] of cases) {
    if (text === undefined) rmSync(file, { force: true })
    else writeFileSync(file, text)
    if (told instanceof RegExp) await t.rejects(list.changed(), { message: told })
    else t.match(await list.changed(), told)
  }
})

test('what is no file is not read', async t => {
  const directory = t.testdir()
  await t.rejects(new Portlist(directory).changed(), { message: `${directory} is not a file` })
  if (process.platform === 'win32') return
  await t.rejects(new Portlist('/dev/zero').changed(), { message: '/dev/zero is not a file' })
  const fifo = join(directory, 'fifo')
  execFileSync('mkfifo', [fifo])
  await t.rejects(new Portlist(fifo).changed(), { message: `${fifo} is not a file` })
})

test('one name is what a line of a list is', async t => {
  t.same(entry('tie', { port: 1 }), parseList('tie: 1', 'list')[0])
  t.same(entry('tie', { port: 1, udp: true }), parseList('tie: { port: 1, udp: true }', 'list')[0])
  t.throws(() => entry('80', { port: 1 }), { code: 'ERR_MONIKER_NAME' })
})
