import t from 'tap'
import type { Signal } from '../../lib/async.ts'
import { Flight, type Flying } from '../../lib/client/flight.ts'

const same = <T>(answer: T) => answer

t.test('all who join have the answer, each in his turn', async t => {
  let over = 0
  const flight = new Flight(
    async () => [1, 2],
    () => over++,
  )
  const turned = (answer: number[], turn: number) => (turn % 2 ? answer.toReversed() : answer)
  const joined = [flight.join(turned), flight.join(turned)]
  t.equal(over, 0)
  t.strictSame(await Promise.all(joined.map(({ answer }) => answer)), [
    [1, 2],
    [2, 1],
  ])
  t.equal(over, 1)
  for (const { leave } of joined) leave()
  t.equal(over, 1)
})

t.test(
  'a question is given up when all callers have left it, with the reason of the last',
  async t => {
    let over = 0
    let signal!: Signal
    const flight = new Flight<void>(
      flight => {
        signal = flight.signal
        t.equal(flight.signal, signal)
        return new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        })
      },
      () => over++,
    )
    const [first, second] = [flight.join(same), flight.join(same)]
    first.leave(new Error('first'))
    t.equal(over, 0)
    second.leave(new Error('second'))
    t.equal(over, 1, 'nobody can join it any more')
    await t.rejects(second.answer, { message: 'second' })
    t.equal(over, 1)
  },
)

t.test('what cannot be given up goes on by itself', async t => {
  let over = 0
  const flight = new Flight(
    async () => 1,
    () => over++,
  )
  const { answer, leave } = flight.join(same)
  leave()
  t.equal(over, 1)
  t.equal(await answer, 1)
})

t.test('a failure that nobody waits for is no fault', async t => {
  let over = 0
  new Flight(
    () => Promise.reject(new Error('no')),
    () => over++,
  )
  await new Promise(setImmediate)
  t.equal(over, 1)
})

t.test(
  'a hint is told once to each who joins, before or after, and no more once it is over',
  async t => {
    let hint!: (hint: string) => void
    let settle!: (answer: string) => void
    const flight = new Flight<string>(
      flight => {
        hint = found => flight.hint(found)
        return new Promise(resolve => (settle = resolve))
      },
      () => {},
    )
    const heard: string[] = []
    const { answer } = flight.join(same, hint => heard.push(`first ${hint}`))
    hint('one')
    hint('two')
    flight.join(same, hint => heard.push(`second ${hint}`))
    t.strictSame(heard, ['first one', 'second one'])
    settle('done')
    t.equal(await answer, 'done')

    const over = new Flight<string>(
      flight => {
        hint = found => flight.hint(found)
        return Promise.resolve('done')
      },
      () => {},
    )
    const { answer: early } = over.join(same)
    hint('unheard')
    t.equal(await early, 'done')
    hint('late')
    t.equal(heard.length, 2)
  },
)

t.test('each who joins is told when the question leaves, unless it has left', async t => {
  let flying!: Flying<string>
  const flight = new Flight<string>(
    flight => {
      flying = flight
      return new Promise(() => {})
    },
    () => {},
  )
  const early = [flight.join(same), flight.join(same)]
  flying.left()
  for (const { sent } of early) await sent
  t.equal(flight.join(same).sent, undefined)
  flying.left()
})
