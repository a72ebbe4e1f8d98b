import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import {
  MAX_DEPTH,
  MAX_FILE,
  loadPolicies,
  loadPolicy,
  parsePolicy,
  parseYaml,
} from '../../lib/policy/file.ts'
import { wanting } from '../fixtures/wanting.ts'

const users = new Map([['luke', new Set([7])]])
const parse = (text: string) => parsePolicy(text, 'p.yaml', users)
const subject = {
  namespace: '',
  service: 'admin-x',
  version: '1.0.0',
  local: false,
  address: '192.0.2.7',
}

const text = `
# Who may do what on this host.
unproven: allow
rules:
  - deny: [resolve, list]
    name: 'admin-*'
    from: remote

  - allow: publish # by luke
    user: luke
    version: 1
`

t.test('a policy is YAML, and each rule has its line', async t => {
  const policy = parse(text)
  t.strictSame(policy.judge('list', subject), { allowed: false, file: 'p.yaml', line: 5 })
  t.strictSame(policy.judge('publish', { ...subject, uid: 7 }), {
    allowed: true,
    file: 'p.yaml',
    line: 9,
  })
  t.ok(policy.trustful)
  t.equal(policy.file, 'p.yaml')
})

t.test('or JSON, and refuses the unknown unless told otherwise', async t => {
  t.notOk(parse('{"rules":[]}').trustful)
  t.notOk(parse('{"rules":[],"unproven":"refuse"}').trustful)
})

t.test('places are addresses, networks, ranges, words and hosts', async t => {
  const places = [
    '192.0.2.1',
    '10.0.0.0/8',
    '192.0.2.5-192.0.2.9',
    '2001:db8::/32',
    'local',
    '*.example.com',
  ]
  const policy = parse(JSON.stringify({ rules: [{ deny: 'connect', to: places }] }))
  const to = (address: string, host = '', local = false) =>
    policy.judge('connect', { ...subject, address, host, local })?.allowed
  t.equal(to('192.0.2.1'), false)
  t.equal(to('10.1.2.3'), false)
  t.equal(to('192.0.2.7'), false)
  t.equal(to('192.0.2.3'), undefined)
  t.equal(to('2001:db8::1'), false)
  t.equal(to('192.0.2.3', '', true), false)
  t.equal(to('192.0.2.3', 'a.example.com'), false)
})

t.test('an address is matched by what it means, not by its text', async t => {
  const places = [
    '::ffff:c000:201',
    '::ffff:10.0.0.0/104',
    '::ffff:192.0.2.5-192.0.2.9',
    '2001:DB8:0:0::0/32',
    '0::1%lo',
  ]
  const policy = parse(JSON.stringify({ rules: [{ deny: 'resolve', from: places }] }))
  const from = (address: string) => policy.judge('resolve', { ...subject, address })?.allowed
  const denied = ['192.0.2.1', '10.255.0.1', '192.0.2.7', '2001:db8::7', '::1']
  for (const address of denied) t.equal(from(address), false, address)
  for (const address of ['192.0.2.2', '11.0.0.1', '::2']) t.equal(from(address), undefined, address)
})

