import t from 'tap'
import {
  awayFrom,
  directoriesOf,
  expectedDirectories,
  fallBack,
  fault,
  isDirectory,
  lookUp,
  placesIn,
  sightingIn,
} from '../../lib/directories/directories.ts'
import type { Directory, Wanted } from '../../lib/directories/directory.ts'
import { awake } from '../fixtures/awake.ts'
import { nameServer } from '../fixtures/dns.ts'
import { memory, sighting } from '../fixtures/directory.ts'
import { asked, places } from '../fixtures/fallback.ts'

awake(t)

t.test('the table of services is looked into where the DNS has nothing', async t => {
  await nameServer(t, {})
  const found = await fallBack(asked({ service: 'http' }))
  t.strictSame(places(found), ['well-known tcp 192.0.2.9 80'])
  t.strictSame(await fallBack(asked({ service: 'no-such-thing' })), [])
  t.strictSame(places(await fallBack(asked({ service: 'http', host: '' }))), [
    'well-known tcp 192.0.2.9 80',
  ])
  const failing = () => {
    throw new Error('no such host')
  }
  t.strictSame(await fallBack(asked({ service: 'http', look: failing })), [])
})

t.test('without a table nothing is known', async t => {
  process.env.SystemRoot = '/nowhere'
  t.teardown(() => delete process.env.SystemRoot)
  t.strictSame(await fallBack(asked({ service: 'http', fallback: ['well-known'] })), [])
})

t.test('a look-up by the fallbacks can be given up', async t => {
  const names = await nameServer(t, {}, true)
  const reason = new Error('enough')
  const controller = new AbortController()
  const found = fallBack(asked({ signal: controller.signal }))
  while (names.length === 0) await new Promise(setImmediate)
  controller.abort(reason)
  await t.rejects(found, reason)
})

const { signal } = new AbortController()
const wanted: Wanted = {
  service: 'web',
  namespaces: ['ns', ''],
  version: '^1',
  transports: ['tcp'],
}

t.test('a word is a row of the table, and an object is what it is', async t => {
  const [lan, own] = [memory(), memory()]
  const table = { lan }
  t.strictSame(directoriesOf(['lan', own] as Directory[], table), [lan, own])
  for (const one of [
    'lan',
    own,
    { name: 'a', lookup: async () => [] },
    { name: 'a', follow() {} },
  ]) {
    t.ok(isDirectory(one, table))
  }
  const wrong = ['dht', 'toString', '', 7, null, undefined, {}, { name: 'a' }, { lookup() {} }]
  for (const one of [...wrong, { ...own, name: '' }, { ...own, name: 'a'.repeat(513) }]) {
    t.notOk(isDirectory(one, table))
  }
  t.notOk(isDirectory('lan'))
  t.match(expectedDirectories(table), /the words lan\)/)
  t.match(expectedDirectories({}), /there are no words yet/)
})

t.test('of what a directory has seen, what is wanted is given', async t => {
  const right = [
    sighting(),
    sighting({ service: 'WEB', namespace: 'NS', version: '1.2.0', transport: 'tcp' }),
    sighting({ host: 'theforce.net', daemonPort: 1, port: 2, address: '::1', metadata: {} }),
  ]
  const others = [
    sighting({ service: 'db' }),
    sighting({ namespace: 'other' }),
    sighting({ version: '2.0.0' }),
    sighting({ transport: 'udp' }),
  ]
  const directory = memory([...others, ...right, sighting(), sighting()])
  t.strictSame(await lookUp(directory, wanted, signal), [...right, sighting()], 'of eight')
  const extra = { ...sighting(), path: '/tmp/x', version: undefined }
  t.strictSame(sightingIn(extra), sighting(), 'and no field that is none of a sighting')
})

t.test('a look-up fails as the directory does, or when it is given up', async t => {
  const look = (lookup: Directory['lookup']) =>
    lookUp({ name: 'a', lookup: lookup! }, wanted, signal)
  await t.rejects(
    look(async () => Promise.reject(new Error('no'))),
    { message: 'no' },
  )
  await t.rejects(
    look(() => {
      throw new Error('no')
    }),
    { message: 'no' },
  )
  await t.rejects(
    look(async () => ({}) as never),
    { message: /an array of sightings/ },
  )
  const controller = new AbortController()
  let given: AbortSignal | undefined
  const hanging = memory([], { lookup: (_wanted, signal) => new Promise(() => (given = signal)) })
  const looked = lookUp(hanging, wanted, controller.signal)
  const reason = new Error('enough')
  controller.abort(reason)
  await t.rejects(looked, reason)
  t.equal(given!.reason, reason)
})

