import t from 'tap'
import {
  connectCall,
  detour,
  namedCall,
  targetIn,
  type Call,
  type ConnectNameOptions,
} from '../../lib/options/connect.ts'
import { NAMELESS, invalid, noName, toNet, wrongOptions } from '../fixtures/calls.ts'

const callback = () => {}
const name = { namespace: '', service: 'starwars', version: '' }
const service = 'starwars'

t.test('what net takes is left to net', async t => {
  for (const [what, args] of toNet) t.equal(connectCall(args), undefined, what)
})

const nowhere = { service: 'starwars', host: undefined }

/** The claims of a test about a call. */
function said(call: Call | undefined): object {
  const { name, net, callback } = call!
  return { name, net, callback }
}

t.test('a string that is neither a port nor a path is the name to connect to', async t => {
  const table: [args: unknown[], expected: object][] = [
    [['starwars'], { name, net: nowhere, callback: undefined }],
    [['starwars', callback], { name, net: nowhere, callback }],
    [['StarWars', 'H'], { name, net: { ...nowhere, host: 'H' }, callback: undefined }],
    [['starwars', 'h', callback], { name, net: { ...nowhere, host: 'h' }, callback }],
    [['starwars', undefined, callback], { name, net: nowhere, callback }],
    [
      ['ns:starwars@^1'],
      { name: { ...name, namespace: 'ns', version: '^1' }, net: nowhere, callback: undefined },
    ],
  ]
  for (const [args, expected] of table) t.strictSame(said(connectCall(args)), expected)
})

t.test('a URI says where to ask as well', async t => {
  const expected = {
    name: { ...name, namespace: 'ns', version: '^1' },
    net: { service: 'starwars', host: 'theforce.net', daemonPort: 7 },
    callback,
  }
  const uri = 'ns:starwars@^1://luke@theforce.net:7/yoda'
  t.strictSame(said(connectCall([uri, callback])), expected)
  t.strictSame(said(connectCall([new URL('starwars://theforce.net:7/yoda')])), {
    ...expected,
    name,
    callback: undefined,
  })
})

t.test('options may follow a name, a URI or a host, and fill what these leave out', async t => {
  const select = () => {}
  const given = { wait: 5, daemonPort: 9, select, noDelay: true }
  const table: [args: unknown[], name: object, options: object][] = [
    [['starwars', given], {}, given],
    [['starwars', 'h', given], {}, { ...given, host: 'h' }],
    [['starwars', undefined, given], {}, given],
    [['starwars', { host: 'h' }], {}, { host: 'h' }],
    [['starwars', 'h', { host: 'other' }], {}, { host: 'h' }],
    [['starwars', { namespace: 'NS', version: '^1' }], { namespace: 'ns', version: '^1' }, {}],
    [
      ['ns:starwars@^2', { namespace: 'other', version: '^1' }],
      { namespace: 'ns', version: '^2' },
      { namespace: 'ns', version: '^2' },
    ],
    [['starwars://', 'h'], {}, { host: 'h' }],
    [['starwars://h:7', given], {}, { ...given, host: 'h', daemonPort: 7 }],
    [['starwars://h', { host: 'other', daemonPort: 9 }], {}, { host: 'h', daemonPort: 9 }],
    [[new URL('starwars://h'), given], {}, { ...given, host: 'h' }],
    [['starwars', { service: undefined, wait: 5 }], {}, { service, wait: 5 }],
  ]
  for (const [args, parts, options] of table) {
    const call = connectCall([...args, callback])!
    t.strictSame(call.name, { ...name, ...parts }, JSON.stringify(args))
    t.match(call, { net: { service, ...options }, callback })
    t.strictSame(connectCall([call.net])!.name, call.name, 'the options say it all again')
  }
})

