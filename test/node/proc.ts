import { spawn } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { renameSync, writeFileSync } from 'node:fs'
import fs from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import net, { connect, createServer, isIPv6, type AddressInfo, type Socket } from 'node:net'
import os from 'node:os'
import { join } from 'node:path'
import { test, type Test } from 'tap'
import {
  Identities,
  bound,
  freePort,
  isFree,
  listening,
  occupants,
  portFor,
  portsOf,
  usersOf,
  type End,
} from '../../lib/node/proc.ts'
import { plain } from '../../lib/address.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { nobody, stranger } from '../fixtures/services.ts'
import { wanting } from '../fixtures/wanting.ts'

const { pid } = process

const never = new AbortController().signal

const linux = { skip: process.platform !== 'linux' && 'only Linux tells' }

/** The reason to skip what listens at `host`, or false. */
const without = (host: string) => isIPv6(host) && withoutIPv6

/** Listens on `port` until the test ends, at all addresses unless told otherwise. */
async function listener(t: Test, port: number, host?: string): Promise<void> {
  const server = createServer()
  t.teardown(() => server.close())
  await once(server.listen(port, host), 'listening')
}

/** Takes datagrams on `port` until the test ends. */
async function datagrams(t: Test, port: number, host: string): Promise<void> {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  t.teardown(() => socket.close())
  await once(socket.bind(port, host), 'listening')
}

test('a free port can be bound, and is not one that systems give out by themselves', async t => {
  const port = await freePort()
  t.ok(port > 10_080 && port < 32_768, `${port}`)
  t.equal(await isFree(port), true)
  await listener(t, port)
})

test('the port of a number is the same each time, and in the range', async t => {
  const port = portFor(123_456_789)
  t.ok(port > 10_080 && port < 32_768)
  t.equal(portFor(123_456_789), port)
  t.teardown(() => delete process.env.MONIKER_PORTS)
  process.env.MONIKER_PORTS = `${port - 1}-${port + 1}`
  t.equal(portFor(123_456_789), port, 'where it is in there')
  process.env.MONIKER_PORTS = '50000-50001'
  t.equal(portFor(7), 50_001)
})

test('a port is the one that is preferred, if that is free and in the range', async t => {
  const port = await freePort()
  t.equal(await freePort(port), port)
  const taken = await stranger(t)
  t.not(await freePort(taken), taken)
  process.env.MONIKER_PORTS = `${port}-${port}`
  t.teardown(() => delete process.env.MONIKER_PORTS)
  t.equal(await freePort(port - 1), port)
  await listener(t, port)
  await t.rejects(freePort(port), { code: 'EADDRINUSE', reason: 'EPORTS' })
})

for (const host of ['127.0.0.1', '0.0.0.0', '::', '::1']) {
  test(`a port that is taken at ${host} is not free`, { skip: without(host) }, async t => {
    const port = await freePort()
    await listener(t, port, host)
    t.equal(await isFree(port), false)
  })
}

for (const [host, address] of [
  ['127.0.0.1', '127.0.0.1'],
  ['127.1.2.3', '127.1.2.3'],
  ['0.0.0.0', '0.0.0.0'],
  ['::', '::'],
  ['::1', '::1'],
  ['::ffff:127.0.0.1', '127.0.0.1'],
] as const) {
  const skip = process.platform === 'linux' ? without(host) : 'only Linux has a table of them'
  test(`what listens at ${host} is read from the table of the kernel`, { skip }, async t => {
    const port = await freePort()
    await listener(t, port, host)
    t.equal(await listening(port, never), address)
  })
}

