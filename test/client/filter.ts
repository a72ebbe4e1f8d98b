import { writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Outgoing, type Way } from '../../lib/client/filter.ts'

const name = { namespace: '', service: 'web', version: '^1' }
const details = { service: 'web@^1', host: 'a.example.com', port: 6664, syscall: 'resolve' }
const at = (address: string, version = '1.2.0') => ({
  transport: 'tcp' as const,
  address,
  port: 80,
  version,
  instance: 'x',
})
const way = (...addresses: string[]): Way => ({
  name,
  host: 'a.example.com',
  endpoints: addresses.map(address => at(address)),
})

function outgoing(t: Test, ...rules: object[]): Outgoing {
  const file = join(t.testdir(), 'p.json')
  writeFileSync(file, JSON.stringify({ rules }))
  return new Outgoing(file)
}

t.test('what is not denied may be connected to', async t => {
  const rules = outgoing(t, { deny: 'connect', to: '10.0.0.0/8' }, { deny: 'resolve' })
  const found = way('10.0.0.1', '192.0.2.7')
  t.strictSame(await rules.allow(found, details), way('192.0.2.7'))
  t.strictSame(await rules.allow(way('192.0.2.7'), details), way('192.0.2.7'))
})

t.test('where nothing is left it says who does not let it', async t => {
  const rules = outgoing(t, { deny: 'connect', to: '*.example.com' })
  await t.rejects(rules.allow(way('192.0.2.7'), details), {
    ...details,
    code: 'EACCES',
    reason: 'EDENIED',
    message: /the policy of this host \(.*p\.json:1\) does not let its programs connect to web@\^1/,
  })
})

t.test('this host is local by whatever name or address', async t => {
  const rules = outgoing(t, { allow: 'connect', to: 'local' }, { deny: 'connect' })
  const mine = Object.values(networkInterfaces()).flatMap(infos => infos!.map(info => info.address))
  for (const address of ['127.0.0.1', '::1', ...mine])
    t.ok(await rules.allow(way(address), details))
  for (const host of ['', 'localhost']) {
    t.ok(await rules.allow({ ...way('192.0.2.7'), host }, details))
  }
  await t.rejects(rules.allow(way('192.0.2.7'), details), { code: 'EACCES' })
})

t.test(
  'the version is that of what would be connected to, and the user whoever runs it',
  async t => {
    const rules = outgoing(
      t,
      { deny: 'connect', version: '2' },
      { allow: 'connect', user: process.getuid?.() ?? 0 },
      { deny: 'connect' },
    )
    const found = { ...way(), endpoints: [at('192.0.2.7', '2.0.0'), at('192.0.2.8')] }
    const allowed = rules.allow(found, details)
    if (!process.getuid) return t.rejects(allowed, { code: 'EACCES' })
    return t.resolveMatch(allowed, { endpoints: [{ address: '192.0.2.8' }] })
  },
)

t.test('a policy that is broken lets nobody out until it is mended', async t => {
  const file = join(t.testdir({ 'p.yaml': 'rules: 1' }), 'p.yaml')
  const rules = new Outgoing(file)
  await t.rejects(rules.allow(way('192.0.2.7'), details), { code: 'ERR_MONIKER_POLICY' })
  writeFileSync(file, 'rules: []')
  t.ok(await rules.allow(way('192.0.2.7'), details))
  writeFileSync(file, 'rules: 1')
  t.ok(await rules.allow(way('192.0.2.7'), details), 'and is read but once')
})