const broken: [what: string, text: string, says: RegExp][] = [
  ['nothing', '', /^.*p\.yaml:1: expected fields: rules, unproven/],
  ['a text', 'hello', /:1: expected fields/],
  ['no rules', 'unproven: allow', /:1: expected "rules", a list/],
  ['rules that are no list', 'rules: 1', /:1: expected "rules" to be a list/],
  ['an unknown field', 'rules: []\nrulez: []', /:2: expected only rules, unproven, got "rulez"/],
  ['__proto__', 'rules: []\n__proto__: {}', /:2: expected only rules, unproven, got "__proto__"/],
  ['a field that is a list', 'rules: []\n[a]: b', /:2: expected only rules, unproven, got ""/],
  ['a field twice', 'rules: []\nrules: []', /:2: Map keys must be unique/],
  ['no YAML', 'rules: [\n  {', /p\.yaml:\d: /],
  ['an unknown tag', 'rules: []\nunproven: !x allow', /:2: Unresolved tag/],
  ['two documents', 'rules: []\n---\nrules: []', /:\d: .*multiple documents/i],
  ['a wrong word', 'rules: []\nunproven: maybe', /:2: expected refuse or allow, got "maybe"/],
  ['a rule that is a text', 'rules:\n  - deny', /:2: expected fields: allow, deny/],
  ['neither allow nor deny', 'rules:\n  - name: a', /:2: expected a rule to have either/],
  ['both', 'rules:\n- allow: all\n  deny: all', /:2: expected a rule to have either/],
  ['an unknown action', 'rules:\n- deny: dance', /:2: expected publish or .* all, got "dance"/],
  ['no action', 'rules:\n- deny: []', /:2: expected at least one/],
  ['an empty value', 'rules:\n- deny: all\n  name:', /:3: expected a text, or a list of them/],
  ['no value', '{rules}', /:1: expected "rules" to have a value/],
  ['a value that is a map', 'rules:\n- deny: all\n  name: {a: b}', /:3: expected a text/],
  ['an alias', 'rules:\n- deny: &a all\n  name: *a', /:3: expected a text/],
  ['no pattern', 'rules:\n- deny: all\n  name: "a b"', /:3: expected names, .* got "a b"/],
  ['a long pattern', `rules:\n- deny: all\n  name: ${'a'.repeat(64)}`, /:3: expected names/],
  ['many stars', 'rules:\n- deny: all\n  name: a*b*c*d*e*', /:3: expected at most 4 \*/],
  ['no range', 'rules:\n- deny: all\n  version: one', /:3: expected a version range .* "one"/],
  [
    'many ranges',
    `rules:\n- deny: all\n  version:\n${'  - "1"\n'.repeat(999)}`,
    /:4: expected a version/,
  ],
  ['an unknown user', 'rules:\n- deny: all\n  user: han', /:3: expected users .* "han"/],
  ['no address', 'rules:\n- deny: all\n  from: example.com', /:3: expected addresses/],
  ['too many bits', 'rules:\n- deny: all\n  from: 10.0.0.0/33', /:3: expected addresses/],
  ['too few bits', 'rules:\n- deny: all\n  from: "::ffff:10.0.0.0/95"', /:3: expected addresses/],
  ['a zone', 'rules:\n- deny: all\n  from: fe80::1%eth0', /:3: expected addresses/],
  ['two families', 'rules:\n- deny: all\n  from: 10.0.0.1-::1', /:3: expected addresses/],
  ['hexadecimal', 'rules:\n- deny: connect\n  to: 0x7f.1', /:3: expected hosts, or addresses/],
  ['a short address', 'rules:\n- deny: connect\n  to: a.127.1', /:3: expected hosts, or addresses/],
  ['a range back of hosts', 'rules:\n- deny: connect\n  to: 1.0.0.9-1.0.0.1', /:3: expected hosts/],
  ['half a range', 'rules:\n- deny: all\n  from: 10.0.0.1-', /:3: expected addresses/],
  ['a range back', 'rules:\n- deny: all\n  from: 10.0.0.9-10.0.0.1', /:3: expected addresses/],
  ['a broken host', 'rules:\n- deny: connect\n  to: "a b"', /:3: expected hosts, or addresses/],
  ['a broken net', 'rules:\n- deny: connect\n  to: 10.0.0.0/99', /:3: expected hosts, or/],
  ['connect from', 'rules:\n- deny: connect\n  from: local', /:2: "from" is where publish/],
  ['resolve to', 'rules:\n- deny: [resolve]\n  to: local', /:2: "from" is where publish/],
  ['from and to', 'rules:\n- deny: all\n  from: local\n  to: local', /:2: "from" is where/],
  ['a bottomless list', `${'['.repeat(1_000)}\n`.repeat(9), /p\.yaml:1: /],
  [
    'a text beyond all',
    `${'- '.repeat(16_000)}\n${'- '.repeat(16_000)}`,
    /p\.yaml:1: .*at most 16/,
  ],
]

for (const [what, text, says] of broken) {
  t.test(`${what} is refused whole, with line and reason`, async t => {
    t.throws(() => parse(text), { code: 'ERR_MONIKER_POLICY', reason: 'EPOLICY', message: says })
  })
}

t.test('a policy is read from a file', async t => {
  const file = join(t.testdir({ 'p.yaml': text.replaceAll('luke', '7') }), 'p.yaml')
  t.equal((await loadPolicy(file)).judge('list', { ...subject, service: 'x' }), undefined)
  t.equal((await loadPolicy(file)).file, file)
})

const windows = { skip: process.platform === 'win32' && 'files have no modes there' }

