import { deepStrictEqual, ok, throws } from 'node:assert/strict'
import { domainToASCII } from 'node:url'
import fc from 'fast-check'
import t from 'tap'
import {
  format,
  formatURI,
  isScoped,
  isWord,
  ofPackage,
  parse,
  parseURI,
  type Name,
  type Target,
} from '../lib/name.ts'
import { ranges, words } from './fixtures/names.ts'

const plain = { noNullPrototype: true }

const names: fc.Arbitrary<Name> = fc.record(
  { namespace: fc.oneof(fc.constant(''), words), service: words, version: ranges },
  plain,
)

const zones = fc.constantFrom('', '%eth0', '%Wi-Fi.2', '%1')

const hosts = fc.oneof(
  fc.constant(''),
  fc.domain().filter(host => domainToASCII(host) === host.toLowerCase()),
  fc.constantFrom('xn--mnchen-3ya.de', 'a_b.test', 'localhost'),
  fc.ipV4(),
  fc.tuple(fc.ipV6(), zones).map(([address, zone]) => address.toLowerCase() + zone),
)

const userinfos = fc
  .array(fc.constantFrom('luke', ':', '%40', '%2F', 'é', '!$&', '+', '='))
  .map(parts => parts.join(''))

const paths = fc.oneof(
  fc.constant(''),
  fc
    .tuple(fc.constantFrom('/', '?', '#'), fc.string({ unit: 'binary' }))
    .map(([first, rest]) => first + rest),
)

const targets: fc.Arbitrary<Target> = fc
  .record({
    name: names,
    userinfo: userinfos,
    host: hosts,
    daemonPort: fc.option(fc.integer({ min: 1, max: 65_535 }), { nil: undefined }),
    path: paths,
  })
  .map(({ name, ...where }) => ({ ...name, ...where }))

const long = 'a'.repeat(63)

t.test('what was read last need not be read again', async t => {
  const first = parse('starwars@^1')
  t.equal(parse('starwars@^1'), first)
  t.strictSame(parse('starwars@^2'), { ...first, version: '^2' })
})

t.test('every name that is written reads back the same', async () => {
  fc.assert(fc.property(names, name => deepStrictEqual(parse(format(name)), name)))
})

t.test('every URI that is written reads back the same', async () => {
  fc.assert(fc.property(targets, target => deepStrictEqual(parseURI(formatURI(target)), target)))
})

t.test('only the service must be given to be written', async t => {
  t.equal(format({ service: 'starwars' }), 'starwars')
  t.equal(formatURI({ service: 'starwars' }), 'starwars://')
  t.equal(formatURI({ service: 'a', host: '::1', daemonPort: 1, path: '/x' }), 'a://[::1]:1/x')
})

t.test('the case of a name does not matter, and it is kept lower-case', async t => {
  fc.assert(
    fc.property(words, words, (namespace, service) => {
      const written = `${namespace}:${service}`
      deepStrictEqual(parse(written.toUpperCase()), parse(written))
    }),
  )
  t.strictSame(parseURI('NS:StarWars://TheForce.NET/Yoda'), {
    namespace: 'ns',
    service: 'starwars',
    version: '',
    userinfo: '',
    host: 'theforce.net',
    daemonPort: undefined,
    path: '/Yoda',
  })
})

t.test('no port is a name, and no name a port', async () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 65_535 }), port => {
      const shapes = [`${port}`, `0x${port.toString(16)}`, ` ${port}`, `${port}.0`, `+${port}`]
      for (const shape of shapes) throws(() => parse(shape), { code: 'ERR_MONIKER_NAME' })
    }),
  )
  fc.assert(fc.property(words, word => ok(Number.isNaN(Number(word)))))
})

const good: [text: string, namespace: string, service: string, version: string][] = [
  ['starwars', '', 'starwars', ''],
  ['starwars@1.2.0', '', 'starwars', '1.2.0'],
  ['starwars@^1', '', 'starwars', '^1'],
  ['starwars@>=1.2 <3', '', 'starwars', '>=1.2 <3'],
  ['starwars@1 || 3', '', 'starwars', '1 || 3'],
  ['starwars@*', '', 'starwars', '*'],
  ['reynolds:http', 'reynolds', 'http', ''],
  ['reynolds:http@1.0.0-rc.1', 'reynolds', 'http', '1.0.0-rc.1'],
  ['a.b_c+d-e', '', 'a.b_c+d-e', ''],
  ['x', '', 'x', ''],
  [`${long}:${long}`, long, long, ''],
]

