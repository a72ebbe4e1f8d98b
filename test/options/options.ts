import { readFileSync } from 'node:fs'
import t from 'tap'
import { connectCall } from '../../lib/options/connect.ts'
import { listenCall } from '../../lib/options/listen.ts'
import {
  ASKED,
  OPTIONS,
  OWN_WORDS,
  bad,
  checkOptions,
  checkTransport,
  keysOf,
  pick,
  type AskedKey,
  type CallKind,
  type OptionsOf,
} from '../../lib/options/options.ts'
import type { ResolveOptions } from '../../lib/resolution.ts'
import { invalid } from '../fixtures/calls.ts'

const service = 'starwars'

/** Compiles only if both are the same type. */
type Same<A, B> = [A, B] extends [B, A] ? true : never

// The table says what the question is made of, and what `resolve` takes.
true satisfies Same<AskedKey, Exclude<keyof ResolveOptions, 'signal'>>
true satisfies Same<OptionsOf<'resolve'>, ResolveOptions>

const lan = { name: 'lan', lookup: async () => [] }

/** Values that each word knows, and values that it does not. */
const values: Record<keyof typeof OPTIONS, { good: unknown[]; wrong: unknown[] }> = {
  service: { good: ['starwars'], wrong: [7, null] },
  namespace: { good: ['', 'ns'], wrong: ['1', 7, null] },
  version: { good: ['', '^1'], wrong: ['new', 1] },
  also: { good: [[], ['', 'ns']], wrong: ['ns', ['1'], ['a', 'b', 'c', 'd', 'e']] },
  host: { good: ['localhost'], wrong: [] },
  daemonPort: { good: [1, 65_535], wrong: [0, 65_536, '7', null] },
  transports: {
    good: [['udp'], ['unix', 'tcp']],
    wrong: ['tcp', [], ['sctp'], ['tcp', 'x'], null, [{}], [null], Array(9).fill('tcp')],
  },
  fallback: { good: [[], ['srv', 'well-known']], wrong: ['srv', ['dns']] },
  directories: {
    good: [
      [],
      [
        { name: 'lan', lookup: () => {} },
        { name: 'dht', follow: () => {} },
      ],
    ],
    wrong: [
      'lan',
      ['lan'],
      [{ name: 'lan' }],
      [{ lookup: () => {} }],
      [null],
      Array(9).fill(lan),
      {},
    ],
  },
  select: { good: [() => {}], wrong: [7, 'first', {}] },
  wait: { good: [0, 3_600_000], wrong: [-1, 3_600_001, '5', Number.NaN] },
  resolver: { good: [{ resolve: () => {} }], wrong: [{}, 7, null] },
  lookup: { good: [], wrong: [] },
  family: { good: [4], wrong: [] },
  hints: { good: [0], wrong: [] },
  timeout: { good: [1], wrong: [] },
  signal: { good: [], wrong: [] },
  shared: { good: [true, 'group'], wrong: ['', 7, 'g'.repeat(65)] },
  guarded: { good: [true], wrong: ['yes'] },
  load: { good: [true], wrong: [1] },
  metadata: { good: [{}, { a: 1 }], wrong: ['a', [], null, { a: 'x'.repeat(1_024) }] },
  grace: { good: [0, 5_000], wrong: [-1, 'long', Number.NaN] },
}

