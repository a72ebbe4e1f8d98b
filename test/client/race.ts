import type { LookupFunction } from 'node:net'
import t from 'tap'
import { addressesOf, race } from '../../lib/client/ask.ts'
import type { DaemonAddress } from '../../lib/client/connection.ts'
import { MonikerError } from '../../lib/errors.ts'
import type { Answer } from '../../lib/wire/protocol.ts'
import { awake } from '../fixtures/awake.ts'

// A race waits for its daemons; a test for nothing else.
awake(t)

const details = { service: 'tie', host: 'far.example', port: 1 }
const daemons = ['a', 'b', 'c'].map(address => ({ address, port: 1 }))

/** The questions for each place, and when to settle them. */
function asked() {
  const questions: Record<string, (outcome: Answer | Error) => void> = {}
  const how = ({ address }: DaemonAddress) =>
    new Promise<Answer>((resolve, reject) => {
      questions[address] = outcome =>
        outcome instanceof Error ? reject(outcome) : resolve(outcome)
    })
  const until = async (address: string) => {
    while (!questions[address]) await new Promise(setImmediate)
  }
  return { questions, how, until }
}

const refused = Object.assign(new Error('refused'), { code: 'ECONNREFUSED' })
const absent: Answer = { error: { code: 'ENOSERVICE', message: 'no' } }

t.test('the first place that knows wins, and the next is asked when one fails', async t => {
  const { questions, how, until } = asked()
  const found = race(daemons, how, details)
  t.strictSame(Object.keys(questions), ['a'])
  questions.a!(refused)
  await until('b')
  questions.b!({ got: 1 })
  t.strictSame(await found, { daemon: daemons[1], answer: { got: 1 } })
  t.strictSame(Object.keys(questions), ['a', 'b'])
})

t.test('a place that stays silent is not waited for long', async t => {
  const { questions, how, until } = asked()
  const found = race(daemons, how, details)
  await until('c')
  questions.a!({ got: 1 })
  t.match(await found, { daemon: { address: 'a' } })
  questions.b!(refused)
  await new Promise(setImmediate)
})

t.test('what a daemon says goes before what a network does', async t => {
  const { questions, how, until } = asked()
  const found = race(daemons, how, details)
  questions.a!(absent)
  await until('b')
  questions.b!(refused)
  await until('c')
  questions.c!(refused)
  await t.rejects(found, { code: 'ECONNREFUSED', reason: 'ENOSERVICE', host: 'far.example' })

  const nobody = asked()
  const none = race(daemons.slice(0, 1), nobody.how, details)
  nobody.questions.a!(refused)
  await t.rejects(none, { code: 'ECONNREFUSED', reason: 'ENODAEMON', service: 'tie' })
})

t.test('a stranger is told of, be there nobody elsewhere', async t => {
  const { questions, how, until } = asked()
  const found = race(daemons, how, details)
  questions.a!(new MonikerError('EPROTOCOL', { text: 'expected one JSON object a line' }))
  await until('b')
  questions.b!(refused)
  await until('c')
  questions.c!(refused)
  await t.rejects(found, {
    code: 'EPROTO',
    reason: 'EPROTOCOL',
    service: 'tie',
    host: 'far.example',
  })
})

t.test('an address that this host has not says nothing of the daemon', async t => {
  const { questions, how, until } = asked()
  const found = race(daemons.slice(0, 2), how, details)
  questions.a!(refused)
  await until('b')
  const missing = Object.assign(new Error('no IPv6'), { code: 'EADDRNOTAVAIL' })
  questions.b!(missing)
  await t.rejects(found, { code: 'ECONNREFUSED', reason: 'ENODAEMON' })

  const alone = asked()
  const none = race(daemons.slice(0, 1), alone.how, details)
  alone.questions.a!(missing)
  await t.rejects(none, { code: 'EHOSTUNREACH', reason: 'EUNREACHABLE' })
})

t.test('once one has said no, the others are waited for a moment', async t => {
  const { questions, how, until } = asked()
  const found = race(daemons.slice(0, 2), how, details)
  questions.a!(absent)
  await until('b')
  await t.rejects(found, { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
})

t.test('a host that is an address, or this one, is not looked up', async t => {
  t.strictSame(addressesOf('192.0.2.1', {}, details), ['192.0.2.1'])
  t.strictSame(addressesOf('', {}, details), ['127.0.0.1', '::1'])
  t.strictSame(addressesOf('localhost', { family: 6 }, details), ['::1'])
})

t.test('a host is looked up as the caller would have it', async t => {
  const options: unknown[] = []
  const looking =
    (error: NodeJS.ErrnoException | null, found: unknown): LookupFunction =>
    (_host, given, callback) => {
      options.push(given)
      callback(error, found as string)
    }
  const ask = (lookup: LookupFunction, more = {}) =>
    addressesOf('far.example', { lookup, ...more }, details)
  t.strictSame(await ask(looking(null, '192.0.2.1')), ['192.0.2.1'])
  const all = [{ address: '192.0.2.1' }, { address: '::1' }]
  t.strictSame(await ask(looking(null, all), { hints: 1 }), ['192.0.2.1', '::1'])
  t.match(options, [{ all: true, family: 0 }, { hints: 1 }])
  t.strictSame(await addressesOf('', { lookup: looking(null, '::1') }, details), ['::1'])

  const unknown = { code: 'ENOTFOUND', reason: 'ENOHOST', host: 'far.example' }
  const failed = Object.assign(new Error('no'), { code: 'ENOTFOUND' })
  for (const lookup of [looking(failed, undefined), looking(null, []), looking(null, 'x')]) {
    await t.rejects(Promise.resolve(ask(lookup)), unknown)
  }
  const broken = Object.assign(new Error('again'), { code: 'EAI_AGAIN' })
  await t.rejects(Promise.resolve(ask(looking(broken, undefined))), broken)
})

t.test('a host by name is looked up by the system', async t => {
  t.strictSame(await addressesOf('127.1', {}, details), ['127.0.0.1'])
})
