import t from 'tap'
import { Places } from '../../lib/daemon/places.ts'

t.test('one other host has so many places, whatever its addresses, and all have more', t => {
  const places = new Places({ of: 'seats', host: 2, remote: 3 })
  t.strictSame(places.busiest, [undefined, 0])
  const free = places.take('2001:db8::1')
  places.take('2001:db8::2')
  const full = { code: 'EBUSY', reason: 'ELIMIT' }
  t.throws(() => places.take('2001:db8::3'), {
    ...full,
    message: /2 seats from 2001:db8:0:0 are open/,
  })
  const freeOther = places.take('192.0.2.7')
  t.throws(() => places.take('192.0.2.8'), {
    ...full,
    message: /3 seats from other hosts are open/,
  })
  t.strictSame(places.busiest, ['2001:db8:0:0', 2])
  free()
  freeOther()
  places.take('2001:db8::3')
  places.take('192.0.2.8')
  t.strictSame(places.share, { of: 'seats from other hosts', used: 3, most: 3 })
  t.end()
})
