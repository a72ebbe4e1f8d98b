import t from 'tap'
import {
  MonikerError,
  badName,
  hasCode,
  isWant,
  isReason,
  located,
  printable,
  printableJSON,
  saidIn,
  type Details,
  type Reason,
} from '../lib/errors.ts'

const about: Details = { service: 'starwars@^1', host: '127.0.0.1', port: 6664 }

const table: [reason: Reason, details: Details, code: string, says: RegExp][] = [
  ['ENOSYS', { ...about, text: 'no' }, 'ENOSYS', /daemon at 127\.0\.0\.1:6664 is older .*: no$/],
  ['EPOLICY', { text: 'p.yaml:3: no' }, 'ERR_MONIKER_POLICY', /no policy was read: p\.yaml:3: no$/],
  [
    'ETRANSPORT',
    { text: 'x failed: no' },
    'ERR_MONIKER_TRANSPORT',
    /: the transport x failed: no$/,
  ],
  [
    'ETRANSPORT',
    { ...about, text: 'x failed: no' },
    'ERR_MONIKER_TRANSPORT',
    /starwars@\^1 at 127\.0\.0\.1:6664 cannot be connected to: the transport x failed: no$/,
  ],
  ['ENAME', { text: 'expected a name' }, 'ERR_MONIKER_NAME', /: expected a name$/],
  [
    'EARGUMENT',
    { text: 'options.x to be 1' },
    'ERR_INVALID_ARG_VALUE',
    /expected options\.x to be/,
  ],
  [
    'EMODULE',
    { service: 'web', text: 'undici' },
    'ERR_MODULE_NOT_FOUND',
    /the package undici is needed to fetch from web; npm install undici@7, or use request$/,
  ],
  [
    'EMODULE',
    {
      service: 'web',
      text: 'undici',
      cause: Object.assign(new Error(), { code: 'MODULE_NOT_FOUND' }),
    },
    'ERR_MODULE_NOT_FOUND',
    /the package undici is needed to fetch from web; npm install undici@7, or use request$/,
  ],
  [
    'EMODULE',
    { service: 'web', text: 'undici', cause: new TypeError('no such function') },
    'ERR_MODULE_NOT_FOUND',
    /undici, which is needed to fetch from web, cannot be loaded: TypeError: no such function$/,
  ],
  ['ECLOSED', about, 'ERR_SOCKET_CLOSED', /the connection to starwars@\^1 at .* has been closed$/],
  [
    'EPORTS',
    { ...about, text: '7-8' },
    'EADDRINUSE',
    /no port of 7-8 is free for starwars@\^1; .*MONIKER_PORTS/,
  ],
  ['EPORTS', { text: '7-8' }, 'EADDRINUSE', /: no port of 7-8 is free; stop a program/],
  ['ENOSERVICE', about, 'ECONNREFUSED', /starwars@\^1 is not offered at 127\.0\.0\.1:6664; is the/],
  ['ENOSERVICE', { service: 'a' }, 'ECONNREFUSED', /a is not offered at this host; is the program/],
  ['EVERSION', { ...about, offered: ['3.0.0', '2.0.0'] }, 'ECONNREFUSED', /; 3\.0\.0, 2\.0\.0 is$/],
  ['EVERSION', { ...about, offered: [] }, 'ECONNREFUSED', /; another version is$/],
  ['EVERSION', about, 'ECONNREFUSED', /; another version is$/],
  [
    'EMOVED',
    { ...about, text: 'port 7 of ::1' },
    'ECONNREFUSED',
    /at 127\.0\.0\.1:6664 has moved away from port 7 of ::1 .*; connect again/,
  ],
  [
    'ENODAEMON',
    { ...about, host: '::1' },
    'ECONNREFUSED',
    /no daemon answers at \[::1\]:6664, .*starwars@\^1; is the program that listens on it running/,
  ],
  ['ENODAEMON', {}, 'ECONNREFUSED', /answers at this host; is any program that listens on a name/],
  [
    'ENODAEMON',
    { ...about, host: 'theforce.net' },
    'ECONNREFUSED',
    /no daemon answers at theforce\.net:6664, .*starwars@\^1; is monikerd running there\?$/,
  ],
  [
    'ESILENT',
    { host: '*', port: 6664, ms: 300, service: 'a' },
    'ETIMEDOUT',
    /about a from any host within 300 ms; does one of the directories that were asked hang\?$/,
  ],
  [
    'ESILENT',
    { ...about, ms: 5000 },
    'ETIMEDOUT',
    /starwars@\^1 from 127.0.0.1:6664 within 5000 ms;/,
  ],
  [
    'ESILENT',
    { port: 1, ms: 5 },
    'ETIMEDOUT',
    /about the question from this host:1 within 5 ms; does the daemon hang\?/,
  ],
  [
    'ESILENT',
    { host: 'theforce.net', port: 1, ms: 5 },
    'ETIMEDOUT',
    /is monikerd running there, and does the firewall let TCP through to port 1/,
  ],
  [
    'EUNREACHABLE',
    { ...about, text: 'no route' },
    'EHOSTUNREACH',
    /to ask for starwars@\^1: no route/,
  ],
  [
    'EUNREACHABLE',
    { text: 'no route' },
    'EHOSTUNREACH',
    /this host cannot be reached to ask for it/,
  ],
  [
    'ENOHOST',
    { ...about, host: 'nowhere' },
    'ENOTFOUND',
    /starwars@\^1 was for host nowhere, which/,
  ],
  [
    'ENOHOST',
    { host: 'nowhere' },
    'ENOTFOUND',
    /the question was for host nowhere, .* spelt right\?/,
  ],
  [
    'ETAKEN',
    { ...about, text: 'process 7' },
    'EADDRINUSE',
    /at 127\.0\.0\.1:6664, process 7; close/,
  ],
  ['ETAKEN', about, 'EADDRINUSE', /already registered at 127\.0\.0\.1:6664; close that one/],
  [
    'ELOOPBACK',
    about,
    'ECONNREFUSED',
    /starwars@\^1 is offered at loopback addresses alone, and not at 127\.0\.0\.1:6664; ask for it at localhost/,
  ],
  [
    'EPROTOCOL',
    { ...about, text: 'gibberish' },
    'EPROTO',
    /do not understand each other: gibberish$/,
  ],
  ['EDENIED', { text: 'not you' }, 'EACCES', /refused at this host: not you$/],
  ['ELIMIT', { text: 'too many' }, 'EBUSY', /refused at this host: too many$/],
  [
    'ELOST',
    about,
    'ECONNRESET',
    /closed the connection, so starwars@\^1 is known there no longer;/,
  ],
  ['ELOST', {}, 'ECONNRESET', /the daemon at this host closed the connection$/],
]

