import { chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type Test } from 'tap'
import { keepCompiled, ownFolder } from '../../lib/commands/compilecache.ts'
import { moniker } from '../fixtures/command.ts'

/** A folder at home that nobody else can write to; `undefined` if there is none to be had. */
function atHome(t: Test): string | undefined {
  try {
    const folder = mkdtempSync(join(homedir(), '.moniker-test-'))
    t.teardown(() => rmSync(folder, { recursive: true }))
    return ownFolder({ XDG_CACHE_HOME: folder }) && folder
  } catch {
    return undefined
  }
}

test('the folder is in the cache of this user, and for nobody else', async t => {
  const home = atHome(t)
  if (!home) return t.pass('skipped: others can write where this user is at home')
  t.equal(ownFolder({}, home), join(home, '.cache', 'moniker'))
  t.equal(ownFolder({ XDG_CACHE_HOME: 'relative' }, home), join(home, '.cache', 'moniker'))
  t.equal(ownFolder({ XDG_CACHE_HOME: join(home, 'other') }, home), join(home, 'other', 'moniker'))
  t.equal(statSync(join(home, 'other', 'moniker')).mode & 0o777, 0o700)
})

test('a folder that somebody else could fill is not used', async t => {
  const home = atHome(t)
  if (!home) return t.pass('skipped: others can write where this user is at home')
  mkdirSync(join(home, 'open', 'moniker'), { recursive: true })
  chmodSync(join(home, 'open'), 0o777)
  t.equal(ownFolder({ XDG_CACHE_HOME: join(home, 'open') }), undefined, 'the folder above is open')
  chmodSync(join(home, 'open'), 0o700)
  chmodSync(join(home, 'open', 'moniker'), 0o770)
  t.equal(ownFolder({ XDG_CACHE_HOME: join(home, 'open') }), undefined, 'its group may write')
  t.equal(ownFolder({ XDG_CACHE_HOME: '/dev/null' }), undefined, 'no folder')
  if (process.getuid?.() !== 0) return
  chmodSync(join(home, 'open', 'moniker'), 0o700)
  chownSync(join(home, 'open', 'moniker'), 65_534, 65_534)
  t.equal(ownFolder({ XDG_CACHE_HOME: join(home, 'open') }), undefined, "somebody else's")
})

test('a folder for temporary files is not used', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'moniker-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  t.equal(ownFolder({ XDG_CACHE_HOME: folder }), undefined)
})

test('where nobody tells who owns a folder there is none', async t => {
  const { getuid } = process
  t.teardown(() => Object.assign(process, { getuid }))
  Object.assign(process, { getuid: undefined })
  t.equal(ownFolder(), undefined)
  t.doesNotThrow(keepCompiled)
})

test('Node is told of the folder if it can keep code there', async t => {
  const home = atHome(t)
  if (!home) return t.pass('skipped: others can write where this user is at home')
  const before = process.env.XDG_CACHE_HOME
  t.teardown(() => {
    delete process.env.XDG_CACHE_HOME
    if (before !== undefined) process.env.XDG_CACHE_HOME = before
  })
  const told: string[] = []
  const enableCompileCache = (folder: string) => told.push(folder)
  process.env.XDG_CACHE_HOME = home
  keepCompiled({ enableCompileCache })
  process.env.XDG_CACHE_HOME = '/dev/null'
  keepCompiled({ enableCompileCache })
  keepCompiled({})
  t.same(told, [join(home, 'moniker')])
})

test('commands are kept there if Node can, and the daemon never is', async t => {
  const home = atHome(t)
  if (!home) return t.pass('skipped: others can write where this user is at home')
  const kept = join(home, 'moniker')
  rmSync(kept, { recursive: true })
  const env = { XDG_CACHE_HOME: home }
  await moniker(t, ['daemon', '--version'], { env }).ended
  t.notOk(existsSync(kept))
  await moniker(t, ['--version'], { env }).ended
  const canBe = 'enableCompileCache' in (await import('node:module')).default
  t.equal(existsSync(kept), canBe)
})
