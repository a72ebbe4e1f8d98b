import t from 'tap'
import { Queue } from '../../lib/promises/queue.ts'

t.test('values are taken in order, by takers in order', async t => {
  const queue = new Queue<number>(2)
  t.ok(queue.push(1))
  t.ok(queue.push(2))
  t.notOk(queue.push(3), 'no more than two wait')
  t.equal(await queue.take(), 1)
  t.equal(await queue.take(), 2)
  const waiting = [queue.take(), queue.take()]
  for (const value of [4, 5]) queue.push(value)
  t.same(await Promise.all(waiting), [4, 5])
})

t.test('after the end comes what waited, and then nothing', async t => {
  const queue = new Queue<number>(2)
  queue.push(1)
  queue.end()
  queue.end(new Error('too late'))
  t.notOk(queue.push(2))
  t.same([await queue.take(), await queue.take()], [1, null])

  const empty = new Queue<number>(2)
  const waiting = empty.take()
  empty.end()
  t.equal(await waiting, null)
})

t.test('an end by an error fails every taker', async t => {
  const queue = new Queue<number>(2)
  const waiting = queue.take()
  const error = new Error('ended')
  queue.end(error)
  await t.rejects(waiting, error)
  await t.rejects(queue.take(), error)
})

t.test('a taker that gives up takes nothing', async t => {
  const queue = new Queue<number>(2)
  const reason = new Error('changed my mind')
  await t.rejects(queue.take(AbortSignal.abort(reason)), reason)
  const controller = new AbortController()
  const first = queue.take(controller.signal)
  const second = queue.take(new AbortController().signal)
  controller.abort(reason)
  await t.rejects(first, reason)
  queue.push(1)
  t.equal(await second, 1)
})

t.test('a failure is told once, and is no end', async t => {
  const queue = new Queue<number>(2)
  const error = new Error('for once')
  const waiting = [queue.take(), queue.take()]
  queue.fail(error)
  await t.rejects(waiting[0]!, error)
  queue.push(1)
  t.equal(await waiting[1]!, 1)
  queue.push(2)
  queue.fail(error)
  queue.fail(new Error('another'))
  t.equal(await queue.take(), 2, 'what had come before comes first')
  await t.rejects(queue.take(), error)
  queue.push(3)
  t.equal(await queue.take(), 3)
  queue.end()
  queue.fail(error)
  t.equal(await queue.take(), null)
})

t.test('a taker that gives up when its value has just come has it', async t => {
  const queue = new Queue<number>(2)
  const controller = new AbortController()
  const [first, second] = [queue.take(controller.signal), queue.take()]
  queue.push(1)
  controller.abort()
  queue.push(2)
  t.same(await Promise.all([first, second]), [1, 2])
})