t.test('a name has a service, and may have a namespace and a version', async t => {
  for (const [text, namespace, service, version] of good) {
    t.strictSame(parse(text), { namespace, service, version }, text)
  }
})

const bad = [
  '',
  ' ',
  'star wars',
  ' starwars',
  'starwars ',
  'starwars\n',
  '7up',
  '-up',
  '.up',
  '80',
  'naïve',
  // Long s and the Kelvin sign are s and k to some who ignore case.
  '\u017F',
  '\u212A',
  'a/b',
  'a\\b',
  'a\0b',
  './sock',
  ':http',
  'ns:',
  'a:b:c',
  '1:http',
  'http@',
  'http@one',
  'http@1@2',
  `http@${'1'.repeat(129)}`,
  'http@1.2.3/4',
  `${long}a`,
  `${long}a:http`,
  'starwars://theforce.net',
]

t.test('what is no name is refused, and the message says what a name looks like', async t => {
  for (const text of bad) {
    t.throws(() => parse(text), { code: 'ERR_MONIKER_NAME', reason: 'ENAME', service: text }, text)
  }
  t.throws(() => parse('7up'), { message: /expected a name such as starwars, .* got "7up"$/ })
  t.throws(() => parse('http@one'), { message: /expected a version such as 1\.2\.0 or a range/ })
})

const nowhere = {
  namespace: '',
  version: '',
  userinfo: '',
  host: '',
  daemonPort: undefined,
  path: '',
}

const goodURIs: [text: string, target: Partial<Target>][] = [
  ['starwars://theforce.net', { service: 'starwars', host: 'theforce.net' }],
  ['starwars://', { service: 'starwars' }],
  ['starwars:///path', { service: 'starwars', path: '/path' }],
  ['starwars://:1', { service: 'starwars', daemonPort: 1 }],
  ['starwars://:65535/', { service: 'starwars', daemonPort: 65_535, path: '/' }],
  ['starwars://h?q#f', { service: 'starwars', host: 'h', path: '?q#f' }],
  ['starwars://h/a:b@c//d', { service: 'starwars', host: 'h', path: '/a:b@c//d' }],
  ['starwars://[::1]:7', { service: 'starwars', host: '::1', daemonPort: 7 }],
  ['starwars://[fe80::1%eth0]', { service: 'starwars', host: 'fe80::1%eth0' }],
  ['starwars://[FE80::1%25Eth0]', { service: 'starwars', host: 'fe80::1%Eth0' }],
  ['starwars://luke@h', { service: 'starwars', userinfo: 'luke', host: 'h' }],
  ['starwars://luke:s%40@[::1]:7', { userinfo: 'luke:s%40', host: '::1', daemonPort: 7 }],
  ['starwars://luke@', { service: 'starwars', userinfo: 'luke' }],
  ['starwars://@h', { service: 'starwars', host: 'h' }],
  ['starwars://h/luke@home:7', { service: 'starwars', host: 'h', path: '/luke@home:7' }],
  ['starwars://MÜNCHEN.de', { service: 'starwars', host: 'xn--mnchen-3ya.de' }],
  ['starwars://m%C3%BCnchen.de', { service: 'starwars', host: 'xn--mnchen-3ya.de' }],
  ['starwars://h/%C3%A4?a=%20#%23', { service: 'starwars', host: 'h', path: '/%C3%A4?a=%20#%23' }],
  ['starwars@%5E1://h', { service: 'starwars', version: '^1', host: 'h' }],
  ['a@%3E=1%20%3C3://h', { service: 'a', version: '>=1 <3', host: 'h' }],
  ['starwars://127.0.0.1', { service: 'starwars', host: '127.0.0.1' }],
  ['reynolds:http://ietf.org', { namespace: 'reynolds', service: 'http', host: 'ietf.org' }],
  ['a@>=1 <3://h', { service: 'a', version: '>=1 <3', host: 'h' }],
  ['ns:a@^1://h:9/p', { ...parse('ns:a@^1'), host: 'h', daemonPort: 9, path: '/p' }],
]

