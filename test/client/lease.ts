import t from 'tap'
import { Hearing, Lease } from '../../lib/client/lease.ts'

t.test('a lease is held from when it is granted until it is over', async t => {
  let over = 0
  const lease = new Lease({ used: () => {} })
  lease.onOver = () => over++
  t.notOk(lease.isHeld)
  lease.grant()
  t.ok(lease.isHeld)
  lease.end()
  t.notOk(lease.isHeld)
  t.equal(over, 1)
  lease.grant()
  t.notOk(lease.isHeld, 'what is over is not granted')
})

t.test('a lease that is over before it is granted is never held', async t => {
  const lease = new Lease({ used: () => {} })
  lease.end()
  lease.grant()
  t.notOk(lease.isHeld)
})

t.test('its connection is told that it is used', async t => {
  let used = 0
  const lease = new Lease({ used: () => used++ })
  lease.use()
  lease.use()
  t.equal(used, 2)
})

/** Lets the loop go round. */
const round = async () => {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
}

/** A hearing with a clock that is set by hand. */
function hearing() {
  const time = { now: 1_000 }
  return { time, hearing: new Hearing(() => time.now) }
}

t.test('nothing is known to have been read before the loop has gone round', async t => {
  const { hearing: one } = hearing()
  t.notOk(one.isRecent())
  await round()
  t.ok(one.isRecent())
})

t.test('what was read is recent for 25 ms, and is then looked after again', async t => {
  const { time, hearing: one } = hearing()
  one.isRecent()
  await round()
  time.now += 25
  t.ok(one.isRecent())
  time.now += 1
  t.notOk(one.isRecent(), 'the loop has not gone round again')
  await round()
  t.ok(one.isRecent())
  time.now += 5
  await round()
  time.now += 21
  t.notOk(one.isRecent(), 'nobody has looked meanwhile')
})

t.test('the time counts from before the loop went round', async t => {
  const { time, hearing: one } = hearing()
  one.isRecent()
  time.now += 26
  await round()
  t.notOk(one.isRecent(), 'it may have been stopped in between')
})

t.test('while it is used it is looked after again and again', async t => {
  const { time, hearing: one } = hearing()
  one.isRecent()
  for (let n = 0; n < 50; n++) {
    await round()
    time.now += 10
    t.ok(one.isRecent())
  }
})

t.test('a doubt stands until the loop has gone round since', async t => {
  const { hearing: one } = hearing()
  one.isRecent()
  await round()
  one.doubt()
  t.notOk(one.isRecent())
  await new Promise(setImmediate)
  one.doubt()
  await round()
  t.notOk(one.isRecent(), 'it had gone round before, in part')
  await round()
  t.ok(one.isRecent())
})
