import { live } from '../fixtures/live.ts'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { connect as netConnect, createServer } from 'node:net'
import { join } from 'node:path'
import { t, test, type Test } from 'tap'
import { Program, runCommand, type Beside } from '../../lib/commands/run.ts'
import { parse } from '../../lib/name.ts'
import { freePort } from '../../lib/node/proc.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { moniker, printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { freeRange } from '../fixtures/ports.ts'
import { named, portOf, stranger } from '../fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 4

const find = (port: number, name: string, wait = 0) =>
  new Resolver({ port }).resolve(parse(name), { wait }).then(({ endpoints }) => endpoints[0]!)

/** A program that listens on `$PORT`, says its arguments, and ends with the status it is sent. */
const program = `
  process.on('SIGHUP', () => console.log('hung up'))
  require('net')
    .createServer(socket => socket.on('data', status => process.exit(Number(status))))
    .listen(process.env.PORT, '127.0.0.1', () => console.log(...process.argv.slice(1)))`

const serve = [process.execPath, '-e', program, '{port}', 'at {port}.']

/** For what runs inside this process, and is caught in what it writes. */
const alone = { buffered: false }

test('a command has a name from when it listens to when it ends', async t => {
  const { port } = await daemon(t)
  const { said, ended } = moniker(t, ['run', 'web@1.0.0', '--', ...serve], { port })
  await said(/^moniker: web@1.0.0 is port \d+\n/m)
  const place = await find(port, 'web')
  t.match(place, { address: '127.0.0.1', version: '1.0.0' })
  const [{ pid } = {}] = await new Resolver({ port }).list()
  t.not(pid, undefined)
  t.not(pid, process.pid)

  connect({ service: 'web', daemonPort: port })
    .on('error', () => {})
    .write('3')
  t.match(await ended, { status: 3, stdout: `${place.port} at ${place.port}.\n` })
  await t.rejects(find(port, 'web'), { code: 'ECONNREFUSED' })
})

test('signals go to the command, and how it ends is told on', async t => {
  const ours = await daemon(t)
  const wanted = await freePort()
  const args = ['run', 'web', '--port', String(wanted), '--', ...serve]
  const { child, said, ended } = moniker(t, args, { port: ours.port })
  await said(new RegExp(`web@0.0.0 is port ${wanted}\n`))
  child.kill('SIGHUP')
  await said(/hung up/, 'stdout')
  // It outlives its name, which comes back.
  await ours.stop()
  t.match(await find(ours.port, 'web', 60_000), { port: wanted })
  child.kill('SIGINT')
  t.match(await ended, {
    status: 130,
    signal: null,
    stderr: `moniker: web@0.0.0 is port ${wanted}\n`,
  })
})

test('a command that cannot be known by its name is stopped', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'web', daemonPort: port })
  const { ended } = moniker(t, ['run', 'web', '--', ...serve], { port })
  t.match(await ended, { status: 1, stderr: /^moniker: EADDRINUSE: web@0.0.0 is already/m })
})

test('one that crashes is started again on request, under its name and at its port', async t => {
  const { port } = await daemon(t)
  const variables = ['--env', 'VITE_PORT', '--env', 'ORIGIN=http://localhost:{port}']
  const env = [
    process.execPath,
    '-e',
    `${program}\nconsole.log(process.env.VITE_PORT, process.env.ORIGIN)`,
  ]
  const args = ['run', '--restart', 'web', ...variables, '--', ...env]
  const { said, ended } = moniker(t, args, { port })
  await said(/web@0.0.0 is port \d+/)
  const place = await find(port, 'web')
  await said(new RegExp(`${place.port} http://localhost:${place.port}\n`), 'stdout')

  const tell = (status: string) =>
    connect({ service: 'web', daemonPort: port })
      .on('error', () => {})
      .write(status)
  tell('3')
  await said(/node has crashed with status 3; again in 100 ms\n.*web@0.0.0 is port/s)
  t.match(await find(port, 'web'), { port: place.port, address: place.address })
  tell('0')
  t.match(await ended, { status: 0 })
})

