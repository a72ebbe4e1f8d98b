import t from 'tap'
import { Quota } from '../../lib/daemon/quota.ts'
import { Registry } from '../../lib/daemon/registry.ts'
import { offer } from '../fixtures/offers.ts'

/** A registry with a quota of names, which is checked before each name. */
function shared({ max = 3, few = 0 } = {}) {
  const registry: Registry = new Registry((change, { owner }) =>
    quota.count(owner, change === 'up' ? 1 : -1),
  )
  const held = (owner: object) => registry.held(owner)
  const quota = new Quota({
    of: 'names',
    max,
    held,
    all: () => registry.size,
    isFree: owner => held(owner) < few,
  })
  let last = 0
  const take = (owner: object) => {
    quota.check(owner)
    return registry.register(owner, offer({ service: `s${last++}` })).registration
  }
  return { registry, quota, take }
}

const owner = (uid?: number) => ({ uid })

t.test('a user may hold so many names and no more, on whichever connections', t => {
  const { registry, quota, take } = shared()
  const [one, other, stranger] = [owner(7), owner(7), owner(8)]
  for (const each of [one, other, stranger]) quota.found(each, each.uid)
  const first = take(one)
  take(one)
  take(other)
  for (const each of [one, other]) {
    t.throws(() => take(each), {
      code: 'EBUSY',
      reason: 'ELIMIT',
      message: /user 7 may hold 3 names/,
    })
  }
  t.ok(take(stranger), 'another user may')
  registry.unregister(one, first)
  t.ok(take(other), 'and this one for a name that it lets go')
  registry.release(one)
  registry.release(other)
  t.equal(quota.held(7), 0)
  t.end()
})

t.test('root may hold all', t => {
  const { quota, take } = shared({ max: 1 })
  const root = owner(0)
  quota.found(root, 0)
  take(root)
  t.ok(take(root))
  t.end()
})

t.test('users that cannot be known have one share', t => {
  const { quota, take } = shared({ max: 1 })
  const [one, other] = [owner(), owner()]
  for (const each of [one, other]) quota.found(each, undefined)
  take(one)
  t.throws(() => take(other), {
    reason: 'ELIMIT',
    message: /users that cannot be known may hold 1/,
  })
  t.end()
})

t.test('a user is looked for once, when a connection has more than a few names', t => {
  const { quota, take } = shared({ max: 48, few: 2 })
  const one = owner(7)
  t.equal(quota.asks(one), undefined)
  take(one)
  t.equal(quota.asks(one), undefined)
  take(one)
  t.equal(quota.asks(one), 'soon')
  t.equal(quota.asks(one), undefined)
  quota.found(one, 7)
  t.equal(quota.asks(one), undefined)
  t.equal(quota.held(7), 2, 'what it had counts')
  quota.found(one, 7)
  t.equal(quota.held(7), 2, 'and counts once')
  t.end()
})

t.test('it is waited for where all together have as much as a user may have', t => {
  const { quota, take } = shared({ max: 1 })
  const one = owner(7)
  t.equal(quota.asks(one), 'soon', 'where a share is small it is looked for before the first')
  take(one)
  t.equal(quota.asks(one), 'first')
  t.equal(quota.asks(owner(8)), 'first')
  quota.found(one, 7)
  t.equal(quota.asks(one), undefined)
  t.end()
})

t.test('the user that has most of its share is known, and root has none', t => {
  const { quota, take } = shared({ max: 9 })
  t.equal(quota.share, undefined)
  const owners = [owner(0), owner(7), owner(8), owner()]
  for (const each of owners) quota.found(each, each.uid)
  const [root, one, other, nobody] = owners as [object, object, object, object]
  for (const each of [root, root, root, root, one, other, other, one, other]) take(each)
  t.strictSame(quota.share, { of: 'names of user 8', used: 3, most: 9 })
  for (let names = 0; names < 4; names++) take(nobody)
  t.match(quota.share, { of: 'names of users that cannot be known', used: 4 })
  t.end()
})
