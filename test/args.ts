import t from 'tap'
import {
  connectCall,
  detour,
  listenCall,
  namedCall,
  targetIn,
  type ConnectNameOptions,
} from '../lib/args.ts'
import { MAX_METADATA } from '../lib/protocol.ts'

const callback = () => {}
const name = { namespace: '', service: 'starwars', version: '' }
const exact = { ...name, version: '0.0.0' }

const toNet: [what: string, args: unknown[]][] = [
  ['nothing', []],
  ['a port', [80]],
  ['a port and a host', [80, 'localhost', callback]],
  ['a port as a string', ['80']],
  ['a port in hexadecimal', ['0x50']],
  ['an empty string', ['']],
  ['a path', ['/tmp/x.sock']],
  ['a relative path', ['./x.sock']],
  ['a path of Windows', ['\\\\.\\pipe\\x']],
  ['an abstract path', ['\0x']],
  ['options with a port', [{ port: 80 }]],
  ['options with a path', [{ path: '/tmp/x.sock' }, callback]],
  ['options without a prototype', [Object.assign(Object.create(null), { port: 80 })]],
  ['options with no service after all', [{ port: 80, service: undefined }]],
  ['a callback alone', [callback]],
  ['null', [null]],
  ['true', [true]],
]

t.test('what net takes is left to net', async t => {
  for (const [what, args] of toNet) {
    t.equal(connectCall(args), undefined, `connect with ${what}`)
    t.equal(listenCall(args), undefined, `listen with ${what}`)
  }
})

const nowhere = { service: 'starwars', host: undefined }

t.test('a string that is neither a port nor a path is the name to connect to', async t => {
  const table: [args: unknown[], expected: object][] = [
    [['starwars'], { name, options: nowhere, callback: undefined }],
    [['starwars', callback], { name, options: nowhere, callback }],
    [['StarWars', 'H'], { name, options: { ...nowhere, host: 'H' }, callback: undefined }],
    [['starwars', 'h', callback], { name, options: { ...nowhere, host: 'h' }, callback }],
    [['starwars', undefined, callback], { name, options: nowhere, callback }],
    [
      ['ns:starwars@^1'],
      { name: { ...name, namespace: 'ns', version: '^1' }, options: nowhere, callback: undefined },
    ],
  ]
  for (const [args, expected] of table) t.strictSame(connectCall(args), expected)
})

t.test('a URI says where to ask as well', async t => {
  const expected = {
    name: { ...name, namespace: 'ns', version: '^1' },
    options: { service: 'starwars', host: 'theforce.net', daemonPort: 7 },
    callback,
  }
  t.strictSame(connectCall(['ns:starwars@^1://luke@theforce.net:7/yoda', callback]), expected)
  t.strictSame(connectCall([new URL('starwars://theforce.net:7/yoda')]), {
    ...expected,
    name,
    callback: undefined,
  })
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
    t.strictSame(call, { name: { ...name, namespace, version }, options, callback })
    t.equal(call!.options, options)
  }
})

t.test('a string that is neither a port nor a path is the name to listen on', async t => {
  const transports = ['tcp', 'udp', 'unix']
  const rest = { metadata: undefined, daemonPort: undefined, transports }
  const least = { load: false, shared: false, guarded: false, ...rest }
  const table: [args: unknown[], expected: object][] = [
    [['starwars'], { name: exact, options: { port: 0 }, callback: undefined }],
    [['starwars', callback], { name: exact, options: { port: 0 }, callback }],
    [['starwars', 5], { name: exact, options: { port: 0, backlog: 5 }, callback: undefined }],
    [['starwars', 5, callback], { name: exact, options: { port: 0, backlog: 5 }, callback }],
    [
      ['ns:starwars@1.2.0'],
      {
        name: { ...name, namespace: 'ns', version: '1.2.0' },
        options: { port: 0 },
        callback: undefined,
      },
    ],
  ]
  for (const [args, expected] of table) t.strictSame(listenCall(args), { ...least, ...expected })
})

t.test('what is bound already keeps its port', async t => {
  t.strictSame(listenCall([{ service: 'starwars', fd: 3 }])!.options, { fd: 3 })
  t.equal(listenCall([{ service: 'starwars', shared: 'us' }])!.shared, 'us')
})

t.test('options with a service are a name to listen on; the others are for net', async t => {
  const ours = {
    namespace: 'ns',
    version: '1.0.0',
    shared: true,
    load: true,
    guarded: true,
    metadata: { a: 1 },
    daemonPort: 7,
    transports: ['tcp'],
  }
  const { namespace, version, ...told } = ours
  t.strictSame(listenCall([{ service: 'starwars', ...ours, host: '::1', backlog: 5 }, callback]), {
    name: { service: 'starwars', namespace, version },
    ...told,
    options: { port: 0, host: '::1', backlog: 5 },
    callback,
  })
  t.match(listenCall([{ service: 'starwars@2.0.0', port: 80 }]), {
    name: { ...name, version: '2.0.0' },
    shared: false,
    options: { port: 80 },
  })
})

const invalid = { code: 'ERR_INVALID_ARG_VALUE', reason: 'EARGUMENT' }
const noName = { code: 'ERR_MONIKER_NAME', reason: 'ENAME' }
const service = 'starwars'

