import t from 'tap'
import { MAX_LINE } from '../../lib/wire/lines.ts'
import { line } from '../fixtures/lines.ts'
import { siege, volley } from '../fixtures/siege.ts'

const register = { op: 'register', service: 'a', transport: 'tcp', port: 1 }
const resolve = { op: 'resolve', service: 'a' }

/** A line with something in it that JSON.stringify would not write. */
const raw = (fields: string) => `{"v":1,"id":1,${fields}}\n`

const bombs: [what: string, text: string][] = [
  ['a bottomless array', `${'['.repeat(MAX_LINE)}\n`],
  ['a bottomless array in a message', raw(`"op":"resolve","service":${'['.repeat(4_000)}`)],
  [
    'an array to the bottom',
    raw(`"op":"resolve","service":${'['.repeat(1_900)}${']'.repeat(1_900)}`),
  ],
  ['a number beyond all', raw('"op":"register","service":"a","transport":"tcp","port":1e999')],
  ['a number of a thousand digits', raw(`"op":"unregister","registration":${'9'.repeat(1_000)}`)],
  ['an id beyond all', '{"v":1,"id":1e999,"op":"status"}\n'],
  ['an id that is a map', '{"v":1,"id":{"toString":1},"op":"status"}\n'],
  ['half a surrogate', raw('"op":"resolve","service":"\\ud800"')],
  ['a port that is text', line({ ...register, port: '80' })],
  ['a port with a fraction', line({ ...register, port: 80.5 })],
  ['a negative port', line({ ...register, port: -1 })],
  ['metadata beyond all', line({ ...register, metadata: { x: 'x'.repeat(1_100) } })],
  [
    'metadata of many keys',
    line({
      ...register,
      metadata: Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`k${n}`, n])),
    }),
  ],
  ['__proto__ for a message', '{"__proto__":{"v":1,"id":1,"op":"status"}}\n'],
  ['__proto__ for an operation', raw('"__proto__":{"op":"status"}')],
  ['__proto__ for a service', raw('"op":"resolve","__proto__":{"service":"bystander"}')],
  ['an operation that is a map', raw('"op":{"toString":1}')],
  ['a transport that is a map', line({ ...register, transport: { toString: 1 } })],
  ['transports that are maps', line({ ...resolve, transports: [{ toString: 1 }] })],
  ['a transport of a thousand characters', line({ ...register, transport: 'x'.repeat(1_000) })],
  ['many endpoints', line({ ...register, endpoints: Array(9).fill({ transport: 'tcp' }) })],
  ['an endpoint that is none', line({ ...register, endpoints: [null] })],
  ['many transports', line({ ...resolve, transports: Array(500).fill('tcp') })],
  ['a namespace that is a path', line({ ...resolve, namespace: '../../etc' })],
  ['an address that is a name', line({ ...register, address: 'example.com' })],
  ['a range that takes for ever', line({ ...resolve, version: '>='.repeat(2_000) })],
  ['a range that backtracks', line({ ...resolve, version: `1.0.0${' '.repeat(100)}y` })],
  ['a version of digits', line({ ...register, version: `${'1'.repeat(500)}.0.0` })],
  ...[
    '\n',
    '\r',
    '\0',
    '\t',
    '\u001b[2J',
    '\u0007',
    '\u200b',
    '\u202e',
    'é',
    ' ',
    '/',
    '%0a',
    '',
  ].map((character): [string, string] => [
    `a name with ${JSON.stringify(character)}`,
    line({ ...register, service: character === '' ? '' : `a${character}b` }),
  ]),
]

for (const [what, text] of bombs) {
  t.test(`${what} is refused, counted, and no trouble to others`, async t => {
    const { daemon, port, come, othersAreServed } = await siege(t)
    const nc = await come()
    nc.socket.write(text)
    const answers = await nc.rest()
    t.match(answers, [{ error: { code: /^(EPROTOCOL|ENAME)$/ } }])
    t.equal(answers.length, 1, 'and the connection closed')
    t.notMatch((answers[0]!.error as Error).message, /\p{Cc}/u, 'it is safe to print')
    const { refused } = daemon.status()
    t.equal(refused, 1)

    const { answers: over } = await volley(t, port, [text])
    for (const { message } of over) t.ok(message.error ?? message.truncated, 'by UDP too')
    t.match(daemon.status(), { names: 1, refused: 2 })
    await othersAreServed()
  })
}

