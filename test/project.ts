import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import t, { type Test } from 'tap'
import { defaultNamespace } from '../lib/namespace.ts'
import { isWord } from '../lib/name.ts'
import { findProject, project, type PassedOver } from '../lib/project.ts'
import { PORT, designatedPort } from '../lib/settings.ts'
import { wanting } from './fixtures/wanting.ts'

const isRoot = process.getuid?.() === 0
const root = { skip: !isRoot && 'only root can give files away' }
const posix = { skip: process.platform === 'win32' && 'files have no modes there' }

/** A folder with these files, which is the working directory until the test ends. */
function folder(t: Test, files: Record<string, unknown>, at = '.'): string {
  const before = process.cwd()
  const top = realpathSync(mkdtempSync(join(tmpdir(), 'project-')))
  t.teardown(() => {
    process.chdir(before)
    rmSync(top, { recursive: true, force: true })
  })
  for (const [name, content] of Object.entries(files)) {
    const file = join(top, name)
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 })
    writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content), {
      mode: 0o644,
    })
  }
  mkdirSync(join(top, at), { recursive: true, mode: 0o755 })
  process.chdir(join(top, at))
  return top
}

function without(t: Test, ...names: string[]): void {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !names.includes(name)),
  )
  t.intercept(process, 'env', { value: env })
}

t.test('the settings of a project are found upward, below those of the environment', async t => {
  without(t, 'MONIKER_PORT', 'MONIKER_NAMESPACE')
  const settings = { $schema: './s.json', namespace: 'Shop', port: 7123 }
  const top = folder(t, { 'moniker.json': settings, 'a/package.json': { name: 'a' } }, 'a/b')
  t.strictSame(project(), { file: join(top, 'moniker.json'), namespace: 'Shop', port: 7123 })
  t.equal(project(), project(), 'they are read once')
  t.equal(designatedPort(), 7123)
  t.equal(defaultNamespace(), 'shop')
  process.env.MONIKER_PORT = '7124'
  process.env.MONIKER_NAMESPACE = ''
  t.equal(designatedPort(), 7124)
  t.equal(defaultNamespace(), '', 'the host’s own is one, too')
})

t.test(
  'they stand in moniker.json, or else in package.json, and the nearest counts alone',
  async t => {
    const top = folder(t, {
      'moniker.json': { port: 1 },
      'package.json': { moniker: { port: 2 } },
      'a/package.json': { name: 'a', moniker: { namespace: 'a' } },
      'b/package.json': '{"moniker":',
      'c/package.json': ['"moniker"'],
      'd/package.json': 'null "moniker"',
    })
    t.match(findProject(top), { port: 1 })
    t.strictSame(findProject(join(top, 'a')), { file: join(top, 'a/package.json'), namespace: 'a' })
    for (const none of ['b', 'c', 'd']) t.match(findProject(join(top, none)), { port: 1 }, none)
  },
)

t.test('they are not looked for above a work tree, the home or the file system', async t => {
  const files = { 'moniker.json': { port: 1 }, 'tree/.git': 'gitdir: x', 'tree/a/b': '' }
  const top = folder(t, files)
  t.strictSame(findProject(join(top, 'tree', 'a')), {})
  mkdirSync(join(top, 'home', 'a'), { recursive: true })
  symlinkSync(join(top, 'home'), join(top, 'link'))
  t.match(findProject(join(top, 'home', 'a')), { port: 1 })
  const { HOME } = process.env
  t.teardown(() => (process.env.HOME = HOME))
  process.env.HOME = join(top, 'link')
  t.strictSame(findProject(join(top, 'home', 'a')), {})
  t.strictSame(findProject('/proc'), {})
  t.strictSame(findProject('/'), {})
  t.strictSame(findProject(join(top, 'gone')), {})
})