t.test('options beside a name are checked, and name no other service', async t => {
  for (const target of ['starwars', 'starwars://h', new URL('starwars://h')]) {
    const cases: [options: object, says: RegExp][] = [
      [{ service }, /options\.service to be left out beside a name or a URI, got "starwars"$/],
      [{ wait: -1 }, /options\.wait to be a number of ms/],
      [{ version: 'new' }, /options\.version to be a version or a range/],
      [{ shared: true }, /options\.shared to be left out/],
    ]
    for (const [options, message] of cases) {
      t.throws(() => connectCall([target, options]), { ...invalid, message })
      t.throws(() => connectCall([target, 'h', options, callback]), { ...invalid, message })
    }
  }
})

t.test('options with a service are a name, and stay as they are', async t => {
  const table: [options: ConnectNameOptions, namespace: string, version: string][] = [
    [{ service: 'starwars' }, '', ''],
    [{ service: 'ns:starwars@^1' }, 'ns', '^1'],
    [{ service: 'ns:starwars@^1', namespace: 'Other', version: '2' }, 'other', '2'],
    [{ service: 'ns:starwars@^1', namespace: '', version: '' }, '', ''],
    [{ service: 'starwars', namespace: undefined, version: undefined }, '', ''],
    [{ service: 'starwars', daemonPort: 7, transports: ['tcp', 'udp'], timeout: 1 }, '', ''],
    [{ service: 'starwars', wait: 3_600_000, fallback: ['srv'], select: one => one[0]! }, '', ''],
  ]
  for (const [options, namespace, version] of table) {
    const call = connectCall([options, callback])
    t.strictSame(said(call), { name: { ...name, namespace, version }, net: options, callback })
    t.equal(call!.net, options)
  }
})

const wrong: [options: object, says: RegExp][] = [
  ...wrongOptions,
  [{ service, also: 'ns' }, /options\.also to be at most 4 namespaces, got "ns"$/],
  [{ service, also: ['1'] }, /options\.also to be at most 4 namespaces, got \["1"\]$/],
  [{ service, also: ['', 'a', 'b', 'c', 'd'] }, /options\.also to be at most 4 namespaces/],
  [{ service, fallback: 'srv' }, /options\.fallback to be some of srv, well-known, got "srv"$/],
  [{ service, fallback: ['dns'] }, /options\.fallback to be some of .*, got \["dns"\]$/],
  [{ service, select: 1 }, /options\.select to be a function, got 1$/],
  [{ service, wait: -1 }, /options\.wait to be a number of ms from 0 to 3600000, got -1$/],
  [{ service, wait: 3_600_001 }, /options\.wait to be a number of ms .*, got 3600001$/],
  [{ service, wait: NaN }, /options\.wait to be a number of ms/],
  [{ service, wait: '1s' }, /options\.wait to be a number of ms from 0 to 3600000, got "1s"$/],
  [
    { service, transports: 'tcp' },
    /options\.transports to be at most 8 of the words tcp, udp, unix, or objects.*, got "tcp"$/,
  ],
  [
    { service, transports: [] },
    /options\.transports to be at most 8 of the words tcp, udp, unix, or objects.*, got \[\]$/,
  ],
  [
    { service, transports: ['tcp', 'x'] },
    /options\.transports to be at most 8 .*, got \["tcp","x"\]$/,
  ],
]

t.test('an option that is wrong is refused, and the message says what came', async t => {
  for (const [options, message] of wrong) {
    t.throws(() => connectCall([options]), { ...invalid, message })
  }
})

t.test('a name that is wrong is refused', async t => {
  for (const text of NAMELESS) {
    t.throws(() => connectCall([text]), noName, `connect to ${text}`)
    t.throws(() => connectCall([{ service: text }]), noName)
  }
  t.throws(() => connectCall(['a://h:0']), noName)
})

t.test('a target is what options say of a name, and nothing else', async t => {
  for (const options of [undefined, null, {}, { host: 'theforce.net' }, { service: undefined }]) {
    t.equal(targetIn(options), undefined)
  }
  const target = { service: 'starwars@^1', host: 'theforce.net', daemonPort: 1 }
  t.same(targetIn({ ...target, version: undefined, allowHalfOpen: true }), target)
  t.throws(() => targetIn({ service: 'not a name' }), { code: 'ERR_MONIKER_NAME' })
  t.throws(() => targetIn({ service: 'a', daemonPort: 0 }), { code: 'ERR_INVALID_ARG_VALUE' })
})

