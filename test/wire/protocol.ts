import { deepStrictEqual, equal, ok } from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import fc from 'fast-check'
import t from 'tap'
import { MonikerError } from '../../lib/errors.ts'
import { MAX_LINE, split } from '../../lib/wire/lines.ts'
import {
  MAX_GROUP,
  MAX_ENDPOINTS,
  MAX_METADATA,
  changeIn,
  decode,
  encode,
  encodeAnswer,
  endpoints,
  idOf,
  listed,
  question,
  refusal,
  refusalIn,
  type Answer,
} from '../../lib/wire/protocol.ts'
import { words } from '../fixtures/names.ts'

const EPROTO = { code: 'EPROTO', reason: 'EPROTOCOL' }

t.test('a message that is written reads back the same', async () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ maxLength: 64, unit: 'binary' }), fc.maxSafeInteger()),
      fc.dictionary(
        words.filter(word => word !== 'v' && word !== 'id'),
        fc.jsonValue({ noUnicodeString: false }).map(noMinusZero),
        { noNullPrototype: true },
      ),
      (id, fields) => {
        const line = encode(id, fields)
        const message = decode(line)
        deepStrictEqual(message, { v: 1, id, ...fields })
        equal(idOf(message), id)
        equal(line.indexOf('\n'), line.length - 1)
      },
    ),
  )
})

const noMessages: [text: string, says: RegExp][] = [
  ['', /expected one JSON object a line, got ""/],
  ['GET / HTTP/1.1\r', /expected one JSON object a line, got "GET \/ HTTP\/1\.1\\r"/],
  ['{"v":1', /got "{\\"v\\":1"/],
  ['\u0016\u0003\u0001', /got "\\u0016\\u0003\\u0001"/],
  ['x'.repeat(99), /got "x{40}…"/],
  ['null', /expected a JSON object, got "null"/],
  ['[]', /expected a JSON object, got "\[\]"/],
  ['7', /expected a JSON object/],
  ['"v"', /expected a JSON object/],
  ['{}', /expected "v" to be 1, got "nothing"/],
  ['{"v":2}', /expected "v" to be 1, got "2"/],
  ['{"v":"1"}', /expected "v" to be 1, got "1"/],
  ['{"__proto__":{"v":1}}', /expected "v" to be 1, got "nothing"/],
]

t.test('what is no message is refused, and the message says what came', async t => {
  for (const [text, message] of noMessages) {
    t.throws(() => decode(text), { ...EPROTO, message }, text)
  }
})

t.test('an id is a short string or an integer', async t => {
  for (const id of ['', 'x'.repeat(64), 0, -1, Number.MAX_SAFE_INTEGER]) t.equal(idOf({ id }), id)
  for (const id of ['x'.repeat(65), 1.5, 2 ** 53, null, undefined, true, [], {}]) {
    t.throws(() => idOf({ id }), {
      ...EPROTO,
      message: /expected "id" to be a string of at most 64/,
    })
  }
})

t.test('a resolve has a service, and the rest has defaults', async t => {
  const least = { op: 'resolve', service: 'starwars' }
  const defaults = { ...least, namespace: '', version: '', transports: ['tcp'] }
  t.strictSame(question({ v: 1, id: 1, ...least }), defaults)
  const most = {
    namespace: 'ns',
    version: '>=1 <3',
    transports: ['udp', 'tcp'],
    also: ['', 'ours'],
    wait: 3_600_000,
  }
  t.strictSame(question({ ...least, ...most, future: {} }), { ...least, ...most })
  const followed = { ...least, id: 'f', follow: true }
  t.strictSame(question(followed), { ...defaults, id: 'f', follow: true })
  t.strictSame(question({ ...followed, follow: false }), defaults)
  t.throws(() => question({ ...followed, follow: 1 }), {
    ...EPROTO,
    message: /"follow" to be true/,
  })
})

t.test('a question may be for another, whose address is canonical', async t => {
  const table: [visitor: object, read: object][] = [
    [{ address: '::FFFF:7F00:1' }, { address: '127.0.0.1' }],
    [
      { address: 'fe80:0::1%eth0', uid: 0, future: 1 },
      { address: 'fe80::1%eth0', uid: 0 },
    ],
    [
      { address: '192.0.2.1', uid: 0xffff_ffff },
      { address: '192.0.2.1', uid: 0xffff_ffff },
    ],
  ]
  for (const asked of [{ op: 'resolve', service: 'a' }, { op: 'list' }, { op: 'watch', id: 1 }]) {
    t.notOk('for' in question(asked))
    for (const [visitor, read] of table) {
      t.strictSame(question({ ...asked, for: visitor }), { ...question(asked), for: read })
    }
  }
})

