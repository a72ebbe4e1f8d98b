import { test } from 'tap'
import { proxied } from '../../lib/commands/programs.ts'

const options = { proxy: '127.0.0.1:1080', rewrite: true, env: {} }

/** The words of a command as they are changed. */
function changed(command: string): string {
  return proxied(command.split(' '), options).words.join(' ')
}

/** The variables of a command that are not those of every program. */
function variables(command: string, given: object = {}): object {
  const all = proxied(['any'], options).variables
  const own = proxied(command.split(' '), { ...options, ...given }).variables
  return Object.fromEntries(
    Object.entries(own).filter(([name, value]) => !(name in all) || all[name] !== value),
  )
}

test('a program has the variables that any program reads', async t => {
  const http = 'http://127.0.0.1:1080'
  const socks = 'socks5h://127.0.0.1:1080'
  t.strictSame(proxied(['any'], options).variables, {
    http_proxy: http,
    HTTP_PROXY: http,
    https_proxy: http,
    HTTPS_PROXY: http,
    all_proxy: socks,
    ALL_PROXY: socks,
    SOCKS5_PROXY: '127.0.0.1:1080',
    grpc_proxy: http,
    NODE_USE_ENV_PROXY: '1',
    no_proxy: undefined,
    NO_PROXY: undefined,
  })
})

test('lynx asks its proxy for any scheme, and is not led elsewhere', async t => {
  const proxy = 'http://127.0.0.1:1080'
  const own = { SOCKS5_PROXY: undefined }
  t.strictSame(variables('lynx -dump reynolds:http://ietf.org'), { ...own, reynolds_proxy: proxy })
  t.strictSame(variables('lynx starwars://theforce.net'), { ...own, starwars_proxy: proxy })
  t.strictSame(variables('lynx ftp://theforce.net finger://luke http://theforce.net'), own)
  t.equal(changed('lynx starwars://theforce.net'), 'lynx starwars://theforce.net')
})

test('so may a program that is not known', async t => {
  t.strictSame(variables('browse My-App://theforce.net/x'), {
    'my-app_proxy': 'http://127.0.0.1:1080',
  })
  t.strictSame(variables('browse file:///x'), {})
  const { variables: all } = proxied(['browse', 'no://h', 'all://h'], options)
  t.match(all, { no_proxy: undefined, all_proxy: 'socks5h://127.0.0.1:1080' })
  t.equal(changed('psql postgres://theforce.net/films'), 'psql postgres://theforce.net/films')
})

const CHANGES: readonly [command: string, changed: string][] = [
  [
    'curl starwars://theforce.net/x?y#z',
    'curl http://starwars.at.theforce.net.moniker.internal/x?y#z',
  ],
  ['curl reynolds:http://ietf.org', 'curl http://http.reynolds.at.ietf.org.moniker.internal'],
  ['curl starwars://localhost/x', 'curl http://starwars.moniker.internal/x'],
  ['curl STARWARS:///x', 'curl http://starwars.moniker.internal/x'],
  ['curl starwars://luke:secret@h/', 'curl http://luke:secret@starwars.at.h.moniker.internal/'],
  ['curl starwars://[2001:db8::1]/', 'curl http://starwars.at.2001-db8--1.ip6.moniker.internal/'],
  ['/usr/bin/curl -o x web://h', '/usr/bin/curl -o x http://web.at.h.moniker.internal'],
  ['curl.exe web://h', 'curl.exe http://web.at.h.moniker.internal'],
  ['wget -q --base=web://h/', 'wget -q --base=http://web.at.h.moniker.internal/'],
  ['git clone web://h/r.git r', 'git clone http://web.at.h.moniker.internal/r.git r'],
  ['git -C x push web://h/r', 'git -C x push http://web.at.h.moniker.internal/r'],
  ['pip install -i web://h/s a', 'pip install -i http://web.at.h.moniker.internal/s a'],
  [
    'pip3.11 download --index-url=web://h/s',
    'pip3.11 download --index-url=http://web.at.h.moniker.internal/s',
  ],
  [
    'python3 -I -m pip install -i web://h/s',
    'python3 -I -m pip install -i http://web.at.h.moniker.internal/s',
  ],
]

test('URIs of ours become such as a program understands', async t => {
  for (const [command, expected] of CHANGES) t.equal(changed(command), expected)
})

const SAME = [
  'curl https://theforce.net ftp://theforce.net mqtt://theforce.net http://web/',
  'curl -d web://h --data web://h -sd web://h -x socks5h://h:1 http://web/',
  'curl web:80 web://h:99999 a/web://h',
  'wget --post-data=web://h --referer web://h http://web/',
  'git clone git@theforce.net:r.git',
  'git clone ssh://theforce.net/r.git',
  'git commit -m web://h',
  'git -c clone',
  'pip install git+https://theforce.net/r.git --proxy web://h',
  'python3 x.py web://h',
  'python3 -m',
  'python3 -m http.server web://h',
  'constructor web://h',
]

test('all else stays as it is', async t => {
  for (const command of SAME) t.equal(changed(command), command)
  const words = ['curl', 'web://h']
  t.strictSame(proxied(words, { ...options, rewrite: false }).words, words)
})

test('pip trusts names of this host without TLS, beside those that it trusts already', async t => {
  t.strictSame(variables('pip install -i web://localhost/simple'), {
    PIP_TRUSTED_HOST: 'web.moniker.internal',
  })
  const env = { PIP_TRUSTED_HOST: 'theforce.net' }
  t.strictSame(variables('pip install -i web:///simple', { env }), {
    PIP_TRUSTED_HOST: 'theforce.net web.moniker.internal',
  })
  t.strictSame(variables('pip install -i web://theforce.net/simple'), {}, 'not of another')
})

test('a URI that no host name means is refused', async t => {
  for (const uri of ['web@^1://h', 'web://h:6665/', 'my.app://h', 'http@1://h']) {
    t.throws(() => changed(`curl ${uri}`), { message: `moniker resolve --url http '${uri}'` }, uri)
  }
})
