import t from 'tap'
import { listenCall } from '../../lib/options/listen.ts'
import { TRANSPORT_NAMES } from '../../lib/transports/transports.ts'
import { MAX_METADATA } from '../../lib/wire/protocol.ts'
import { NAMELESS, invalid, noName, toNet, wrongOptions } from '../fixtures/calls.ts'

const callback = () => {}
const name = { namespace: '', service: 'starwars', version: '' }
const service = 'starwars'
const exact = { ...name, version: '0.0.0' }

t.test('what net takes is left to net', async t => {
  for (const [what, args] of toNet) t.equal(listenCall(args), undefined, what)
})

t.test('a string that is neither a port nor a path is the name to listen on', async t => {
  const rest = { metadata: undefined, daemonPort: undefined, transports: TRANSPORT_NAMES }
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

const wrong: [options: object, says: RegExp][] = [
  ...wrongOptions,
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
  for (const [options, message] of wrong) {
    t.throws(() => listenCall([options]), { ...invalid, message })
  }
  t.ok(listenCall([{ service, metadata: { m: 'm'.repeat(MAX_METADATA - 8) } }]))
})

t.test('a name that is wrong is refused', async t => {
  for (const text of NAMELESS) {
    t.throws(() => listenCall([text]), noName, `listen on ${text}`)
    t.throws(() => listenCall([{ service: text }]), noName)
  }
})

t.test('a server has neither a host nor a range in its name', async t => {
  t.throws(() => listenCall(['starwars://theforce.net']), noName)
  const message = /expected a server to give an exact version/
  t.throws(() => listenCall(['starwars@^1']), { ...noName, message })
  t.throws(() => listenCall([{ service, version: '^1' }]), { ...noName, message })
})

t.test('a name that gives no namespace has that of the process', async t => {
  process.env.MONIKER_NAMESPACE = 'Mine'
  t.teardown(() => delete process.env.MONIKER_NAMESPACE)
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
})

t.test(
  'the name of a package is an error that speaks of names, and ./ makes it a path',
  async t => {
    const message = /expected a name such as scope:app .*, got "@scope\/app"$/
    for (const first of ['@scope/app', { service: '@scope/app' }]) {
      t.throws(() => listenCall([first]), { reason: 'ENAME', message })
    }
    for (const path of ['./a.sock', './@scope/app', '/tmp/@scope/app'])
      t.equal(listenCall([path]), undefined)
  },
)
