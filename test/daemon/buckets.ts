import fc from 'fast-check'
import t from 'tap'
import { Bucket, Buckets } from '../../lib/daemon/buckets.ts'

/** The number of tokens that are taken when so many are asked for. */
function taken(bucket: { take: () => boolean }, asked: number): number {
  return Array.from({ length: asked }, () => bucket.take()).filter(Boolean).length
}

t.test('a bucket gives its burst, and then so much a second', async t => {
  let now = 0
  const bucket = new Bucket({ perSecond: 10, burst: 5 }, () => now)
  t.equal(taken(bucket, 9), 5)
  now += 99
  t.equal(taken(bucket, 1), 0, 'not yet')
  now += 1
  t.equal(taken(bucket, 2), 1)
  now += 300
  t.equal(taken(bucket, 9), 3)
  now += 3_600_000
  t.equal(taken(bucket, 9), 5, 'and no more than its burst after however long')
})

t.test('a bucket that is not empty does not look at the clock', async t => {
  let looks = 0
  const bucket = new Bucket({ perSecond: 1, burst: 1_000 }, () => looks++)
  taken(bucket, 1_000)
  t.equal(looks, 1)
})

t.test('whatever the pace, no more is given than twice the burst and the rate', async () => {
  const waits = fc.array(fc.nat(500), { minLength: 1, maxLength: 200 })
  fc.assert(
    fc.property(waits, fc.integer({ min: 1, max: 100 }), (waits, perSecond) => {
      let now = 0
      const bucket = new Bucket({ perSecond, burst: 20 }, () => now)
      let given = 0
      for (const wait of waits) {
        now += wait
        given += taken(bucket, 30)
      }
      return given <= 2 * 20 + (now / 1_000) * perSecond
    }),
  )
})

t.test('each key has a bucket of its own', async t => {
  const buckets = new Buckets({ perSecond: 0, burst: 2 })
  t.strictSame(
    ['a', 'a', 'a', 'b', 'b', 'b'].map(key => buckets.take(key)),
    [true, true, false, true, true, false],
  )
})

t.test('there are so many buckets and no more', async t => {
  const buckets = new Buckets({ perSecond: 0, burst: 1 }, { max: 2, now: () => 0 })
  for (const key of ['a', 'b', 'c']) t.ok(buckets.take(key))
  t.equal(buckets.size, 2)
  t.notOk(buckets.take('b'), 'the newer are remembered')
  t.ok(buckets.take('a'), 'the oldest is not')
})

t.test('the clock is that of the process, unless told otherwise', async t => {
  t.ok(new Bucket({ perSecond: 1, burst: 1 }).take())
  t.ok(new Buckets({ perSecond: 1, burst: 1 }).take('a'))
})
