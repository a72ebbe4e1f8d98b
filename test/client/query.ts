import t from 'tap'
import { MonikerError, type Reason } from '../../lib/errors.ts'
import type { Fallback } from '../../lib/directories/directories.ts'
import { parse } from '../../lib/name.ts'
import { Queries, idOf, keyOf, shouldFallBack } from '../../lib/client/query.ts'
import type { SocketQuestion } from '../../lib/resolution.ts'
import { memory } from '../fixtures/directory.ts'
import { lookup } from '../fixtures/services.ts'

const name = parse('ns:tie@^1')

t.test('what a call leaves out has a default', async t => {
  t.match(new Queries(7).of(name, {}), {
    name,
    host: '',
    port: 7,
    question: {
      op: 'resolve',
      namespace: 'ns',
      service: 'tie',
      version: '^1',
      transports: ['tcp'],
    },
    details: { service: 'ns:tie@^1', host: 'localhost', port: 7, syscall: 'resolve' },
    family: 0,
    isThisHost: true,
    fallback: [],
  })
  t.equal(new Queries(undefined).portOf({ daemonPort: 8 }), 8)
  t.equal(new Queries(7).portOf({ daemonPort: 8 }), 8)
  t.type(new Queries(undefined).portOf({}), 'number')
})

t.test('a call like the one before is the same query, and no other is', async t => {
  const queries = new Queries(7)
  const transports = ['udp'] as const
  const others: SocketQuestion[] = [
    { host: 'theforce.net' },
    { daemonPort: 8 },
    { transports },
    { family: 4 },
    { fallback: ['srv'] },
  ]
  const keys = new Set<string>()
  for (const options of [{}, ...others]) {
    const query = queries.of(name, options)
    t.equal(queries.of(name, { ...options }), query, JSON.stringify(options))
    keys.add(query.key)
  }
  const trusted = queries.of(name, { trusted: true })
  t.equal(trusted.question.trusted, true)
  keys.add(trusted.key)
  t.notOk('trusted' in queries.of(name, {}).question)
  t.equal(keys.size, others.length + 2, 'nor has any other its answer')
})

t.test('what is the caller’s own is for one call alone', async t => {
  const queries = new Queries(7)
  const usual = queries.of(name, {})
  const [one, other] = [lookup('127.0.0.1'), lookup('127.0.0.2')]
  const own = [{ lookup: one }, { hints: 1 }, { onLookup: () => {} }, { also: ['mine'] }]
  for (const options of own) {
    t.not(queries.of(name, options), usual)
    t.equal(queries.of(name, {}), usual)
  }
  const keys = [{ lookup: one }, { lookup: other }, {}].map(
    options => queries.of(name, options).key,
  )
  t.equal(new Set(keys).size, 3, 'nor has another look-up its answer')
  t.equal(queries.of(name, { lookup: one }).key, keys[0])
  t.notOk(queries.of(name, { lookup: lookup('127.0.0.1') }).isThisHost)
  t.strictSame(await queries.of(name, { lookup: lookup('10.0.0.1') }).look('a'), ['10.0.0.1'])
})

t.test('no namespace is taken for another, nor for none', t => {
  const lists = [undefined, [''], ['undefined'], ['mine'], ['mine', '']]
  const keys = lists.map(also => new Queries(7).of(name, { also }).key)
  t.equal(new Set(keys).size, lists.length)
  t.end()
})

t.test('directories are those of the call, else of all calls, and for any host alone', async t => {
  const [one, another] = [memory(), memory()]
  const queries = new Queries(7, [one])
  t.strictSame(queries.of(name, { host: '*' }).directories, [one])
  t.strictSame(queries.of(name, { host: '*', directories: [another] }).directories, [another])
  for (const options of [{}, { host: 'localhost' }, { directories: [another] }]) {
    t.equal(queries.of(name, options).directories, undefined)
  }
  t.match(queries.of(name, { host: '*', directories: [] }), { host: '', isThisHost: true })
  const lists = [[one], [another], [one, another], undefined]
  const keys = lists.map(directories => queries.of(name, { host: '*', directories }).key)
  t.equal(new Set(keys).size, 3)
  t.equal(keys[0], keys[3])
})

t.test('the fallbacks are for names without a namespace, where the host has no daemon', async t => {
  const srv: Fallback[] = ['srv']
  const table: [name: string, options: SocketQuestion, reason: Reason, forsaken: boolean][] = [
    ['tie', { fallback: srv }, 'ENODAEMON', true],
    ['tie', { fallback: srv }, 'ESILENT', true],
    ['tie', { fallback: srv }, 'ENOSERVICE', false],
    ['tie', {}, 'ENODAEMON', false],
    ['ns:tie', { fallback: srv }, 'ENODAEMON', false],
    ['ns:tie', { fallback: srv, also: [''] }, 'ENODAEMON', true],
  ]
  for (const [text, options, reason, forsaken] of table) {
    const query = new Queries(7).of(parse(text), options)
    t.equal(shouldFallBack(query, new MonikerError(reason)), forsaken, `${text} ${reason}`)
  }
})

t.test('each function or object is told from all others', async t => {
  const [one, other] = [() => {}, {}]
  t.equal(idOf(one), idOf(one))
  t.not(idOf(one), idOf(other))
  for (const none of [undefined, null, 7, 'text']) t.equal(idOf(none), 0)
})

t.test('options have one key if they are the same', async t => {
  const keys = ['also', 'directories', 'fallback', 'lookup', 'wait'] as const
  const one = { also: ['a'], lookup: lookup('127.0.0.1') }
  t.equal(keyOf<SocketQuestion>(one, keys), keyOf<SocketQuestion>({ ...one, also: ['a'] }, keys))
  const others: SocketQuestion[] = [
    {},
    { ...one, also: ['b'] },
    { ...one, lookup: lookup('127.0.0.1') },
    { ...one, fallback: ['srv'] },
    { ...one, wait: 1 },
    { ...one, directories: [memory()] },
    { ...one, directories: [memory()] },
  ]
  const all = new Set([one, ...others].map(options => keyOf<SocketQuestion>(options, keys)))
  t.equal(all.size, others.length + 1)
})