t.test('a resolve may be for trusted names alone', async t => {
  const asked = { op: 'resolve', service: 'a' }
  t.match(question({ ...asked, trusted: true }), { trusted: true })
  t.notOk('trusted' in question({ ...asked, trusted: false }))
  t.throws(() => question({ ...asked, trusted: 1 }), { ...EPROTO, message: /"trusted" to be true/ })
})

t.test('a register has a service, a transport and a port, and the rest has defaults', async t => {
  const least = { op: 'register', id: 1, service: 'starwars', transport: 'tcp', port: 80 }
  const defaults = { ...least, namespace: '', version: '0.0.0', address: '::', shared: false }
  t.strictSame(question({ v: 1, ...least }), defaults)
  const most = {
    namespace: 'ns',
    version: '1.2.0',
    address: '127.0.0.1',
    shared: true,
    guarded: true,
    metadata: { a: [1] },
    pid: 7,
    since: 1_763_949_600_000,
  }
  t.strictSame(question({ ...least, ...most, future: 1 }), { ...least, ...most })
})

t.test('the other questions are as small as they look', async t => {
  const table: [message: Answer, expected: object][] = [
    [
      { op: 'unregister', registration: 0 },
      { op: 'unregister', registration: 0 },
    ],
    [
      { op: 'update', registration: 1, load: 0 },
      { op: 'update', registration: 1, load: 0 },
    ],
    [{ op: 'list' }, { op: 'list' }],
    [
      { op: 'list', namespace: '' },
      { op: 'list', namespace: '' },
    ],
    [
      { op: 'list', namespace: 'ns', more: 1 },
      { op: 'list', namespace: 'ns' },
    ],
    [
      { id: 1, op: 'watch' },
      { id: 1, op: 'watch' },
    ],
    [
      { v: 1, id: 1, op: 'watch', namespace: 'NS', service: 'Web', more: 1 },
      { id: 1, op: 'watch', namespace: 'ns', service: 'web' },
    ],
    [{ op: 'status', x: 1 }, { op: 'status' }],
    [{ op: 'gateways', x: 1 }, { op: 'gateways' }],
    [
      { op: 'gateway', port: 6680 },
      { op: 'gateway', port: 6680, address: '127.0.0.1' },
    ],
    [
      { op: 'gateway', port: 80, address: '0::1', x: 1 },
      { op: 'gateway', port: 80, address: '::1' },
    ],
  ]
  for (const [message, expected] of table) t.strictSame(question(message), expected)
})

t.test('names are asked for in any case, and kept lower-case', async t => {
  const name = { namespace: 'NS', service: 'StarWars' }
  const lower = { namespace: 'ns', service: 'starwars' }
  t.match(question({ op: 'resolve', ...name }), lower)
  t.match(question({ op: 'register', id: 1, ...name, transport: 'tcp', port: 1 }), lower)
  t.match(question({ op: 'list', namespace: 'NS' }), { namespace: 'ns' })
  t.match(question({ op: 'watch', id: 1, also: ['NS'] }), { also: ['ns'] })
})

const resolve = { op: 'resolve', service: 'a' }
const register = { op: 'register', id: 1, service: 'a', transport: 'tcp', port: 80 }
const fat = { fat: '€'.repeat(MAX_METADATA / 3) }

