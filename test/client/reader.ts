import t from 'tap'
import { Backlog } from '../../lib/client/reader.ts'
import type { Listed } from '../../lib/wire/protocol.ts'

const service = (instance: string) => ({ service: 'web', instance }) as Listed
const over = { value: undefined, done: true }

t.test('a reader is told first of what is there, then of what comes and goes', async t => {
  const [a, b] = [service('a'), service('b')]
  const backlog = new Backlog([a], () => {})
  backlog.push('up', b)
  t.match(await backlog.next(), { value: { event: 'up', instance: 'a' } })
  t.match(await backlog.next(), { value: { event: 'up', instance: 'b' } })
  const [third, fourth] = [backlog.next(), backlog.next()]
  backlog.push('down', a)
  backlog.push('down', b)
  t.match(await third, { value: { event: 'down', instance: 'a' }, done: false })
  t.match(await fourth, { value: { event: 'down', instance: 'b' }, done: false })
})

t.test('what has come and gone before it was read is left out', async t => {
  const [a, b] = [service('a'), service('b')]
  const backlog = new Backlog([a, b], () => {})
  t.match(await backlog.next(), { value: { event: 'up', instance: 'a' } })
  for (let times = 0; times < 3; times++) {
    const c = service('c')
    backlog.push('up', c)
    backlog.push('down', c)
  }
  backlog.push('down', b)
  backlog.push('down', a)
  t.match(await backlog.next(), { value: { event: 'down', instance: 'a' } })
  backlog.end()
  t.same(await backlog.next(), over)
})

t.test('what is left can be read after the end, and an error once', async t => {
  const backlog = new Backlog([service('a')], () => {})
  const error = new Error('it is over')
  backlog.end(error)
  backlog.end()
  t.match(await backlog.next(), { value: { instance: 'a' } })
  await t.rejects(backlog.next(), error)
  t.same(await backlog.next(), over)

  const empty = new Backlog([], () => {})
  const waiting = empty.next()
  empty.end()
  t.same(await waiting, over)
})

t.test('a reader that leaves the loop ends the watch', async t => {
  let left = 0
  const backlog = new Backlog([service('a'), service('b')], () => left++)
  for await (const { instance } of backlog) {
    t.equal(instance, 'a')
    break
  }
  t.equal(left, 1)
  t.same(await backlog.next(), over)
})
