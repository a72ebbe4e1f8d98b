import t from 'tap'
import { isLong, listing, portionOf, type Told } from '../../lib/daemon/listing.ts'
import type { Answer } from '../../lib/wire/protocol.ts'

/** So many names, of which every other is told. */
function* told(count: number): Generator<Answer | undefined, void> {
  for (let n = 0; n < count; n++) yield n % 2 === 0 ? { n } : undefined
}

t.test('a short list is an array', async t => {
  t.strictSame(listing(told(3)), { services: [{ n: 0 }, { n: 2 }] })
  t.notOk(isLong(listing(told(0))))
  t.notOk(isLong({ names: 1 }))
})

t.test('a long one is walked in portions, none of them long', async t => {
  const answer = listing(told(1_000))
  if (!isLong(answer)) return t.fail('it is short')
  const sizes: number[] = []
  const all: unknown[] = []
  for (let isLast = false; !isLast;) {
    const portion = portionOf(answer.services as Told)
    isLast = portion.isLast
    sizes.push(portion.services.length)
    all.push(...portion.services)
  }
  t.ok(sizes.every(size => size <= 64))
  t.strictSame(
    all,
    Array.from({ length: 500 }, (_, n) => ({ n: n * 2 })),
  )
})