const badFields: [message: Answer, says: string][] = [
  [{}, '"op" to be a string, got "nothing"'],
  [{ op: ['list'] }, '"op" to be a string, got "[\\"list\\"]"'],
  [{ op: 'resolve' }, '"service" to be a service name, got "nothing"'],
  [{ op: 'resolve', service: 7 }, '"service" to be a service name, got "7"'],
  [{ op: 'resolve', service: '80' }, '"service" to be a service name, got "80"'],
  [{ op: 'resolve', service: 'a@1' }, '"service" to be a service name, got "a@1"'],
  [{ ...resolve, service: 'a'.repeat(64) }, `got "${'a'.repeat(40)}…"`],
  [{ ...resolve, namespace: null }, '"namespace" to be a namespace, got "null"'],
  [{ ...resolve, namespace: '1' }, '"namespace" to be a namespace, got "1"'],
  [{ ...resolve, version: 'new' }, '"version" to be a version range, got "new"'],
  [{ ...resolve, version: 1 }, '"version" to be a version range, got "1"'],
  [{ ...resolve, also: 'ns' }, '"also" to be at most 4 namespaces, got "ns"'],
  [{ ...resolve, also: ['1'] }, '"also" to be at most 4 namespaces'],
  [{ ...resolve, also: Array(5).fill('') }, '"also" to be at most 4 namespaces'],
  [{ ...resolve, wait: -1 }, '"wait" to be a whole number of ms, at most 3600000, got "-1"'],
  [{ ...resolve, wait: 3_600_001 }, '"wait" to be a whole number of ms, at most 3600000'],
  [{ ...resolve, wait: 1.5 }, '"wait" to be a whole number of ms, at most 3600000, got "1.5"'],
  [{ ...resolve, wait: '1s' }, '"wait" to be a whole number of ms, at most 3600000, got "1s"'],
  [
    { ...resolve, transports: 'tcp' },
    '"transports" to be at most 8 transports, such as tcp, udp, unix, got "tcp"',
  ],
  [{ ...resolve, transports: Array(9).fill('tcp') }, '"transports" to be at most 8 transports'],
  [{ ...resolve, transports: [7] }, '"transports" to be at most 8 transports'],
  [{ ...resolve, transports: [''] }, '"transports" to be at most 8 transports'],
  [{ ...resolve, transports: ['x'.repeat(65)] }, '"transports" to be at most 8 transports'],
  [{ ...resolve, for: '::1' }, '"for" to be an object with an address, got "::1"'],
  [{ ...resolve, for: null }, '"for" to be an object with an address, got "null"'],
  [{ ...resolve, for: [] }, '"for" to be an object with an address, got "[]"'],
  [{ ...resolve, for: {} }, '"address" to be an IP address, got "nothing"'],
  [{ ...resolve, for: { address: 'here' } }, '"address" to be an IP address, got "here"'],
  [{ op: 'list', for: { address: '::1', uid: -1 } }, '"uid" to be the number of a user, got "-1"'],
  [{ op: 'list', for: { address: '::1', uid: 2 ** 32 } }, '"uid" to be the number of a user'],
  [{ op: 'watch', id: 1, for: { address: '::1', uid: '0' } }, '"uid" to be the number of a user'],
  [{ ...register, version: 7 }, '"version" to be an exact version, got "7"'],
  [{ ...register, version: 'x'.repeat(513) }, '"version" to be an exact version, got "xxx'],
  [{ ...register, transport: 7 }, '"transport" to be one of tcp, udp, got "7"'],
  [{ ...register, transport: '' }, '"transport" to be one of tcp, udp, got ""'],
  [{ ...register, transport: 'x'.repeat(65) }, '"transport" to be one of tcp, udp, got "xxx'],
  [{ ...register, transport: undefined }, '"transport" to be one of tcp, udp, got "nothing"'],
  [{ ...register, port: 0 }, '"port" to be a port, got "0"'],
  [{ ...register, port: 65_536 }, '"port" to be a port, got "65536"'],
  [{ ...register, port: -1 }, '"port" to be a port, got "-1"'],
  [{ ...register, port: 1.5 }, '"port" to be a port, got "1.5"'],
  [{ ...register, port: '80' }, '"port" to be a port, got "80"'],
  [{ ...register, address: 'localhost' }, '"address" to be an IP address, got "localhost"'],
  [{ ...register, address: '' }, '"address" to be an IP address, got ""'],
  [{ ...register, path: '/tmp/x' }, '"path" to be moniker- and lower-case letters, digits or -'],
  [{ ...register, path: 7 }, '"path" to be moniker-'],
  [{ ...register, address: 1 }, '"address" to be an IP address, got "1"'],
  [{ ...register, guarded: 1 }, '"guarded" to be true or false, got "1"'],
  [{ ...register, shared: 1 }, '"shared" to be true, false or the name of a group, got "1"'],
  [{ ...register, shared: '' }, '"shared" to be true, false or the name of a group, got ""'],
  [{ ...register, shared: 'x'.repeat(MAX_GROUP + 1) }, '"shared" to be true, false or the name'],
  [{ ...register, metadata: [] }, '"metadata" to be an object of at most 1024 bytes, got "[]"'],
  [{ ...register, metadata: null }, '"metadata" to be an object of at most 1024 bytes, got "null"'],
  [{ ...register, metadata: fat }, '"metadata" to be an object of at most 1024 bytes, got'],
  [{ ...register, endpoints: {} }, '"endpoints" to be at most 8 objects, each with a transport'],
  [{ ...register, endpoints: [null] }, '"endpoints" to be at most 8 objects'],
  [{ ...register, endpoints: [{}] }, '"endpoints" to be at most 8 objects'],
  [{ ...register, endpoints: [{ transport: 7 }] }, '"endpoints" to be at most 8 objects'],
  [{ ...register, endpoints: Array(9).fill({ transport: 'tcp' }) }, '"endpoints" to be at most 8'],
  [{ ...register, pid: -1 }, '"pid" to be a process id, got "-1"'],
  [{ ...register, pid: '1' }, '"pid" to be a process id, got "1"'],
  [{ op: 'unregister' }, '"registration" to be the number of a registration, got "nothing"'],
  [{ op: 'unregister', registration: '1' }, '"registration" to be the number of a registration'],
  [{ id: 1, op: 'watch', service: 7 }, '"service" to be a service name, got "7"'],
  [{ op: 'update', registration: 1, load: -1 }, '"load" to be a whole number from 0 on, got "-1"'],
  [{ op: 'gateway' }, '"port" to be a port, got "nothing"'],
  [{ op: 'gateway', port: 0 }, '"port" to be a port, got "0"'],
  [{ op: 'gateway', port: 1, address: 'here' }, '"address" to be an IP address, got "here"'],
  [{ op: 'list', namespace: 7 }, '"namespace" to be a namespace, got "7"'],
]

