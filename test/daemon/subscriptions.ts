import t from 'tap'
import { Subscriptions, type Subscriber, type Interest } from '../../lib/daemon/subscriptions.ts'
import type { Entry } from '../../lib/daemon/registry.ts'

const entry = (namespace: string, service: string) => ({ namespace, service }) as Entry

/** A follower that notes what it is told. */
function noting(): Subscriber & { notes: string[] } {
  const notes: string[] = []
  return {
    notes,
    tell: (change, { namespace, service }) => notes.push(`${change} ${namespace}:${service}`),
    released: () => notes.push('over'),
  }
}

t.test('each is told of what it follows, and of nothing else', async t => {
  const subscriptions = new Subscriptions()
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
    subscriptions.follow({}, interest, follower)
    return follower
  })
  subscriptions.tell('up', entry('', 'a'))
  subscriptions.tell('up', entry('ns', 'a'))
  subscriptions.tell('up', entry('ns', 'b'))
  subscriptions.tell('down', entry('', 'a'))
  for (const [at, [interest, told]] of cases.entries()) {
    t.strictSame(followers[at]!.notes, told, JSON.stringify(interest))
  }
})

t.test('a subscriber that stops is told no more, and may stop twice', async t => {
  const subscriptions = new Subscriptions()
  const [owner, one, other] = [{}, noting(), noting()]
  const stop = subscriptions.follow(owner, { service: 'a' }, one)
  const stopOther = subscriptions.follow(owner, { service: 'a' }, other)
  t.equal(subscriptions.size, 2)
  stop()
  stop()
  subscriptions.tell('up', entry('', 'a'))
  t.strictSame([one.notes, other.notes], [[], ['up :a']])
  stopOther()
  t.equal(subscriptions.size, 0)
  subscriptions.tell('up', entry('', 'a'))
  t.equal(other.notes.length, 1)
})

t.test('a subscriber that stops when it is told does not keep the news from others', async t => {
  const subscriptions = new Subscriptions()
  const told: number[] = []
  for (const at of [0, 1, 2]) {
    const stop = subscriptions.follow(
      {},
      {},
      { released: () => {}, tell: () => (told.push(at), stop()) },
    )
  }
  subscriptions.tell('up', entry('', 'a'))
  subscriptions.tell('up', entry('', 'a'))
  t.strictSame(told, [0, 1, 2])
})

t.test('an owner that goes takes all that it follows along, and nothing of others', async t => {
  const subscriptions = new Subscriptions()
  const [owner, one, other] = [{}, noting(), noting()]
  const stop = subscriptions.follow(owner, { service: 'a' }, one)
  subscriptions.follow({}, { service: 'a' }, other)
  subscriptions.release(owner)
  stop()
  subscriptions.release(owner)
  subscriptions.tell('down', entry('', 'a'))
  t.strictSame([one.notes, other.notes], [['over'], ['down :a']])
  t.equal(subscriptions.size, 1)
})

t.test('how much an owner follows is known', async t => {
  const subscriptions = new Subscriptions()
  const owner = {}
  t.equal(subscriptions.count(owner), 0)
  const stop = subscriptions.follow(owner, {}, noting())
  t.equal(subscriptions.count(owner), 1)
  stop()
  t.equal(subscriptions.count(owner), 0)
})

t.test('there are only so many, of one owner and of all', async t => {
  const subscriptions = new Subscriptions({ max: 3, maxOwned: 2 })
  const owner = {}
  const stop = subscriptions.follow(owner, {}, noting())
  subscriptions.follow(owner, {}, noting())
  const full = { code: 'EBUSY', reason: 'ELIMIT' }
  t.throws(() => subscriptions.follow(owner, {}, noting()), {
    ...full,
    message: /one connection may/,
  })
  subscriptions.follow({}, {}, noting())
  t.throws(() => subscriptions.follow({}, {}, noting()), { ...full, message: /all together may/ })
  stop()
  subscriptions.follow({}, {}, noting())
})

t.test('many are told in portions, in order, and a name too many is refused', async t => {
  const waiting: (() => void)[] = []
  const subscriptions = new Subscriptions({ later: work => waiting.push(work) })
  const followers = Array.from({ length: 200 }, () => {
    const follower = noting()
    subscriptions.follow({}, { service: 'a' }, follower)
    return follower
  })
  const other = noting()
  subscriptions.follow({}, { service: 'b' }, other)
  subscriptions.tell('up', entry('', 'a'))
  subscriptions.tell('down', entry('', 'a'))
  subscriptions.tell('up', entry('', 'b'))
  t.strictSame(other.notes, ['up :b'], 'others are told at once')
  const told = () => followers.filter(({ notes }) => notes.length > 0).length
  t.equal(told(), 0)
  waiting.shift()!()
  t.equal(told(), 64)
  while (waiting.length > 0) waiting.shift()!()
  for (const { notes } of followers) t.strictSame(notes, ['up :a', 'down :a'])

  for (let n = 0; n < 1_024; n++) {
    subscriptions.assertRoom(entry('', 'a'))
    subscriptions.tell('up', entry('', 'a'))
  }
  t.throws(() => subscriptions.assertRoom(entry('ns', 'a')), { code: 'EBUSY' })
  subscriptions.assertRoom(entry('', 'b'))
})

t.test('news are told in portions when most subscribers have gone as well', async t => {
  const waiting: (() => void)[] = []
  const subscriptions = new Subscriptions({ later: work => waiting.push(work) })
  const left = noting()
  subscriptions.follow({}, {}, left)
  const many = {}
  for (let n = 0; n < 64; n++) subscriptions.follow(many, {}, noting())
  for (let n = 0; n < 20_000; n++) subscriptions.tell('down', entry('', 'a'))
  subscriptions.release(many)
  let most = 0
  while (waiting.length > 0) {
    const before = left.notes.length
    waiting.shift()!()
    most = Math.max(most, left.notes.length - before)
  }
  t.equal(left.notes.length, 20_000)
  t.ok(most <= 64, `${most} in one turn`)
})

t.test('by default all are told at once, however many they are', async t => {
  const subscriptions = new Subscriptions()
  const followers = Array.from({ length: 200 }, () => {
    const follower = noting()
    subscriptions.follow({}, {}, follower)
    return follower
  })
  subscriptions.tell('up', entry('', 'a'))
  for (const { notes } of followers) t.strictSame(notes, ['up :a'])
})

t.test('a change that comes of another is told after it', async t => {
  const subscriptions = new Subscriptions()
  const told: string[] = []
  subscriptions.follow(
    {},
    {},
    {
      tell(change, { service }) {
        told.push(`${change} ${service}`)
        if (service === 'a') subscriptions.tell('down', entry('', 'b'))
      },
      released() {},
    },
  )
  subscriptions.follow(
    {},
    {},
    {
      tell: (change, { service }) => told.push(`other ${change} ${service}`),
      released() {},
    },
  )
  subscriptions.tell('up', entry('', 'a'))
  t.strictSame(told, ['up a', 'other up a', 'down b', 'other down b'])
})
