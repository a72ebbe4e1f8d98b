import { mkdirSync, realpathSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { isWord } from '../lib/name.ts'
import {
  branchNamespace,
  defaultNamespace,
  toWord,
  treeNamespace,
  workTree,
} from '../lib/namespace.ts'

function given(t: Test, namespace: string): void {
  process.env.MONIKER_NAMESPACE = namespace
  t.teardown(() => delete process.env.MONIKER_NAMESPACE)
}

/** A work tree called `folder` with a folder in it. */
function tree(t: Test, folder: string, place = 'place', linked = false): string {
  const inside = join(t.testdirName, place, folder, 'packages', 'one')
  mkdirSync(inside, { recursive: true })
  const git = join(t.testdirName, place, folder, '.git')
  if (linked) writeFileSync(git, 'gitdir: elsewhere\n')
  else mkdirSync(git)
  return inside
}

t.test('the namespace is that of the environment, in lower case', async t => {
  t.equal(defaultNamespace(), '')
  given(t, 'Reynolds')
  t.equal(defaultNamespace(), 'reynolds')
  given(t, '')
  t.equal(defaultNamespace(), '')
  given(t, '1 and 1')
  const expected =
    /MONIKER_NAMESPACE to be a word such as reynolds, auto, or auto:branch, got "1 and 1"/
  t.throws(defaultNamespace, { code: 'ERR_INVALID_ARG_VALUE', message: expected })
})

t.test('a work tree has a namespace of its own, wherever in it one is', async t => {
  t.testdir()
  const inside = tree(t, 'Shop')
  const namespace = treeNamespace(inside)
  t.match(namespace, /^shop-[0-9a-f]{6}$/)
  t.equal(treeNamespace(join(inside, '..', '..')), namespace)
  t.not(treeNamespace(tree(t, 'Shop', 'elsewhere')), namespace, 'another of the same name')
  t.match(treeNamespace(tree(t, 'feature-x', 'place', true)), /^feature-x-/)
})

t.test('a folder of any name gives a word', async t => {
  t.testdir()
  const cases: [folder: string, word: RegExp][] = [
    ['my shop (2)', /^my-shop-2--[0-9a-f]{6}$/],
    ['2026', /^tree-/],
    ['№ 7: naïve', /^na-ve-/],
    ['x'.repeat(200), /^x{56}-[0-9a-f]{6}$/],
  ]
  for (const [folder, word] of cases) {
    const namespace = treeNamespace(tree(t, folder))
    t.match(namespace, word)
    t.ok(isWord(namespace), namespace)
  }
})

t.test(
  'a branch has a namespace that can be known, whatever the folder of its work tree',
  async t => {
    t.testdir()
    const cases: [folder: string, branch: string, namespace: RegExp][] = [
      ['Shop', 'main', /^shop\.main$/],
      ['shop 2', 'Fix/UI_2', /^shop-2\.fix-ui_2$/],
      ['2026', '17-naïve', /^tree\.17-na-ve$/],
      ['long', 'x'.repeat(58), /^long\.x{58}$/],
      ['longer', 'x'.repeat(58), /^longer\.x{49}-[0-9a-f]{6}$/],
    ]
    for (const [folder, branch, expected] of cases) {
      const inside = tree(t, folder)
      writeFileSync(join(inside, '../../.git/HEAD'), `ref: refs/heads/${branch}\n`)
      const namespace = branchNamespace(inside)
      t.match(namespace, expected)
      t.ok(isWord(namespace), namespace)
    }
  },
)

t.test(
  'two repositories with long names that begin alike have namespaces of their own',
  async t => {
    t.testdir()
    const [one, two] = ['x', 'y'].map(end => {
      const inside = tree(t, 'a'.repeat(70) + end)
      writeFileSync(join(inside, '../../.git/HEAD'), 'ref: refs/heads/main\n')
      return branchNamespace(inside)
    })
    t.not(one, two)
  },
)

t.test('the branch is that which git has written down', async t => {
  const commit = '8cc639e484fd982f22874151a3f7d3f844ee2592\n'
  const main = { HEAD: 'ref: refs/heads/main\n' }
  const place = t.testdir({
    shop: {
      '.git': {
        ...main,
        worktrees: { fix: { HEAD: 'ref: refs/heads/feature/x\n', commondir: '../..\n' } },
        modules: { library: { HEAD: commit } },
      },
      library: { '.git': 'gitdir: ../.git/modules/library\n' },
    },
    'bare.git': { ...main, worktrees: { one: { HEAD: commit, commondir: '../..\n' } } },
    fix: {},
    one: { '.git': 'gitdir: ../bare.git/worktrees/one\n' },
    hidden: {
      '.bare': { worktrees: { two: { HEAD: 'ref: refs/heads/two', commondir: '../..\n' } } },
      two: { '.git': 'gitdir: ../.bare/worktrees/two' },
    },
  })
  // Git writes the whole path, unless told otherwise.
  const fix = join(place, 'fix')
  writeFileSync(join(fix, '.git'), `gitdir: ${join(place, 'shop', '.git', 'worktrees', 'fix')}\n`)
  const cases: [top: string, namespace: string][] = [
    [join(place, 'shop'), 'shop.main'],
    [fix, 'shop.feature-x'],
    [join(place, 'shop', 'library'), 'library.8cc639e'],
    [join(place, 'one'), 'bare.8cc639e'],
    [join(place, 'hidden', 'two'), 'hidden.two'],
  ]
  for (const [top, namespace] of cases) t.equal(branchNamespace(top), namespace, namespace)
})

t.test('a branch that no file tells is not made up', async t => {
  const place = t.testdir({
    empty: { '.git': {} },
    lost: { '.git': 'gitdir: elsewhere\n' },
    reftable: { '.git': { HEAD: 'ref: refs/heads/.invalid\n' } },
  })
  for (const folder of ['empty', 'lost', 'reftable']) {
    const message = /expected .*HEAD to say what branch is checked out/
    t.throws(() => branchNamespace(join(place, folder)), { code: 'ERR_INVALID_ARG_VALUE', message })
  }
})

t.test('outside of a work tree it is the host’s own', async t => {
  t.equal(treeNamespace(tmpdir()), '')
  t.equal(branchNamespace(tmpdir()), '')
})

t.test('auto is the work tree that the process is in, also when it moves', async t => {
  t.testdir()
  given(t, 'auto')
  const before = process.cwd()
  t.teardown(() => process.chdir(before))
  t.equal(defaultNamespace(), treeNamespace(before))
  const other = tree(t, 'other')
  process.chdir(other)
  t.equal(defaultNamespace(), treeNamespace(other))
  t.equal(defaultNamespace(), treeNamespace(other))
})

t.test('a process stays with the branch that it found at first', async t => {
  t.testdir()
  given(t, 'auto:branch')
  const before = process.cwd()
  t.teardown(() => process.chdir(before))
  const inside = tree(t, 'shop')
  const head = join(inside, '../../.git/HEAD')
  writeFileSync(head, 'ref: refs/heads/main\n')
  process.chdir(inside)
  t.equal(defaultNamespace(), 'shop.main')
  writeFileSync(head, 'ref: refs/heads/fix\n')
  t.equal(defaultNamespace(), 'shop.main')
  t.equal(branchNamespace(inside), 'shop.fix')
})

t.test('a work tree is known by its top folder', async t => {
  const folder = realpathSync(t.testdir({ tree: { '.git': {}, sub: {} } }))
  t.equal(workTree(join(folder, 'tree', 'sub')), join(folder, 'tree'))
  t.equal(workTree('/'), undefined)
  t.equal(toWord('42 My App (2)'), 'my-app-2-')
})
