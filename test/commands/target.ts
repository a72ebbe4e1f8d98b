import { test } from 'tap'
import { targetOf } from '../../lib/commands/target.ts'

test('a name, or a URI, and whom to ask for it', async t => {
  const cases: [Parameters<typeof targetOf>, name: string[], host: string, port?: number][] = [
    [['tie'], ['', 'tie', ''], ''],
    [['Tie@^1', 'theforce.net'], ['', 'tie', '^1'], 'theforce.net'],
    [['ns:tie', 'theforce.net', { daemonPort: 7000 }], ['ns', 'tie', ''], 'theforce.net', 7000],
    [['tie', undefined, { daemonPort: 7000 }], ['', 'tie', ''], '', 7000],
    [['ns:tie@2://theforce.net:8000/path'], ['ns', 'tie', '2'], 'theforce.net', 8000],
    [
      ['tie://theforce.net', undefined, { daemonPort: 7000 }],
      ['', 'tie', ''],
      'theforce.net',
      7000,
    ],
    [
      ['tie://theforce.net:8000', undefined, { daemonPort: 7000 }],
      ['', 'tie', ''],
      'theforce.net',
      8000,
    ],
    [['tie://', '::1'], ['', 'tie', ''], '::1'],
    [['tie://[::1]'], ['', 'tie', ''], '::1'],
  ]
  for (const [given, [namespace, service, version], host, daemonPort] of cases) {
    const at = { host, daemonPort }
    t.match(targetOf(...given), { name: { namespace, service, version }, at }, given.join(' '))
  }
})

test('ports, paths and what is no name are refused', async t => {
  for (const text of ['80', '/tmp/socket', 'a/b', '', 'tie@nonsense', '7up', 'tie://a b']) {
    t.throws(() => targetOf(text), { code: 'ERR_MONIKER_NAME' }, text)
  }
})

test('a name that gives no namespace has that which is told, anywhere', async t => {
  const namespace = 'ns'
  t.equal(targetOf('tie', undefined, { namespace }).name.namespace, 'ns')
  t.equal(targetOf('tie', 'theforce.net', { namespace }).name.namespace, 'ns')
  t.equal(targetOf('other:tie', 'theforce.net', { namespace }).name.namespace, 'other')
})

test('on this host that of the process comes first, then the own of the host', async t => {
  process.env.MONIKER_NAMESPACE = 'ns'
  t.teardown(() => delete process.env.MONIKER_NAMESPACE)
  t.match(targetOf('tie'), { name: { namespace: 'ns' }, at: { also: [''] } })
  t.match(targetOf('tie', 'theforce.net'), { name: { namespace: '' }, at: { also: undefined } })
})
