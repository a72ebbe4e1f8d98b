import t from 'tap'
import { Lease } from '../../lib/client/lease.ts'

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
