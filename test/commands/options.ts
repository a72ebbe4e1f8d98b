import { Command, InvalidArgumentError } from 'commander'
import { test } from 'tap'
import {
  daemonPortOption,
  isScheme,
  hostArgument,
  jsonOption,
  meant,
  metadataOption,
  namespaceOption,
  policyOption,
  sharedOption,
  targetOf,
  toAddress,
  toDuration,
  toHostAndPort,
  toList,
  toCount,
  toMetadata,
  toNamespace,
  toPort,
  toPorts,
  toVariables,
  useNamespace,
  waitOption,
} from '../../lib/commands/options.ts'

test('a port is a whole number from 1 to 65535', async t => {
  for (const port of [1, 80, 6664, 65_535]) t.equal(toPort(String(port)), port)
  for (const text of ['0', '65536', '-1', '80.5', 'http', '']) {
    t.throws(() => toPort(text), InvalidArgumentError, text)
  }
})

test('a number of things is a whole number from 1', async t => {
  for (const count of [1, 524_288]) t.equal(toCount(String(count)), count)
  for (const text of ['0', '-1', '1.5', 'many', '', '1e99']) {
    t.throws(() => toCount(text), InvalidArgumentError, text)
  }
})

test('the daemon is the one of --daemon-port, else of MONIKER_PORT', async t => {
  const parse = (...args: string[]) =>
    new Command().addOption(daemonPortOption()).parse(args, { from: 'user' }).opts()
  const before = process.env.MONIKER_PORT
  t.teardown(() => {
    delete process.env.MONIKER_PORT
    if (before !== undefined) process.env.MONIKER_PORT = before
  })
  delete process.env.MONIKER_PORT
  t.same(parse(), {})
  process.env.MONIKER_PORT = '7000'
  t.same(parse(), { daemonPort: 7000 })
  t.same(parse('--daemon-port', '8000'), { daemonPort: 8000 })
})

test('--json is off unless asked for', async t => {
  const command = new Command().addOption(jsonOption())
  t.same(command.parse([], { from: 'user' }).opts(), {})
  t.same(command.parse(['--json'], { from: 'user' }).opts(), { json: true })
})

test('variables are told one by one, with a value or for the port', async t => {
  t.same(toVariables('VITE_PORT'), [['VITE_PORT', '{port}']])
  const both = toVariables('_u=http://a?b=c,{port}\n', [['A', '1']])
  t.same(both, [
    ['A', '1'],
    ['_u', 'http://a?b=c,{port}\n'],
  ])
  for (const text of ['1', 'a b', '', '=x', 'a-b']) {
    t.throws(() => toVariables(text), InvalidArgumentError, text)
  }
})

test('a time is in seconds, unless it says otherwise, and at most an hour', async t => {
  const cases = [
    ['0', 0],
    ['30', 30_000],
    ['1.5', 1_500],
    ['250ms', 250],
    ['30s', 30_000],
    ['5m', 300_000],
    ['1h', 3_600_000],
  ] as const
  for (const [text, ms] of cases) t.equal(toDuration(text), ms, text)
  for (const text of ['', '-1', '1d', 's', '1 s', '61m', '1e9', 'NaN']) {
    t.throws(() => toDuration(text), InvalidArgumentError, text)
  }
  const command = new Command().addOption(waitOption())
  t.same(command.parse(['--wait', '5m'], { from: 'user' }).opts(), { wait: 300_000 })
})

test('a list has commas, or is given bit by bit', async t => {
  t.same(toList('db'), ['db'])
  t.same(toList('cache,main=db', ['db']), ['db', 'cache', 'main=db'])
})

test('a policy is a file, or that of the environment', async t => {
  const parsed = () =>
    new Command().addOption(policyOption()).parse(['--policy', 'p.yaml'], { from: 'user' })
  t.same(parsed().opts(), { policy: 'p.yaml' })
})

test('a namespace is a word, that of the work tree, or the own of the host', async t => {
  t.equal(toNamespace('Reynolds'), 'reynolds')
  t.equal(toNamespace(''), '')
  const command = new Command().addOption(namespaceOption())
  const parse = (text: string) => command.parse(['--namespace', text], { from: 'user' }).opts()
  t.match(parse('auto'), { namespace: /^[a-z].*-[0-9a-f]{6}$/ })
  for (const text of ['8', 'a b', 'a:b']) t.throws(() => toNamespace(text), InvalidArgumentError)
})