/** A program that cannot bind a port again at once: it closes a connection first, and says so by its end. */
const stubborn = `
import os, socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', int(sys.argv[1])))
listener.listen()
peer, _ = listener.accept()
peer.close()
os._exit(3)`

const python = spawnSync('python3', ['--version']).status !== 0 && 'python3 is not installed'

test(
  'one whose old port is not free yet is started again at another',
  { skip: python },
  async t => {
    const { port } = await daemon(t)
    const command = ['python3', '-c', stubborn, '{port}']
    const { said, child, ended } = moniker(t, ['run', '--restart', 'web', '--', ...command], {
      port,
    })
    await said(/web@0.0.0 is port \d+\n/)
    const first = await find(port, 'web')
    const peer = netConnect(first.port, '127.0.0.1').resume()
    await once(peer, 'close')
    await said(/crashed with status 3(.|\n)*web@0.0.0 is port/)
    const second = await find(port, 'web')
    t.not(second.port, first.port)
    child.kill()
    await ended
  },
)

test('it can be told where others are once they are there, be in a namespace, and be described', async t => {
  const { port } = await daemon(t)
  const show = 'const { DB_URL, MAIN_PORT, MONIKER_NAMESPACE } = process.env'
  const log = 'console.log(DB_URL, MAIN_PORT, MONIKER_NAMESPACE)'
  const options = ['--with', 'db,main=db', '--namespace', 'ns', '--metadata', 'scheme=http']
  const command = [process.execPath, '-e', [show, log, program].join('\n')]
  const { said } = moniker(t, ['run', 'web', ...options, '--', ...command], { port })
  const resolver = new Resolver({ port })
  while (!(await resolver.status()).followers) await new Promise(setImmediate)
  const server = await named(t, { service: 'db', daemonPort: port })
  const { port: ours } = server.address() as { port: number }
  await said(new RegExp(`^tcp://127.0.0.1:${ours} ${ours} ns\n`), 'stdout')
  await said(/ns:web@0.0.0 is port \d+/)
  t.match(await find(port, 'ns:web'), { version: '0.0.0', metadata: { scheme: 'http' } })
})

test('the name of a package is one of its scope, or of the namespace that is given', async t => {
  const { port } = await daemon(t)
  const call = (...options: string[]) =>
    moniker(t, ['run', '@acme/web', ...options, '--', ...serve], { port })
  await call().said(/^moniker: @acme\/web is acme:web\nmoniker: acme:web@0.0.0 is port/)
  await call('--namespace', 'ns').said(
    /^moniker: @acme\/web is web, in the namespace ns\nmoniker: ns:web@0.0.0/,
  )
  const { said } = moniker(t, ['wait', '@acme/web'], { port })
  await said(/@acme\/web is acme:web/)
})

test('its port is chosen within --ports', async t => {
  const { port } = await daemon(t)
  const first = await freeRange(1)
  const args = ['run', 'web', '--ports', `${first}-${first}`, '--', ...serve]
  await moniker(t, args, { port }).said(new RegExp(`web@0.0.0 is port ${first}\n`))
  const full = moniker(t, ['run', 'tie', ...args.slice(2)], { port })
  t.match(await full.ended, {
    status: 1,
    stderr: /^moniker: EADDRINUSE: no port of \d+-\d+ is free/,
  })
})

test('several may share a name, however they have come to it', async t => {
  const { port } = await daemon(t)
  const ours = await stranger(t)
  const calls = [
    ['run', 'web', '--shared', '--', ...serve],
    ['listen', 'web', '--shared'],
    ['register', 'web', String(ours), '--shared'],
  ]
  await Promise.all(calls.map(args => moniker(t, args, { port }).said(/web@0.0.0 (is|on) port/)))
  const all = await new Resolver({ port }).list()
  t.match(all, [{ shared: true }, { shared: true }, { shared: true }])
})