t.test('a file that another user could have written is passed over', posix, async t => {
  const top = folder(t, { 'moniker.json': { port: 1 }, 'a/moniker.json': { port: 2 } })
  const file = join(top, 'a/moniker.json')
  const over = (): PassedOver[] => {
    const found: PassedOver[] = []
    t.match(
      findProject(join(top, 'a'), one => found.push(one)),
      { port: found.length > 0 ? 1 : 2 },
    )
    return found
  }
  t.strictSame(over(), [])
  chmodSync(file, 0o666)
  t.strictSame(over(), [{ file, why: `others can write to ${file}` }])
  t.match(findProject(join(top, 'a')), { port: 1 })
  chmodSync(file, 0o644)
  chmodSync(dirname(file), 0o1777)
  t.strictSame(over(), [{ file, why: `others can write to ${dirname(file)}` }])
  chmodSync(dirname(file), 0o755)
  t.intercept(process, 'getuid', { value: undefined })
  chmodSync(file, 0o666)
  t.strictSame(over(), [], 'on Windows files have no such owners')
})

t.test('so is one of another user, or of a group with others in it', root, async t => {
  const top = folder(t, { 'a/moniker.json': { port: 2 } })
  const file = join(top, 'a/moniker.json')
  const port = () => findProject(join(top, 'a')).port
  chmodSync(file, 0o664)
  t.equal(port(), 2, 'the group of the same number is that of the user')
  chownSync(file, 0, 100)
  t.equal(port(), undefined)
  chownSync(file, 12_345, 0)
  chmodSync(file, 0o644)
  t.equal(port(), undefined)
  t.intercept(process, 'getuid', { value: () => 12_345 })
  t.equal(port(), 2, 'its own user, in a folder of root')
})

t.test('settings that are wrong are an error that names the file', async t => {
  without(t, 'MONIKER_NAMESPACE')
  const top = folder(t, {})
  const file = join(top, 'moniker.json')
  const expected = /moniker\.json to have "namespace", a text, and "port", from 1 to 65535/
  for (const [text, message] of [
    ['{', /moniker\.json to be JSON, but /],
    ['null', expected],
    ['7', expected],
    ['[]', expected],
    ['{"namespaces":"a"}', /65535, got "namespaces"/],
    ['{"namespace":7}', expected],
    ['{"port":"7"}', expected],
    ['{"port":0}', expected],
    ['{"port":65536}', expected],
    ['{"port":1.5}', expected],
  ] as const) {
    writeFileSync(file, text)
    t.throws(() => findProject(top), { code: 'ERR_INVALID_ARG_VALUE', message }, text)
  }
  writeFileSync(file, '{"namespace":"a b"}')
  t.throws(defaultNamespace, { message: /"namespace" in .*moniker\.json to be a word .*got "a b"/ })
})

t.test('a file that is none, or too long, is not read', posix, async t => {
  const top = folder(t, { 'moniker.json/x': '', 'package.json': ' '.repeat(1_048_577) })
  t.strictSame(findProject(top), {})
})

t.test('for want of descriptors there are not no settings', async t => {
  const top = folder(t, { 'moniker.json': { port: 1 } })
  const { again } = wanting(t)
  t.throws(() => findProject(top), { code: 'EMFILE' })
  again()
  t.match(findProject(top), { port: 1 })
})

t.test('where the directory has been removed there are none', posix, async t => {
  without(t, 'MONIKER_PORT')
  const top = folder(t, {})
  rmSync(top, { recursive: true })
  t.strictSame(project(), {})
  t.equal(designatedPort(), PORT)
})

t.test('the schema has the settings that are read', async t => {
  const text = readFileSync(new URL('../docs/moniker.schema.json', import.meta.url), 'utf8')
  const { properties, additionalProperties } = JSON.parse(text) as {
    properties: Record<string, { pattern?: string }>
    additionalProperties: boolean
  }
  t.strictSame(Object.keys(properties), ['$schema', 'namespace', 'port'])
  t.equal(additionalProperties, false)
  const pattern = new RegExp(properties.namespace!.pattern!)
  for (const word of ['', 'auto', 'auto:branch']) t.match(word, pattern)
  for (const word of [
    'a',
    'shop-1',
    'a b',
    '-a',
    '1a',
    'a'.repeat(63),
    'a'.repeat(64),
    'a.b',
    'a+b',
  ]) {
    t.equal(pattern.test(word), isWord(word), word)
  }
})
