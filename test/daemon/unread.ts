import t from 'tap'
import { Unread } from '../../lib/daemon/unread.ts'
import { far, here } from '../fixtures/peers.ts'

/** Some readers, by name, who are dropped in this order. */
function readers() {
  const dropped: string[] = []
  const reader = (name: string) => ({ drop: () => void dropped.push(name) })
  return { dropped, reader }
}

t.test('who has not read for the longest is dropped, of this host', t => {
  const unread = new Unread({ here: 100, host: 0, remote: 0 })
  const { dropped, reader } = readers()
  const [a, b, c] = [reader('a'), reader('b'), reader('c')]
  unread.note(here(), a, 10)
  unread.note(here(), b, 60)
  unread.note(here(), a, 30)
  t.strictSame(dropped, [])
  unread.note(here(), c, 40)
  t.strictSame(dropped, ['a'], 'it is a, however little it is')
  unread.note(here(), b, 0)
  unread.note(here(), b, 60)
  unread.note(here(), a, 0)
  unread.note(here(), a, 1)
  t.strictSame(dropped, ['a', 'c'], 'who has read in between comes last')
  t.end()
})

t.test('each other host has an account, and all together', t => {
  const unread = new Unread({ here: 0, host: 50, remote: 100 })
  const { dropped, reader } = readers()
  const [a, b, c, d] = [reader('a'), reader('b'), reader('c'), reader('d')]
  const [one, other, third] = [far('192.0.2.7'), far('192.0.2.8'), far('192.0.2.9')]
  unread.note(one, a, 30)
  unread.note(one, b, 30)
  t.strictSame(dropped, ['a'], 'one host has too much')
  unread.note(one, a, 0)
  unread.note(other, c, 50)
  t.strictSame(dropped, ['a'])
  unread.note(third, d, 40)
  t.strictSame(dropped, ['a', 'b'], 'all together have')
  unread.note(one, b, 0)
  t.equal(unread.hosts, 2)
  unread.note(other, c, 0)
  unread.note(third, d, 51)
  t.strictSame(dropped, ['a', 'b', 'd'], 'who alone has too much goes at once')
  t.equal(unread.hosts, 0, 'an account that is empty is none')
  t.end()
})

t.test('addresses of one network are one host', t => {
  const unread = new Unread({ here: 0, host: 50, remote: 100 })
  const { dropped, reader } = readers()
  unread.note(far('2001:db8::1'), reader('a'), 30)
  unread.note(far('2001:db8::2'), reader('b'), 30)
  t.strictSame(dropped, ['a'])
  t.end()
})

t.test('it is told how much is unread', t => {
  const unread = new Unread({ here: 100, host: 50, remote: 70 })
  unread.note(here(), { drop() {} }, 10)
  unread.note(far('192.0.2.7'), { drop() {} }, 30)
  t.strictSame(unread.shares, [
    { of: 'bytes not read by programs of this host', used: 10, most: 100 },
    { of: 'bytes not read by other hosts', used: 30, most: 70 },
  ])
  t.end()
})