t.test('a sighting with a field that is not what it should be is none', async t => {
  const right = [
    'theforce.net',
    'my_host',
    'LOCALHOST',
    '192.0.2.1',
    '::1',
    '127.0.0.1',
    'fe80::1%eth0',
  ]
  const odd = { host: '2001:DB8:0::1', address: '::ffff:c000:201' }
  t.match(sightingIn(sighting(odd)), { host: '2001:db8::1', address: '192.0.2.1' })
  for (const host of right) t.match(sightingIn(sighting({ host })), { host })
  for (const one of [null, undefined, 7, 'web', [], {}]) t.equal(sightingIn(one), undefined)
  const wrong: [field: string, values: unknown[]][] = [
    ['host', ['', '*', 'a b', 'a/b', 'a:b', 'a'.repeat(256), 7, '0.0.0.0', '::', '::ffff:7f00:1']],
    ['id', ['', 7, 'a'.repeat(513), undefined]],
    ['service', ['', 'not a name', 7, undefined]],
    ['namespace', [7, 'not a name']],
    ['version', ['', '^1', '1', 'new', 7]],
    ['transport', ['sctp', 'unix', 7]],
    ['port', [0, 65_536, 1.5, '80']],
    ['daemonPort', [0, 65_536, '80']],
    ['address', ['here', '', 7, 'theforce.net']],
    ['metadata', [[], 'a', { a: 'x'.repeat(1_024) }, { a: 1n }]],
  ]
  for (const [field, values] of wrong) {
    for (const value of values) {
      t.equal(sightingIn({ ...sighting(), [field]: value }), undefined, `${field} ${String(value)}`)
    }
  }
})

t.test('a field that throws makes a sighting none', async t => {
  const throwing = Object.defineProperty({ ...sighting() }, 'port', {
    get: () => {
      throw new Error('no')
    },
  })
  t.equal(sightingIn(throwing), undefined)
})

t.test('a sighting is a place at each address of its host, or at its own', async t => {
  const directory = memory()
  const found = (given: object, addresses = ['192.0.2.1', '192.0.2.2']) =>
    placesIn(directory, sighting({ host: 'a.test', port: 80, ...given }), addresses, wanted)
  t.strictSame(places(found({})), ['memory tcp 192.0.2.1 80', 'memory tcp 192.0.2.2 80'])
  t.strictSame(places(found({ address: '192.0.2.3', transport: 'udp' })), [
    'memory udp 192.0.2.3 80',
  ])
  t.match(found({ version: '1.0.0', metadata: { a: 1 } }), [
    { version: '1.0.0', metadata: { a: 1 } },
  ])
  t.match(found({}), [{ version: '' }])
  t.strictSame(found({ port: undefined }), [])
  t.strictSame(found({ address: '127.0.0.1' }), [], 'of another host')
  t.strictSame(places(found({ host: 'localhost' }, ['127.0.0.1'])), ['memory tcp 127.0.0.1 80'])
})

t.test('a host leads to this one only if it says so', async t => {
  const addresses = ['127.0.0.1', '192.0.2.1', '::1', '0.0.0.0']
  for (const host of ['a.test', '127.test', '0x7f000001', '192.0.2.9', '64:ff9b::7f00:1']) {
    t.strictSame(awayFrom(host, addresses), ['192.0.2.1'], host)
  }
  for (const host of ['', 'localhost', '127.0.0.2', '::1']) {
    t.strictSame(awayFrom(host, addresses), addresses)
  }
})

t.test('a directory that throws is named', async t => {
  const thrown = new Error('etcd is down')
  t.match(fault(memory(), thrown, { service: 'web', host: '*' }), {
    code: 'EHOSTUNREACH',
    message: /to ask for web: the directory memory failed: etcd is down$/,
    cause: thrown,
  })
})