t.test('a file that somebody else could have written is none', windows, async t => {
  const dir = t.testdir({ 'p.yaml': 'rules: []', open: { 'p.yaml': 'rules: []' } })
  const refused = (path: string, message: RegExp) =>
    t.rejects(loadPolicy(join(dir, path)), { code: 'ERR_MONIKER_POLICY', message })

  await refused('none.yaml', /ENOENT/)
  symlinkSync(join(dir, 'p.yaml'), join(dir, 'link.yaml'))
  await refused('link.yaml', /link\.yaml is a symbolic link; give the file itself/)
  mkdirSync(join(dir, 'd.yaml'))
  await refused('d.yaml', /is no regular file/)
  execFileSync('mkfifo', [join(dir, 'pipe.yaml')])
  await refused('pipe.yaml', /is no regular file/)
  writeFileSync(join(dir, 'big.yaml'), ' '.repeat(65_537))
  await refused('big.yaml', /longer than 65536 bytes/)
  chmodSync(join(dir, 'p.yaml'), 0o666)
  await refused('p.yaml', /p\.yaml can be written by others; chmod it to go-w/)
  chmodSync(join(dir, 'open'), 0o777)
  await refused('open/p.yaml', /open can be written by others/)
  chmodSync(join(dir, 'open'), 0o770)
  await refused('open/p.yaml', /open can be written by others/)
  chmodSync(join(dir, 'open'), 0o755)
  t.ok(await loadPolicy(join(dir, 'open/p.yaml')))
})

const root = { skip: process.getuid?.() !== 0 && 'only root can give files away' }

t.test('nor is one that belongs to somebody else', root, async t => {
  const file = join(t.testdir({ 'p.yaml': 'rules: []' }), 'p.yaml')
  chownSync(file, 12_345, 0)
  await t.rejects(loadPolicy(file), { message: /belongs to user 12345; chown it to root/ })
})

t.test(
  'nor is one that others could exchange, by whatever folder or link it is reached',
  root,
  async t => {
    const top = mkdtempSync('/root-policy-')
    t.teardown(() => rmSync(top, { recursive: true }))
    const file = join(top, 'a', 'b', 'p.yml')
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
    chmodSync(top, 0o755)
    writeFileSync(file, 'rules: []', { mode: 0o644 })
    const refused = (message: RegExp, path = file) =>
      t.rejects(loadPolicy(path), { code: 'ERR_MONIKER_POLICY', message }, path)
    t.ok(await loadPolicy(file))

    chmodSync(top, 0o775)
    await refused(/root-policy-\w+ can be written by others; chmod it to go-w/)
    chmodSync(top, 0o1777)
    t.ok(await loadPolicy(file), 'in a sticky folder of root only the owner can take it away')
    chownSync(top, 12_345, 0)
    await refused(/root-policy-\w+ belongs to user 12345/)
    chownSync(top, 0, 0)

    // A way of links, through a folder that others can write to.
    const open = join(top, 'open')
    mkdirSync(open)
    symlinkSync('../a/./b', join(open, 'back'))
    symlinkSync(join(open, 'back'), join(top, 'link'))
    t.ok(await loadPolicy(join(top, 'link', 'p.yml')))
    chmodSync(open, 0o777)
    await refused(/open can be written by others/, join(top, 'link', 'p.yml'))
    chmodSync(open, 0o1777)
    t.ok(await loadPolicy(join(top, 'link', 'p.yml')))
    lchownSync(join(open, 'back'), 12_345, 0)
    await refused(/open\/back belongs to user 12345/, join(top, 'link', 'p.yml'))
    await refused(/open\/back belongs to user 12345/, `${top}/link/../b/p.yml`)

    const before = process.cwd()
    t.teardown(() => process.chdir(before))
    process.chdir(dirname(file))
    t.ok(await loadPolicy('p.yml'))
    chmodSync(join(top, 'a'), 0o757)
    await refused(/a can be written by others/, 'p.yml')
  },
)

