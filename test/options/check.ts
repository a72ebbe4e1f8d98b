import t from 'tap'
import { callbackIn, hasService, homed, isName, isURI, nameIn } from '../../lib/options/check.ts'
import { NAMELESS, noName } from '../fixtures/calls.ts'

t.test('a name is what is neither a port nor a path, nor a URI', async t => {
  for (const text of ['starwars', 'ns:starwars@^1', '80x', '-1']) t.ok(isName(text), text)
  for (const text of [
    '',
    '80',
    '0x50',
    './x.sock',
    '\\\\.\\pipe\\x',
    '\0x',
    '@/b',
    '@a/b/c',
    'a@b/c',
    './@a/b',
    '@a/',
  ])
    t.notOk(isName(text), text)
  for (const text of ['@acme/web', '@acme/web@1.2.0']) t.ok(isName(text), 'one that is a package’s')
  t.ok(isURI('starwars://theforce.net'))
  t.notOk(isURI('ns:starwars'))
})

t.test('options have a name if they have a service', async t => {
  t.ok(hasService({ service: 'starwars' }))
  for (const value of [null, undefined, 'service', {}, { service: undefined }])
    t.notOk(hasService(value))
})

t.test('the parts of a name go before what the whole of it says', async t => {
  const name = { namespace: 'ns', service: 'starwars', version: '^1' }
  const service = 'ns:starwars@^1'
  const cases: [options: Parameters<typeof nameIn>[0], expected: Partial<typeof name>][] = [
    [{ service }, {}],
    [{ service, namespace: 'Other' }, { namespace: 'other' }],
    [{ service, version: '2' }, { version: '2' }],
    [
      { service, namespace: '', version: '' },
      { namespace: '', version: '' },
    ],
  ]
  for (const [options, expected] of cases) t.same(nameIn(options), { ...name, ...expected })
  for (const text of NAMELESS) t.throws(() => nameIn({ service: text }), noName)
})

t.test('a name that gives no namespace has that of the process', async t => {
  const name = { namespace: '', service: 'web', version: '' }
  t.equal(homed(name), name)
  process.env.MONIKER_NAMESPACE = 'Mine'
  t.teardown(() => delete process.env.MONIKER_NAMESPACE)
  t.same(homed(name), { ...name, namespace: 'mine' })
  const other = { ...name, namespace: 'ns' }
  t.equal(homed(other), other)
})

t.test('a listener is what comes last, if it is one', async t => {
  const callback = () => {}
  t.equal(callbackIn([80, callback]), callback)
  for (const args of [[], [80], [callback, 80]]) t.equal(callbackIn(args), undefined)
})