test('a namespace that is given is that of all this process starts', async t => {
  const before = process.env.MONIKER_NAMESPACE
  t.teardown(() => {
    delete process.env.MONIKER_NAMESPACE
    if (before !== undefined) process.env.MONIKER_NAMESPACE = before
  })
  useNamespace('ns')
  t.equal(process.env.MONIKER_NAMESPACE, 'ns')
  useNamespace(undefined)
  t.equal(process.env.MONIKER_NAMESPACE, 'ns')
})

test('an address is one of IP', async t => {
  for (const address of ['192.0.2.1', '::1']) t.equal(toAddress(address), address)
  t.equal(toAddress('::ffff:7F00:1'), '127.0.0.1')
  for (const text of ['', 'localhost']) t.throws(() => toAddress(text), InvalidArgumentError, text)
})

test('a range of ports is two ports', async t => {
  t.equal(toPorts('20000-20999'), '20000-20999')
  for (const text of ['', '80', '9-8']) t.throws(() => toPorts(text), InvalidArgumentError, text)
})

test('metadata is told bit by bit', async t => {
  const command = new Command().addOption(metadataOption())
  const given = ['--metadata', 'scheme=http', '--metadata', 'path=/api?a=b', '--metadata', 'x=']
  const metadata = { scheme: 'http', path: '/api?a=b', x: '' }
  t.same(command.parse(given, { from: 'user' }).opts(), { metadata })
  for (const text of ['', 'scheme', '=http']) {
    t.throws(() => toMetadata(text), InvalidArgumentError, text)
  }
})

test('a scheme is what URLs may begin with', async t => {
  for (const text of ['http', 'git+ssh', 'H2']) t.ok(isScheme(text), text)
  for (const text of ['', '2h', 'http:', 'a b', 'h'.repeat(64), 7]) t.notOk(isScheme(text))
})

test('a name is for one holder alone, unless it is shared', async t => {
  const parse = (...args: string[]) =>
    new Command().addOption(sharedOption()).parse(args, { from: 'user' }).opts()
  t.same(parse(), {})
  t.same(parse('--shared'), { shared: true })
})

test('a host is a name or an address, with the port of its daemon if that is told', async t => {
  const cases = [
    ['theforce.net', { host: 'theforce.net' }],
    ['theforce.net:7000', { host: 'theforce.net', daemonPort: 7000 }],
    ['münchen.de', { host: 'xn--mnchen-3ya.de' }],
    ['192.0.2.1:7000', { host: '192.0.2.1', daemonPort: 7000 }],
    ['::1', { host: '::1' }],
    ['[::1]', { host: '::1' }],
    ['[::1]:7000', { host: '::1', daemonPort: 7000 }],
  ] as const
  for (const [text, expected] of cases) t.same(toHostAndPort(text), expected, text)
  for (const text of [
    '',
    '8080',
    'a b',
    'web://theforce.net',
    'host:99999',
    '[::1',
    'a/b',
    'luke@a',
  ]) {
    t.throws(() => toHostAndPort(text), InvalidArgumentError, text)
  }
  t.same(hostArgument().required, false)
})

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

test('the name of a package is read as a name, and that is said', async t => {
  const before = process.env.MONIKER_NAMESPACE
  t.teardown(() => {
    delete process.env.MONIKER_NAMESPACE
    if (before !== undefined) process.env.MONIKER_NAMESPACE = before
  })
  delete process.env.MONIKER_NAMESPACE
  const said = t.capture(process.stderr, 'write', () => true)
  const lines = () => said().map(({ args: [line] }) => String(line))
  t.equal(meant('ns:web@^1'), 'ns:web@^1')
  t.same(lines(), [])
  t.equal(meant('@acme/web'), 'acme:web')
  t.equal(meant('@acme/web', '', 'ns'), 'web')
  t.match(targetOf('@acme/web@^1', 'theforce.net'), {
    name: { namespace: 'acme', service: 'web', version: '^1' },
  })
  process.env.MONIKER_NAMESPACE = 'ns'
  t.match(targetOf('@acme/web'), { name: { namespace: 'ns', service: 'web' } })
  t.match(targetOf('@acme/web', 'theforce.net'), { name: { namespace: 'acme', service: 'web' } })
  t.same(lines(), [
    'moniker: @acme/web is acme:web\n',
    'moniker: @acme/web is web, in the namespace ns\n',
    'moniker: @acme/web@^1 is acme:web@^1\n',
    'moniker: @acme/web is web, in the namespace ns\n',
    'moniker: @acme/web is acme:web\n',
  ])
})
