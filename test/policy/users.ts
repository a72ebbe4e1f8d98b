import os from 'node:os'
import { syncBuiltinESMExports } from 'node:module'
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { UserTable } from '../../lib/policy/users.ts'
import { wanting } from '../fixtures/wanting.ts'

/** Makes this process that of somebody else, or of nobody there is, until the test ends. */
function userInfo(t: Test, given: () => { username: string; uid: number }): void {
  const real = os.userInfo
  const replace = (how: typeof real) => {
    os.userInfo = how
    syncBuiltinESMExports()
  }
  replace(given as typeof real)
  t.teardown(() => replace(real))
}

t.test('the users are those of the table, and whom this process runs as', async t => {
  const file = join(t.testdir(), 'passwd')
  writeFileSync(
    file,
    ['root:x:0:0:root:/root:/bin/sh', 'Luke:x:7:7::/:', 'luke:x:8:8::/:', '#', 'x:y', ''].join(
      '\n',
    ),
  )
  userInfo(t, () => ({ username: 'Leia', uid: 9 }))
  t.strictSame(
    new UserTable(file).users,
    new Map([
      ['leia', new Set([9])],
      ['root', new Set([0])],
      ['luke', new Set([7, 8])],
    ]),
  )
})

t.test('without a table there is only whom this process runs as', async t => {
  userInfo(t, () => ({ username: 'leia', uid: 9 }))
  t.strictSame(new UserTable('./nowhere').users, new Map([['leia', new Set([9])]]))
})

t.test('which may be nobody there is', async t => {
  userInfo(t, () => {
    throw new Error('uv_os_get_passwd returned ENOENT')
  })
  t.strictSame(new UserTable('./nowhere').users, new Map())
})

t.test('this host has users', async t => {
  t.ok(new UserTable().users.size > 0)
})

t.test('a table that changes is read again, and else is not', async t => {
  const file = join(t.testdir(), 'passwd')
  const table = new UserTable(file)
  const before = table.users
  t.notOk(before.has('yoda'))
  t.equal(table.users, before)
  writeFileSync(file, 'yoda:x:900:900::/:/bin/sh\n')
  t.strictSame(table.users.get('yoda'), new Set([900]))
  t.equal(table.users, table.users)
})

t.test(
  'a table that cannot be read, for whatever reason, is not empty, and that is not remembered',
  async t => {
    const dir = t.testdir()
    const file = join(dir, 'passwd')
    const table = new UserTable(file)
    const unreadable = { reason: 'EDENIED', message: /passwd cannot be read/ }
    const breaks: [why: string, how: () => void][] = [
      ['EISDIR', () => mkdirSync(file)],
      ['ELOOP', () => symlinkSync('passwd', file)],
    ]
    for (const [why, how] of breaks) {
      how()
      t.throws(() => table.users, unreadable, why)
      t.throws(() => table.users, unreadable, `${why}, again`)
      rmSync(file, { recursive: true })
    }
    writeFileSync(file, 'yoda:x:900:900::/:/bin/sh\n')
    t.ok(table.users.has('yoda'))
    const below = new UserTable(join(file, 'passwd'))
    t.throws(() => below.users, unreadable, 'ENOTDIR')
  },
)

t.test('a table that is being written, and one that has gone, is not empty', async t => {
  const file = join(t.testdir({ passwd: 'yoda:x:900:900::/:/bin/sh\n' }), 'passwd')
  const table = new UserTable(file)
  t.ok(table.users.has('yoda'))
  const gone = { reason: 'EDENIED', message: /passwd is gone/ }
  writeFileSync(file, '')
  t.throws(() => table.users, gone)
  renameSync(file, `${file}-`)
  t.throws(() => table.users, gone)
  t.throws(() => table.users, gone)
  writeFileSync(file, 'luke:x:7:7::/:\n')
  t.ok(table.users.has('luke'))
})

t.test(
  'whom this process runs as may be wanting for descriptors too, and is found then',
  async t => {
    const file = join(t.testdir({ passwd: '' }), 'passwd')
    let isWanting = true
    userInfo(t, () => {
      if (isWanting) throw Object.assign(new Error('EMFILE'), { info: { code: 'EMFILE' } })
      return { username: 'leia', uid: 9 }
    })
    const table = new UserTable(file)
    t.throws(() => table.users, { message: 'EMFILE' })
    isWanting = false
    t.strictSame(table.users, new Map([['leia', new Set([9])]]))
  },
)

t.test('a table that cannot be read for want of descriptors is not empty', async t => {
  const table = new UserTable()
  const { again } = wanting(t)
  t.throws(() => table.users, { code: 'EMFILE' })
  again()
  t.ok(table.users.size > 0)
})
