import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { renameSync, writeFileSync } from 'node:fs'
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Peer } from '../../lib/daemon/answer.ts'
import { Identities } from '../../lib/node/peercred.ts'
import { peerOf } from '../../lib/daemon/tcp.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'

const linux = { skip: process.platform !== 'linux' && 'only Linux tells' }
const root = { skip: process.getuid?.() !== 0 && 'only root can be somebody else' }

/** A server, and how it sees who connects to it. */
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

for (const [bound, asked] of [
  ['127.0.0.1', '127.0.0.1'],
  ['::1', '::1'],
  ['::', '127.0.0.1'],
  ['127.0.0.1', '::ffff:127.0.0.1'],
] as const) {
  const skip = linux.skip || (bound.includes(':') && withoutIPv6)
  t.test(`who connects to ${asked} at ${bound} is known`, { skip }, async t => {
    const { port, accepted } = await server(t, bound)
    const socket = connect(port, asked)
    t.teardown(() => socket.destroy())
    const peer = peerOf(await accepted)
    const identities = new Identities()
    t.equal(await identities.of(peer, port), process.getuid!())
    t.equal(await identities.of(peer, port - 1), undefined, 'and no other is taken for it')
  })
}

t.test('somebody else is known as such', { skip: linux.skip || root.skip }, async t => {
  const { port, accepted } = await server(t, '127.0.0.1')
  const program = `require('net').connect(${port}, '127.0.0.1')`
  const child = spawn(process.execPath, ['-e', program], { uid: 12_345, env: {} })
  t.teardown(() => child.kill())
  t.equal(await new Identities().of(peerOf(await accepted), port), 12_345)
})

t.test('who has closed its socket is not taken for root', linux, async t => {
  const { port, accepted } = await server(t, '127.0.0.1')
  const socket = connect(port, '127.0.0.1')
  const there = await accepted
  const peer = peerOf(there)
  socket.destroy()
  await once(there.resume(), 'end')
  t.equal(await new Identities().of(peer, port), undefined)
})

t.test('who is on another host is nobody here', async t => {
  const remote = { address: '192.0.2.1', port: 7 }
  t.equal(await new Identities([]).of({ local: false, address: '192.0.2.2', remote }, 1), undefined)
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
  t.test(`of ${what} the user is ${uid ?? 'unknown'}`, async t => {
    const file = join(t.testdir(), 'tcp')
    writeFileSync(file, HEAD + rows)
    const peer: Peer = { local: true, address: to, remote: { address: from, port: 8080 } }
    t.equal(await new Identities([file, './nowhere']).of(peer, 6664), uid)
  })
}

t.test('who asks while a table is read is found in the next', async t => {
  const file = join(t.testdir(), 'tcp')
  writeFileSync(file, HEAD + row(here))
  const identities = new Identities([file])
  const peer: Peer = {
    local: true,
    address: '127.0.0.1',
    remote: { address: '127.0.0.1', port: 8080 },
  }
  const later = { ...peer, remote: { address: '127.0.0.1', port: 8081 } }
  const first = identities.of(peer, 6664)
  // At one stroke: what is being read is the one or the other.
  writeFileSync(`${file}.new`, HEAD + row(here) + row(here.replace('1F90', '1F91'), '01', 7))
  renameSync(`${file}.new`, file)
  const others = [identities.of(later, 6664), identities.of(later, 6664)]
  t.equal(await first, 1000)
  t.strictSame(await Promise.all(others), [7, 7])
  t.equal(await identities.of(later, 6664), 7)
})
