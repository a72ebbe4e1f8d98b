import { homedir } from 'node:os'
import { basename, join } from 'node:path'
import { test } from 'tap'
import { packageAt } from '../../lib/commands/package.ts'

test('a package is that of the folder, or of one above it in the work tree', async t => {
  const folder = t.testdir({
    'package.json': '{"name":"outer"}',
    tree: {
      '.git': {},
      sub: {},
      pack: { 'package.json': '{"name":"@a/b","scripts":{"dev":"vite"}}', sub: {} },
    },
  })
  t.same(packageAt(join(folder, 'tree', 'pack', 'sub')), {
    folder: join(folder, 'tree', 'pack'),
    name: '@a/b',
    isNamed: true,
    scripts: { dev: 'vite' },
  })
  t.match(packageAt(folder), { name: 'outer', isNamed: true, scripts: {} })
  const bare = join(folder, 'tree', 'sub')
  t.same(packageAt(bare), { folder: bare, name: 'sub', isNamed: false, scripts: {} })
  t.match(packageAt('/'), { folder: '/', isNamed: false })
  t.match(packageAt(homedir()), { name: basename(homedir()) })
})

test('what is no package gives the name of its folder', async t => {
  for (const text of ['{', '7', '{"name":7,"scripts":[]}', '{"name":""}', ' '.repeat(1_048_577)]) {
    const folder = t.testdir({ 'package.json': text })
    t.same(packageAt(folder), { folder, name: basename(folder), isNamed: false, scripts: {} })
  }
  const folder = t.testdir({ 'package.json': {} })
  t.match(packageAt(folder), { isNamed: false })
})