t.test('a bad field is refused, and the message says what was expected and what came', async t => {
  for (const [message, says] of badFields) {
    try {
      question(message)
      t.fail(says)
    } catch (error) {
      t.match(error, EPROTO, says)
      t.ok((error as Error).message.includes(says), (error as Error).message)
    }
  }
})

t.test('what a later version asks is unknown, and no fault', async t => {
  const table: [message: Answer, what: string][] = [
    [{ op: 'dance' }, 'the operation "dance"'],
    [{ op: 'toString' }, 'the operation "toString"'],
    [{ op: 'unknown', what: 'evil' }, 'the operation "unknown"'],
    [{ op: 'x'.repeat(99) }, `the operation "${'x'.repeat(40)}…"`],
    [{ ...register, transport: 'sctp' }, 'the transport "sctp"'],
    [{ ...register, transport: 'unix', port: undefined }, 'the transport "unix"'],
  ]
  for (const [message, what] of table) t.strictSame(question(message), { op: 'unknown', what })
})

t.test('transports that are not known are asked for as well', async t => {
  for (const transports of [['sctp', 'udp', 'tcp'], Array<string>(8).fill('x'.repeat(64)), []]) {
    t.match(question({ ...resolve, transports }), { transports })
  }
})

t.test('an offer may list further endpoints, of transports that have no fields here', async t => {
  const known = ['tcp', 'udp', 'unix'].map(transport => ({ transport, port: 81 }))
  const sctp = { transport: 'sctp', port: 1, address: '::1', path: 'moniker-1', future: { a: 1 } }
  const kept = (...endpoints: object[]) => question({ ...register, endpoints })
  t.strictSame(kept(...known, sctp), { ...question(register), endpoints: [sctp] })
  t.strictSame(kept(...known), question(register))
  t.strictSame(kept(), question(register))
  t.ok(kept(...Array<object>(8).fill({ transport: 'x'.repeat(40) })))
  const { length } = JSON.stringify([{ transport: 'x', key: '' }])
  t.ok(kept({ transport: 'x', key: 'k'.repeat(MAX_ENDPOINTS - length) }))
  for (const wrong of [
    { transport: 'x', key: 'k'.repeat(MAX_ENDPOINTS - length + 1) },
    { ...sctp, port: 0 },
    { ...sctp, address: 'here' },
    { ...sctp, path: '/tmp/x' },
  ]) {
    t.throws(() => kept(wrong), { ...EPROTO, message: /"endpoints" to be at most 8 objects/ })
  }
})

