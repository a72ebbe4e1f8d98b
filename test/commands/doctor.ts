import { spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { chmodSync, chownSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test, type Test } from 'tap'
import {
  checkup,
  doctorCommand,
  environment,
  firewalls,
  hostPolicy,
  loopback,
  projectFindings,
  versions,
} from '../../lib/commands/doctor.ts'
import type { Finding } from '../../lib/commands/findings.ts'
import { checkRoad, withoutSocket } from '../../lib/commands/roads.ts'
import { socketName } from '../../lib/node/localsocket.ts'
import { decode, encode, idOf, type Answer } from '../../lib/wire/protocol.ts'
import { apart, island } from '../fixtures/apart.ts'
import { printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { home } from '../fixtures/home.ts'
import { interfaces } from '../fixtures/interfaces.ts'
import { folder, unix } from '../fixtures/localsocket.ts'
import { scarce } from '../fixtures/scarce.ts'
import { lookup, nobody, silence, stranger } from '../fixtures/services.ts'

const linux = { skip: process.platform !== 'linux' && 'only Linux tells what a process was given' }

const root = { skip: process.getuid?.() !== 0 && 'the policy of a host is root’s' }

test('each check is a line, and all is well', async t => {
  t.teardown(() => (process.exitCode = undefined))
  const { port } = await daemon(t)
  const lines = await printed(t, doctorCommand, '127.0.0.1', '--daemon-port', String(port))
  t.match(lines, /^ok {4}versions {8}moniker .*\n(ok .*\n)+ok {4}daemon {10}monikerd/)
  t.equal(process.exitCode, 0)
})

test('what is not well has a hint, and is told by the exit status', async t => {
  t.teardown(() => (process.exitCode = undefined))
  const at = ['127.0.0.1', '--daemon-port', String(await nobody())]
  const lines = await printed(t, doctorCommand, ...at)
  t.match(lines, /^hint {2}tcp 127.0.0.1 {3}ECONN.*\n {22}run monikerd there$/m)
  t.equal(process.exitCode, 1)
  const findings = JSON.parse(await printed(t, doctorCommand, ...at, '--json')) as object[]
  t.match(findings.at(-1), { check: 'tcp 127.0.0.1', ok: false, hint: 'run monikerd there' })
})

test('this host and its usual port are meant unless told otherwise', async t => {
  t.teardown(() => (process.exitCode = undefined))
  const port = await home(t)
  t.match(await printed(t, doctorCommand), `a daemon answers on port ${port}`)
})

/** The findings, but for the versions and the environment: what was looked at, and whether it is well. */
async function found(...args: Parameters<typeof checkup>): Promise<Record<string, Finding>> {
  const findings: Finding[] = []
  for await (const finding of checkup(...args)) findings.push(finding)
  const others = findings.filter(({ check }) => check !== 'versions' && check !== 'environment')
  return Object.fromEntries(others.map(finding => [finding.check, finding]))
}

/** A program that says of itself over TCP what it is told to; by UDP it does not answer. */
function pretender(t: Test, answer: Answer, host?: string, port?: number): Promise<number> {
  return stranger(
    t,
    socket => socket.on('data', data => socket.write(encode(idOf(decode(String(data))), answer))),
    host,
    port,
  )
}

const status = { pid: 1, embedded: true, names: 1, started: 0, udp: ['127.0.0.1'] }
const here = { lookup: lookup('127.0.0.1') }

test('a daemon that is well is said to be', async t => {
  const { port } = await daemon(t)
  const { pid } = process
  t.same(await found('127.0.0.1', port), {
    'tcp 127.0.0.1': { check: 'tcp 127.0.0.1', ok: true, text: `a daemon answers on port ${port}` },
    'udp 127.0.0.1': { check: 'udp 127.0.0.1', ok: true, text: `it answers on port ${port}` },
    daemon: { check: 'daemon', ok: true, text: `monikerd, process ${pid}, 0 names` },
  })
  t.match((await found('', port)).clock, { ok: true, text: /^it is \d{4}-/ })
})

test('where there is none yet, that is well on this host alone', async t => {
  const port = await nobody()
  t.match(await found('', port, here), {
    'tcp 127.0.0.1': { ok: true, text: `port ${port} is free for the first program` },
  })
  t.match(await found('127.0.0.1', port), {
    'tcp 127.0.0.1': { ok: false, text: /no daemon answers/, hint: 'run monikerd there' },
  })
})

test('a program that has the port is named', async t => {
  const port = await stranger(t, socket => void socket.end('220 mail ready\r\n'))
  const { 'tcp 127.0.0.1': tcp } = await found('', port, here)
  t.match(tcp, {
    ok: false,
    text: `the program on port ${port} is not a daemon`,
    hint: /stop that program/,
  })
  if (process.platform === 'linux') t.match(tcp!.text, `process ${process.pid} (`)
  t.notMatch((await found('127.0.0.1', port))['tcp 127.0.0.1']!.text, 'process')

  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  await once(socket.bind(0, '127.0.0.1'), 'listening')
  const { 'udp 127.0.0.1': udp } = await found('', socket.address().port, here)
  if (process.platform === 'linux') t.match(udp, { ok: false, text: /^port \d+ is taken: process/ })
})

test('what cannot be asked is told with what may be wrong', async t => {
  const port = await nobody()
  await silence(t, '127.0.0.3', port)
  t.match(await found('127.0.0.3', port), {
    'tcp 127.0.0.3': { ok: false, text: /ETIMEDOUT/, hint: /does a firewall stop TCP/ },
  })
  t.match(await found('', port, { lookup: lookup('127.0.0.3') }), {
    'tcp 127.0.0.3': {
      ok: false,
      text: `the program on port ${port} does not answer`,
      hint: /if it hangs/,
    },
  })
  t.match(await found('255.255.255.255', port), {
    'tcp 255.255.255.255': { ok: false, hint: /is there a route to its network/ },
  })
  const [started, share] = [1, { of: 'names', used: 1, most: 2 }]
  for (const odd of [
    {},
    { pid: 1, names: 1, started, udp: [2] },
    { started, policies: 'none' },
    { started, socket: 7 },
    { started, shares: {} },
    { started, shares: [null] },
    { started, shares: [share, { ...share, used: '1' }] },
  ]) {
    t.match(await found('127.0.0.1', await pretender(t, odd)), {
      'tcp 127.0.0.1': { ok: false, text: /is not a daemon$/ },
    })
  }
  const denied = { error: { code: 'EDENIED', message: 'no' } }
  t.match(await found('127.0.0.1', await pretender(t, denied)), {
    'tcp 127.0.0.1': { ok: false, text: /no$/, hint: /mend first what/ },
  })
})

test('an address that is not to be had matters if there is no other', async t => {
  const away = '255.255.255.255'
  t.match(await found('', await nobody(), { lookup: lookup(away) }), {
    [`tcp ${away}`]: { ok: true, text: 'this host has no such address' },
  })
  const { port } = await daemon(t)
  const both = { lookup: lookup('127.0.0.1', away, '127.0.0.2') }
  const elsewhere = {
    ok: true,
    text: 'no daemon answers here, but one does at another address of the host',
  }
  t.match(await found('theforce.net', port, both), {
    [`tcp ${away}`]: elsewhere,
    'tcp 127.0.0.2': elsewhere,
  })
})

test('a daemon that cannot be heard by UDP, or runs ahead of the clock, is not well', async t => {
  const ahead = { ...status, started: Date.now() + 3_600_000 }
  const port = await pretender(t, ahead)
  t.match(await found('', port, here), {
    'udp 127.0.0.1': { ok: false, text: `it does not answer on port ${port}`, hint: /firewall/ },
    daemon: { ok: true, text: /^inside process 1, 1 name; another program takes its place/ },
    clock: { ok: false, text: /but the daemon started at/, hint: 'was the clock set back?' },
  })
  t.match((await found('127.0.0.1', port))['udp 127.0.0.1']!.ok, false)
  const never = await pretender(t, { ...status, started: 9e15 })
  t.match((await found('', never, here)).clock, { text: /started at 9000000000000000$/ })
})

test('a daemon that another program has taken UDP from, or its Unix socket, is not well', async t => {
  const port = await pretender(t, { ...status, udp: [], socket: '/no/such/socket' })
  const socket = createSocket('udp4')
  t.teardown(() => socket.close())
  await once(socket.bind(port, '127.0.0.1'), 'listening')
  t.match(await found('', port, here), {
    'udp 127.0.0.1': { ok: false, text: /^the daemon has no UDP on port \d+/, hint: /^stop what/ },
    'unix socket': { ok: false, text: '/no/such/socket is not there', hint: /makes it again/ },
  })
})

test('a daemon that has lost UDP at an address where it was not asked is not well', async t => {
  const port = await pretender(t, { ...status, lost: ['127.0.0.1', '192.0.2.7'] })
  const all = await found('', port, here)
  t.match(all['udp 192.0.2.7'], { ok: false, text: `the daemon has no UDP on port ${port}` })
  t.match(all['udp 127.0.0.1'], { text: /it does not answer/ }, 'the other was asked')
})

test('a daemon that cannot have a Unix socket, as others could write there, is not well', async t => {
  const path = t.testdir()
  chmodSync(path, 0o755)
  const folder = { path, owner: undefined, parents: [] }
  t.match(withoutSocket([folder]), { ok: true, text: /ask by TCP$/ })
  chmodSync(path, 0o777)
  t.match(withoutSocket([{ ...folder, path: join(path, 'none') }, folder]), {
    ok: false,
    text: `nobody believes what is in ${path}`,
  })
})

test('what keeps clients from the fast road to servers of this user is told', async t => {
  const path = t.testdir({ user: {} })
  const run = join(path, 'user')
  const folder = { path: join(run, 'moniker'), owner: undefined, parents: [[run, 0]] as const }
  const none = { ...folder, parents: [[join(path, 'none'), 0]] as const }
  t.match(checkRoad(none), { ok: true, text: `as there is no ${join(path, 'none')}` })
  chmodSync(run, 0o777)
  t.match(checkRoad(folder), { ok: false, text: `nobody believes what is in ${run}` })
  t.match(checkRoad({ ...folder, parents: [] }), {
    ok: true,
    text: /^clients go to servers .* by /,
  })
  t.intercept(process, 'getuid', { value: undefined })
  t.match(checkRoad(), { ok: true, text: /^this system has none/ })
})

test('a daemon without a Unix socket, or with one for others, is well', unix, async t => {
  const none = await pretender(t, status)
  t.match((await found('', none, here))['unix socket'], { ok: true, text: /ask by TCP$/ })
  const theirs = await pretender(t, { ...status, uid: 7, socket: '/run/user/7/moniker/1' })
  t.intercept(process, 'getuid', { value: () => 7 })
  t.match((await found('', theirs, here))['unix socket'], { ok: false, text: /is not there$/ })
  t.intercept(process, 'getuid', { value: () => 8 })
  t.match((await found('', theirs, here))['unix socket'], { ok: true, text: /of user 7 alone$/ })
})

test('a Unix socket that another user could exchange is not well', async t => {
  const port = await pretender(t, { ...status, socket: process.execPath })
  t.match((await found('', port, here))['unix socket'], {
    ok: false,
    text: `another user could exchange ${process.execPath}`,
    hint: `chmod go-w ${dirname(process.execPath)}`,
  })
})

test('a Unix socket is well while its daemon answers there, and nobody else', unix, async t => {
  const { port } = await daemon(t)
  const path = join(folder!, socketName(port)!)
  const asked = async (port: number) => (await found('', port, here))['unix socket']
  t.match(await asked(port), { ok: true, text: `programs of this host ask at ${path}` })

  const told: Record<string, unknown> = { ...status, uid: process.getuid!() }
  const other = await pretender(t, told)
  const theirs = join(folder!, socketName(other)!)
  const squatter = createServer(socket => {
    socket.on('data', data => socket.end(encode(idOf(decode(String(data))), { endpoints: [] })))
  })
  await once(squatter.listen(theirs), 'listening')
  t.match((await all(other))[0], { ok: false, text: `answers at ${theirs}`, hint: /^programs/ })
  squatter.close()
  await once(squatter, 'close')
  writeFileSync(theirs, '')
  t.teardown(() => rmSync(theirs))
  t.match(await asked(other), { ok: true, text: /has none/ }, 'nobody answers there')
  told.socket = theirs
  t.match(await asked(other), { ok: false, text: `no daemon answers at ${theirs}` })

  async function all(port: number): Promise<Finding[]> {
    const findings: Finding[] = []
    for await (const one of checkup('', port, here)) findings.push(one)
    return findings.filter(({ check }) => check === 'unix socket')
  }
})

test('a bound that is near, or was reached lately, is not well', async t => {
  const share = { of: 'names', used: 89, most: 100 }
  const well = await pretender(t, { ...status, shares: [share] })
  t.match((await found('', well, here)).limits, {
    ok: true,
    text: 'no bound of the daemon is near',
  })
  const near = await pretender(t, { ...status, shares: [{ ...share, used: 90 }] })
  t.match((await found('', near, here)).limits, {
    ok: false,
    text: '90 of 100 names',
    hint: /a higher bound$/,
  })
  const full = await pretender(t, { ...status, shares: [], full: ['7 names are held'] })
  t.match((await found('', full, here)).limits, { ok: false, text: /refused.*: 7 names are held/ })
  t.notOk('limits' in (await found('', await pretender(t, status), here)))
})

test('a gateway at the usual port is told of, as the daemon knows it', async t => {
  const uid = process.getuid?.() ?? 0
  const gateway = { address: '127.0.0.1', port: 6680, uid }
  const told = await pretender(t, { ...status, gateways: [gateway] })
  const text = new RegExp(`^the gateway on port 6680 is of user .*\\b${uid}\\b`)
  t.match((await found('', told, here)).gateway, { ok: true, text })
  const wrong = await pretender(t, { ...status, gateways: [{ ...gateway, port: '6680' }] })
  t.match((await found('', wrong, here))['tcp 127.0.0.1'], { ok: false, text: /is not a daemon/ })
})

test('descriptors that are near their bound are told, where this user may know', linux, async t => {
  const { port } = await daemon(t)
  t.match((await found('', port, here)).descriptors, { ok: true, text: /^the daemon has \d+ of/ })
  const most = 256
  const { port: few } = await scarce(t, most)
  const text = async () => (await found('', few, here)).descriptors
  t.match(await text(), { ok: true, text: 'the daemon has ' })
  const places = Math.ceil((most - most / 8) * 0.9)
  const sockets = Array.from({ length: places }, () =>
    connect(few, '127.0.0.1').on('error', () => {}),
  )
  t.teardown(() => sockets.forEach(socket => socket.destroy()))
  await Promise.all(sockets.map(socket => once(socket, 'connect')))
  t.match(await text(), { ok: false, text: ` of ${most} open`, hint: /ulimit -n/ })
})

test('a policy of a daemon that another user could write is not well', async t => {
  const dir = realpathSync(mkdtempSync(join(homedir(), 'doctor-')))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const policy = join(dir, 'policy.yml')
  writeFileSync(policy, 'rules: []')
  chmodSync(policy, 0o644)
  const { port } = await daemon(t, { policy })
  const asked = async () => (await found('', port, here)).policy
  t.match(await asked(), { ok: true, text: `daemons go by the 0 rules of ${policy}` })
  chmodSync(policy, 0o666)
  t.match(await asked(), {
    ok: false,
    text: `${policy} can be written by others`,
    hint: /^no daemon/,
  })
  chmodSync(policy, 0o644)
  chmodSync(dir, 0o777)
  t.match(await asked(), { ok: false, text: `${dir} can be written by others` })
  process.env.MONIKER_POLICY = policy
  t.teardown(() => delete process.env.MONIKER_POLICY)
  const none = await found('', await nobody(), here)
  t.match(
    none.policy,
    { ok: false, text: `${dir} can be written by others` },
    'nor is that of ours',
  )
  process.env.MONIKER_POLICY = join(dir, 'none')
  t.notOk('policy' in (await found('', await nobody(), here)), 'which the environment tells')
})

test('the policy of a daemon is that of its user', root, async t => {
  const dir = realpathSync(mkdtempSync(join(homedir(), 'doctor-')))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const policy = join(dir, 'policy.yml')
  writeFileSync(policy, 'rules: []')
  chownSync(policy, 7, 7)
  for (const [uid, ok] of [
    [7, true],
    [8, false],
  ] as const) {
    const port = await pretender(t, { ...status, uid, policies: [policy] })
    t.match((await found('', port, here)).policy, { ok })
  }
})

test('a daemon of another host says less of itself, and is well', async t => {
  const told = { protocol: 1, started: 1 }
  const both = { lookup: lookup('127.0.0.1', '127.0.0.2') }
  for (const [embedded, text] of [
    [true, 'inside a program; another program takes its place when it ends'],
    [false, 'monikerd'],
  ] as const) {
    const port = await pretender(t, { ...told, embedded })
    await pretender(t, { ...told, embedded }, '127.0.0.2', port)
    t.match((await found('theforce.net', port, both)).daemon, { ok: true, text })
  }
  const port = await pretender(t, told)
  await pretender(t, { ...told, started: 2 }, '127.0.0.2', port)
  t.match((await found('theforce.net', port, both)).daemon, {
    ok: false,
    text: 'several answer on one port',
  })
  t.match((await found('', port, here))['udp 127.0.0.1'], { ok: false, text: /does not answer/ })
})

test('two daemons on one host are one too many', async t => {
  const { port } = await daemon(t)
  await pretender(t, status, '127.0.0.2', port)
  const both = { lookup: lookup('127.0.0.1', '127.0.0.2') }
  t.match((await found('', port, both)).daemon, {
    ok: false,
    text: `several answer on one port: processes ${process.pid} and 1`,
  })
})

test('the policy of this host is told, and what is wrong with it', root, async t => {
  const dir = mkdtempSync(join(homedir(), 'doctor-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  chmodSync(dir, 0o755)
  const file = join(dir, 'policy.yml')
  t.strictSame(await hostPolicy(undefined), [])
  for (const [text, rules] of [
    ['rules: []', '0 rules'],
    ['rules: [{deny: list}]', '1 rule'],
  ] as const) {
    writeFileSync(file, text)
    t.match(await hostPolicy(file), [
      { check: 'policy', ok: true, text: `the ${rules} of ${file}` },
    ])
  }
  writeFileSync(file, 'rules: 1')
  t.match(await hostPolicy(file), [{ ok: false, text: `${file}:1:`, hint: 'until it is mended' }])
})

test('the settings of a project are told, and what is wrong with them', async t => {
  const top = realpathSync(mkdtempSync(join(tmpdir(), 'doctor-')))
  t.teardown(() => rmSync(top, { recursive: true }))
  const file = join(top, 'moniker.json')
  const found = (text: string) => {
    writeFileSync(file, text)
    return projectFindings(top)
  }
  t.strictSame(projectFindings(top), [])
  const all = { check: 'project', ok: true, text: `namespace a, port 7, by ${file}` }
  t.strictSame(found('{"namespace":"a","port":7}'), [all])
  t.match(found('{}'), [{ ok: true, text: `nothing, by ${file}` }])
  t.match(found('{'), [{ ok: false, text: /to be JSON/ }])
  chmodSync(file, 0o666)
  t.match(found('{}'), [{ ok: false, text: `${file} is passed over: others can write` }])
})

test('variables that a tool on the way drops are told', linux, async t => {
  const cli = fileURLToPath(new URL('../../lib/cli.ts', import.meta.url))
  const dir = mkdtempSync(join(tmpdir(), 'doctor-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const port = String(await nobody())
  const flags = process.execArgv.map(one => one.replace('=./', `=${process.cwd()}/`))
  const dropped = (...command: string[]) => {
    const moniker = [process.execPath, ...flags, cli, ...command]
    // The tool drops some of the variables that it has.
    const script = `env ${drops.map(name => `-u ${name}`).join(' ')} "$@"; exit $?`
    const env = {
      ...process.env,
      MONIKER_PORT: port,
      MONIKER_NAMESPACE: 'shop',
      MONIKER_HOST: '::1',
      MONIKER_RESERVATION: 'a-secret-of-16-letters',
      MONIKER_URL: 'http://web.localhost/',
    }
    return spawnSync('sh', ['-c', script, 'sh', ...moniker], { cwd: dir, env, encoding: 'utf8' })
  }
  const drops = ['MONIKER_NAMESPACE', 'MONIKER_HOST', 'MONIKER_RESERVATION', 'MONIKER_URL']
  const doctor = dropped('doctor')
  t.equal(doctor.status, 1)
  const line = /MONIKER_NAMESPACE=shop of process \d+ \(sh\) does not come here/
  t.match(doctor.stdout, line)
  t.notMatch(doctor.stdout, 'a-secret-of-16-letters')
  t.notMatch(doctor.stdout, 'MONIKER_URL', 'that is for one program alone')
  t.match(doctor.stdout, /pass it on \(turbo: "globalPassThroughEnv"/)
  t.match(dropped('run', 'web', '--', 'true').stderr, line)
  writeFileSync(join(dir, 'moniker.json'), '{"namespace":"shop","port":7123}')
  drops.push('MONIKER_PORT')
  const mended = dropped('doctor').stdout
  t.notMatch(mended, line)
  t.notMatch(mended, /MONIKER_PORT=\d+ of process/, 'the project has a port too')
  t.match(mended, /MONIKER_HOST=::1 of process/)
  writeFileSync(join(dir, 'moniker.json'), '{')
  drops.pop()
  t.match(dropped('doctor').stdout, /to be JSON/, 'what is wrong with a project does not stop it')
})

test('the loopback interface is up, with whatever family, or that is told', async t => {
  interfaces(t, { lo: [{ address: '::1' }], eth0: [{ address: '192.0.2.7' }] })
  t.strictSame(loopback(), [])
  interfaces(t, { none: undefined, eth0: [{ address: '192.0.2.7' }] })
  t.match(loopback(), [{ check: 'loopback', ok: false, hint: 'bring it up: ip link set lo up' }])
})

test('it finds the faults of a network, and none where IPv6 is switched off', island, async t => {
  const env = { MONIKER_PORT: String(await nobody()), LOG: join(t.testdir(), 'log') }
  const down = apart('$MONIKER doctor', env)
  t.equal(down.status, 1)
  t.match(down.stdout, /^hint +loopback /m)

  const without = 'ip link set lo up; sysctl -qw net.ipv6.conf.all.disable_ipv6=1; '
  const alone = apart(`${without} $MONIKER doctor`, env)
  t.equal(alone.status, 0, alone.stdout)
  const start = '$MONIKER daemon 2>"$LOG" & until grep -q answering "$LOG"; do sleep 0.1; done; '
  const beside = apart(`${without}${start} $MONIKER doctor; got=$?; kill $!; exit $got`, env)
  t.equal(beside.status, 0, beside.stdout)
  t.match(beside.stdout, /^ok +udp 127.0.0.1 /m)
})

test('a firewall is for a daemon that other hosts may ask', async t => {
  const on = t.testdir({
    etc: { ufw: { 'ufw.conf': 'LOGLEVEL=low\nENABLED=yes\n' } },
    run: { 'firewalld.pid': '4711' },
  })
  t.match(firewalls(6664, on), [
    { ok: true, text: /to let other hosts in: ufw allow 6664$/ },
    { ok: true, text: /firewall-cmd --add-port=6664\/tcp --add-port=6664\/udp$/ },
  ])
  const off = t.testdir({ etc: { ufw: { 'ufw.conf': 'ENABLED=no\n' } } })
  t.same(firewalls(6664, off), [])
  const port = await pretender(t, { ...status, udp: ['0.0.0.0'] })
  t.ok(await found('', port, here))
})

test('the versions are told, and whether Node is one of those it is made for', async t => {
  t.match(versions(), { ok: true, text: `protocol 1, Node ${process.version}` })
  t.match(versions('v18.0.0'), { ok: false, hint: /made for Node .*20/ })
})

test('our variables are told, and what is wrong with them', async t => {
  t.same(environment({ PATH: '/' }), [
    { check: 'environment', ok: true, text: 'no MONIKER_ variable is set' },
  ])
  const policy = t.testdir({ policy: '' })
  const cases: [name: string, value: string, hint?: RegExp][] = [
    ['MONIKER_PORT', '7000'],
    ['MONIKER_PORTS', '7000-8000'],
    ['MONIKER_PORTS', '7000', /expected MONIKER_PORTS to be a range/],
    ['MONIKER_PORT', 'http', /expected MONIKER_PORT to be a port/],
    ['MONIKER_NAMESPACE', 'auto'],
    ['MONIKER_NAMESPACE', '8', /expected MONIKER_NAMESPACE to be a word/],
    ['MONIKER_HOST', '127.0.0.1, ::'],
    ['MONIKER_HOST', 'theforce.net', /expected IP addresses/],
    ['MONIKER_POLICY', `${policy}/policy`],
    ['MONIKER_POLICY', `${policy}/nothing`, /no such file/],
    ['MONIKER_LISTEN', 'web@1.2.0'],
    ['MONIKER_LISTEN', '7', /expected a name/],
    ['MONIKER_NAMES', 'db, cache'],
    ['MONIKER_NAMES', 'db;cache', /expected names/],
    ['MONIKER_GATEWAY', 'http://localhost:6680'],
    ['MONIKER_GATEWAY', 'localhost', /expected MONIKER_GATEWAY to be a URL/],
    ['MONIKER_URL', 'http://web.localhost/'],
    ['MONIKER_RUN', '7-4026531836-0123456789abcdef'],
    ['MONIKER_RESERVATION', 'a-secret-of-16-letters'],
    ['MONIKER_PROT', '7000', /spelt right/],
  ]
  for (const [name, value, hint] of cases) {
    const before = process.env[name]
    process.env[name] = value
    const isSecret = name === 'MONIKER_RESERVATION'
    const told = isSecret ? `${name} is set` : `${name}=${value}`
    const finding = environment().find(({ text }) => text === told)
    t.match(finding, hint ? { ok: false, hint } : { ok: true, hint: undefined }, `${name}=${value}`)
    if (before === undefined) delete process.env[name]
    else process.env[name] = before
  }
})
