import t from 'tap'
import { Flight } from '../lib/flight.ts'

const same = <T>(answer: T) => answer

t.test('all who join have the answer, each in his turn', async t => {
  const flight = new Flight(async () => [1, 2])
  const turned = (answer: number[], turn: number) => (turn % 2 ? answer.toReversed() : answer)
  const joined = [flight.join(turned), flight.join(turned)]
  t.notOk(flight.isOver)
  t.strictSame(await Promise.all(joined.map(({ answer }) => answer)), [
    [1, 2],
    [2, 1],
  ])
  t.ok(flight.isOver)
  for (const { leave } of joined) leave()
})

t.test('it is given up when all have left it, with the reason of the last', async t => {
  let signal!: AbortSignal
  const flight = new Flight<void>(get => {
    signal = get()
    t.equal(get(), signal)
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error))
    })
  })
  const [first, second] = [flight.join(same), flight.join(same)]
  first.leave(new Error('first'))
  t.notOk(flight.isOver)
  second.leave(new Error('second'))
  t.ok(flight.isOver, 'nobody can join it any more')
  await t.rejects(second.answer, { message: 'second' })
})

t.test('what cannot be given up goes on by itself', async t => {
  const flight = new Flight(async () => 1)
  const { answer, leave } = flight.join(same)
  leave()
  t.ok(flight.isOver)
  t.equal(await answer, 1)
})

t.test('a failure that nobody waits for is no fault', async t => {
  const flight = new Flight(() => Promise.reject(new Error('no')))
  await new Promise(setImmediate)
  t.ok(flight.isOver)
})