for (const host of ['127.0.0.1', '::1']) {
  const skip = without(host)
  test(`ports of both transports at ${host} are looked for together`, { skip }, async t => {
    const [tcp, udp, none] = [await freePort(), await freePort(), await freePort()]
    await listener(t, tcp, host)
    await datagrams(t, udp, host)
    const spots = [tcp, udp, none].flatMap(port => [
      { transport: 'tcp', port } as const,
      { transport: 'udp', port } as const,
    ])
    const found = [host, undefined, undefined, host, undefined, undefined]
    t.same(await bound(spots), found)
    t.equal(await listening(udp, never, 'udp'), host)
    const elsewhere = t.intercept(process, 'platform', { value: 'darwin' })
    t.same(await bound(spots), found, 'and so they are where there is no table')
    elsewhere.restore()
  })

  test(`where the kernel has no table, ${host} is found by trying`, { skip }, async t => {
    t.intercept(process, 'platform', { value: 'darwin' })
    const port = await freePort()
    const found = listening(port, never)
    await listener(t, port, host)
    t.equal(await found, host)
  })
}

/** Has the kernel's tables read as `text` until the test ends. */
function tablesAre(t: Test, text: string): void {
  const { readFile } = fs
  const replace = (own: typeof readFile) => {
    fs.readFile = own
    syncBuiltinESMExports()
  }
  t.teardown(() => replace(readFile))
  replace((async (file: string, encoding: BufferEncoding) =>
    file.startsWith('/proc/net/') ? text : readFile(file, encoding)) as typeof readFile)
}

const waiting = (local: string) =>
  `   0: ${local}:1F90 ${'0'.repeat(local.length)}:0000 0A 0:0 0:0 0 0 0 77 1 0 20\n`

test('of several addresses it is the one that most peers can reach', linux, async t => {
  const spot = { transport: 'tcp', port: 8080 } as const
  const [loop, lan, any] = ['0100007F', '0A0200C0', '00000000']
  const [loop6, any6, link] = [
    '00000000000000000000000001000000',
    '0'.repeat(32),
    '000080FE00000000000000000A000000',
  ]
  const cases: [locals: string[], address: string][] = [
    [[loop, lan], '192.0.2.10'],
    [[lan, loop], '192.0.2.10'],
    [[loop, lan, any], '0.0.0.0'],
    [[lan, any6], '::'],
    [[loop, loop6], '127.0.0.1'],
    [[loop6, link], '::1'],
  ]
  for (const [locals, address] of cases) {
    tablesAre(t, locals.map(waiting).join(''))
    t.same(await bound([spot]), [address], locals.join())
  }
  tablesAre(t, waiting(loop) + waiting(lan))
  t.same(await bound([{ ...spot, address: '127.0.0.1' }]), ['127.0.0.1'], 'unless it is said')
  tablesAre(t, waiting(any6))
  t.same(await bound([{ ...spot, address: '192.0.2.1' }]), ['192.0.2.1'])
  const other = { ...spot, port: await nobody(), address: '127.0.0.1' }
  t.same(await bound([other, { ...other, transport: 'udp' }]), [undefined, undefined])
})

/** Has this host have these addresses until the test ends. */
function interfacesAre(t: Test, ...addresses: string[]): void {
  const real = os.networkInterfaces
  const replace = (own: object) => {
    Object.assign(os, { networkInterfaces: own })
    syncBuiltinESMExports()
  }
  t.teardown(() => replace(real))
  replace(() => ({ eth: addresses.map(address => ({ address })), none: undefined }))
}

test('a port that only the kernel knows can be connected to, and is there', linux, async t => {
  tablesAre(t, '')
  // These two lead to this host as well, as its own do.
  interfacesAre(t, '127.0.0.1', '0.0.0.0', '::', 'fe80::1')
  const near = await stranger(t)
  t.same(await bound([{ transport: 'tcp', port: near, address: '127.0.0.1' }]), ['127.0.0.1'])
  t.same(await bound([{ transport: 'tcp', port: near, address: '127.0.0.2' }]), [undefined])
  t.same(await bound([{ transport: 'tcp', port: near }]), ['0.0.0.0'])
  t.same(await bound([{ transport: 'tcp', port: await nobody() }]), [undefined])
  if (withoutIPv6) return
  const everywhere = await stranger(t, undefined, '::')
  t.same(await bound([{ transport: 'tcp', port: everywhere }]), ['::'])
})

