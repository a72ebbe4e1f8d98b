import t from 'tap'
import { persist, rested } from '../lib/retry.ts'
import { active } from './fixtures/active.ts'
import { awake } from './fixtures/awake.ts'

/** Fails `times` times, and notes what it was told was left. */
function failing(times: number) {
  const lefts: number[] = []
  const attempt = async (left: number) => {
    lefts.push(left)
    if (lefts.length <= times) throw new Error(`failure ${lefts.length}`)
    return 'done'
  }
  return { attempt, lefts }
}

t.test('what fails is tried again, and told how much time is left', async t => {
  const { attempt, lefts } = failing(3)
  t.equal(await persist(attempt, 60_000, { first: 1, longest: 2 }), 'done')
  t.equal(lefts.length, 4)
  t.equal(lefts[0], 60_000)
  t.ok(lefts.every((left, at) => at === 0 || left <= lefts[at - 1]!))
})

t.test('what never goes well fails with its last failure, tried at the very end', async t => {
  const { attempt, lefts } = failing(Infinity)
  const started = performance.now()
  await t.rejects(persist(attempt, 20, { first: 5 }), /failure \d/)
  t.ok(performance.now() - started >= 19)
  t.strictSame(
    lefts,
    lefts.toSorted((one, other) => other - one),
    'each has less time left',
  )
})

t.test('what another try cannot mend is not tried again', async t => {
  const { attempt, lefts } = failing(Infinity)
  const worth = (error: unknown) => (error as Error).message !== 'failure 2'
  await t.rejects(persist(attempt, 60_000, { first: 1, worth }), { message: 'failure 2' })
  t.equal(lefts.length, 2)
})

t.test('it can be given up, in a try and in a pause', async t => {
  const reason = new Error('enough')
  const controller = new AbortController()
  const { signal } = controller
  const attempt = async () => {
    controller.abort(reason)
    throw new Error('another')
  }
  await t.rejects(persist(attempt, 60_000, { signal }), reason)

  const later = new AbortController()
  const pausing = persist(
    async () => {
      setImmediate(() => later.abort(reason))
      throw new Error('another')
    },
    60_000,
    { first: 60_000, longest: 60_000, signal: later.signal },
  )
  await t.rejects(pausing, reason)
  await t.rejects(rested(60_000, signal), reason)
  await rested(1, undefined)
})

t.test('a quiet one keeps nothing alive in its pauses', async t => {
  awake(t)
  const before = active('Timeout')
  let tries = 0
  const attempt = () =>
    ++tries < 2 ? Promise.reject(new Error('not yet')) : Promise.resolve('made')
  const made = persist(attempt, 60_000, { first: 50, quiet: true })
  await new Promise(setImmediate)
  t.equal(active('Timeout'), before)
  t.equal(await made, 'made')
})
