import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'tap'
import {
  isBelieved,
  localSockets,
  lookAt,
  serverSocket,
  socketFolders,
  socketName,
  unsafePartOf,
  userFolder,
} from '../../lib/node/localsocket.ts'

const root = { skip: process.getuid?.() !== 0 && 'only root can give files to others' }

test('the folder of the host is believed before that of the user', async t => {
  const paths = (uid: number | undefined) => socketFolders(uid).map(({ path }) => path)
  t.strictSame(paths(7), ['/run/moniker', '/run/user/7/moniker'])
  t.equal(paths(undefined)[1], `/run/user/${process.getuid!()}/moniker`)
  t.intercept(process, 'getuid', { value: undefined })
  t.strictSame(socketFolders(), [], 'where there are no users there is none')
})

test('a folder is believed if nobody else can have made it, or can write to it', root, async t => {
  const run = t.testdir()
  const [host, own] = socketFolders(7, run)
  t.notOk(isBelieved(host!), 'it is not there')
  mkdirSync(host!.path)
  t.ok(isBelieved(host!))
  chownSync(host!.path, 8, 8)
  t.ok(isBelieved(host!), 'root has given it to a service')
  chmodSync(host!.path, 0o775)
  t.notOk(isBelieved(host!), 'a group can write to it')
  chmodSync(host!.path, 0o755)
  chmodSync(run, 0o757)
  t.notOk(isBelieved(host!), 'anybody can make it')
  chmodSync(run, 0o755)

  mkdirSync(own!.path, { recursive: true })
  t.notOk(isBelieved(own!), 'it is that of root')
  for (const path of [join(run, 'user', '7'), own!.path]) chownSync(path, 7, 7)
  t.ok(isBelieved(own!))
  chownSync(join(run, 'user'), 8, 8)
  t.notOk(isBelieved(own!), 'another user can make it')
  const { path, ...rest } = host!
  symlinkSync(path, join(run, 'link'))
  t.notOk(isBelieved({ ...rest, path: join(run, 'link') }), 'a link may lead elsewhere later')
})

test('what keeps a folder from being believed is told, if it is there', root, async t => {
  const run = t.testdir()
  chmodSync(run, 0o755)
  const [host, own] = socketFolders(7, run)
  t.equal(unsafePartOf(host!), undefined, 'it is not there')
  mkdirSync(host!.path)
  t.equal(unsafePartOf(host!), undefined)
  chmodSync(host!.path, 0o777)
  t.equal(unsafePartOf(host!), host!.path)
  chmodSync(run, 0o777)
  t.equal(unsafePartOf(host!), run)
  chmodSync(run, 0o755)
  mkdirSync(join(run, 'user', '7'), { recursive: true })
  t.equal(unsafePartOf(own!), join(run, 'user', '7'), 'it is that of root')
  const long = { path: `/${'x'.repeat(5_000)}`, owner: undefined, parents: [] }
  t.equal(unsafePartOf(long), undefined, 'nobody may look')
})

test('a socket has a name for each port, and each network namespace', async t => {
  const run = t.testdir({ moniker: {}, net: t.fixture('symlink', 'net:[7]') })
  t.equal(socketName(6664, join(run, 'net')), '6664-7')
  t.equal(socketName(6664, join(run, 'none')), undefined)
  chmodSync(run, 0o755)
  const folders = [{ path: join(run, 'moniker'), owner: undefined, parents: [] }]
  t.strictSame(localSockets(6664, folders, '6664-7'), [join(run, 'moniker', '6664-7')])
  t.strictSame(localSockets(6664, folders, ''), [], 'where there are none there is no socket')
  const long = { path: `/${'x'.repeat(5_000)}`, owner: undefined, parents: [] }
  t.strictSame(localSockets(6664, [long], '6664-7'), [], 'nor where nobody may look')
})

test('the socket of a server is in the folder of its user, which is root or ours', async t => {
  t.match(userFolder(0, 7), { path: '/run/moniker', owner: 0 })
  t.match(userFolder(7, 7), { path: '/run/user/7/moniker', owner: 7 })
  t.equal(userFolder(8, 7), undefined)
  t.equal(userFolder(8, 0), undefined, 'root cannot tell who else can write there')
  t.intercept(process, 'getuid', { value: undefined })
  t.equal(userFolder(0), undefined, 'where there are no users there is none')
  t.equal(serverSocket('moniker-1', 7), undefined)
})

test('it is believed where its folder is, and each is looked at now and then', root, async t => {
  const run = t.testdir({ good: {}, bad: {} })
  const names = new Map([
    [8, 'good'],
    [9, 'bad'],
  ])
  const find = (user: number) => ({ path: join(run, names.get(user)!), owner: 0, parents: [] })
  chmodSync(join(run, 'bad'), 0o777)
  t.equal(serverSocket('moniker-1', 8, find), join(run, 'good', 'moniker-1'))
  t.equal(serverSocket('moniker-1', 9, find), undefined)
  chmodSync(join(run, 'bad'), 0o755)
  t.equal(serverSocket('moniker-1', 9, find), undefined)
  while (!serverSocket('moniker-1', 9, find)) await new Promise(setImmediate)
})

test('to look at a socket spoils no other look', async t => {
  const run = mkdtempSync(join(tmpdir(), 'moniker-'))
  t.teardown(() => rmSync(run, { recursive: true }))
  const server = createServer()
  await once(server.listen(join(run, 'socket')), 'listening')
  t.teardown(() => server.close())
  mkdirSync(join(run, 'there'))
  symlinkSync(join(run, 'there'), join(run, 'link'))
  t.ok(lookAt(join(run, 'socket'))!.isSocket())
  t.equal(realpathSync(join(run, 'link')), realpathSync(join(run, 'there')))
  t.equal(lookAt(join(run, 'none')), undefined)
})