test(
  'a program that is waited for is left alone for two seconds, then connected to',
  linux,
  async t => {
    tablesAre(t, '')
    let connections = 0
    const port = await stranger(t, () => connections++)
    const begun = Date.now()
    t.same(await bound([{ transport: 'tcp', port }], { isPatient: true }), [undefined])
    t.equal(await listening(port, never), '127.0.0.1')
    t.ok(Date.now() - begun >= 1_900)
    t.ok(connections >= 1)
  },
)

test('a port at one address is told with that', linux, async t => {
  tablesAre(t, '')
  interfacesAre(t)
  const port = await stranger(t)
  t.same(await bound([{ transport: 'tcp', port }]), ['127.0.0.1'])
})

test('a port that does not answer is given up', linux, async t => {
  tablesAre(t, '')
  const replace = (own: object) => {
    Object.assign(net, { connect: own })
    syncBuiltinESMExports()
  }
  const real = net.connect
  t.teardown(() => replace(real))
  // A firewall that swallows what is sent.
  replace(({ timeout }: { timeout: number }) => new net.Socket().setTimeout(timeout))
  const awake = setInterval(() => {}, 1_000)
  t.same(await bound([{ transport: 'tcp', port: 8080, address: '127.0.0.1' }]), [undefined])
  clearInterval(awake)
})

test('no ports are looked for in no time', async t => {
  t.same(await bound([]), [])
})

test('a host without IPv6 has no table of it', async t => {
  const { readFile } = fs
  const replace = (own: typeof readFile) => {
    fs.readFile = own
    syncBuiltinESMExports()
  }
  t.teardown(() => replace(readFile))
  const missing = new Error('no such file')
  replace((async (file: string, encoding: BufferEncoding) => {
    if (file.endsWith('tcp6')) throw missing
    return readFile(file, encoding)
  }) as typeof readFile)

  const port = await freePort()
  const found = listening(port, never)
  await listener(t, port, '127.0.0.1')
  t.equal(await found, '127.0.0.1')
})

test('a program is waited for until it listens, or nobody wants to know any more', async t => {
  const port = await freePort()
  const found = listening(port, never)
  const given = new AbortController()
  const lost = listening(await freePort(), given.signal)
  const reason = new Error('the command has ended')
  given.abort(reason)
  await t.rejects(lost, reason)

  await listener(t, port, '127.0.0.1')
  t.equal(await found, '127.0.0.1')
})

test('who has a port is known on Linux', linux, async t => {
  const port = await stranger(t)
  t.match(await occupants({ transport: 'tcp', port }), [{ pid, name: /\w/ }])
  await stranger(t, undefined, '127.0.0.2', port)
  t.same(await usersOf({ transport: 'tcp', port }), [process.getuid?.()])
  t.same(await usersOf({ transport: 'udp', port }), [])
  t.same(await occupants({ transport: 'udp', port }), [])
  t.same(await occupants({ transport: 'tcp', port: await nobody() }), [])
})

test('and who has one of IPv6', { skip: linux.skip || withoutIPv6 }, async t => {
  const socket = createSocket('udp6')
  t.teardown(() => socket.close())
  await once(socket.bind(0, '::1'), 'listening')
  const { port: datagrams } = socket.address()
  t.match(await occupants({ transport: 'udp', port: datagrams }), [{ pid }])
})

test('what may not be seen is not known', async t => {
  const port = await stranger(t)
  const { readdir, readlink } = fs
  const replace = (own: object) => {
    Object.assign(fs, own)
    syncBuiltinESMExports()
  }
  t.teardown(() => replace({ readdir, readlink }))
  const denied = async () => Promise.reject(new Error('EACCES'))
  replace({ readlink: denied })
  t.same(await occupants({ transport: 'tcp', port }), [])
  replace({ readlink, readdir: (path: string) => (path === '/proc' ? readdir(path) : denied()) })
  t.same(await occupants({ transport: 'tcp', port }), [])
})

