import { deepEqual, equal } from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import net, { isIPv4 } from 'node:net'
import fc from 'fast-check'
import t from 'tap'
import {
  ANY_HOST,
  LOOPBACK,
  canonical,
  dialled,
  groupsOf,
  hostOfDaemon,
  isAll,
  isHere,
  isIP,
  isLoopback,
  isNumeric,
  isOwn,
  isThisHost,
  leadsHere,
  literally,
  mayLead,
  networkOf,
  plain,
  staysHere,
  toldAt,
} from '../lib/address.ts'
import { ALL, CARRIED, LEADING_HERE, LOOPBACKS, NUMERIC, spelt } from './fixtures/spellings.ts'

t.test('an address has one canonical text, whichever of its texts is given', async t => {
  const table = [
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:127.0.0.1', '127.0.0.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:0:0', '0.0.0.0'],
    ['0::1', '::1'],
    ['::1%lo', '::1'],
    ['0:0::0', '::'],
    ['2001:DB8:0:0:0:0:0:1', '2001:db8::1'],
    ['2001:db8::1%eth0', '2001:db8::1'],
    ['2001:db8:0:1:0:0:1:0', '2001:db8:0:1::1:0'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::127.0.0.1', '::7f00:1'],
    ['FE80::0:1%eth0.7', 'fe80::1%eth0.7'],
    ['fe80::1', 'fe80::1'],
  ] as const
  for (const [text, expected] of table) {
    t.equal(canonical(text), expected, text)
    t.equal(isIP(text), text.includes(':') ? 6 : 4, text)
  }
  const none = [
    '',
    'localhost',
    '1',
    '1.2.3',
    '01.2.3.4',
    '1.2.3.4.5',
    '1.2.3.4%lo',
    ':',
    ':::',
    '1:2:3',
  ]
  const odd = [
    '::1%',
    '::1%a b',
    '::1%\u001b[2J',
    '[::1]',
    '::1]:80',
    '::g',
    '::1/64',
    '::1\n',
    '1::2::3',
  ]
  const broken = [
    '::ffff:1.2.3',
    '::ffff:1.2.3.256',
    '::1.2.3.4:5',
    '1:2:3:4:5:6:7:8:9',
    `fe80::1%${'z'.repeat(65)}`,
  ]
  for (const text of [...none, ...odd, ...broken, ...NUMERIC]) {
    t.equal(canonical(text), undefined, text)
    t.equal(isIP(text), 0, text)
    t.equal(plain(text), text)
  }
})

t.test('all texts of an address have the same canonical text', async t => {
  fc.assert(
    fc.property(spelt, ({ groups, text }) => {
      const address = canonical(text)!
      equal(isIP(text), net.isIP(text))
      equal(canonical(address), address)
      equal(canonical(groups.map(group => group.toString(16)).join(':')), address)
      if (isIPv4(address)) {
        const four = [6, 7].flatMap(at => [groups[at]! >> 8, groups[at]! & 0xff]).join('.')
        equal(groups.slice(0, 6).join(), '0,0,0,0,0,65535')
        return equal(address, four)
      }
      return deepEqual(
        groupsOf(address).map(group => Number.parseInt(group, 16)),
        groups,
      )
    }),
  )
  t.pass('whatever it is written like')
})

t.test('no text is taken for an address that is none to Node', async t => {
  const part = fc.oneof(
    fc.constantFrom(':', '::', '.', '%', '1', '0', 'ffff', '127.0.0.1'),
    fc.string(),
  )
  fc.assert(
    fc.property(fc.array(part, { maxLength: 9 }), parts => {
      const text = parts.join('')
      if (!text.includes('%')) equal(isIP(text), net.isIP(text))
      // Node takes a zone of any length, and of characters that no interface has.
      else if (isIP(text)) equal(isIP(text), net.isIP(text.replace(/%.*/s, '')))
    }),
  )
  t.pass('nor the other way round')
})

t.test('only this host can reach its loopback addresses', async t => {
  for (const address of [...LOOPBACK, ...LOOPBACKS]) {
    t.ok(isLoopback(address), address)
    t.ok(staysHere(address), address)
    t.ok(isHere(address), address)
  }
  const others = ['', '192.0.2.1', '10.127.0.1', '::ffff:192.0.2.1', '::12', '1270.0.0.1']
  const names = ['127.example', '127.0.0.1.example', '::1.example', 'localhost.example']
  for (const address of [...ALL, ...CARRIED, ...NUMERIC, ...others, ...names]) {
    t.notOk(isLoopback(address), address)
  }
  for (const host of [...CARRIED, ...NUMERIC, ...names]) t.notOk(isHere(host), host)
})

t.test(
  'an address that stands for all is all to a server, and the loopback one to a client',
  async t => {
    for (const address of ALL) {
      t.ok(isAll(address), address)
      t.ok(isHere(address), address)
      t.notOk(staysHere(address), address)
      t.ok(LOOPBACK.includes(dialled(address)), address)
    }
    for (const address of ['127.0.0.1', '::1', '192.0.2.1', 'theforce.net', '']) {
      t.notOk(isAll(address), address)
      t.equal(dialled(address), address)
    }
  },
)

t.test('a number is what the system reads as an address', async t => {
  for (const text of [...NUMERIC, '192.0.2.1', '127.1.', '0x']) t.ok(isNumeric(text), text)
  for (const text of ['', 'a', 'host-1', '1.example', '0x1.example', 'x1', '::1']) {
    t.notOk(isNumeric(text), text)
  }
})

t.test(
  'the zone of a link-local address that another host tells is that by which it was asked',
  async t => {
    t.equal(toldAt('fe80::9%eth1', 'fe80::1%eth0'), 'fe80::1%eth1')
    t.equal(toldAt('fe80::9%eth1', 'fe80::1'), 'fe80::1%eth1')
    t.equal(toldAt('192.0.2.1', 'fe80::1%lo'), 'fe80::1')
    t.equal(toldAt('fe80::9%eth1', '2001:db8::1'), '2001:db8::1')
  },
)

t.test('a peer is on this host if it came by loopback, or from the address it came to', async t => {
  t.ok(isOwn('127.0.0.1', '127.0.0.1'))
  t.ok(isOwn('::1', '::1'))
  t.ok(isOwn('192.0.2.1', '192.0.2.1'))
  t.notOk(isOwn('192.0.2.2', '192.0.2.1'))
  t.notOk(isOwn('2001:db8::2', '2001:db8::1'))
  t.notOk(isOwn('', ''))
})

t.test('a far daemon cannot send us to our own loopback', async t => {
  t.ok(mayLead('127.0.0.1', '::1'))
  t.ok(mayLead('::ffff:7f00:1', '127.0.0.1'))
  t.ok(mayLead('localhost', '127.0.0.1'))
  t.ok(mayLead('127.0.0.1', '192.0.2.1'))
  t.ok(mayLead('192.0.2.1', '192.0.2.2'))
  for (const address of LEADING_HERE) {
    t.ok(leadsHere(address), address)
    for (const asked of ['192.0.2.1', '127.example', '64:ff9b::7f00:1', '0x7f000001']) {
      t.notOk(mayLead(asked, address), `${asked} to ${address}`)
    }
  }
  const others = ['192.0.2.1', '10.127.0.0', '2001:db8::1', 'fe80::1%eth0', '', 'theforce.net']
  const carrying = [
    '::ffff:192.0.2.1',
    '64:ff9b::192.0.2.1',
    '2002:c000:201::1',
    '64:ff9b:1::7f00:1',
  ]
  for (const address of [...others, ...carrying, '::1:0:0:7f00:1'])
    t.notOk(leadsHere(address), address)
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