t.test('a server that registers a range is told to be exact', async t => {
  const expected = { code: 'ERR_MONIKER_NAME', message: /expected a server to give an exact ver/ }
  t.throws(() => question({ ...register, version: '^1' }), expected)
})

t.test('what is inherited is not given, and __proto__ is a key as any other', async t => {
  const text = `{"v":1,"id":1,"op":"resolve","service":"a","__proto__":{"namespace":"evil"}}`
  t.match(question(decode(text)), { namespace: '', service: 'a' })
  t.throws(() => question(decode(`{"v":1,"op":"resolve","__proto__":{"service":"a"}}`)), EPROTO)
  const metadata = JSON.parse('{"__proto__":{"polluted":1}}') as object
  t.strictSame(Object.keys((question({ ...register, metadata }) as object as Answer).metadata!), [
    '__proto__',
  ])
  t.notOk('polluted' in {})
})

t.test('an address is canonical from where it is read', async t => {
  const table = [
    ['::FFFF:7F00:1', '127.0.0.1'],
    ['0:0::0', '::'],
    ['::1%lo', '::1'],
    ['FE80:0::1%eth0', 'fe80::1%eth0'],
  ] as const
  for (const [address, expected] of table) {
    const others = [{ transport: 'own', address, key: 'k' }, { transport: 'own' }]
    const read = [{ transport: 'own', address: expected, key: 'k' }, { transport: 'own' }]
    t.match(question({ ...register, address, endpoints: others }), {
      address: expected,
      endpoints: read,
    })
    const endpoint = { transport: 'tcp', port: 1, version: '1.0.0', instance: 'a' }
    t.strictSame(endpoints({ endpoints: [{ ...endpoint, address, endpoints: others }] }), [
      { ...endpoint, address: expected, endpoints: read },
    ])
    const { op: _, id: __, ...service } = register
    const entry = { ...service, version: '1.0.0', instance: 'a', address }
    t.match(listed({ services: [entry] }), [{ address: expected }])
    t.match(changeIn({ ...entry, event: 'up' }), { service: { address: expected } })
  }
})

t.test('the largest question there is fits into a line', async t => {
  const address = `fe80::1%${'z'.repeat(64)}`
  const metadata = { m: 'm'.repeat(MAX_METADATA - 8) }
  const word = 'a'.repeat(63)
  const version = `1.0.0-${'a'.repeat(250)}`
  const path = `moniker-${'z'.repeat(90)}`
  const endpoints = [{ transport: 'own', key: 'k'.repeat(MAX_ENDPOINTS - 30) }]
  const count = Number.MAX_SAFE_INTEGER
  const counts = { pid: count, since: count, load: count }
  const name = { namespace: word, service: word, version, shared: '\u0001'.repeat(64) }
  const largest = {
    ...register,
    ...name,
    address,
    path,
    endpoints,
    metadata,
    guarded: true,
    ...counts,
  }
  t.ok(encode('\u0001'.repeat(64), largest).length <= MAX_LINE)
  t.ok(question(largest))
  // A list tells all of it, and what the daemon adds.
  const { op: _, id: __, ...told } = largest
  const services = [{ ...told, instance: 'z'.repeat(24) }]
  const lines = encodeAnswer('\u0001'.repeat(64), { services: [...services, ...services] })
  t.equal(split(Buffer.from(lines)).lines.length, 2)
  const event = encode('\u0001'.repeat(64), { event: 'down', ...services[0] })
  t.ok(event.length <= MAX_LINE)
})

const service = fc.record(
  {
    namespace: words,
    service: words,
    version: fc.constantFrom('1.0.0', `1.0.0-${'a'.repeat(250)}`),
    transport: fc.constant('tcp'),
    port: fc.constant(65_535),
    address: fc.constantFrom('::', `fe80::1%${'z'.repeat(64)}`),
    shared: fc.oneof(fc.boolean(), fc.string({ minLength: 1, maxLength: MAX_GROUP })),
    metadata: fc
      .tuple(fc.constantFrom('m', '€', '𝄞', '"'), fc.nat({ max: 1 }))
      .map(([letter, full]) => ({ m: fill(letter, full * (MAX_METADATA - 8)) })),
    endpoints: fc.constant([{ transport: 'own', key: 'k'.repeat(MAX_ENDPOINTS - 30) }]),
    pid: fc.constant(Number.MAX_SAFE_INTEGER),
    instance: fc.constant('z'.repeat(24)),
  },
  { noNullPrototype: true },
)