t.test('that of the host is root’s alone, and so are the folders above it', root, async t => {
  const dir = mkdtempSync(join(homedir(), 'root-policy-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'a', 'p.yml')
  mkdirSync(dirname(file), { mode: 0o755 })
  chmodSync(dir, 0o755)
  writeFileSync(file, 'rules: []', { mode: 0o644 })
  symlinkSync(join(dir, 'a'), join(dir, 'link'))
  const refused = (message: RegExp, path = file) =>
    t.rejects(loadPolicy(path, true), { code: 'ERR_MONIKER_POLICY', message })

  t.ok(await loadPolicy(file, true))
  t.ok(await loadPolicy(join(dir, 'link', 'p.yml'), true), 'by a link to its folder, too')
  chmodSync(file, 0o664)
  await refused(/p\.yml can be written by others; chmod it to go-w/)
  chmodSync(file, 0o644)
  chownSync(file, 12_345, 0)
  await refused(/p\.yml belongs to user 12345; chown it to root/)
  chownSync(file, 0, 0)
  chmodSync(dir, 0o1777)
  await refused(/root-policy-\w+ can be written by others/)
  chmodSync(dir, 0o755)
  chownSync(dir, 12_345, 0)
  await refused(/root-policy-\w+ belongs to user 12345/, join(dir, 'link', 'p.yml'))
})

t.test('several are read to be in force together', async t => {
  const dir = t.testdir({ a: 'rules: [{allow: list}]', b: 'rules: [{deny: list}]' })
  const both = await loadPolicies([join(dir, 'a'), join(dir, 'b')])
  t.match(both.judge('list', subject), { allowed: false, file: join(dir, 'b'), line: 1 })
})

t.test('where files have no owners none is asked for', async t => {
  const file = join(t.testdir({ 'p.yaml': 'rules: []' }), 'p.yaml')
  chmodSync(file, 0o666)
  t.intercept(process, 'getuid', { value: undefined })
  t.ok(await loadPolicy(file))
})

t.test('a text is read as YAML or JSON, and its lines are known', async t => {
  const { document, lineOf, wrong } = parseYaml('# ports\ntie: 1\nwing: { port: 2 }')
  t.same(document.toJS(), { tie: 1, wing: { port: 2 } })
  t.same([0, 8, 15, 1_000].map(lineOf), [1, 2, 3, 3])
  t.equal(wrong, undefined)
  t.same(parseYaml('{"tie": [1]}').document.toJS(), { tie: [1] })
  t.equal(parseYaml('').lineOf(0), 1)
})

t.test('what is wrong with a text is told with its line, shortly', async t => {
  t.match(parseYaml('tie: 1\nwing: [').wrong, { line: 2, message: /end with a \]/ })
  t.match(parseYaml('tie: !star 1').wrong, { line: 1, message: /tag/ })
  t.ok(parseYaml('|'.repeat(MAX_FILE)).wrong!.message.length <= 200)
})

t.test('lists and maps nest only so deep, however they are written', async t => {
  const deep: [what: string, text: string, line?: number][] = [
    ['flow lists', '['.repeat(MAX_FILE)],
    ['flow maps', '{"a":'.repeat(MAX_FILE / 5)],
    ['block lists', '- '.repeat(MAX_FILE / 2)],
    ['block maps', Array.from({ length: 300 }, (_, at) => `${' '.repeat(at)}a:`).join('\n'), 16],
    ['keys', '? '.repeat(MAX_FILE / 2)],
    ['lists on a later line', `a: 1\nb: ${'['.repeat(99)}`, 2],
  ]
  for (const [what, text, line = 1] of deep) {
    const message = `expected at most ${MAX_DEPTH} lists and maps in each other`
    t.match(parseYaml(text).wrong, { line, message }, what)
  }
  t.equal(parseYaml('[[[[[[[[1]]]]]]]]').wrong, undefined, 'half as deep is fine')
})

t.test('no text throws', async t => {
  const bits = fc.constantFrom(
    ...'[]{},:-?*&!|>#%@`"\'\n \t0ax\\'.split(''),
    '---\n',
    '<<: ',
    '...\n',
  )
  const texts = fc.array(bits, { maxLength: 60 }).map(parts => parts.join(''))
  fc.assert(
    fc.property(texts, text => void parseYaml(text)),
    { numRuns: 2_000 },
  )
  t.pass('all were read or refused')
})

t.test('a file may belong to the user that it is read for', root, async t => {
  const dir = mkdtempSync(join(tmpdir(), 'policy-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const file = join(dir, 'p.yaml')
  writeFileSync(file, 'rules: []')
  chownSync(file, 12_345, 12_345)
  t.ok(await loadPolicy(file, false, 12_345))
  await t.rejects(loadPolicy(file, true, 12_345), { message: /belongs to user 12345/ })
  await t.rejects(loadPolicy(file, false, 7), { message: /belongs to user 12345/ })
})

t.test('without the users of this host no policy is read, and that is not remembered', async t => {
  const file = join(t.testdir({ 'p.yaml': 'rules: []' }), 'p.yaml')
  const { again } = wanting(t)
  const message = /p\.yaml cannot be read without the users of this host: EMFILE/
  await t.rejects(loadPolicy(file), { code: 'ERR_MONIKER_POLICY', message })
  again()
  t.ok(await loadPolicy(file))
})