test('one that does not listen where it is told is wondered about', async t => {
  const { port } = await daemon(t)
  const elsewhere = String(await freePort())
  const programs: [program: string, why: string][] = [
    [
      `require('net').createServer().listen(${elsewhere})`,
      `the command listens on port ${elsewhere}`,
    ],
    ['setInterval(() => {}, 1000)', 'no program listens on port'],
  ]
  const wondered = programs.map(([program, why]) => {
    const args = ['run', 'web', '--', process.execPath, '-e', program]
    const pattern = new RegExp(`^moniker: web@0.0.0 is not registered yet: ${why}.* \\$PORT; `)
    return moniker(t, args, { port }).said(pattern)
  })
  await Promise.all(wondered)
})

test('a command that cannot be run is said to be missing', alone, async t => {
  const message = /^no-such-command cannot be run \(.* ENOENT\); is it installed\?$/
  await t.rejects(printed(t, runCommand, 'web', '--', 'no-such-command'), { message })
})

test('what cannot work is refused before the command is begun', alone, async t => {
  const taken = await stranger(t)
  const cases: [args: string[], message: RegExp][] = [
    [['web', '--port', String(taken)], /port \d+ is taken by another program/],
    [['web@^1'], /a server to give an exact version/],
    [['web', '--with', '80'], /a name such as starwars/],
    [['web', '--with', 'db,ns:db'], /DB_URL cannot be both/],
    [['80'], /a name such as starwars/],
  ]
  for (const [args, message] of cases) {
    await t.rejects(printed(t, runCommand, ...args, '--', 'false'), { message }, args.join(' '))
  }
})

const idle: Beside = async (_pid, signal) => void (await once(signal, 'abort'))

/** How it goes on: with the same environment. */
const as = (tell: (text: string) => void) => ({ tell, renew: async () => ({}) })

/** A program in the words of a shell, or in others. */
function shell(t: Test, script: string, beside = idle, words = ['bash', '-c', script]): Program {
  const before = new Map(SIGNALS.map(signal => [signal, process.listeners(signal)]))
  t.teardown(() => {
    for (const [signal, listeners] of before) {
      for (const listener of process.listeners(signal)) {
        if (!listeners.includes(listener)) process.off(signal, listener)
      }
    }
  })
  return new Program({ words, env: process.env }, beside)
}

const SIGNALS = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGINT'] as const

test('the status of a program is its own, or that of a signal', alone, async t => {
  t.equal(await shell(t, 'exit 0').run(), 0)
  t.equal(await shell(t, 'exit 3').run(), 3)
  t.equal(await shell(t, 'kill -TERM $$').run(), 143)
})

test('a program that cannot be started is said to be missing', alone, async t => {
  const program = shell(t, '', idle, ['no-such-command'])
  await t.rejects(program.run(), { message: /^no-such-command cannot be run \(.*ENOENT\)/ })
})

test('what is done beside it is told when it ends, and ends it by failing', alone, async t => {
  let over = false
  await shell(t, 'exit 0', async (pid, signal) => {
    t.ok(pid > 0)
    await once(signal, 'abort')
    over = true
  }).run()
  t.equal(over, true)

  const error = new Error('its name is taken')
  const failing = shell(t, 'exec sleep 60', async () => Promise.reject(error))
  await t.rejects(failing.keepRunning(as(t.fail)), error)

  const late = shell(t, 'exit 4', async (_pid, signal) => {
    await once(signal, 'abort')
    throw error
  })
  t.equal(await late.run(), 4, 'a failure that comes after the end is none')
})

/** Where a script says that it is ready, in words that say so, and the wait for that. */
async function readiness(t: Test) {
  const server = createServer(socket => socket.destroy())
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const say = `exec 3<>/dev/tcp/127.0.0.1/${portOf(server)}`
  return { say, ready: () => once(server, 'connection') }
}

