import { EventEmitter, once } from 'node:events'
import { PassThrough } from 'node:stream'
import { text } from 'node:stream/consumers'
import { t, test } from 'tap'
import { Resolver } from '../../lib/client/resolver.ts'
import { hearOut } from '../../lib/commands/connect.ts'
import { moniker } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named } from '../fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 4

test('standard input and output are joined to a service, and its end is waited for', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'ns:echo@1.2.0', daemonPort: port }, socket => {
    socket.pipe(socket, { end: false })
    socket.on('end', () => socket.end('goodbye'))
  })
  const { child, said, ended } = moniker(t, ['connect', 'ns:echo@^1'], { port })
  for (const word of ['SSH-2.0\n', 'and so on\n']) {
    child.stdin.write(word)
    await said(new RegExp(word), 'stdout')
  }
  const much = '0123456789abcde\n'.repeat(625_000)
  child.stdin.end(much)
  const { stdout, ...others } = await ended
  t.same(others, { status: 0, signal: null, stderr: '' })
  t.ok(stdout === `SSH-2.0\nand so on\n${much}goodbye`, `${stdout.length} bytes are intact`)
})

test('when the service ends, so does the command, though its input is open', async t => {
  const { port } = await daemon(t)
  const server = await named(t, { service: 'motd', daemonPort: port }, socket => {
    socket.end('welcome\n')
  })
  const heard = once(server, 'connection').then(([socket]) => text(socket))
  const { ended } = moniker(t, ['connect', `motd://localhost:${port}`])
  t.match(await ended, { status: 0, stdout: 'welcome\n', stderr: '' })
  t.equal(await heard, '')
  const whole = moniker(t, ['connect', `motd://luke@localhost:${port}/today`])
  t.match(await whole.ended, { stderr: /^moniker: not used: user luke, path \/today; / })
})

test('what is piped in arrives whole, whichever side has nothing to say', async t => {
  const { port } = await daemon(t)
  const much = '0123456789abcde\n'.repeat(300_000)
  for (const sender of ['listen', 'connect']) {
    const listener = moniker(t, ['listen', 'file'], { port })
    await listener.said(/listening as file/)
    const caller = moniker(t, ['connect', 'file'], { port })
    const [from, to] = sender === 'listen' ? [listener, caller] : [caller, listener]
    to.child.stdin.end()
    from.child.stdin.end(much)
    const { status, stdout } = await to.ended
    t.equal(status, 0)
    t.ok(stdout === much, `${stdout.length} bytes by ${sender}`)
    t.match(await from.ended, { status: 0 })
  }
})

test('when nobody reads its output any more, the command ends', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'yes', daemonPort: port }, socket => {
    const write = () => {
      while (socket.write('yes\n'.repeat(1_000)));
    }
    write()
    socket.on('drain', write)
  })
  const { child, said, ended } = moniker(t, ['connect', 'yes'], { port })
  await said(/yes/, 'stdout')
  child.stdout.destroy()
  t.match(await ended, { status: 0, stderr: '' })
})

test('a connection that breaks is an error, though the input is open', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'reset', daemonPort: port }, socket => {
    socket.once('data', () => socket.resetAndDestroy())
  })
  const { child, ended } = moniker(t, ['connect', 'reset', '127.0.0.1'], { port })
  child.stdin.write('hello')
  t.match(await ended, { status: 1, stderr: /^moniker: .*ECONNRESET/ })
})

test('a service that is not there yet is waited for on request', async t => {
  const { port } = await daemon(t)
  const { ended } = moniker(t, ['connect', 'late', '--wait', '30s'], { port })
  const resolver = new Resolver({ port })
  while (!(await resolver.status()).followers) await new Promise(setImmediate)
  await named(t, { service: 'late', daemonPort: port }, socket => socket.end('sorry\n'))
  t.match(await ended, { status: 0, stdout: 'sorry\n', stderr: '' })
})

/** Stands for a socket whose other side has ended. */
class Half extends EventEmitter {
  writableNeedDrain = false
}

/** Milliseconds of a pause: more than a busy machine takes between two lines. */
const PAUSE = 400

test('what has ended, and a terminal, is not waited for', async t => {
  const ended = new PassThrough()
  ended.resume().end()
  await new Promise(resolve => ended.once('end', resolve))
  let count = 0
  hearOut(ended, new Half(), () => count++)
  hearOut(Object.assign(new PassThrough(), { isTTY: true }), new Half(), () => count++)
  t.equal(count, 2)
})

test('what still has to say something is heard out', async t => {
  const input = new PassThrough()
  const socket = Object.assign(new Half(), { writableNeedDrain: true })
  const since = performance.now()
  const done = new Promise<void>(resolve => hearOut(input, socket, resolve, PAUSE))
  let drained = 0
  // One pause because it was full, and one since it is not.
  setTimeout(
    () => {
      socket.writableNeedDrain = false
      drained = performance.now()
    },
    PAUSE + PAUSE / 2,
  )
  setTimeout(() => input.write('x'), PAUSE * 2 - PAUSE / 4)
  await done
  t.ok(performance.now() - since >= PAUSE * 2.5, 'not before its last word is a pause ago')
  t.ok(drained > 0, 'nor while it has to wait')
  t.equal(input.listenerCount('data') + socket.listenerCount('close'), 0)
})

test('a socket that closes is done with', async t => {
  const input = new PassThrough()
  const socket = new Half()
  hearOut(input, socket, () => t.fail('it is closed'), 1)
  socket.emit('close')
  t.equal(input.listenerCount('data'), 0)
  await new Promise(resolve => setTimeout(resolve, 20))
})
