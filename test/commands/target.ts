import { test } from 'tap'
import { targetOf } from '../../lib/commands/target.ts'

test('a name, or a URI, and whom to ask for it', async t => {
  const cases: [Parameters<typeof targetOf>, name: string[], host: string, port?: number][] = [
    [['tie'], ['', 'tie', ''], ''],
    [['Tie@^1', 'theforce.net'], ['', 'tie', '^1'], 'theforce.net'],
    [['ns:tie', 'theforce.net', 7000], ['ns', 'tie', ''], 'theforce.net', 7000],
    [['tie', undefined, 7000], ['', 'tie', ''], '', 7000],
    [['ns:tie@2://theforce.net:8000/path'], ['ns', 'tie', '2'], 'theforce.net', 8000],
    [['tie://theforce.net', undefined, 7000], ['', 'tie', ''], 'theforce.net', 7000],
    [['tie://theforce.net:8000', undefined, 7000], ['', 'tie', ''], 'theforce.net', 8000],
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