const bad: [options: object, says: RegExp][] = [
  [{ service: 7 }, /options\.service to be a string, got 7$/],
  [{ service: null }, /options\.service to be a string, got null$/],
  [{ service: () => {} }, /options\.service to be a string, got \(\) => \{/],
  [{ service, namespace: '1' }, /options\.namespace to be a word such as reynolds, got "1"$/],
  [{ service, namespace: 7 }, /options\.namespace to be a word such as reynolds, got 7$/],
  [{ service, version: 'new' }, /options\.version to be a version or a range .*, got "new"$/],
  [{ service, version: 1 }, /options\.version to be a version or a range such as \^1, got 1$/],
  [{ service, daemonPort: 0 }, /options\.daemonPort to be a port from 1 to 65535, got 0$/],
  [{ service, daemonPort: 65_536 }, /options\.daemonPort to be a port .*, got 65536$/],
  [{ service, daemonPort: '7' }, /options\.daemonPort to be a port from 1 to 65535, got "7"$/],
  [{ service, daemonPort: null }, /options\.daemonPort to be a port from 1 to 65535, got null$/],
]

const badConnect: [options: object, says: RegExp][] = [
  ...bad,
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
  [{ service, transports: 'tcp' }, /options\.transports to be some of tcp, udp, unix, got "tcp"$/],
  [{ service, transports: [] }, /options\.transports to be some of tcp, udp, unix, got \[\]$/],
  [
    { service, transports: ['tcp', 'x'] },
    /options\.transports to be some of .*, got \["tcp","x"\]$/,
  ],
]

const badListen: [options: object, says: RegExp][] = [
  ...bad,
  [
    { service, metadata: [] },
    /options\.metadata to be an object of at most 1024 bytes .*, got \[\]$/,
  ],
  [{ service, path: '/x' }, /options\.path to be left out, .*, got "\/x"$/],
  [{ service, guarded: 1 }, /options\.guarded to be true or false, got 1$/],
  [{ service, load: 1 }, /options\.load to be true or false, got 1$/],
  [{ service, shared: 1 }, /options\.shared to be true, false or a group .*, got 1$/],
  [{ service, shared: '' }, /options\.shared to be true, .*, got ""$/],
  [{ service, metadata: null }, /options\.metadata to be an object .*, got null$/],
  [{ service, metadata: 'x' }, /options\.metadata to be an object .*, got "x"$/],
  [{ service, metadata: { m: 'm'.repeat(MAX_METADATA - 7) } }, /got \{"m":"m{74}$/],
]

t.test('an option that is wrong is refused, and the message says what came', async t => {
  for (const [options, message] of badConnect) {
    t.throws(() => connectCall([options]), { ...invalid, message })
  }
  for (const [options, message] of badListen) {
    t.throws(() => listenCall([options]), { ...invalid, message })
  }
  t.ok(listenCall([{ service, metadata: { m: 'm'.repeat(MAX_METADATA - 8) } }]))
})

t.test('a name that is wrong is refused', async t => {
  for (const text of ['7up', 'star wars', 'a:b:c', 'a@new']) {
    t.throws(() => connectCall([text]), noName, `connect to ${text}`)
    t.throws(() => connectCall([{ service: text }]), noName)
    t.throws(() => listenCall([text]), noName, `listen on ${text}`)
    t.throws(() => listenCall([{ service: text }]), noName)
  }
  t.throws(() => connectCall(['a://h:0']), noName)
})

t.test('a server has neither a host nor a range in its name', async t => {
  t.throws(() => listenCall(['starwars://theforce.net']), noName)
  const message = /expected a server to give an exact version/
  t.throws(() => listenCall(['starwars@^1']), { ...noName, message })
  t.throws(() => listenCall([{ service, version: '^1' }]), { ...noName, message })
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
      [
        [{ port: 5432, host: 'theforce.net', family: 6 }, callback],
        { host: 'theforce.net', family: 6 },
      ],
    ]
    for (const [args, options] of cases) {
      const call = detour({ service }, args)
      t.match(call, { name: { service }, options: { service, ...options } })
      t.notOk('port' in call.options || 'path' in call.options)
      t.equal(call.callback, args.at(-1) === callback ? callback : undefined)
      const own = detour({ service, host: 'own' }, args)
      t.equal(own.options.host, 'own')
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
    const { name, options } = connectCall(args)!
    t.strictSame([name.namespace, options.also], [namespace, also], JSON.stringify(args))
  }
  const listening: [first: unknown, namespace: string][] = [
    ['web', 'mine'],
    ['ns:web', 'ns'],
    [{ service: 'web' }, 'mine'],
    [{ service: 'web', namespace: '' }, ''],
    [{ service: 'ns:web' }, 'ns'],
  ]
  for (const [first, namespace] of listening) {
    t.equal(listenCall([first])?.name.namespace, namespace, JSON.stringify(first))
  }
  process.env.MONIKER_NAMESPACE = ''
  t.match(connectCall(['web']), { name: { namespace: '' }, options: { also: undefined } })
})

t.test('what must be a name is one, or is refused', async t => {
  t.match(namedCall('web@^1', 'theforce.net'), {
    name: { version: '^1' },
    options: { host: 'theforce.net' },
  })
  t.match(namedCall({ service: 'web' }), { name: { service: 'web' } })
  for (const target of ['80', './x.sock', '1:2']) t.throws(() => namedCall(target), noName)
  t.throws(() => namedCall({} as never), noName)
})
