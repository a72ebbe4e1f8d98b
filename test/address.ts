import { createSocket } from 'node:dgram'
import t from 'tap'
import {
  ANY_HOST,
  LOOPBACK,
  hostOfDaemon,
  isLoopback,
  isOwn,
  isThisHost,
  leadsHere,
  literally,
  mayLead,
  networkOf,
  plain,
} from '../lib/address.ts'

t.test('only this host can reach its loopback addresses', async t => {
  const loopback = [
    ...LOOPBACK,
    '127.0.0.2',
    '127.255.255.254',
    '::ffff:127.0.0.1',
    '::FFFF:127.9.9.9',
  ]
  for (const address of loopback) t.ok(isLoopback(address), address)
  for (const address of [
    '',
    '0.0.0.0',
    '::',
    '192.0.2.1',
    '10.127.0.1',
    '::ffff:192.0.2.1',
    '::12',
    '1270.0.0.1',
  ]) {
    t.notOk(isLoopback(address), address)
  }
})

t.test('a peer is on this host if it came by loopback, or from the address it came to', async t => {
  t.ok(isOwn('127.0.0.1', '127.0.0.1'))
  t.ok(isOwn('::1', '::1'))
  t.ok(isOwn('192.0.2.1', '192.0.2.1'))
  t.notOk(isOwn('192.0.2.2', '192.0.2.1'))
  t.notOk(isOwn('2001:db8::2', '2001:db8::1'))
  t.notOk(isOwn('', ''))
})

t.test('an IPv4 address is shown as one, whatever socket it came to', async t => {
  const table = [
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:127.0.0.1', '127.0.0.1'],
    ['192.0.2.1', '192.0.2.1'],
    ['::1', '::1'],
    ['::ffff:c000:201', '::ffff:c000:201'],
    ['', ''],
  ] as const
  for (const [address, expected] of table) t.equal(plain(address), expected)
})

t.test('a far daemon cannot send us to our own loopback', async t => {
  t.ok(mayLead('127.0.0.1', '::1'))
  t.ok(mayLead('127.0.0.1', '192.0.2.1'))
  t.ok(mayLead('192.0.2.1', '192.0.2.2'))
  t.notOk(mayLead('192.0.2.1', '127.0.0.1'))
  const ways = ['127.9.9.9', '0.0.0.0', '::1', '0:0:0:0:0:0:0:1', '::', '::ffff:7f00:1', '::1%lo']
  for (const address of [...ways, '::FFFF:127.0.0.1', '::ffff:0.0.0.0']) {
    t.ok(leadsHere(address), address)
    t.notOk(mayLead('192.0.2.1', address), address)
  }
  for (const address of ['192.0.2.1', '10.127.0.0', '2001:db8::1', '::2', 'fe80::1%eth0']) {
    t.notOk(leadsHere(address), address)
  }
})

t.test('for any host it is the daemon of this one that is asked', async t => {
  t.equal(hostOfDaemon(ANY_HOST), '')
  t.equal(hostOfDaemon(), '')
  t.equal(hostOfDaemon('theforce.net'), 'theforce.net')
})

t.test('this host has a name for itself', async t => {
  for (const host of ['', 'localhost', 'LocalHost']) t.ok(isThisHost(host), host)
  for (const host of ['localhost.', '127.0.0.1', 'theforce.net']) t.notOk(isThisHost(host), host)
})

t.test('a far host is told from another by what it cannot choose', async t => {
  const table = [
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
    ['2001:db8::1', '2001:db8:0:0'],
    ['2001::1:2:3:4:5', '2001:0:0:1'],
    ['::1', '0:0:0:0'],
    ['2001:db8::', '2001:db8:0:0'],
    ['fe80::1%eth0', 'fe80:0:0:0'],
  ]
  for (const [address, network] of table) t.equal(networkOf(address!), network)
})

t.test('a socket whose address needs no look-up listens at once', async t => {
  const socket = createSocket({ type: 'udp4', lookup: literally }).bind(0, '127.0.0.1')
  t.teardown(() => socket.close())
  t.ok(socket.address().port > 0)
})
