import t from 'tap'
import { Cache } from '../lib/cache.ts'

t.test('what is remembered is known until its time is over', async t => {
  let now = 1_000
  const cache = new Cache<string>({ now: () => now / 1e3 })
  t.equal(cache.get('a'), undefined)
  cache.set('a', 'one', 100)
  now += 99
  t.same(cache.get('a'), { value: 'one', age: 99 })
  now += 1
  t.equal(cache.get('a'), undefined)

  cache.set('a', 'two', 100)
  cache.set('a', 'three', 0)
  t.equal(cache.get('a'), undefined, 'for no time at all')
  cache.set('a', 'four', 100)
  cache.delete('a')
  t.equal(cache.get('a'), undefined)
})

t.test('the oldest goes first', async t => {
  const cache = new Cache<number>({ max: 2 })
  cache.set('a', 1, 60_000)
  cache.set('b', 2, 60_000)
  cache.set('a', 3, 60_000)
  cache.set('c', 4, 60_000)
  t.match([cache.get('a')?.value, cache.get('b'), cache.get('c')?.value], [3, undefined, 4])
  t.ok(cache.get('a')!.age >= 0, 'by a clock of its own')
})
