import t from 'tap'
import { occurrences, ranges } from '../../benchmarks/besieger.ts'
import { numbersIn } from '../../benchmarks/cores.ts'
import { atPace } from '../../benchmarks/honest.ts'
import { marks } from '../../benchmarks/siege.ts'
import { isRange } from '../../lib/version.ts'

t.test('the processors of a process are numbers in a list', async t => {
  t.strictSame(numbersIn('0'), [0])
  t.strictSame(numbersIn('0-2,8,10-11'), [0, 1, 2, 8, 10, 11])
})

t.test('a task that fails counts as one that never ends', async t => {
  const times = Array.from({ length: 98 }, (_, at) => at)
  t.strictSame(marks({ times, failures: [] }), { p50: 49, p99: 97, worst: 97 })
  const failures = ['ETIMEDOUT', 'EBUSY']
  t.strictSame(marks({ times, failures }), { p50: 50, p99: Infinity, worst: Infinity })
})

t.test('tasks begin at a steady pace, whether or not those before are done', async t => {
  let begun = 0
  let release = () => {}
  const all = new Promise<void>(resolve => (release = resolve))
  const task = () => {
    if (++begun === 5) release()
    return all
  }
  const { times, failures } = await atPace(task, 50, 10)
  t.equal(times.length, 5)
  t.strictSame(failures, [])
  t.ok(
    times[0]! > times[4]! + 30,
    'each is timed from when it was due, and none is done before the last has begun',
  )

  const failing = async () => {
    throw Object.assign(new Error('no'), begun++ % 2 ? {} : { code: 'EBUSY' })
  }
  const found = await atPace(failing, 20, 10)
  t.strictSame([found.times, found.failures.toSorted()], [[], ['EBUSY', 'no']])
})

t.test('what a besieger sends is long, and what comes back is counted', async t => {
  const all = ranges(1_000)
  t.equal(new Set(all).size, 1_000)
  for (const range of all) {
    t.ok(isRange(range), range)
    t.ok(range.length > 110 && range.length <= 126, range)
  }
  t.equal(occurrences(Buffer.from('{"error":1}\n{}\n{"error":2}'), '"error":'), 2)
  t.equal(occurrences(Buffer.from(''), '\n'), 0)
})
