import t from 'tap'
import {
  Subscriptions,
  type Subscriber,
  type Interest,
  type SubscriptionsOptions,
} from '../../lib/daemon/subscriptions.ts'
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

t.test('many are told in portions, and in order', async t => {
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
  t.equal(told(), 32, 'each of both changes')
  while (waiting.length > 0) waiting.shift()!()
  for (const { notes } of followers) t.strictSame(notes, ['up :a', 'down :a'])
})

t.test('news are told in portions when most subscribers have gone as well', async t => {
  const waiting: (() => void)[] = []
  const subscriptions = new Subscriptions({ later: work => waiting.push(work) })
  const left = noting()
  subscriptions.follow({}, {}, left)
  const many = {}
  for (let n = 0; n < 64; n++) subscriptions.follow(many, {}, noting())
  for (let n = 0; n < 16_000; n++) subscriptions.tell('down', entry('', 'a'))
  subscriptions.release(many)
  let most = 0
  while (waiting.length > 0) {
    const before = left.notes.length
    waiting.shift()!()
    most = Math.max(most, left.notes.length - before)
  }
  t.equal(left.notes.length, 16_000)
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
  t.strictSame(told, ['up a', 'down b', 'other up a', 'other down b'])
})

/** So many subscribers of one owner, and how often they were told, together; and the turns that wait. */
function many(count: number, { cutOff }: SubscriptionsOptions = {}) {
  const waiting: (() => void)[] = []
  const later = (work: () => void) => waiting.push(work)
  const subscriptions = new Subscriptions({ later, ...(cutOff && { cutOff }) })
  const owner = {}
  const heard = { told: 0, released: 0 }
  const subscriber = { tell: () => heard.told++, released: () => heard.released++ }
  for (let n = 0; n < count; n++) subscriptions.follow(owner, {}, { ...subscriber })
  return { subscriptions, owner, heard, waiting }
}

t.test('an owner with many subscribers makes no other wait', async t => {
  const { subscriptions, heard, waiting } = many(1_000)
  const other = noting()
  subscriptions.follow({}, {}, other)
  for (let n = 0; n < 32; n++) subscriptions.tell('up', entry('', 'a'))
  for (let turn = 0; turn < 2; turn++) waiting.shift()!()
  t.equal(other.notes.length, 32, 'it knows all')
  t.ok(heard.told < 128, 'while they have hardly begun')
  while (waiting.length > 0) waiting.shift()!()
  t.equal(heard.told, 32_000)
  t.equal(other.notes.length, 32)
})

t.test('an owner that is told too late is told no more, and keeps no name from coming', async t => {
  const gone: object[] = []
  const { subscriptions, owner, heard, waiting } = many(64, { cutOff: one => gone.push(one) })
  const other = noting()
  subscriptions.follow({}, {}, other)
  const tell = (count: number) => {
    for (let n = 0; n < count; n++) subscriptions.tell('up', entry('', 'a'))
  }
  tell(300)
  for (let turn = 0; turn < 20; turn++) waiting.shift()!()
  t.equal(other.notes.length, 300)
  t.strictSame(gone, [])
  // Others have come and gone often meanwhile.
  const bystander = noting()
  const stop = subscriptions.follow({}, {}, bystander)
  for (let n = 0; n < 16_384; n++) {
    subscriptions.tell('up', entry('', 'a'))
    if (n % 60 === 0) waiting.shift()!()
  }
  while (waiting.length > 0) waiting.shift()!()
  t.strictSame(gone, [owner])
  t.equal(heard.released, 64)
  t.equal(other.notes.length, 16_684, 'who has little to be told is told all')
  stop()
  t.equal(subscriptions.size, 1)
})

t.test('it is released where nobody is to be told', async t => {
  const { subscriptions, heard, waiting } = many(64)
  for (let n = 0; n < 16_386; n++) subscriptions.tell('up', entry('', 'a'))
  while (waiting.length > 0) waiting.shift()!()
  t.strictSame(heard, { told: 0, released: 64 })
})