for (const [reason, details, code, says] of table) {
  t.test(`${reason} of ${JSON.stringify(details)} is ${code}, and says why`, async t => {
    const error = new MonikerError(reason, details)

    t.match(error, { name: 'MonikerError', reason, code })
    t.ok(error.message.startsWith(`${code}: `))
    t.match(error.message, says)
  })
}

t.test('an error keeps what it is about, and what caused it', async t => {
  const cause = new Error('deep down')
  const error = new MonikerError('ESILENT', { ...about, syscall: 'resolve', ms: 10, cause })

  t.match(error, { ...about, syscall: 'resolve', cause })
  t.ok(error instanceof Error)
  t.notOk('ms' in error, 'the message has it')
})

t.test('an error without a cause has none', async t => {
  t.notOk('cause' in new MonikerError('ELOST'))
})

t.test('an error has the number libuv has for its code, where there is one', async t => {
  t.equal(new MonikerError('ETAKEN', about).errno, -98)
  t.notOk('errno' in new MonikerError('ENAME', about))
})

t.test('an error of the network is told as one about a name at a host', async t => {
  const failed = (code: string) => Object.assign(new Error(`connect ${code}`), { code })
  const table = [
    [failed('ECONNREFUSED'), { code: 'ECONNREFUSED', reason: 'ENODAEMON' }],
    [failed('ECONNRESET'), { code: 'EPROTO', message: /closed without an answer/ }],
    [new MonikerError('ELOST', about), { code: 'EPROTO', message: /closed without an answer/ }],
    [failed('ENETUNREACH'), { code: 'EHOSTUNREACH', message: /connect ENETUNREACH/ }],
    [new MonikerError('EPROTOCOL', { text: 'gibberish' }), { code: 'EPROTO', text: 'gibberish' }],
  ] as const
  for (const [error, expected] of table) t.match(located(error, about), { ...about, ...expected })

  const own = new MonikerError('ENOSERVICE', about)
  const abort = new DOMException('given up', 'AbortError')
  const home = new MonikerError('EPOLICY', { text: 'p.yaml:1: no' })
  for (const error of [own, abort, home]) t.equal(located(error, about), error, 'it stays as it is')
})

