import t from 'tap'
import { Gateways } from '../../lib/daemon/gateways.ts'

const at = (port: number, uid?: number) => ({
  address: '127.0.0.1',
  port,
  ...(uid !== undefined && { uid }),
})
const isRoot = (uid: number | undefined) => uid === 0

t.test('a program is told the gateways of its own user, or else those that all trust', async t => {
  const gateways = new Gateways()
  const [ours, roots] = [{}, {}]
  t.strictSame(gateways.for(7, isRoot), [])
  gateways.add(roots, at(1, 0))
  gateways.add({}, at(2, 8))
  gateways.add({}, at(3))
  t.strictSame(gateways.for(7, isRoot), [at(1, 0)])
  gateways.add(ours, at(4, 7))
  t.strictSame(gateways.for(7, isRoot), [at(4, 7)])
  t.strictSame(gateways.for(undefined, isRoot), [at(1, 0)])
  t.strictSame(
    gateways.for(undefined, uid => uid === undefined),
    [at(3)],
    'where the policy says so',
  )
  t.strictSame(gateways.all, [at(1, 0), at(2, 8), at(3), at(4, 7)])
  t.ok(gateways.has(ours))
  gateways.release(ours)
  gateways.release(ours)
  t.notOk(gateways.has(ours))
  t.strictSame(gateways.for(7, isRoot), [at(1, 0)])
})

t.test('there are only so many: of a connection, of a user, and in all', async t => {
  const gateways = new Gateways()
  const owner = {}
  const full = (message: RegExp) => ({ code: 'EBUSY', reason: 'ELIMIT', message })
  gateways.add(owner, at(1, 0))
  t.throws(() => gateways.add(owner, at(2, 0)), full(/one connection may have 1 gateway/))
  for (const uid of [undefined, 7, 8]) {
    for (let n = 0; n < 16; n++) gateways.add({}, at(n + 1, uid))
    t.throws(() => gateways.add({}, at(17, uid)), full(/one user may have 16 gateways/))
  }
  t.equal(gateways.for(7, isRoot).length, 16)
  for (let n = 1; n < 16; n++) gateways.add({}, at(n, 0))
  t.throws(() => gateways.add({}, at(1, 9)), full(/there may be 64 gateways/))
  gateways.release(owner)
  gateways.add({}, at(1, 9))
  t.equal(gateways.for(1, () => true).length, 16, 'an answer is one line')
})
