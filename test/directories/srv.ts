import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { inTurn, srv } from '../../lib/directories/srv.ts'
import { awake } from '../fixtures/awake.ts'
import { nameServer } from '../fixtures/dns.ts'
import { LEADING_HERE } from '../fixtures/spellings.ts'
import { asked, places } from '../fixtures/fallback.ts'

awake(t)

t.test('the DNS is asked for the service, over each transport', async t => {
  const names = await nameServer(t, {
    '_starwars._tcp.theforce.test': [
      { target: 'b.test', port: 4182, priority: 20 },
      { target: 'a.test', port: 4181, priority: 10 },
      { target: 'c.test', port: 0, priority: 1 },
    ],
    '_starwars._udp.theforce.test': [{ target: 'b.test', port: 4183 }],
  })
  const found = await srv(asked({ transports: ['udp', 'tcp'] }))
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
  t.strictSame(await srv(asked({ service: 'none' })), [])
  const look = async (host: string) => {
    if (host === 'localhost') return LEADING_HERE
    throw new Error('no such host')
  }
  t.strictSame(await srv(asked({ service: 'evil', look })), [])
  t.strictSame(await srv(asked({ service: 'lost', look })), [])
})

t.test('the DNS has nothing about this host, or about addresses', async t => {
  const names = await nameServer(t, {})
  for (const host of ['', 'localhost', '192.0.2.1', '::1']) {
    t.strictSame(await srv(asked({ host })), [])
  }
  t.strictSame(names, [])
})

t.test('questions to the DNS are given up', async t => {
  const names = await nameServer(t, {}, true)
  const controller = new AbortController()
  const found = srv(asked({ signal: controller.signal }))
  while (names.length === 0) await new Promise(setImmediate)
  controller.abort()
  t.strictSame(await found, [])
})

t.test('records are tried by priority, and by lot among equals', async t => {
  const record = (priority: number, weight: number) => ({ name: 'a', port: 1, priority, weight })
  const records = fc.array(
    fc.tuple(fc.nat(3), fc.nat(65_535)).map(([priority, weight]) => record(priority, weight)),
  )
  fc.assert(
    fc.property(records, records => {
      const priorities = inTurn(records).map(({ priority }) => priority)
      deepStrictEqual(priorities, records.map(({ priority }) => priority).sort())
    }),
  )
  let firsts = 0
  for (let times = 0; times < 1_000; times++) {
    if (inTurn([record(0, 1), record(0, 9), record(0, 0)])[0]!.weight === 9) firsts++
  }
  t.ok(firsts > 800 && firsts < 970, `${firsts} of about 900`)
})
