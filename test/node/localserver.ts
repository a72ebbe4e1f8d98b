import { live } from '../fixtures/live.ts'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { LocalServer, type LocalServerOptions } from '../../lib/node/localserver.ts'
import { awake } from '../fixtures/awake.ts'
import { restored } from '../fixtures/umask.ts'

awake(t)

/** A Unix socket that greets, in a folder of its own. */
function local(t: Test, given: Partial<LocalServerOptions> = {}) {
  // The path of a socket is short.
  const run = mkdtempSync(join(tmpdir(), 'moniker-'))
  t.teardown(() => rmSync(run, { recursive: true, force: true }))
  const folder = { path: join(run, 'moniker'), owner: undefined, parents: [] }
  const path = join(folder.path, 'p1')
  const one = new LocalServer({
    make: () => createServer(socket => void socket.end('hello')).unref(),
    folders: [folder],
    ...given,
  })
  t.teardown(() => one.close())
  return { one, folder: folder.path, path }
}

/** The greeting at a path. */
async function greeting(path: string): Promise<string> {
  const socket = connect(path)
  const [chunk] = (await once(socket, 'data')) as [Buffer]
  socket.destroy()
  return chunk.toString()
}

t.test('all programs may ask at it, and it is gone when it is closed', async t => {
  restored(t)
  process.umask(0o077)
  const { one, folder, path } = local(t)
  t.equal(one.path, undefined)
  await one.open('p1')
  t.equal(one.path, path)
  t.equal(await greeting(path), 'hello')
  t.equal(statSync(path).mode & 0o666, 0o666)
  t.equal(statSync(folder).mode & 0o777, 0o755)
  one.close()
  one.close()
  t.notOk(existsSync(path))
  t.equal(one.path, undefined)
  t.equal(one.lost, undefined)
})

t.test('nobody comes any more once it is left, and who has come by then is served', async t => {
  const { one, path } = local(t, { rescan: 1 })
  one.leave()
  await one.open('p1')
  const come = greeting(path)
  one.leave()
  t.notOk(existsSync(path))
  t.equal(await come, 'hello')
  one.close()
})

t.test('it takes the place of one that a killed daemon has left', async t => {
  const { one, folder, path } = local(t)
  mkdirSync(folder)
  writeFileSync(path, '')
  await one.open('p1')
  t.equal(await greeting(path), 'hello')
})

t.test(
  'it is made again where somebody has removed it, and left alone where nobody has',
  async t => {
    let look!: () => void
    t.intercept(live, 'setInterval', {
      value: (work: () => void) => {
        look = work
        return setInterval(work, 0x7fff_ffff)
      },
    })
    const { one, folder, path } = local(t)
    await one.open('p1')
    const { ino } = statSync(path)
    look()
    t.equal(statSync(path).ino, ino)
    t.equal(await greeting(path), 'hello')
    t.equal(one.lost, undefined)
    rmSync(folder, { recursive: true })
    writeFileSync(folder, '')
    look()
    t.equal(one.path, undefined)
    t.equal(one.lost, path, 'where it cannot be made again')
    rmSync(folder)
    look()
    while (one.path === undefined) await new Promise(setImmediate)
    t.equal(await greeting(path), 'hello')
    // In the place of another it is made again as well.
    rmSync(path)
    writeFileSync(path, '')
    look()
    while (one.path === undefined) await new Promise(setImmediate)
    t.equal(await greeting(path), 'hello')
  },
)

t.test('where it cannot be had there is none, until it can', async t => {
  const { one, folder, path } = local(t, { rescan: 5 })
  mkdirSync(folder)
  chmodSync(folder, 0o777)
  await one.open('p1')
  t.equal(one.path, undefined, 'others could write there')
  mkdirSync(path)
  chmodSync(folder, 0o755)
  await one.open('p1')
  t.equal(one.path, undefined, 'a folder has its place')
  rmSync(path, { recursive: true })
  while (one.path === undefined) await new Promise(setImmediate)
  t.equal(await greeting(path), 'hello')
})

const root = { skip: process.getuid?.() !== 0 && 'only root can give files to others' }

t.test('it is not made in the folder of another user', root, async t => {
  const { one, folder } = local(t)
  mkdirSync(folder)
  chownSync(folder, 7, 7)
  await one.open('p1')
  t.equal(one.path, undefined)
})

t.test('where there are no network namespaces there is none', async t => {
  const { one, folder } = local(t)
  await one.open(undefined)
  t.equal(one.path, undefined)
  t.notOk(existsSync(folder))
})

t.test('one that is closed while it is opened stays closed', async t => {
  const { one, path } = local(t)
  const opened = one.open('p1')
  one.close()
  await opened
  t.equal(one.path, undefined)
  t.notOk(existsSync(path))
})

t.test('a folder that cannot be made is passed over', async t => {
  const { path } = local(t)
  const folders = [{ path: join(path, 'no', 'folder'), owner: undefined, parents: [] }]
  const { one } = local(t, { folders })
  await one.open('p1')
  t.equal(one.path, undefined)
})