test('our signals go to it while it runs', alone, async t => {
  const { say, ready } = await readiness(t)
  const program = shell(t, `trap 'kill $!; exit 5' USR1; sleep 60 & ${say}; wait`)
  const status = program.run()
  await ready()
  process.emit('SIGUSR1')
  t.equal(await status, 5)
  process.emit('SIGUSR1')
})

test(
  'a program that crashes is started again after ever longer pauses, until it does not',
  alone,
  async t => {
    const count = join(t.testdir(), 'count')
    process.env.COUNT = count
    t.teardown(() => delete process.env.COUNT)
    const program = shell(t, 'echo x >> "$COUNT"; test "$(wc -l < "$COUNT")" -ge 3 || exit 7')
    const lines: string[] = []
    t.equal(await program.keepRunning(as(line => void lines.push(line))), 0)
    t.same(lines, [
      'bash has crashed with status 7; again in 100 ms',
      'bash has crashed with status 7; again in 200 ms',
    ])
  },
)

test('one that had run for long is started again soon', alone, async t => {
  let now = 0
  t.intercept(live, 'uptime', { value: () => (now += 20) })
  const program = shell(t, 'exit 7')
  const lines: string[] = []
  const told = as(line => {
    if (lines.push(line) === 3) process.emit('SIGTERM')
  })
  const status = program.keepRunning(told)
  t.equal(await status, 7)
  t.same(
    lines,
    Array.from({ length: 3 }, () => 'bash has crashed with status 7; again in 100 ms'),
  )
})

for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
  test(`one that is ended by our ${signal} is not started again`, alone, async t => {
    const program = shell(t, 'exec sleep 60', async (_pid, over) => {
      process.emit(signal)
      await once(over, 'abort')
    })
    t.ok((await program.keepRunning(as(t.fail))) > 128)
  })

  test(`one that has crashed is not started again after ${signal}`, alone, async t => {
    const lines: string[] = []
    const told = as(line => {
      lines.push(line)
      process.emit(signal)
    })
    const status = shell(t, 'exit 7').keepRunning(told)
    t.equal(await status, 7)
    t.equal(lines.length, 1)
  })
}

test(
  'one that takes SIGHUP for something else is started again when it crashes',
  alone,
  async t => {
    const { say, ready } = await readiness(t)
    let starts = 0
    const program = shell(t, `trap '' HUP; ${say}; exec sleep 60`, async (pid, over) => {
      await ready()
      process.emit('SIGHUP')
      if (++starts === 2) process.emit('SIGTERM')
      else process.kill(pid, 'SIGKILL')
      await once(over, 'abort')
    })
    t.equal(await program.keepRunning(as(() => {})), 143)
    t.equal(starts, 2)
  },
)

test('a terminal has sent SIGINT to it already', alone, async t => {
  t.intercept(process.stdin, 'isTTY', { value: true })
  const program = shell(t, 'exec sleep 60', async (pid, over) => {
    process.emit('SIGINT')
    process.kill(pid, 'SIGTERM')
    await once(over, 'abort')
  })
  t.equal(await program.run(), 143)
})

test(
  'each start has the environment of that time, or the last that could be had',
  alone,
  async t => {
    const lines: string[] = []
    const tell = (line: string) => void lines.push(line)
    const errors = [new Error('db is not there')]
    const renew = async () => {
      const error = errors.pop()
      if (error) throw error
      return { env: { ...process.env, STATUS: '0' } }
    }
    t.equal(await shell(t, 'exit ${STATUS:-7}').keepRunning({ tell, renew }), 0)
    t.match(lines, [/again in 100 ms/, 'db is not there', /again in 200 ms/])
  },
)

test('a signal ends the wait for what it needs', alone, async t => {
  const renew = async (signal: AbortSignal) => {
    process.emit('SIGTERM')
    signal.throwIfAborted()
    return {}
  }
  t.equal(await shell(t, 'exit 7').keepRunning({ tell: () => {}, renew }), 7)
})
