import { execFileSync } from 'node:child_process'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { MAX_ENTRIES, Portlist, entry, parseList } from '../../lib/commands/portlist.ts'
import { MAX_FILE } from '../../lib/policy/file.ts'

const tie = { namespace: '', service: 'tie', version: '0.0.0' }

test('a list has a name and a port a line, in YAML or JSON', async t => {
  const list = `
    # what we did not start
    tie: 5432
    ns:wing@1.2.0: { port: 8080, shared: true, metadata: { path: /api } }
    clock:
      port: 123
      udp: true`
  t.match(parseList(list, 'list'), [
    { name: tie, transport: 'tcp', port: 5432, shared: false, metadata: undefined },
    {
      name: { namespace: 'ns', service: 'wing', version: '1.2.0' },
      transport: 'tcp',
      port: 8080,
      shared: true,
      metadata: { path: '/api' },
    },
    { name: { service: 'clock' }, transport: 'udp', port: 123 },
  ])
  t.match(parseList('{ "tie": 5432 }', 'list'), [{ name: tie, port: 5432 }])
  for (const nothing of ['', '# nothing\n', '{}']) t.same(parseList(nothing, 'list'), [])
})

test('what is wrong in a list is told with its line', async t => {
  const cases: [text: string, message: RegExp][] = [
    ['tie', /^list:1: expected lines such as "web: 8080"$/],
    ['- tie', /^list:1: expected lines/],
    ['tie: 1\nwing: [', /^list:2: .*end with a \]/],
    ['tie: 1\ntie: 2', /^list:2: Map keys must be unique$/],
    ['tie: 1\n---\nwing: 2', /^list:2: .*multiple documents/],
    ['tie: 1\nwing: http', /^list:2: expected a port from 1 to 65535, got "http"$/],
    ['tie:', /^list:1: expected a port .* got null$/],
    ['tie: 65536', /^list:1: expected a port .* got 65536$/],
    ['tie: 0', /^list:1: expected a port .* got 0$/],
    ['tie: [1]', /^list:1: expected a port .* got \[1\]$/],
    ['tie: {}', /^list:1: expected a port .* got nothing$/],
    ['? tie', /^list:1: expected a port .* got nothing$/],
    ['tie: { port: 1, udp: 1 }', /^list:1: expected udp to be true or false, got 1$/],
    ['tie: { port: 1, host: x }', /^list:1: expected port, udp, shared, metadata, got "host"$/],
    ['tie: { port: 1, shared: 1 }', /^list:1: .*options.shared to be true, false or a group/],
    ['tie: { port: 1, metadata: 1 }', /^list:1: .*options.metadata to be an object/],
    ['tie@^1: 1', /^list:1: .*exact version/],
    ['\n\n80: 80', /^list:3: expected a name, got 80$/],
    ['"a b": 80', /^list:1: .*expected a name such as starwars/],
    ['tie: &x 1\nwing: *x', /^list:2: Alias resolution is disabled/],
    ['['.repeat(MAX_FILE - 1), /^list:1: /],
  ]
  for (const [text, message] of cases) {
    t.throws(() => parseList(text, 'list'), { message }, text.slice(0, 40))
  }
})

test('a list has an end', async t => {
  const lines = Array.from({ length: MAX_ENTRIES }, (_, index) => `tie${index}: 1`)
  t.equal(parseList(lines.join('\n'), 'list').length, MAX_ENTRIES)
  t.throws(() => parseList([...lines, 'tie: 1'].join('\n'), 'list'), {
    message: `list:1: expected at most ${MAX_ENTRIES} names`,
  })
  const file = join(t.testdir(), 'list')
  writeFileSync(file, 'tie: 1'.padEnd(MAX_FILE))
  t.match(await new Portlist(file).changed(), [{ port: 1 }])
  writeFileSync(file, 'tie: 1'.padEnd(MAX_FILE + 1))
  await t.rejects(new Portlist(file).changed(), { message: /at most 65536 bytes/ })
})

test('a list tells of itself when it has changed, and of what is wrong once', async t => {
  const file = join(t.testdir(), 'list')
  const list = new Portlist(file)
  const cases: [text: string | undefined, told: object | undefined | RegExp][] = [
    [undefined, /ENOENT/],
    [undefined, undefined],
    ['tie: 1', [{ name: tie, port: 1 }]],
    ['tie: 1', undefined],
    ['tie', /^.*list:1: expected lines/],
    ['tie', undefined],
    ['tie: 2', [{ port: 2 }]],
  ]
  for (const [text, told] of cases) {
    if (text === undefined) rmSync(file, { force: true })
    else writeFileSync(file, text)
    if (told instanceof RegExp) await t.rejects(list.changed(), { message: told })
    else t.match(await list.changed(), told)
  }
})

test('what is no file is not read', async t => {
  const directory = t.testdir()
  await t.rejects(new Portlist(directory).changed(), { message: `${directory} is no file` })
  if (process.platform === 'win32') return
  await t.rejects(new Portlist('/dev/zero').changed(), { message: '/dev/zero is no file' })
  const fifo = join(directory, 'fifo')
  execFileSync('mkfifo', [fifo])
  await t.rejects(new Portlist(fifo).changed(), { message: `${fifo} is no file` })
})

test('one name is what a line of a list is', async t => {
  t.same(entry('tie', { port: 1 }), parseList('tie: 1', 'list')[0])
  t.same(entry('tie', { port: 1, udp: true }), parseList('tie: { port: 1, udp: true }', 'list')[0])
  t.throws(() => entry('80', { port: 1 }), { code: 'ERR_MONIKER_NAME' })
})
