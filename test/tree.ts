import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { checkoutOf, topOf } from '../lib/tree.ts'

const commit = '8cc639e484fd982f22874151a3f7d3f844ee2592\n'
const main = { HEAD: 'ref: refs/heads/main\n' }

t.test('the top of a work tree is found from wherever in it one is', async t => {
  const top = t.testdir({
    '.git': {},
    packages: { one: {} },
    linked: { '.git': 'gitdir: elsewhere' },
  })
  t.equal(topOf(join(top, 'packages', 'one')), top)
  t.equal(topOf(top), top)
  t.equal(topOf(join(top, 'linked')), join(top, 'linked'))
  t.equal(topOf(tmpdir()), undefined)
})

t.test('what is checked out is told as git writes it down', async t => {
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
  // Where git writes the whole path, as it does unless told otherwise.
  const fix = join(place, 'fix')
  writeFileSync(join(fix, '.git'), `gitdir: ${join(place, 'shop', '.git', 'worktrees', 'fix')}\n`)
  const cases: [top: string, repository: string, branch: string][] = [
    [join(place, 'shop'), 'shop', 'main'],
    [fix, 'shop', 'feature/x'],
    [join(place, 'shop', 'library'), 'library', '8cc639e'],
    [join(place, 'one'), 'bare', '8cc639e'],
    [join(place, 'hidden', 'two'), 'hidden', 'two'],
  ]
  for (const [top, repository, branch] of cases) t.same(checkoutOf(top), { repository, branch })
})

t.test('a branch that no file tells is not made up', async t => {
  const place = t.testdir({
    empty: { '.git': {} },
    lost: { '.git': 'gitdir: elsewhere\n' },
    reftable: { '.git': { HEAD: 'ref: refs/heads/.invalid\n' } },
  })
  for (const folder of ['empty', 'lost', 'reftable']) {
    const message = /expected .*HEAD to say what branch is checked out/
    t.throws(() => checkoutOf(join(place, folder)), { code: 'ERR_INVALID_ARG_VALUE', message })
  }
})