test('where a process waits is known, or one that it has started', linux, async t => {
  const port = await stranger(t)
  t.ok((await portsOf(pid)).includes(port))
  t.ok((await portsOf(process.ppid)).includes(port))
  const child = spawn('cat', { stdio: ['pipe', 'ignore', 'ignore'] })
  t.teardown(() => child.kill())
  t.same(await portsOf(child.pid!), [])
})

test('elsewhere nobody is known', async t => {
  const port = await stranger(t)
  t.intercept(process, 'platform', { value: 'darwin' })
  t.same(await occupants({ transport: 'tcp', port }), [])
  t.same(await usersOf({ transport: 'tcp', port }), [])
})

const root = { skip: process.getuid?.() !== 0 && 'only root can be somebody else' }

/** A server, and the connection that it is going to accept. */
async function server(t: Test, host: string) {
  const server = createServer({ allowHalfOpen: true })
  await once(server.listen(0, host), 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const accepted = once(server, 'connection').then(([socket]) => {
    t.teardown(() => (socket as Socket).destroy())
    return socket as Socket
  })
  return { port, accepted }
}

/** Both ends of an accepted connection, the peer's first. */
function endsOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): [End, End] {
  return [
    { address: plain(remoteAddress!), port: remotePort! },
    { address: plain(localAddress!), port: localPort! },
  ]
}

for (const [bound, asked] of [
  ['127.0.0.1', '127.0.0.1'],
  ['::1', '::1'],
  ['::', '127.0.0.1'],
  ['127.0.0.1', '::ffff:127.0.0.1'],
] as const) {
  const skip = linux.skip || (bound.includes(':') && withoutIPv6)
  test(`who connects to ${asked} at ${bound} is known`, { skip }, async t => {
    const { port, accepted } = await server(t, bound)
    const socket = connect(port, asked)
    t.teardown(() => socket.destroy())
    const [from, to] = endsOf(await accepted)
    const identities = new Identities()
    t.equal(await identities.of(from, to), process.getuid!())
    const other = { ...to, port: port - 1 }
    t.equal(await identities.of(from, other), undefined, 'and no other is taken for it')
  })
}

test('somebody else is known as such', { skip: linux.skip || root.skip }, async t => {
  const { port, accepted } = await server(t, '127.0.0.1')
  const program = `require('net').connect(${port}, '127.0.0.1')`
  const child = spawn(process.execPath, ['-e', program], { uid: 12_345, env: {} })
  t.teardown(() => child.kill())
  t.equal(await new Identities().of(...endsOf(await accepted)), 12_345)
})

test('who has closed its socket is not taken for root', linux, async t => {
  const { port, accepted } = await server(t, '127.0.0.1')
  const socket = connect(port, '127.0.0.1')
  const there = await accepted
  const ends = endsOf(there)
  socket.destroy()
  await once(there.resume(), 'end')
  t.equal(await new Identities().of(...ends), undefined)
})

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n'
const row = (ends: string, state = '01', uid = 1000, inode = 77) =>
  `   3: ${ends} ${state} 00000000:00000000 00:00000000 00000000 ${uid}        0 ${inode} 1 0 20\n`

const here = '0100007F:1F90 0100007F:1A08'
const mapped = `0000000000000000FFFF0000${here.replace(' ', ' 0000000000000000FFFF0000')}`
const one6 = '00000000000000000000000001000000:1F90 00000000000000000000000001000000:1A08'
const v4 = ['127.0.0.1', '127.0.0.1'] as const
const v6 = ['::1', '::1'] as const
const link = ['fe80::1:2%eth0', 'fe80::a'] as const
const link6 = '000080FE000000000000000002000100:1F90 000080FE00000000000000000A000000:1A08'