/** As many of `letter` as have `length` bytes of JSON. */
function fill(letter: string, length: number): string {
  return letter.repeat(Math.floor(length / (Buffer.byteLength(JSON.stringify(letter)) - 2)))
}

/** Splits an answer, which checks the length of its lines. */
const received = (text: string) => split(Buffer.from(text)).lines.map(line => decode(line))

t.test('a list of any services comes whole, in lines that are never too long', async () => {
  const ids = fc.constantFrom<string | number>(1, '\u0001'.repeat(64), '€'.repeat(64))
  fc.assert(
    fc.property(ids, fc.array(service, { maxLength: 40 }), (id, services) => {
      const answers = received(encodeAnswer(id, { services }))
      deepStrictEqual(
        answers.flatMap(answer => answer.services),
        services,
      )
      ok(answers.every(answer => answer.id === id))
      deepStrictEqual(
        answers.map(answer => answer.more),
        answers.map((_, at) => (at < answers.length - 1 ? true : undefined)),
      )
    }),
  )
})

t.test('a long list does not take a line for each service', async t => {
  const services = Array.from({ length: 100 }, (_, n) => ({ service: `s${n}` }))
  t.equal(received(encodeAnswer(1, { services })).length, 1)
})

t.test('of many fat endpoints come the first, as many as fit into a line', async () => {
  fc.assert(
    fc.property(fc.array(service, { minLength: 1, maxLength: 8 }), fat => {
      const [answer, ...others] = received(encodeAnswer(1, { endpoints: fat, ttl: 7 }))
      const got = answer!.endpoints as unknown[]
      deepStrictEqual(others, [])
      deepStrictEqual(got, fat.slice(0, got.length))
      equal(answer!.ttl, 7)
      ok(got.length > 0)
      const next = encode(1, { endpoints: fat.slice(0, got.length + 1), ttl: 7 })
      ok(got.length === fat.length || Buffer.byteLength(next) > MAX_LINE + 1)
    }),
  )
})

t.test('an answer that is no list is one line', async t => {
  t.equal(encodeAnswer(7, { unregistered: true }), '{"v":1,"id":7,"unregistered":true}\n')
  t.equal(encodeAnswer('x', { services: [] }), '{"v":1,"id":"x","services":[]}\n')
})

t.test('an error travels as a refusal', async t => {
  const offered = ['2.0.0', '1.0.0']
  const error = new MonikerError('EVERSION', { service: 'a@3', offered })
  const { message } = error
  t.strictSame(refusalIn(refusal(error)), { code: 'EVERSION', message, offered })
  t.strictSame(refusalIn(refusal(new MonikerError('EDENIED', { text: 'no' }))), {
    code: 'EDENIED',
    message: 'no',
  })
})

t.test('a refusal is read from whatever a stranger sent', async t => {
  const unsaid = { code: 'EPROTOCOL', message: 'no reason was given' }
  const table: [error: unknown, expected: object | undefined][] = [
    [undefined, undefined],
    [null, unsaid],
    ['no', unsaid],
    [[], unsaid],
    [{}, unsaid],
    [{ code: 7, message: 7, offered: 7 }, unsaid],
    [
      { code: 'x'.repeat(513), message: 'no' },
      { code: 'EPROTOCOL', message: 'no' },
    ],
    [
      { code: 'X', message: 'a\u001B[2Jb\nc\u009B' },
      { code: 'X', message: 'a\u001B[2Jb\nc\u009B' },
    ],
    [
      { code: 'X', message: 'no', offered: ['1', 2] },
      { code: 'X', message: 'no', offered: ['1'] },
    ],
    [
      { code: 'X', message: 'no', offered: ['1'.repeat(129), '1'.repeat(128), ...'23456'] },
      { code: 'X', message: 'no', offered: ['1'.repeat(128), '2', '3', '4'] },
    ],
  ]
  for (const [error, expected] of table) t.strictSame(refusalIn({ error }), expected)
})

const endpoint = { transport: 'tcp', port: 80, version: '1.0.0', instance: 'a-1' }

