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
  for (const name of ['a', 'b', 'c']) turns.wait(work(name, 4))
  for (const name of ['x', 'y']) turns.waitAgain(work(name, 4))
  await new Promise(setImmediate)
  t.strictSame(told, ['a', 'x'], 'a slice is over')
  turns.wait(work('d', 4))
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
    let time = 0
    const turns = new Turns(() => time)
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
      time++
      await new Promise(setImmediate)
    }
    t.equal(rounds, 8)
  },
)

t.test('whatever of one seat waits has one turn while each other has one', async t => {
  const turns = new Turns()
  const told: string[] = []
  const note = (name: string) => () => told.push(name)
  for (const name of ['a1', 'a2', 'a3']) turns.wait(note(name), 'a')
  for (const name of ['b1', 'b2']) turns.wait(note(name), 'b')
  for (const name of ['c1', 'c2']) turns.waitAgain(note(name), 'c')
  turns.waitAgain(note('alone'))
  await new Promise(setImmediate)
  t.strictSame(told, ['a1', 'b1', 'a2', 'b2', 'a3', 'c1', 'alone', 'c2'])
})

t.test('little is served as soon as it is read, and more in its turn', async t => {
  const turns = new Turns()
  for (let served = 0; served < 16; served++) t.ok(turns.takeAtOnce())
  t.notOk(turns.takeAtOnce(), 'as much may have come in this round of the loop')
  await new Promise(setImmediate)
  t.ok(turns.takeAtOnce())

  const may: boolean[] = []
  turns.wait(() => may.push(turns.takeAtOnce()))
  t.notOk(turns.takeAtOnce(), 'another waits')
  await new Promise(setImmediate)
  t.strictSame(may, [true], 'who has its turn need not wait for another')
})

t.test('what work sets off in promises is a part of its turn', async t => {
  let time = 0
  const turns = new Turns(() => time)
  const told: string[] = []
  for (const name of ['a', 'b']) {
    turns.wait(() => {
      told.push(name)
      void Promise.resolve().then(() => (time += 4))
    })
  }
  await new Promise(setImmediate)
  t.strictSame(told, ['a'])
  await new Promise(setImmediate)
  t.strictSame(told, ['a', 'b'])
})
