import type { Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { Descriptors, descriptorsOf, limitOf, reserveOf } from '../../lib/node/descriptors.ts'

t.test('a limit is the soft one of the kernel’s table, and none is infinite', t => {
  const dir = t.testdir({
    limits: [
      'Limit                     Soft Limit           Hard Limit           Units     ',
      'Max open files            1024                 524288               files     ',
      'Max address space         unlimited            unlimited            bytes     ',
    ].join('\n'),
  })
  const file = join(dir, 'limits')
  t.equal(limitOf('open files', file), 1_024)
  t.equal(limitOf('address space', file), Infinity)
  t.equal(limitOf('open files', join(dir, 'none')), Infinity, 'where no such table is')
  t.end()
})

t.test('the descriptors of a process are told, where they may be known', t => {
  const limits = 'Max open files            1024                 524288               files     '
  const folder = t.testdir({ 7: { fd: { 0: '', 1: '', 2: '' }, limits }, 8: { limits } })
  t.strictSame(descriptorsOf(7, folder), { open: 3, most: 1_024 })
  t.equal(descriptorsOf(8, folder), undefined, 'of another user')
  if (process.platform === 'linux')
    t.match(descriptorsOf(process.pid), { open: Number, most: Number })
  t.end()
})

t.test('an eighth of the descriptors is kept, of many 2,048', t => {
  t.strictSame([64, 1_024, 524_288, Infinity].map(reserveOf), [8, 128, 2_048, 2_048])
  t.end()
})

const numbered = (fd: number) => ({ _handle: { fd } }) as unknown as Socket

t.test('connections may have all descriptors but the reserve', t => {
  const some = new Descriptors(64)
  const are = (fd: number, open: number) => some.areScarce(numbered(fd), open)
  t.equal(are(55, 25), false)
  t.equal(are(56, 26), true, 'the first of the reserve')
  t.equal(are(40, 26), true, 'one that has gone left its number')
  t.equal(are(40, 25), false, 'one has gone that nobody had to go for')
  t.equal(are(41, 26), true)
  t.equal(are(29, 26), false, 'the program itself has closed many')
  t.equal(are(55, 50), false)
  t.end()
})

t.test('where no limit is told, none is seen', t => {
  t.equal(new Descriptors(Infinity).areScarce(numbered(1_000_000), 16_384), false)
  t.equal(new Descriptors().areScarce(numbered(7), 0), false, 'nor is the default one reached')
  t.end()
})
