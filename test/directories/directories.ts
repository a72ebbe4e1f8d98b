import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import {
  fallBack,
  inTurn,
  portIn,
  type FallbackOptions,
} from '../../lib/directories/directories.ts'
import { awake } from '../fixtures/awake.ts'
import { nameServer } from '../fixtures/dns.ts'

awake(t)

const { signal } = new AbortController()

/** What is asked for, unless told otherwise. */
const asked = (given: Partial<FallbackOptions> = {}): FallbackOptions => ({
  service: 'starwars',
  host: 'theforce.test',
  transports: ['tcp'],
  fallback: ['srv', 'well-known'],
  look: async host => (host === 'a.test' ? ['192.0.2.1', '2001:db8::1'] : ['192.0.2.9']),
  signal,
  ...given,
})

const places = (found: { transport: string; address: string; port: number; source?: string }[]) =>
  found.map(({ transport, address, port, source }) => `${source} ${transport} ${address} ${port}`)

t.test('the DNS is asked for the service, over each transport', async t => {
  const names = await nameServer(t, {
    '_starwars._tcp.theforce.test': [
      { target: 'b.test', port: 4182, priority: 20 },
      { target: 'a.test', port: 4181, priority: 10 },
      { target: 'c.test', port: 0, priority: 1 },
    ],
    '_starwars._udp.theforce.test': [{ target: 'b.test', port: 4183 }],
  })
  const found = await fallBack(asked({ transports: ['udp', 'tcp'] }))
  t.strictSame(places(found), [
    'srv udp 192.0.2.9 4183',
    'srv tcp 192.0.2.1 4181',
    'srv tcp 2001:db8::1 4181',
    'srv tcp 192.0.2.9 4182',
  ])
  t.match(found[0], { version: '', instance: 'srv 192.0.2.9 4183' })
  t.strictSame(names.sort(), ['_starwars._tcp.theforce.test', '_starwars._udp.theforce.test'])
})

t.test('a record that says there is none, or leads to ourselves, leads nowhere', async t => {
  await nameServer(t, {
    '_none._tcp.theforce.test': [{ target: '.', port: 1 }],
    '_evil._tcp.theforce.test': [{ target: 'localhost', port: 22 }],
    '_lost._tcp.theforce.test': [{ target: 'nowhere.test', port: 22 }],
  })
  const fallback = ['srv'] as const
  t.strictSame(await fallBack(asked({ service: 'none', fallback })), [])
  const look = async (host: string) => {
    if (host === 'localhost') return ['127.0.0.1', '::1']
    throw new Error('no such host')
  }
  t.strictSame(await fallBack(asked({ service: 'evil', fallback, look })), [])
  t.strictSame(await fallBack(asked({ service: 'lost', fallback, look })), [])
})

t.test('the DNS has nothing about this host, or about addresses', async t => {
  const names = await nameServer(t, {})
  for (const host of ['', 'localhost', '192.0.2.1', '::1']) {
    t.strictSame(await fallBack(asked({ host, fallback: ['srv'] })), [])
  }
  t.strictSame(names, [])
})

t.test('the table of services is looked into where the DNS has nothing', async t => {
  await nameServer(t, {})
  const found = await fallBack(asked({ service: 'http' }))
  t.strictSame(places(found), ['well-known tcp 192.0.2.9 80'])
  t.strictSame(await fallBack(asked({ service: 'no-such-thing' })), [])
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

t.test('it can be given up', async t => {
  const names = await nameServer(t, {}, true)
  const reason = new Error('enough')
  const controller = new AbortController()
  const found = fallBack(asked({ signal: controller.signal }))
  while (names.length === 0) await new Promise(setImmediate)
  controller.abort(reason)
  await t.rejects(found, reason)
})

t.test('a table is read as services(5) has it', async t => {
  const table = [
    '# comment',
    '',
    'http\t\t80/tcp\t\twww WWW-http\t# WorldWideWeb',
    '  domain 53/tcp',
    'domain 53/udp # name-domain server 54/tcp',
    'nonsense',
    'broken x/tcp',
    'wide 70000/tcp',
  ].join('\r\n')
  const cases: [service: string, transport: 'tcp' | 'udp', port: number | undefined][] = [
    ['http', 'tcp', 80],
    ['www', 'tcp', 80],
    ['www-http', 'tcp', 80],
    ['http', 'udp', undefined],
    ['domain', 'udp', 53],
    ['worldwideweb', 'tcp', undefined],
    ['nonsense', 'tcp', undefined],
    ['broken', 'tcp', undefined],
    ['wide', 'tcp', undefined],
    ['80/tcp', 'tcp', undefined],
  ]
  for (const [service, transport, port] of cases) t.equal(portIn(table, service, transport), port)
})

t.test('records are tried by priority, and by lot among equals', async t => {
  const srv = (priority: number, weight: number) => ({ name: 'a', port: 1, priority, weight })
  const records = fc.array(
    fc.tuple(fc.nat(3), fc.nat(65_535)).map(([priority, weight]) => srv(priority, weight)),
  )
  fc.assert(
    fc.property(records, records => {
      const priorities = inTurn(records).map(({ priority }) => priority)
      deepStrictEqual(priorities, records.map(({ priority }) => priority).sort())
    }),
  )
  let firsts = 0
  for (let times = 0; times < 1_000; times++) {
    if (inTurn([srv(0, 1), srv(0, 9), srv(0, 0)])[0]!.weight === 9) firsts++
  }
  t.ok(firsts > 800 && firsts < 970, `${firsts} of about 900`)
})
