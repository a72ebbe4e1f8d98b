import t from 'tap'
import { Audience, type Follower, type Interest } from '../../lib/daemon/subscriptions.ts'
import type { Entry } from '../../lib/daemon/registry.ts'

const entry = (namespace: string, service: string) => ({ namespace, service }) as Entry

/** A follower that notes what it is told. */
function noting(): Follower & { notes: string[] } {
  const notes: string[] = []
  return {
    notes,
    tell: (change, { namespace, service }) => notes.push(`${change} ${namespace}:${service}`),
    over: () => notes.push('over'),
  }
}

t.test('each is told of what it follows, and of nothing else', async t => {
  const audience = new Audience()
  const cases: [interest: Interest, told: string[]][] = [
    [{}, ['up :a', 'up ns:a', 'up ns:b', 'down :a']],
    [{ namespace: 'ns' }, ['up ns:a', 'up ns:b']],
    [{ namespace: '' }, ['up :a', 'down :a']],
    [{ service: 'a' }, ['up :a', 'up ns:a', 'down :a']],
    [{ namespace: 'ns', service: 'a' }, ['up ns:a']],
    [{ namespace: 'ns', service: 'c' }, []],
    [{ namespace: '', service: 'a', also: ['ns', '', 'ns'] }, ['up :a', 'up ns:a', 'down :a']],
    [{ service: 'b', also: [''] }, ['up ns:b']],
  ]
  const followers = cases.map(([interest]) => {
    const follower = noting()
    audience.follow({}, interest, follower)
    return follower
  })
  audience.tell('up', entry('', 'a'))
  audience.tell('up', entry('ns', 'a'))
  audience.tell('up', entry('ns', 'b'))
  audience.tell('down', entry('', 'a'))
  for (const [at, [interest, told]] of cases.entries()) {
    t.strictSame(followers[at]!.notes, told, JSON.stringify(interest))
  }
})

t.test('whoever stops is told no more, and may stop twice', async t => {
  const audience = new Audience()
  const [owner, one, other] = [{}, noting(), noting()]
  const stop = audience.follow(owner, { service: 'a' }, one)
  const stopOther = audience.follow(owner, { service: 'a' }, other)
  t.equal(audience.size, 2)
  stop()
  stop()
  audience.tell('up', entry('', 'a'))
  t.strictSame([one.notes, other.notes], [[], ['up :a']])
  stopOther()
  t.equal(audience.size, 0)
  audience.tell('up', entry('', 'a'))
  t.equal(other.notes.length, 1)
})

t.test('one that stops when it is told does not keep the others from it', async t => {
  const audience = new Audience()
  const told: number[] = []
  for (const at of [0, 1, 2]) {
    const stop = audience.follow({}, {}, { over: () => {}, tell: () => (told.push(at), stop()) })
  }
  audience.tell('up', entry('', 'a'))
  audience.tell('up', entry('', 'a'))
  t.strictSame(told, [0, 1, 2])
})

t.test('an owner that goes takes all that it follows along, and nothing of others', async t => {
  const audience = new Audience()
  const [owner, one, other] = [{}, noting(), noting()]
  const stop = audience.follow(owner, { service: 'a' }, one)
  audience.follow({}, { service: 'a' }, other)
  audience.release(owner)
  stop()
  audience.release(owner)
  audience.tell('down', entry('', 'a'))
  t.strictSame([one.notes, other.notes], [['over'], ['down :a']])
  t.equal(audience.size, 1)
})

t.test('how much an owner follows is known', async t => {
  const audience = new Audience()
  const owner = {}
  t.equal(audience.held(owner), 0)
  const stop = audience.follow(owner, {}, noting())
  t.equal(audience.held(owner), 1)
  stop()
  t.equal(audience.held(owner), 0)
})

t.test('there are only so many, of one owner and of all', async t => {
  const audience = new Audience({ max: 3, maxOwned: 2 })
  const owner = {}
  const stop = audience.follow(owner, {}, noting())
  audience.follow(owner, {}, noting())
  const full = { code: 'EBUSY', reason: 'ELIMIT' }
  t.throws(() => audience.follow(owner, {}, noting()), { ...full, message: /one connection may/ })
  audience.follow({}, {}, noting())
  t.throws(() => audience.follow({}, {}, noting()), { ...full, message: /all together may/ })
  stop()
  audience.follow({}, {}, noting())
})
