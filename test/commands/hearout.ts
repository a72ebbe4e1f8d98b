import { PassThrough } from 'node:stream'
import { EventEmitter } from 'node:events'
import { test } from 'tap'
import { hearOut } from '../../lib/commands/hearout.ts'

/** Stands for a socket whose other side has ended. */
class Half extends EventEmitter {
  writableNeedDrain = false
}

/** How long a pause is, in ms: more than a busy machine takes between two lines. */
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