const tables: [what: string, ends: readonly [string, string], rows: string, uid?: number][] = [
  ['an established socket with an inode', v4, row(here), 1000],
  ['one of IPv6 that speaks IPv4', v4, row(mapped), 1000],
  ['one of IPv6', v6, row(one6), 1000],
  ['one of a link', link, row(link6), 1000],
  ['root', v4, row(here, '01', 0), 0],
  ['the row of our own end', v4, row(here.split(' ').toReversed().join(' '))],
  ['another port', v4, row(here.replace('1F90', '1F91'))],
  ['a socket that is listening', v4, row(here, '0A')],
  ['a socket that its owner has closed', v4, row(here, '05', 0, 0)],
  ['an established one without an inode', v4, row(here, '01', 0, 0)],
  ['whom the kernel does not know', v4, row(here, '01', 65_534)],
  ['an empty table', v4, ''],
]

for (const [what, [from, to], rows, uid] of tables) {
  test(`of ${what} the user is ${uid ?? 'unknown'}`, async t => {
    const identities = new Identities({ folder: t.testdir({ tcp: HEAD + rows }) })
    const ends = [
      { address: from, port: 8080 },
      { address: to, port: 6664 },
    ] as const
    t.equal(await identities.of(...ends), uid)
  })
}

test('who asks while a table is read is found in the next', async t => {
  const folder = t.testdir({ tcp: HEAD + row(here) })
  const identities = new Identities({ folder })
  const [first, later, to] = [8080, 8081, 6664].map(port => ({ address: '127.0.0.1', port }))
  const asked = identities.of(first!, to!)
  // At one stroke: what is being read is the one or the other.
  const next = join(folder, 'next')
  writeFileSync(next, HEAD + row(here) + row(here.replace('1F90', '1F91'), '01', 7))
  renameSync(next, join(folder, 'tcp'))
  const others = [identities.of(later!, to!), identities.of(later!, to!)]
  t.equal(await asked, 1000)
  t.strictSame(await Promise.all(others), [7, 7])
  t.equal(await identities.of(later!, to!), 7)
})

test('in a long table as well', async t => {
  const others = Array.from({ length: 1_100 }, (_, n) =>
    row(here.replace('1F90', (n + 1).toString(16).toUpperCase().padStart(4, '0')), '01', 7),
  )
  const identities = new Identities({
    folder: t.testdir({ tcp: HEAD + others.join('') + row(here) }),
  })
  const [from, other, to] = [8080, 1_100, 6664].map(port => ({ address: '127.0.0.1', port }))
  t.equal(await identities.of(from!, to!), 1000)
  t.equal(await identities.of(other!, to!), 7)
})

test('all that have waited for a table have their turns', async t => {
  const waiting: (() => void)[] = []
  const identities = new Identities({
    folder: t.testdir({ tcp: HEAD + row(here) }),
    later: work => waiting.push(work),
  })
  const [from, to] = [8080, 6664].map(port => ({ address: '127.0.0.1', port }))
  const found: unknown[] = []
  const asked = [1, 2].map(async () => found.push(await identities.of(from!, to!)))
  while (waiting.length < 1) await new Promise(setImmediate)
  t.strictSame(found, [])
  waiting.shift()!()
  await Promise.race(asked)
  t.strictSame(found, [1000])
  while (waiting.length < 1) await new Promise(setImmediate)
  waiting.shift()!()
  await Promise.all(asked)
  t.strictSame(found, [1000, 1000])
})

test('for want of descriptors no user is unknown: that is a failure, and the next is not', async t => {
  const identities = new Identities({ folder: t.testdir({ tcp: HEAD + row(here) }) })
  const [from, to] = [8080, 6664].map(port => ({ address: '127.0.0.1', port }))
  const { again } = wanting(t)
  const asked = [identities.of(from!, to!), identities.of(from!, to!)]
  for (const one of asked) await t.rejects(one, { code: 'EMFILE' })
  again()
  t.equal(await identities.of(from!, to!), 1000)
})