t.test(
  'a detour goes to the target, at the host that the call has if the target has none',
  async t => {
    const service = 'db'
    const cases: [args: unknown[], options: object][] = [
      [[5432], {}],
      [[5432, 'theforce.net', callback], { host: 'theforce.net' }],
      [['/tmp/.s.PGSQL.5432', callback], {}],
      [[{ path: '/tmp/x', family: 6 }, callback], { family: 6 }],
      [[{ port: 5432, wait: 'long' }], { wait: undefined }],
      [
        [{ port: 5432, host: 'theforce.net', family: 6 }, callback],
        { host: 'theforce.net', family: 6 },
      ],
    ]
    for (const [args, options] of cases) {
      const call = detour({ service }, args)
      t.match(call, { name: { service }, net: { service, ...options } })
      t.notOk('port' in call.net || 'path' in call.net)
      t.equal(call.callback, args.at(-1) === callback ? callback : undefined)
      const own = detour({ service, host: 'own' }, args)
      t.equal(own.net.host, 'own')
    }
  },
)

t.test('on this host a name that gives no namespace has that of the process', async t => {
  process.env.MONIKER_NAMESPACE = 'Mine'
  t.teardown(() => delete process.env.MONIKER_NAMESPACE)
  const connecting: [args: unknown[], namespace: string, also: string[] | undefined][] = [
    [['web'], 'mine', ['']],
    [['web@^1', 'localhost'], 'mine', ['']],
    [['web', '127.0.0.1'], 'mine', ['']],
    [['web', '*'], 'mine', ['']],
    [['web', 'theforce.net'], '', undefined],
    [['ns:web'], 'ns', undefined],
    [['web://'], 'mine', ['']],
    [[new URL('web://theforce.net')], '', undefined],
    [[{ service: 'web' }], 'mine', ['']],
    [[{ service: 'web', also: ['ours'] }], 'mine', ['ours']],
    [[{ service: 'web', namespace: '' }], '', undefined],
    [[{ service: 'web', namespace: 'mine' }], 'mine', undefined],
    [[{ service: 'ns:web', host: '::1' }], 'ns', undefined],
    [[{ service: 'web', host: 'theforce.net' }], '', undefined],
  ]
  for (const [args, namespace, also] of connecting) {
    const { name, net } = connectCall(args)!
    t.strictSame([name.namespace, net.also], [namespace, also], JSON.stringify(args))
  }
  process.env.MONIKER_NAMESPACE = ''
  t.match(connectCall(['web']), { name: { namespace: '' }, net: { also: undefined } })
})

t.test('what must be a name is one, or is refused', async t => {
  t.match(namedCall('web@^1', 'theforce.net'), {
    name: { version: '^1' },
    net: { host: 'theforce.net' },
  })
  t.match(namedCall({ service: 'web' }), { name: { service: 'web' } })
  t.match(namedCall('web', undefined, { wait: 5 }), { net: { wait: 5 } })
  t.match(namedCall({ service: 'web' }, undefined, { wait: 5 }), { net: { wait: 5 } })
  const other = namedCall('web://luke@localhost/a', undefined, { wait: 5 }).with({ wait: 7 })
  t.match(other, { net: { wait: 7 }, name: { service: 'web' }, rest: { path: '/a' } })
  for (const target of ['80', './x.sock', '1:2']) t.throws(() => namedCall(target), noName)
  t.throws(() => namedCall({} as never), noName)
})