t.test('a URI has a name, and may have a host, a port and a path', async t => {
  for (const [text, target] of goodURIs) {
    t.strictSame(parseURI(text), { ...nowhere, service: 'starwars', ...target }, text)
  }
})

t.test('a URL will do for a URI', async t => {
  const expected = { ...nowhere, service: 'starwars', host: 'theforce.net', path: '/a?b#c' }
  t.strictSame(parseURI(new URL('starwars://theforce.net/a?b#c')), expected)
  const urls: [url: string, target: Partial<Target>][] = [
    [
      'starwars://LUKE:s%40@[::1]:7/?q',
      { userinfo: 'LUKE:s%40', host: '::1', daemonPort: 7, path: '/?q' },
    ],
    ['starwars://MÜNCHEN.de/ä b', { host: 'xn--mnchen-3ya.de', path: '/%C3%A4%20b' }],
    [
      'ns:starwars@^1://h:9/p',
      { namespace: 'ns', version: '^1', host: 'h', daemonPort: 9, path: '/p' },
    ],
    // The URL knows these schemes, and has a path and no port for them.
    ['http://ietf.org:80', { service: 'http', host: 'ietf.org', path: '/' }],
    ['http://ietf.org:81', { service: 'http', host: 'ietf.org', daemonPort: 81, path: '/' }],
  ]
  for (const [url, target] of urls) {
    t.strictSame(parseURI(new URL(url)), { ...nowhere, service: 'starwars', ...target }, url)
  }
})

const badURIs = [
  '',
  'starwars',
  'starwars:/h',
  '://h',
  '7up://h',
  'a@one://h',
  'a://h:0',
  'a://h:65536',
  'a://h:123456',
  'a://h:',
  'a://h:x',
  'a://luke@home@h',
  'a://lu ke@h',
  'a://lu[ke@h',
  'a://xn--iñ.de',
  'a://h%',
  'a://a%2Fb',
  'a@%5://h',
  'a@%00://h',
  'a://[::1%25]',
  'a://h h',
  'a://h\\x',
  'a://::1',
  'a://[::1',
  'a://[127.0.0.1]',
  'a://[zzz]',
  'a://[]',
  `a://${'h'.repeat(256)}`,
]

t.test('what is no URI is refused, and the message says what a URI looks like', async t => {
  for (const text of badURIs) {
    t.throws(() => parseURI(text), { code: 'ERR_MONIKER_NAME', service: text }, text)
  }
  const says: [text: string, message: RegExp][] = [
    ['a:/h', /expected a URI such as .* got "a:\/h"$/],
    ['a://h:0', /expected a port from 1 to 65535 after the host, .* got "a:\/\/h:0"$/],
    ['a://[zzz]', /expected an IPv6 address, .* in the brackets, got/],
    ['a://h%', /expected a host such as .* after the :\/\/, got/],
    ['a@one://h', /expected a version such as/],
    [`a://h/${'x'.repeat(8_192)}`, /expected a URI such as .* got "a:\/\/h\/x{250}"$/],
  ]
  for (const [text, message] of says) t.throws(() => parseURI(text), { message }, text.slice(0, 80))
})

t.test('a word is a service or a namespace, and nothing else is', async t => {
  for (const word of ['a', 'A', 'http', long]) t.ok(isWord(word), word)
  for (const other of ['', '1a', 'a b', `${long}a`, 7, null, undefined, ['a']]) {
    t.notOk(isWord(other), String(other))
  }
})

t.test('the name of a package with a scope is none, and the error says which one is', async t => {
  t.equal(ofPackage('@acme/web'), 'acme:web')
  t.equal(ofPackage('@acme/web@1.2.0'), 'acme:web@1.2.0')
  t.equal(ofPackage('@acme/web', { isScopeKept: false }), 'web')
  for (const text of ['web', 'ns:web@^1', '@acme', '@a/b/c', './a.sock']) {
    t.equal(ofPackage(text), text)
    t.equal(isScoped(text), false)
  }
  const message =
    'ERR_MONIKER_NAME: expected a name such as acme:web (@acme/web is that of a package), got "@acme/web"'
  t.throws(() => parse('@acme/web'), { reason: 'ENAME', message })
  t.throws(() => parse('@7up/web'), { reason: 'ENAME', message: /a name such as starwars, / })
})