t.test('a value that a word does not know is refused, and the message says what came', async t => {
  for (const [key, { good, wrong }] of Object.entries(values)) {
    const kind = OPTIONS[key as keyof typeof OPTIONS].of[0]
    for (const value of [undefined, ...good]) checkOptions(kind, { [key]: value })
    for (const value of wrong) {
      const message = new RegExp(`options\\.${key} to be .*, got `)
      t.throws(() => checkOptions(kind, { [key]: value }), { ...invalid, message }, key)
    }
  }
  t.match(bad('x', 'less', 'y'.repeat(100)).message, /options\.x to be less, got "y{79}$/)
})

t.test('a word of ours that belongs to another call is refused, and no word of net is', async t => {
  for (const [key, { good }] of Object.entries(values)) {
    const { of, ...rule } = OPTIONS[key as keyof typeof OPTIONS]
    for (const kind of ['connect', 'listen', 'watch', 'resolve'] as const) {
      if ((of as readonly CallKind[]).includes(kind)) continue
      const check = () => checkOptions(kind, { [key]: good[0] ?? true })
      if ('isNets' in rule) t.doesNotThrow(check, `${key} of ${kind}`)
      else
        t.throws(
          check,
          { ...invalid, message: /left out, as it is a word of/ },
          `${key} of ${kind}`,
        )
      checkOptions(kind, { [key]: undefined })
    }
  }
  const calls: [call: () => unknown, word: string][] = [
    [() => connectCall([{ service, shared: true }]), 'shared'],
    [() => connectCall([{ service, secure: true }]), 'secure'],
    [() => connectCall([{ service, transport: 'udp' }]), 'transport'],
    [() => listenCall([{ service, wait: 5 }]), 'wait'],
    [() => listenCall([{ service, secure: 'yes' }]), 'secure'],
  ]
  for (const [call, word] of calls) {
    t.throws(call, { ...invalid, message: new RegExp(`options\\.${word} to be left out`) })
  }
  for (const value of [false, undefined]) {
    t.ok(connectCall([{ service, secure: value, shared: value } as object]))
  }
  t.equal(connectCall([{ port: 80, secure: true, wait: 'long' }]), undefined, 'net ignores them')
})

t.test('the transport of a service is one of two words', async t => {
  for (const transport of ['tcp', 'udp']) checkTransport(transport)
  const message = /options\.transport to be one of tcp, udp, got "sctp"$/
  t.throws(() => checkTransport('sctp'), { ...invalid, message })
})

t.test('what passes options on is derived from the table', async t => {
  t.strictSame(ASKED.toSorted(), [
    'also',
    'daemonPort',
    'directories',
    'fallback',
    'family',
    'hints',
    'host',
    'lookup',
    'transports',
    'wait',
  ])
  t.ok(keysOf('connect').includes('select'))
  t.notOk((keysOf('listen') as readonly string[]).includes('select'))
  t.ok(OWN_WORDS.includes('secure'))
  t.notOk(OWN_WORDS.includes('host'))
  t.strictSame(pick({ a: 1, b: undefined, c: 3 } as Record<string, unknown>, ['a', 'b']), { a: 1 })
})

t.test('the doc comments, and the guide, tell the defaults of the table', async t => {
  const read = (file: string) => readFileSync(new URL(`../../${file}`, import.meta.url), 'utf8')
  const source = read('lib/options/options.ts') + read('lib/resolution.ts')
  for (const [key, rule] of Object.entries(OPTIONS)) {
    if (!('default' in rule)) continue
    const comments = source.matchAll(
      new RegExp(`/\\*\\*((?:(?!\\*/)[^])*)\\*/\\s*${key}\\?: `, 'g'),
    )
    const told = [...comments].map(([, text = '']) => /Default ([\w,]+)/.exec(text)?.[1])
    t.ok(told.length > 0, key)
    for (const value of told) t.equal(value?.replace(',', ''), String(rule.default), key)
  }
  const [, seconds] =
    /(\d+) seconds after its \*daemon\* went \(`grace`\)/.exec(read('docs/guide.md')) ?? []
  t.equal(Number(seconds) * 1_000, OPTIONS.grace.default)
})

t.test('the guide has a row for each option of connect and listen that is ours', async t => {
  const guide = readFileSync(new URL('../../docs/guide.md', import.meta.url), 'utf8')
  const [listening, connecting] = guide.split(/^## Connect to a name$/m)
  for (const [key, { of, ...rule }] of Object.entries(OPTIONS)) {
    if ('isNets' in rule) continue
    const kinds: readonly CallKind[] = of
    if (kinds.includes('listen')) t.match(listening, `\n| \`${key}\` |`, `${key} of listen`)
    if (kinds.includes('connect')) t.match(connecting, `\n| \`${key}\` |`, `${key} of connect`)
  }
})

t.test('a transport of a program is an object with a name and what it does', async t => {
  const [allows, key, dial] = [() => true, () => 'x', () => ({ open: () => Promise.reject() })]
  const own = { name: 'own', allows, key, dial }
  const call = connectCall([{ service, transports: [own, 'tcp'] }])!
  t.strictSame(call.where.transports, ['own', 'tcp'])
  t.equal(call.transports[0], own)
  for (const part of [{ name: '' }, { name: 'x'.repeat(65) }, { allows: 1 }, { key: undefined }]) {
    t.throws(() => connectCall([{ service, transports: [{ ...own, ...part }] }]), invalid)
  }
  t.throws(() => listenCall([{ service, transports: [own] }]), invalid)
})