t.test('calls in a row that ask the same have one question', async t => {
  const transports = ['tcp'] as const
  const same: [one: unknown[], other: unknown[]][] = [
    [['web'], ['web']],
    [['web'], ['web', callback]],
    [['web', 'h'], [{ service: 'web', host: 'h' }]],
    [[{ service: 'web', noDelay: true }], [{ service: 'ns:other', timeout: 7 }]],
  ]
  for (const [one, other] of same) {
    const call = connectCall(one)!
    t.equal(connectCall(other)!.where, call.where)
    t.ok(Object.isFrozen(call.where))
  }
  const different: [one: unknown[], other: unknown[]][] = [
    [['web'], ['web', 'h']],
    [['web://h'], ['web://h:7']],
    [[{ service: 'web', wait: 1 }], [{ service: 'web' }]],
    [[{ service: 'web', transports }], [{ service: 'web', transports }]],
  ]
  for (const [one, other] of different) {
    t.not(connectCall(one)!.where, connectCall(other)!.where)
  }
})

t.test('a text that is read once is the same call, as long as its namespace is', async t => {
  t.teardown(() => delete process.env.MONIKER_NAMESPACE)
  const call = connectCall(['web'])
  t.equal(connectCall(['web']), call)
  t.match(connectCall(['web', callback]), { name: call!.name, callback })
  process.env.MONIKER_NAMESPACE = 'mine'
  t.match(connectCall(['web']), { name: { namespace: 'mine' } })
  process.env.MONIKER_NAMESPACE = 'auto'
  t.not(connectCall(['web']), connectCall(['web']))
})

t.test('options that are given again are the same call, as long as they say the same', async t => {
  const { MONIKER_NAMESPACE: before } = process.env
  t.teardown(() => {
    if (before === undefined) delete process.env.MONIKER_NAMESPACE
    else process.env.MONIKER_NAMESPACE = before
  })
  delete process.env.MONIKER_NAMESPACE
  const options: ConnectNameOptions & { noDelay?: boolean } = { service, daemonPort: 7 }
  const call = connectCall([options])!
  t.equal(connectCall([options]), call)
  t.match(connectCall([options, callback]), { name, net: options, where: call.where, callback })

  const others = { ...options }
  const other = connectCall([others])!
  t.equal(other.net, others, 'the options are those of the call')
  t.match(other, { name: call.name, where: call.where })
  t.equal(connectCall([{ ...options, wait: 5 }])!.where.wait, 5)
  t.equal(connectCall([options])!.where.wait, undefined)
  options.noDelay = true
  t.not(connectCall([options]), call)
  options.service = 'tie'
  t.equal(connectCall([options])!.name.service, 'tie')
  options.wait = -1
  t.throws(() => connectCall([options]), invalid)
  delete options.wait
  t.equal(connectCall([{ port: 7 }]), undefined)

  const listed = { service, also: ['a'] }
  connectCall([listed])
  listed.also.push('b')
  t.strictSame(connectCall([listed])!.where.also, ['a', 'b'], 'an array may change')

  class Inherited {
    readonly service = 'tie'
    get daemonPort() {
      return 9
    }
  }
  connectCall([{ service: 'tie' }])
  t.equal(connectCall([new Inherited()])!.where.daemonPort, 9)

  const at = (given: ConnectNameOptions) => connectCall([given])!.name.namespace
  for (const given of [options, { ...options }]) {
    for (const home of ['a', 'b', 'b']) {
      process.env.MONIKER_NAMESPACE = home
      t.equal(at(given), home)
      t.match(connectCall([given]), { net: { also: [''] } })
    }
  }
  t.equal(connectCall([options]), connectCall([{ ...options }]), 'one has a copy of its own')
  for (const given of [{ service, namespace: 'ns' }, { service: 'ns:tie' }]) {
    for (const home of ['a', 'b', '1']) {
      process.env.MONIKER_NAMESPACE = home
      t.equal(at(given), 'ns')
    }
  }
  process.env.MONIKER_NAMESPACE = ''
  connectCall([options])
  process.env.MONIKER_NAMESPACE = '1'
  t.throws(() => connectCall([options]), invalid)
})

t.test('the name of a package is an error that speaks of names', async t => {
  const message = /expected a name such as scope:app .*, got "@scope\/app"$/
  t.throws(() => connectCall(['@scope/app']), { reason: 'ENAME', message })
  t.equal(connectCall(['./@scope/app']), undefined)
})
