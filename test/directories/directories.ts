import t from 'tap'
import { fallBack } from '../../lib/directories/directories.ts'
import { awake } from '../fixtures/awake.ts'
import { nameServer } from '../fixtures/dns.ts'
import { asked, places } from '../fixtures/fallback.ts'

awake(t)

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
