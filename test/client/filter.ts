import { writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { Egress, accept, choose, elsewhere, reachable } from '../../lib/client/filter.ts'
import type { Resolution } from '../../lib/resolution.ts'
import { interfaces } from '../fixtures/interfaces.ts'
import { governed, ungoverned } from '../fixtures/governed.ts'

const name = { namespace: '', service: 'web', version: '^1' }
const details = { service: 'web@^1', host: 'a.example.com', port: 6664, syscall: 'resolve' }
const at = (address: string, version = '1.2.0') => ({
  transport: 'tcp' as const,
  address,
  port: 80,
  version,
  instance: 'x',
})
const leading = (...addresses: string[]): Resolution => ({
  name,
  host: 'a.example.com',
  endpoints: addresses.map(address => at(address)),
  ttl: 1,
})

function egress(t: Test, ...rules: object[]): Egress {
  const file = join(t.testdir(), 'p.json')
  writeFileSync(file, JSON.stringify({ rules }))
  return new Egress(file)
}

t.test('what is not denied may be connected to', async t => {
  const rules = egress(t, { deny: 'connect', to: '10.0.0.0/8' }, { deny: 'resolve' })
  const found = leading('10.0.0.1', '192.0.2.7')
  t.strictSame(await rules.allow(found, details), leading('192.0.2.7'))
  t.strictSame(await rules.allow(leading('192.0.2.7'), details), leading('192.0.2.7'))
})

t.test('where nothing is left it says who does not let it', async t => {
  const rules = egress(t, { deny: 'connect', to: '*.example.com' })
  await t.rejects(rules.allow(leading('192.0.2.7'), details), {
    ...details,
    code: 'EACCES',
    reason: 'EDENIED',
    message: /the policy in .*p\.json:1 does not let this program connect to web@\^1 there/,
  })
})

t.test('of further endpoints those that are not denied may be connected to', async t => {
  const rules = egress(t, { deny: 'connect', to: '10.0.0.0/8' })
  const others = (...addresses: (string | undefined)[]) =>
    addresses.map(address => ({ transport: 'own', ...(address && { address }) }))
  const found = (...addresses: (string | undefined)[]) => ({
    ...leading(),
    endpoints: [{ ...at('192.0.2.7'), endpoints: others(...addresses) }],
  })
  const allowed = await rules.allow(found('10.0.0.1', '192.0.2.8', undefined), details)
  t.strictSame(allowed, found('192.0.2.8', undefined))
})

t.test('this host is local by whatever name or address', async t => {
  const rules = egress(t, { allow: 'connect', to: 'local' }, { deny: 'connect' })
  interfaces(t, { ...networkInterfaces(), link: [{ address: 'fe80::7' }], none: undefined })
  const mine = Object.values(networkInterfaces()).flatMap(
    infos => infos?.map(info => info.address) ?? [],
  )
  for (const address of ['127.0.0.1', '::1', '0.0.0.0', '::', ...mine, 'fe80::7%eth0'])
    t.ok(await rules.allow(leading(address), details))
  for (const host of ['', 'localhost', '0::1', '0.0.0.0']) {
    t.ok(await rules.allow({ ...leading('192.0.2.7'), host }, details))
  }
  await t.rejects(rules.allow(leading('192.0.2.7'), details), { code: 'EACCES' })
})

t.test(
  'the version is that of what would be connected to, and the user whoever runs it',
  async t => {
    const rules = egress(
      t,
      { deny: 'connect', version: '2' },
      { allow: 'connect', user: process.getuid?.() ?? 0 },
      { deny: 'connect' },
    )
    const found = { ...leading(), endpoints: [at('192.0.2.7', '2.0.0'), at('192.0.2.8')] }
    const allowed = rules.allow(found, details)
    if (!process.getuid) return t.rejects(allowed, { code: 'EACCES' })
    return t.resolveMatch(allowed, { endpoints: [{ address: '192.0.2.8' }] })
  },
)

t.test('a policy that is broken lets nobody out until it is mended', async t => {
  const file = join(t.testdir({ 'p.yaml': 'rules: 1' }), 'p.yaml')
  const rules = new Egress(file)
  await t.rejects(rules.allow(leading('192.0.2.7'), details), { code: 'ERR_MONIKER_POLICY' })
  writeFileSync(file, 'rules: []')
  t.ok(await rules.allow(leading('192.0.2.7'), details))
  writeFileSync(file, 'rules: 1')
  t.ok(await rules.allow(leading('192.0.2.7'), details), 'and is read but once')
})

t.test('the policy of the host is a fence around each program', { skip: ungoverned }, async t => {
  const policy = 'rules: [{deny: connect, name: secret}]'
  const { stdout, stderr } = governed(t, ['test/fixtures/obedient.ts'], { policy })
  t.match(JSON.parse(stdout), { connect: '', secret: 'EDENIED' }, stderr)
})

interface Expected {
  code: string
  [property: string]: unknown
}

const asked = { service: 'starwars@^1', host: 'theforce.net', port: 7, syscall: 'resolve' }

t.test('an answer that is no refusal is accepted as it is', async t => {
  const answer = { endpoints: [] }
  t.equal(accept(answer, asked), answer)
})

t.test('a refusal is thrown as the error it is, with what was asked for', async t => {
  const table: [error: unknown, expected: Expected][] = [
    [
      { code: 'ENOSERVICE', message: 'as the daemon sees it' },
      {
        code: 'ECONNREFUSED',
        ...asked,
        message: /starwars@\^1 is not offered at theforce\.net:7/,
      },
    ],
    [
      { code: 'EVERSION', message: 'as the daemon sees it', offered: ['2.0.0'] },
      {
        code: 'ECONNREFUSED',
        ...asked,
        offered: ['2.0.0'],
        message: /theforce\.net:7; 2\.0\.0 is/,
      },
    ],
    [
      { code: 'ETAKEN', message: 'held by process 7' },
      { code: 'EADDRINUSE', ...asked, message: /registered at .* held by process 7; close/ },
    ],
    [
      { code: 'EWHATEVER', message: 'of a time to come' },
      { code: 'EPROTO', ...asked, message: 'of a time to come' },
    ],
    [{}, { code: 'EPROTO', ...asked, message: 'no reason was given' }],
  ]
  for (const [error, expected] of table) t.throws(() => accept({ error }, asked), expected)
})

t.test('a far daemon leads to no place of our own host', async t => {
  const one = { transport: 'tcp', port: 1, version: '1.0.0', instance: 'a' }
  const told = [
    { ...one, path: 'moniker-1' },
    { ...one, address: '127.0.0.1' },
  ]
  const from = (address: string, ttl: unknown = 5) =>
    reachable({ endpoints: told, ttl }, address, details)
  t.strictSame(from('192.0.2.1'), {
    endpoints: [{ ...one, address: '192.0.2.1', source: 'daemon' }],
    ttl: 5,
  })
  t.match(from('127.0.0.1'), { endpoints: [{ path: 'moniker-1' }, { address: '127.0.0.1' }] })
  t.equal(from('127.0.0.1', Infinity).ttl, 3_600_000)
  for (const ttl of [-1, '5', null]) t.equal(from('127.0.0.1', ttl).ttl, 0)
  const nothing = (endpoints: unknown[]) => () => reachable({ endpoints }, '192.0.2.1', details)
  t.throws(nothing(told.slice(1)), { code: 'ECONNREFUSED', reason: 'ELOOPBACK' })
  t.throws(nothing([]), { code: 'EPROTO', message: /no endpoint that can be reached/ })
})

t.test('a far daemon lists nothing that only its own host can reach', async t => {
  const one = {
    namespace: '',
    service: 'web',
    version: '1.0.0',
    transport: 'tcp' as const,
    port: 1,
  }
  const bound = (address: string, more = {}) => ({
    ...one,
    shared: false,
    instance: 'a',
    address,
    ...more,
  })
  const own = (more = {}) => ({ transport: 'own', ...more })
  const told = [
    bound('127.0.0.1'),
    bound('::1'),
    bound('64:ff9b::7f00:1'),
    bound('192.0.2.1'),
    bound('::', {
      path: 'moniker-1',
      endpoints: [own({ address: '::1' }), own({ path: 'moniker-1' })],
    }),
    bound('0.0.0.0', { endpoints: [own(), own({ address: '192.0.2.1' }), own({ address: '::' })] }),
  ]
  for (const asked of ['127.0.0.1', '::1', '127.0.0.2']) t.equal(elsewhere(told, asked), told)
  t.strictSame(elsewhere(told, '192.0.2.9'), [
    bound('192.0.2.1'),
    bound('::', { endpoints: [] }),
    told[5],
  ])
})

t.test('the link of an address that another host tells is that by which it was asked', async t => {
  const one = { transport: 'tcp', port: 1, version: '1.0.0', instance: 'a' }
  const address = 'fe80::1%eth7'
  const told = [
    { ...one, address, endpoints: [{ transport: 'own', address }, { transport: 'own' }] },
  ]
  const from = (asked: string) => {
    const [found] = reachable({ endpoints: told, ttl: 5 }, asked, details).endpoints
    return [found!.address, ...found!.endpoints!.map(other => other.address)]
  }
  t.strictSame(from('127.0.0.1'), [address, address, address])
  t.strictSame(from('fe80::9%eth0'), ['fe80::1%eth0', 'fe80::1%eth0', 'fe80::1%eth0'])
  t.strictSame(from('192.0.2.1'), ['fe80::1', 'fe80::1', 'fe80::1'])
})

t.test('further endpoints have an address, and lead to no place of our own host', async t => {
  const own = (fields: object) => ({ transport: 'own', ...fields })
  const endpoints = [
    own({ port: 7, lane: { a: 1 } }),
    own({ address: '192.0.2.9' }),
    own({ address: '127.0.0.1' }),
    own({ path: 'moniker-1' }),
  ]
  const one = { transport: 'tcp', port: 1, version: '1.0.0', instance: 'a', endpoints }
  const from = (asked: string, more = {}) =>
    reachable({ endpoints: [{ ...one, ...more }], ttl: 5 }, asked, details).endpoints[0]?.endpoints
  t.strictSame(from('192.0.2.1'), [
    own({ port: 7, lane: { a: 1 }, address: '192.0.2.1' }),
    own({ address: '192.0.2.9' }),
  ])
  t.match(from('192.0.2.1', { address: '192.0.2.2' }), [{ address: '192.0.2.2' }, {}])
  t.match(from('127.0.0.1'), [{}, {}, { address: '127.0.0.1' }, { path: 'moniker-1' }])
})

const endpoint = (port: number) =>
  ({ transport: 'tcp', address: '127.0.0.1', port, version: '1.0.0', instance: `${port}` }) as const
const found = {
  name: name,
  host: '',
  ttl: 1,
  endpoints: [endpoint(1), endpoint(2), endpoint(3)],
}
const ports = ({ endpoints }: typeof found) => endpoints.map(({ port }) => port)

t.test('what is selected is the best', async t => {
  t.equal(choose(found, undefined), found)
  const last = choose(found, endpoints => endpoints.at(-1)!)
  t.strictSame(ports(last as typeof found), [3, 1, 2])
  t.strictSame(ports(found), [1, 2, 3])
})

t.test('what is not there cannot be selected', async t => {
  const invalid = { code: 'ERR_INVALID_ARG_VALUE' }
  t.throws(() => choose(found, () => endpoint(4)), {
    ...invalid,
    message: /options\.select to give one of the endpoints, got \{"transport":"tcp".*"port":4,/,
  })
  const nothing = () => undefined as never
  t.throws(() => choose(found, nothing), { ...invalid, message: /got undefined$/ })
})