t.test('words of later versions are refused, counted, and close nothing', async t => {
  const { daemon, port, come, othersAreServed } = await siege(t)
  const nc = await come()
  const words = ['dance', 'constructor', 'toString', '__proto__', '', 'unknown', 'x'.repeat(3_000)]
  const later = [
    ...words.map(op => ({ op })),
    ...words.slice(0, 4).map(transport => ({ ...register, transport })),
  ]
  for (const question of later) {
    nc.ask(question)
    const { error } = (await nc.answer())!
    t.match(error, { code: 'ENOSYS', message: / is not known here$/ })
    t.ok((error as Error).message.length < 80)
  }
  nc.ask({ ...resolve, transports: ['__proto__', 'constructor'] })
  t.match(await nc.answer(), { error: { code: 'ENOSERVICE' } })
  t.match(daemon.status(), { names: 1, questions: later.length + 2, refused: later.length + 1 })

  const datagrams = later.map(question => line(question).padEnd(512))
  const { answers } = await volley(t, port, datagrams)
  for (const { message } of answers) t.match(message, { error: { code: 'ENOSYS' } })
  t.equal(answers.length, later.length)
  await othersAreServed()
})

t.test('a field that nobody knows may be as deep as it likes', async t => {
  const { come, othersAreServed } = await siege(t)
  const nc = await come()
  nc.socket.write(raw(`"op":"status","x":${'{"a":'.repeat(600)}1${'}'.repeat(600)}`))
  t.match(await nc.answer(), { protocol: 1 })
  await othersAreServed()
})

t.test('what would change every object changes none', async t => {
  const { come, othersAreServed } = await siege(t)
  const nc = await come()
  const metadata = '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'
  nc.socket.write(
    raw(`"op":"register","service":"a","transport":"tcp","port":1,"metadata":${metadata}`),
  )
  t.match(await nc.answer(), { registration: Number })
  nc.ask(resolve, { op: 'list', id: 2 })
  const told = JSON.stringify([await nc.answer(), await nc.answer()])
  t.match(told, '"__proto__":{"polluted":1}', 'it is what it was, and no more')
  t.equal(({} as { polluted?: unknown }).polluted, undefined)
  await othersAreServed()
})

t.test('the names of Object are names like any other', async t => {
  const { come, othersAreServed } = await siege(t)
  const nc = await come()
  for (const service of ['constructor', 'tostring', 'hasownproperty', 'valueof']) {
    nc.ask({ op: 'resolve', service })
    t.match(await nc.answer(), { error: { code: 'ENOSERVICE' } })
    nc.ask({ ...register, service, namespace: service })
    t.match(await nc.answer(), { registration: Number })
    nc.ask({ op: 'resolve', service, namespace: service })
    t.match(await nc.answer(), { endpoints: [{}] })
  }
  await othersAreServed()
})

/** First lines that are no messages, such as a browser can be made to send, before lines that are. */
const strangers: [what: string, first: string][] = [
  ['a request of HTTP', 'POST / HTTP/1.1\r\nContent-Type: text/plain\r\n\r\n'],
  ['an empty line', '\n'],
  ['an array', '[]\n'],
  ['a string', '"register"\n'],
  ['null', 'null\n'],
  ['an object without v', '{"id":1,"op":"status"}\n'],
  ['an object of another version', '{"v":2,"id":1,"op":"status"}\n'],
  ['half an object', '{"v":1,"id":1,\n'],
  ['a line too long', `{"v":1,"x":"${'x'.repeat(MAX_LINE)}"}\n`],
]

for (const [what, first] of strangers) {
  t.test(`after ${what} nothing is read as a message`, async t => {
    const { daemon, come, othersAreServed } = await siege(t)
    const late = line(register)
    for (const at of ['one', 'many'] as const) {
      const { questions, refused } = daemon.status()
      const nc = await come()
      if (at === 'one') nc.socket.write(first + late)
      else for (const part of [...first.match(/[^]{1,100}/g)!, late, late]) nc.socket.write(part)
      const answers = await nc.rest()
      t.match(answers, [{ id: null, error: { code: 'EPROTOCOL' } }], `in ${at}`)
      t.equal(answers.length, 1)
      t.match(daemon.status(), { names: 1, questions, refused: refused + 1 })
      if (at === 'many') await othersAreServed()
    }
  })
}
