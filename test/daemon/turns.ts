import t from 'tap'
import { Turns } from '../../lib/daemon/turns.ts'

t.test('who has just asked comes before who has had a turn, and none waits for ever', async t => {
  let time = 0
  const turns = new Turns(() => time)
  const told: string[] = []
  const work = (name: string, ms: number) => () => {
    told.push(name)
    time += ms
  }
  t.equal(turns.isBusy, false)
  turns.waitAgain(work('much', 1))
  turns.waitAgain(work('more', 1))
  turns.wait(work('little', 0))
  t.equal(turns.isBusy, true)
  t.strictSame(told, [], 'what has come is read first')
  await new Promise(setImmediate)
  t.strictSame(told, ['little', 'much', 'more'])
  t.equal(turns.isBusy, false)

  told.length = 0
  for (const name of ['a', 'b', 'c']) turns.wait(work(name, 2))
  for (const name of ['x', 'y']) turns.waitAgain(work(name, 2))
  await new Promise(setImmediate)
  t.strictSame(told, ['a', 'x'], 'a slice is over')
  turns.wait(work('d', 2))
  while (turns.isBusy) await new Promise(setImmediate)
  t.strictSame(told, ['a', 'x', 'b', 'y', 'c', 'd'])
})

t.test('who waits again comes after all others', async t => {
  const turns = new Turns()
  const told: string[] = []
  const again = (name: string, times: number) => () => {
    told.push(name)
    if (times > 1) turns.waitAgain(again(name, times - 1))
  }
  turns.waitAgain(again('a', 3))
  turns.waitAgain(again('b', 2))
  while (turns.isBusy) await new Promise(setImmediate)
  t.strictSame(told, ['a', 'b', 'a', 'b', 'a'])
})

t.test(
  'connections that come one by one are taken before more work is done, but not for ever',
  async t => {
    const turns = new Turns()
    let isDone = false
    turns.waitAgain(() => (isDone = true))
    turns.arrived()
    await new Promise(setImmediate)
    t.notOk(isDone, 'more may wait to be taken')
    await new Promise(setImmediate)
    t.ok(isDone)

    let rounds = 0
    turns.waitAgain(() => {})
    while (turns.isBusy) {
      turns.arrived()
      rounds++
      await new Promise(setImmediate)
    }
    t.equal(rounds, 65)
  },
)