t.test('whatever a program’s own object throws, there are words for it', async t => {
  const thrown: [thrown: unknown, said: string][] = [
    [new TypeError('no'), 'no'],
    ['no', 'no'],
    [undefined, 'undefined'],
    [null, 'object'],
    [Object.create(null), 'object'],
    [Symbol('no'), 'symbol'],
    [{ message: 7 }, 'number'],
    [`\u001b[2J${'x'.repeat(1_000)}`, ` [2J${'x'.repeat(252)}`],
  ]
  for (const [one, said] of thrown) t.equal(saidIn(one), said)
})

/** One of each kind that steers: controls, C1, the turn of a direction, a joiner, ends of lines, a tag, half a pair. */
const STEERING = ['\u0007', '\u007F', '\u009B', '\u202E', '\u2066', '\u200D', '\uFEFF'].concat([
  '\u2028',
  '\u2029',
  '\u{E0041}',
  '\uD800',
])

t.test('what others have written cannot steer the terminal', async t => {
  t.equal(printable('\u001B[2Jgone\r\n\u009B'), ' [2Jgone   ')
  for (const one of STEERING)
    t.equal(printable(`a${one}b`), 'a b', one.codePointAt(0)!.toString(16))
  const plain = 'a\u00A0\u05D0 e\u0301 \u{1F680} ~'
  t.equal(printable(plain), plain, 'the rest stays, whatever way it is written')
  t.equal(printableJSON({ plain }), JSON.stringify({ plain }))
})

t.test('as JSON it is harmless, and still the same', async t => {
  const value = { [STEERING.join('')]: [STEERING.join('x'), { a: '\n', b: 1 }] }
  for (const indent of [undefined, 0, 2]) {
    const text = printableJSON(value, indent)
    t.strictSame(JSON.parse(text), value)
    t.notMatch(text.replaceAll('\n', ''), /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
    t.equal(text.split('\n').length, indent ? 9 : 1, 'and its own ends of lines stay')
  }
})

t.test('the message of an error steers nothing, and its fields are as they came', async t => {
  const text = STEERING.join('')
  const error = new MonikerError('EDENIED', { text, host: 'theforce.net', port: 7 })
  t.equal(error.message, `EACCES: refused at theforce.net:7: ${' '.repeat(STEERING.length)}`)
  t.equal(error.text, text)
  const offered = [`1\u202E0`]
  t.match(new MonikerError('EVERSION', { offered }), { offered, message: /; 1 0 is$/ })
})

t.test('what is no name is told in a whole sentence, here and by a daemon', async t => {
  const error = badName('7up', 'a name')
  t.match(error, { reason: 'ENAME', service: '7up', text: 'expected a name, got "7up"' })
  t.equal(error.message, 'ERR_MONIKER_NAME: expected a name, got "7up"')
})

t.test('only our own reasons are reasons', async t => {
  t.ok(isReason('ETAKEN'))
  for (const stranger of ['EADDRINUSE', 'toString', '__proto__', '', 7, null, undefined, {}]) {
    t.notOk(isReason(stranger), String(stranger))
  }
})

t.test('an error has the code it has', t => {
  t.ok(hasCode(new MonikerError('ETAKEN', about), 'EADDRINUSE'))
  t.notOk(hasCode(new Error('no'), 'EADDRINUSE'))
  t.end()
})

t.test('want of descriptors or memory is told from other errors', async t => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']) {
    t.ok(isWant(Object.assign(new Error(code), { code })), code)
    t.ok(isWant(Object.assign(new Error(code), { code: 'ERR_SYSTEM_ERROR', info: { code } })), code)
  }
  t.notOk(isWant(Object.assign(new Error('ENOENT'), { code: 'ENOENT' })))
  for (const thrown of [new Error('no'), undefined, null, 'no']) t.notOk(isWant(thrown))
})
