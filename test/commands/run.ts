import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { connect as netConnect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { t, test, type Test } from 'tap'
import { pidNamespace } from '../../lib/node/spaces.ts'
import { NameTaken } from '../../lib/commands/claim.ts'
import { Program, runCommand, type Beside } from '../../lib/commands/run.ts'
import { Gateway } from '../../lib/gateways/gateway.ts'
import { parse } from '../../lib/name.ts'
import { Registrar } from '../../lib/registration/registrar.ts'
import { toWord } from '../../lib/namespace.ts'
import { freePort, isFree } from '../../lib/node/proc.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { LineSplitter } from '../../lib/wire/splitter.ts'
import { decode, encode } from '../../lib/wire/protocol.ts'
import { moniker, printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { announced, site } from '../fixtures/gateway.ts'
import { line } from '../fixtures/lines.ts'
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

const linux = { skip: process.platform !== 'linux' && 'only Linux can' }

const serve = [process.execPath, '-e', program, '{port}', 'at {port}.']

/** For what runs inside this process, and is caught in what it writes. */
const alone = { buffered: false }

/** A program that prints `MONIKER_URL`, and goes on as `program` does. */
const tellURL = `console.log('at ' + process.env.MONIKER_URL);${program}`

test('a command is told its URL by a gateway', linux, async t => {
  const { daemonPort: port, gateway, get } = await site(t)
  await announced(port)
  const web = `require('http').createServer((request, response) => response.end(process.env.MONIKER_URL)).listen(process.env.PORT)`
  const call = ['run', 'ns:web@1.2.0', '--metadata', 'path=/docs', '--', process.execPath]
  const { said } = moniker(t, [...call, '-e', web], { port })
  await said(/is port/)
  const host = `web.ns.localhost:${gateway.port}`
  t.equal((await get(host)).body, `http://${host}/docs`)
})

test('the URL is that by MONIKER_GATEWAY, and none of another command', async t => {
  const { port } = await daemon(t)
  const told = async (name: string, env: NodeJS.ProcessEnv, ...args: string[]) => {
    const call = ['run', name, ...args, '--', process.execPath, '-e', tellURL]
    const { said, child, ended } = moniker(t, call, { port, env })
    await said(/at .*\n/, 'stdout')
    child.kill()
    return (await ended).stdout.split('\n')[0]
  }
  const MONIKER_GATEWAY = 'http://localhost'
  t.equal(await told('web', { MONIKER_GATEWAY }), 'at http://web.localhost/')
  const own = ['--env', 'MONIKER_URL=https://web.example']
  t.equal(await told('web', { MONIKER_GATEWAY }, ...own), 'at https://web.example')
  const others = { MONIKER_URL: 'http://other.localhost' }
  t.equal(await told('web', others), 'at undefined')
  t.equal(await told('web.v2', { ...others, MONIKER_GATEWAY }), 'at undefined')
})

test('a daemon that knows nothing of gateways is no failure', async t => {
  const { port } = await daemon(t)
  const asked: unknown[] = []
  const older = await stranger(t, socket => {
    const real = netConnect(port, '127.0.0.1').on('error', () => {})
    socket.on('close', () => real.destroy())
    real.pipe(socket)
    socket.pipe(new LineSplitter()).on('data', ([line]: [string]) => {
      const { op, id } = decode(line)
      if (op !== 'gateways') return void real.write(`${line}\n`)
      asked.push(op)
      socket.write(encode(id as number, { error: { code: 'ENOSYS', message: 'gateways' } }))
    })
  })
  const call = ['run', 'web', '--', process.execPath, '-e', tellURL]
  const { said } = moniker(t, call, { port: older })
  await said(/at undefined\n/, 'stdout')
  t.not(asked.length, 0)
})

test('with a MONIKER_GATEWAY that is none nothing is started', async t => {
  const { port } = await daemon(t)
  const env = { MONIKER_GATEWAY: 'localhost' }
  const { ended } = moniker(t, ['run', 'web', '--', ...serve], { port, env })
  t.match(await ended, { status: 2, stdout: '', stderr: /expected MONIKER_GATEWAY to be a URL/ })
})

test('a command that is started again is told where the gateway is then', linux, async t => {
  const { port } = await daemon(t)
  const { said, child } = moniker(
    t,
    ['run', 'web', '--restart', '--', process.execPath, '-e', tellURL],
    { port },
  )
  await said(/at undefined\n/, 'stdout')
  await said(/is port/)
  const gateway = await Gateway.open({ port: 0, daemonPort: port })
  t.teardown(() => gateway.close())
  await announced(port)
  const { port: own } = await find(port, 'web')
  netConnect(own, '127.0.0.1').end('3')
  await said(new RegExp(`at http://web.localhost:${gateway.port}/\n`), 'stdout')
  child.kill()
})

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

test('one that crashes is not started again once its name is taken', async t => {
  const { port } = await daemon(t)
  const { said, ended } = moniker(t, ['run', '--restart', 'web', '--', ...serve], { port })
  await said(/web@0.0.0 is port \d+/)
  const { endpoints, name } = await new Resolver({ port }).resolve(parse('web'))
  const { address, version } = endpoints[0]!
  const offer = { ...name, transport: 'tcp', address, version, port: 1, shared: false } as const
  const rival = (async () => {
    for (;;) {
      // The daemon holds each of these for a moment, and grants one as the name is let go.
      const lease = await Registrar.at(port)
        .register(offer)
        .catch(() => undefined)
      if (lease) return lease
    }
  })()
  connect({ service: 'web', daemonPort: port })
    .on('error', () => {})
    .write('3')
  const { status, stdout, stderr } = await ended
  const lease = await rival
  t.equal(status, 1)
  t.match(stderr, /crashed with status 3; .*\nmoniker: EADDRINUSE: web@0.0.0 is already registered/)
  t.equal(stdout.trim().split('\n').length, 1, 'it was started once')
  await lease.withdraw()
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

/** A tool that ignores PORT, as vite does, and takes a flag. */
const tool = `#!${process.execPath}
const { parseArgs } = require('node:util')
const options = { port: { type: 'string', default: '5173' }, strictPort: { type: 'boolean' } }
const { values } = parseArgs({ options, allowPositionals: true })
require('node:net').createServer().listen(Number(values.port), '127.0.0.1')
`

/** A package that has the tool, as `vite`, and a script that calls it. */
function packageOf(t: Test, name?: string): string {
  const folder = t.testdir({
    '.git': {},
    'package.json': JSON.stringify({ name, scripts: { dev: 'vite' } }),
    node_modules: { '.bin': { vite: tool } },
  })
  chmodSync(join(folder, 'node_modules/.bin/vite'), 0o755)
  return folder
}

test('a tool that ignores PORT is given its flag, under the name of the package', async t => {
  const { port } = await daemon(t)
  const cwd = packageOf(t, '@acme/My_Shop')
  const { child, said, ended } = moniker(t, ['run', '--', 'npm', 'run', 'dev'], { port, cwd })
  await said(/^moniker: the name is @acme\/my_shop, that of package.json\n/)
  await said(/\nmoniker: @acme\/my_shop is acme:my_shop\n/)
  await said(
    /\nmoniker: vite is given --port \{port\} --strictPort, as it may ignore PORT; --no-flags /,
  )
  await said(/\nmoniker: acme:my_shop@0.0.0 is port \d+\n/)
  const { port: found } = await find(port, 'acme:my_shop')
  t.not(found, 5173)
  // npm does not end what it has started.
  child.kill()
  await ended
  t.equal(await isFree(found), true)
})

test('--no-flags leaves it without', async t => {
  const { port } = await daemon(t)
  const cwd = packageOf(t)
  const args = ['run', '--no-flags', '--', 'node_modules/.bin/vite', '--port', 'nonsense']
  const { ended } = moniker(t, args, { port, cwd })
  const { stderr, status } = await ended
  t.notMatch(stderr, /is given/)
  t.match(
    stderr,
    new RegExp(`^moniker: the name is ${toWord(basename(cwd))}, that of the folder\n`),
  )
  t.equal(status, 1)
})

test('a command is missing', async t => {
  for (const args of [['run'], ['run', 'web'], ['run', '--'], ['run', 'web', '--']]) {
    const { status, stderr } = await moniker(t, args).ended
    t.equal(status, 2, args.join(' '))
    t.match(stderr, /^error: expected a command, as in moniker run web -- npm start\n/)
  }
})

test('the port is the same each time for one name and folder, and another for another', async t => {
  const { port } = await daemon(t)
  const at = async (name: string, cwd: string) => {
    const { child, said, ended } = moniker(t, ['run', name, '--', ...serve], { port, cwd })
    await said(/is port \d+\n/)
    const place = await find(port, name)
    child.kill()
    await ended
    return place.port
  }
  const folder = t.testdir({ one: { '.git': {}, sub: {} }, other: {} })
  const [one, other] = [join(folder, 'one', 'sub'), join(folder, 'other')]
  const first = await at('web', one)
  t.equal(await at('web@2.0.0', dirname(one)), first, 'anywhere in the work tree')
  t.not(await at('api', one), first)
  t.not(await at('web', other), first, 'not in another folder')
  await stranger(t, undefined, '127.0.0.1', first)
  t.not(await at('web', one), first, 'unless it is taken')
})

test('a name is reserved before the command is started, and taken over by force', async t => {
  const { port } = await daemon(t)
  const idle = [process.execPath, '-e', "console.log('up');setInterval(() => {}, 1000)"]
  const first = moniker(t, ['run', 'web', '--', ...idle], { port })
  await first.said(/up/, 'stdout')
  await t.rejects(find(port, 'web'), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  const second = moniker(t, ['run', 'web', '--', 'echo', 'started'], { port })
  const stderr =
    /^moniker: EADDRINUSE: web@0.0.0 .*reserved by process \d+; .*; --force takes the name over\n$/
  t.match(await second.ended, { status: 1, stdout: '', stderr })
  if (process.platform !== 'linux') return
  const third = moniker(t, ['run', 'web', '--force', '--', ...serve], { port })
  await third.said(/^moniker: web@0.0.0 is port/)
})

test('a command that registers the name by itself gets it', async t => {
  const { port } = await daemon(t)
  const index = new URL('../../index.ts', import.meta.url).href
  const program = (options: string) => [
    process.execPath,
    ...process.execArgv,
    '--input-type=module',
    '-e',
    `import { createServer } from '${index}'
    const server = createServer(socket => socket.on('data', status => process.exit(Number(status))))
    server.listen({ service: 'web@1.2.0', ${options} }, () => console.log('named'))`,
  ]
  for (const options of ['', 'port: Number(process.env.PORT)']) {
    const { child, said, ended } = moniker(t, ['run', 'web', '--', ...program(options)], { port })
    await said(/named/, 'stdout')
    await said(/moniker: web@0.0.0 is registered by the command itself\n$/)
    t.match(await find(port, 'web'), { version: '1.2.0' })
    child.kill()
    t.equal((await ended).status, 143)
  }
  const args = ['run', '--restart', 'web', '--', ...program('')]
  const again = moniker(t, args, { port })
  await again.said(/by the command itself/)
  connect({ service: 'web', daemonPort: port })
    .on('error', () => {})
    .write('3')
  await again.said(/crashed with status 3(.|\n)*by the command itself/)
})

test('a name that is not to be had starts nothing, and one that is kept stays', async t => {
  const strict = await stranger(t, socket => {
    createInterface({ input: socket }).on('line', text => {
      const { id } = JSON.parse(text) as { id: number }
      socket.write(line({ id, error: { code: 'EDENIED', message: 'not for you' } }))
    })
  })
  const denied = await moniker(t, ['run', 'web', '--', 'echo', 'started'], { port: strict }).ended
  t.match(denied, { status: 1, stdout: '', stderr: /^moniker: EACCES: .*not for you\n$/ })

  const { port } = await daemon(t)
  const crashing = [process.execPath, '-e', 'process.exit(3)']
  const cwd = realpathSync(mkdtempSync(join(tmpdir(), 'moniker-')))
  t.teardown(() => rmdirSync(cwd))
  const { said } = moniker(t, ['run', '--restart', 'web', '--', ...crashing], { port, cwd })
  await said(/again in 200 ms\n/)
  t.match(await moniker(t, ['run', 'web', '--', 'true'], { port }).ended, {
    stderr: /reserved by process/,
  })
})

test('a daemon that knows no reservations is used without, and not by force', async t => {
  const port = await stranger(t, socket => {
    createInterface({ input: socket }).on('line', text => {
      const { id, op } = JSON.parse(text) as { id: number; op: string }
      const error = { code: 'ENOSYS', message: 'the operation "reserve" is not known here' }
      socket.write(line(op === 'reserve' ? { id, error } : { id, registration: 1, generation: 1 }))
    })
  })
  await moniker(t, ['run', 'web', '--', ...serve], { port }).said(
    /^moniker: web@0.0.0 is port \d+\n/,
  )
  const forced = moniker(t, ['run', 'web', '--force', '--', ...serve], { port })
  t.match(await forced.ended, { status: 1, stderr: /^moniker: ENOSYS: the daemon .* is older/ })
})

test('with --strict others are looked for in the namespace alone', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'db', daemonPort: port })
  const args = ['--namespace', 'ns', '--with', 'db', '--wait', '10ms', '--', 'true']
  t.match(await moniker(t, ['run', 'web', ...args], { port }).ended, { status: 0 })
  const strict = await moniker(t, ['run', 'web', '--strict', ...args], { port }).ended
  t.match(strict, { status: 1, stderr: /ECONNREFUSED: ns:db is not offered/ })
})

test(
  'a command that puts itself into the background is told of, and is a failure',
  linux,
  async t => {
    const { port } = await daemon(t)
    const background = (script: string) => `
    const { spawn } = require('child_process')
    const script = ${JSON.stringify(script)}.replace('PORT', process.env.PORT)
    const child = spawn(process.execPath, ['-e', script], { detached: true, stdio: 'ignore' })
    console.log(child.pid)
    child.unref()`
    const serves = "require('net').createServer().listen(PORT, '127.0.0.1')"
    for (const script of [serves, 'setInterval(() => {}, 1000)']) {
      const args = ['run', 'web', '--', process.execPath, '-e', background(script)]
      const { status, stderr, stdout } = await moniker(t, args, { port }).ended
      process.kill(Number(stdout))
      t.equal(status, 1)
      t.match(stderr, `but process ${stdout.trim()} (node) goes on in the background`)
    }
    t.match(await moniker(t, ['run', 'web', '--', 'true'], { port }).ended, {
      status: 0,
      stderr: '',
    })

    // A program that has the port, and does not carry the mark.
    const ends = `
    require('net')
      .createServer(() => process.exit())
      .listen(process.env.PORT, '127.0.0.1')`
    const { said, ended } = moniker(t, ['run', 'web', '--', process.execPath, '-e', ends], { port })
    await said(/web@0.0.0 is port/)
    const place = await find(port, 'web')
    await stranger(t, undefined, '127.0.0.2', place.port)
    netConnect(place.port, '127.0.0.1').on('error', () => {})
    const { status, stderr } = await ended
    t.equal(status, 1)
    t.match(stderr, `but a program on port ${place.port} goes on in the background`)
  },
)

test('as process 1 it says what it cannot do', alone, async t => {
  process.env.MONIKER_PORT = String((await daemon(t)).port)
  t.teardown(() => {
    delete process.env.MONIKER_PORT
    process.exitCode = undefined
  })
  const own = t.intercept(process, 'pid', { value: 1 })
  const said = await printed(t, runCommand, 'web', '--', 'true')
  own.restore()
  t.match(said, /^# moniker: this is process 1, .* start the container with --init\n/)
})

test('elsewhere than on Linux a run ends what an earlier one has left', alone, async t => {
  process.env.MONIKER_PORT = String((await daemon(t)).port)
  const { PATH } = process.env
  t.teardown(() => {
    delete process.env.MONIKER_PORT
    process.env.PATH = PATH
    process.exitCode = undefined
  })
  const left = spawn('sleep', ['60'])
  const ended = once(left, 'exit')
  const folder = t.testdir()
  const ps = `#!/bin/sh\necho "${left.pid} sleep 60 MONIKER_RUN=99999999-${pidNamespace()}-0123456789abcdef"\n`
  writeFileSync(join(folder, 'ps'), ps, { mode: 0o755 })
  process.env.PATH = `${folder}:${PATH}`
  const elsewhere = t.intercept(process, 'platform', { value: 'darwin' })
  await printed(t, runCommand, 'web', '--', 'true').finally(() => elsewhere.restore())
  t.same(await ended, [null, 'SIGTERM'])
})

test('what a run has started ends with it, also by kill -9', linux, async t => {
  const { port } = await daemon(t)
  // It obeys no signal, and has a child with a session of its own.
  const program = `
    process.on('SIGTERM', () => {})
    const { spawn } = require('child_process')
    const child = spawn('sleep', ['60'], { detached: true, stdio: 'ignore' })
    console.log(process.pid, child.pid)
    require('net').createServer().listen(process.env.PORT, '127.0.0.1')`
  for (const path of [process.env.PATH, withoutSetpriv(t)]) {
    const args = ['run', 'web', '--', process.execPath, '-e', program]
    const { child, said, ended } = moniker(t, args, { port, env: { PATH: path } })
    await said(/\d+ \d+\n/, 'stdout')
    await said(/web@0.0.0 is port/)
    t.equal(
      execFileSync('pgrep', ['-c', '-P', String(child.pid)]).toString(),
      '1\n',
      'it is the one child',
    )
    child.kill('SIGKILL')
    const { stdout } = await ended
    for (const pid of stdout.trim().split(' ')) {
      while (isRunning(Number(pid))) await pause(20)
    }
  }
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
  const wondered = programs.map(([program, why], index) => {
    const args = ['run', `web${index}`, '--', process.execPath, '-e', program]
    const pattern = new RegExp(
      `^moniker: web${index}@0.0.0 is not registered yet: ${why}.* \\$PORT; `,
    )
    return moniker(t, args, { port }).said(pattern)
  })
  await Promise.all(wondered)
})

test('a command that cannot be run is said to be missing', alone, async t => {
  process.env.MONIKER_PORT = String((await daemon(t)).port)
  t.teardown(() => delete process.env.MONIKER_PORT)
  const message = /^no-such-command cannot be run \(.* E(NOENT|ACCES)\); is it installed\?$/
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

/** A path of programs without the tool that binds one to our end. */
function withoutSetpriv(t: Test): string {
  const folder = t.testdir()
  for (const name of ['sh', 'grep', 'sleep', 'true']) {
    symlinkSync(execFileSync('which', [name]).toString().trim(), join(folder, name))
  }
  return folder
}

function isRunning(pid: number): boolean {
  try {
    // Nobody may have asked yet how it has ended.
    return !/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}

const idle: Beside = async (_pid, signal) => void (await once(signal, 'abort'))

/** The options to go on with the same environment. */
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
  await t.rejects(program.run(), { message: /^no-such-command cannot be run \(.*E(NOENT|ACCES)\)/ })
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

/** The words in which a script says that it is ready, and the wait for them. */
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
  const program = shell(t, 'exit 7')
  const lines: string[] = []
  const told = as(line => {
    if (lines.push(line) === 3) process.emit('SIGTERM')
  })
  const status = program.keepRunning({ ...told, now: () => (now += 20_000) })
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

test('nothing is started any more once its name is taken', alone, async t => {
  const lines: string[] = []
  const tell = (line: string) => void lines.push(line)
  const renew = () => Promise.reject(new NameTaken('taken'))
  await t.rejects(shell(t, 'exit 7').keepRunning({ tell, renew }), { message: 'taken' })
  t.match(lines, [/again in 100 ms/])
})

test('a signal ends the wait for what it needs', alone, async t => {
  const renew = async (signal: AbortSignal) => {
    process.emit('SIGTERM')
    signal.throwIfAborted()
    return {}
  }
  t.equal(await shell(t, 'exit 7').keepRunning({ tell: () => {}, renew }), 7)
})