t.test(
  'endpoints are read as they were told, and those of transports to come left out',
  async t => {
    const others = [{ transport: 'sctp', port: 1, future: 1 }]
    const more = { address: '::1', path: 'moniker-1', metadata: { a: 1 }, endpoints: others }
    const full = { ...endpoint, transport: 'udp', ...more }
    const list = [endpoint, { ...endpoint, transport: 'sctp' }, 'x', null, { ...full, future: 1 }]
    t.strictSame(endpoints({ endpoints: list, ttl: 1 }), [endpoint, full])
    t.strictSame(endpoints({ endpoints: [] }), [])
  },
)

t.test('endpoints that are not what they should be are refused', async t => {
  const table: [answer: Answer, says: RegExp][] = [
    [{}, /expected "endpoints" to be an array, got "nothing"/],
    [{ endpoints: {} }, /expected "endpoints" to be an array, got "{}"/],
    [{ endpoints: [{ ...endpoint, port: 0 }] }, /expected "port" to be a port, got "0"/],
    [{ endpoints: [{ ...endpoint, address: 'x' }] }, /expected "address" to be an IP address/],
    [
      { endpoints: [{ ...endpoint, version: '1'.repeat(129) }] },
      /expected "version" to be a version, got "1{40}…"/,
    ],
    [{ endpoints: [{ ...endpoint, version: 1 }] }, /expected "version" to be a version, got "1"/],
    [{ endpoints: [{ ...endpoint, instance: null }] }, /expected "instance" to be a string/],
    [{ endpoints: [{ ...endpoint, metadata: 'x' }] }, /expected "metadata" to be an object/],
    [{ endpoints: [{ ...endpoint, endpoints: [{}] }] }, /expected "endpoints" to be at most 8 obj/],
  ]
  for (const [answer, message] of table) {
    t.throws(() => endpoints(answer), { ...EPROTO, message })
  }
})

t.test('a change is read as it was told, if it is known', async t => {
  const told = { ...question(register), instance: 'a-1' } as Answer
  const { op: _, id: __, ...service } = told
  t.strictSame(changeIn({ ...service, event: 'up' }), { event: 'up', service })
  t.strictSame(changeIn({ ...service, event: 'down', future: 1 }), { event: 'down', service })
  t.equal(changeIn({ ...service, event: 'up', transport: 'sctp', port: 'any' }), undefined)
  for (const event of ['moved', 'toString', undefined, 7]) {
    t.equal(changeIn({ ...service, event }), undefined)
  }
  t.throws(() => changeIn({ ...service, event: 'up', port: 0 }), EPROTO)
})

t.test('services are read as they were told', async t => {
  const { op: _, id: __, ...offer } = register
  const whole = { ...offer, namespace: '', version: '1.0.0', address: '::', shared: true }
  const told = { ...whole, instance: 'a-1' }
  const later = { transport: 'sctp', future: 1 }
  t.strictSame(listed({ services: [later, told, 7, { ...told, transport: 'sctp' }] }), [told])
  t.throws(() => listed({}), { ...EPROTO, message: /expected "services" to be an array/ })
  t.throws(() => listed({ services: [whole] }), { ...EPROTO, message: /"instance" to be a string/ })
})

/** JSON knows no minus zero. */
function noMinusZero(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value))
}

t.test(
  'a reservation has a word, and of a server what can be known before it is there',
  async t => {
    const word = 'a-secret-of-16-letters'
    const least = { id: 1, op: 'reserve', service: 'A', transport: 'tcp', reservation: word }
    const reserved = {
      ...least,
      service: 'a',
      namespace: '',
      version: '0.0.0',
      port: 0,
      address: '::',
      shared: false,
    }
    t.strictSame(question(least), reserved)
    const more = { version: '1', shared: 'us', pid: 7, pidNamespace: 8, since: 9, force: true }
    t.strictSame(question({ ...least, ...more, port: 80, path: 'x', load: 'y' }), {
      ...reserved,
      ...more,
      version: '1.0.0',
    })
    t.match(question({ ...least, transport: 'quic' }), { op: 'unknown', what: /transport/ })
    t.match(question({ ...least, op: 'register', port: 80, instead: 7 }), {
      reservation: word,
      instead: 7,
    })
    for (const wrong of [
      { reservation: undefined },
      { reservation: 'too-short' },
      { reservation: 'x'.repeat(65) },
      { reservation: 'with spaces in the word' },
      { force: 1 },
      { pidNamespace: -1 },
      { id: undefined },
    ]) {
      t.throws(() => question({ ...least, ...wrong }), { code: 'EPROTO' }, JSON.stringify(wrong))
    }
  },
)
