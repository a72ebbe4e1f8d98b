import t from 'tap'
import { local } from '../../lib/daemon/answer.ts'
import { chain, type Owner, type Peer } from '../../lib/daemon/chain.ts'
import { LatestBounds, Limits, type LimitsOptions } from '../../lib/daemon/limits.ts'
import { Subscriptions } from '../../lib/daemon/subscriptions.ts'
import { Registry } from '../../lib/daemon/registry.ts'
import { question, type Answer, type Question } from '../../lib/wire/protocol.ts'
import { far, here as program, silent } from '../fixtures/peers.ts'

const here = program()
const status: Question = { op: 'status' }

/** A peer on another host. */
const at = (address: string): Peer => {
  const { owner: _, ...peer } = far(address)
  return peer
}

const register = (service = 'a') =>
  question({ id: 1, op: 'register', service, transport: 'tcp', port: 80 })

/** Limits before a registry, and a clock that stands. */
function limited(given: LimitsOptions = {}) {
  const registry = new Registry()
  const world = { now: 0 }
  const limits = new Limits(registry, { now: () => world.now, ...given })
  const handle = chain(
    limits.step,
    local(registry, {
      generation: 36,
      ttl: 1,
      status: () => ({ ok: true }),
      limit: owner => limits.checkNames(owner),
    }),
  ) as (question: Question, peer: Peer) => Answer
  return { limits, handle, world }
}

t.test('one connection may hold so many names and no more', async t => {
  const { handle } = limited({ names: 2 })
  const other = { ...here, owner: silent() }
  const { registration } = handle(register('a'), here)
  handle(register('b'), here)

  t.throws(() => handle(register('c'), here), {
    code: 'EBUSY',
    reason: 'ELIMIT',
    message: /one connection may hold 2 names/,
  })
  t.ok(handle(register('c'), other), 'another may')
  t.ok(handle(status, here), 'and the first may still ask')
  handle({ op: 'unregister', registration: registration as number }, here)
  t.ok(handle(register('d'), here), 'and take another for one it lets go')
})

t.test('no more are had by asking for many before it is known whose they are', async t => {
  const registry = new Registry()
  const limits = new Limits(registry, { names: 2 })
  const handle = chain(
    limits.step,
    async (_question, _peer, next) => {
      await new Promise(setImmediate)
      return next()
    },
    local(registry, {
      generation: 36,
      ttl: 1,
      status: () => ({}),
      limit: owner => limits.checkNames(owner),
    }),
  )
  const asked = ['a', 'b', 'c', 'd'].map(async name => handle(register(name), here))
  const ended = await Promise.allSettled(asked)
  t.match(
    ended.map(({ status }) => status),
    ['fulfilled', 'fulfilled', 'rejected', 'rejected'],
  )
})

t.test('a name that is reserved counts as one that is held', async t => {
  const { handle } = limited({ names: 1 })
  const reserve = (service: string) =>
    question({ id: 1, op: 'reserve', service, transport: 'tcp', reservation: 'x'.repeat(16) })
  handle(reserve('a'), here)
  for (const refused of [reserve('b'), register('b')]) {
    t.throws(() => handle(refused, here), { code: 'EBUSY', reason: 'ELIMIT' })
  }
})

t.test('all together may hold so many names and no more', async t => {
  const { handle } = limited({ allNames: 1 })
  handle(register('a'), here)
  t.throws(() => handle(register('b'), { ...here, owner: silent() }), {
    reason: 'ELIMIT',
    message: /1 names are held/,
  })
})

t.test('it is told what is used of each bound, and which other host uses most', t => {
  const { limits, handle } = limited({ connections: 8, hostConnections: 3, allNames: 9 })
  const used = (of: string, used: number, most: number) => ({ of, used, most })
  const [all, others, names] = ['connections', 'connections from other hosts', 'names']
  const rest = [...limits.unread.shares, used('questions and watches from other hosts', 0, 32_768)]
  const none = [used(all!, 0, 8), used(others!, 0, 4), used(names!, 0, 9)]
  t.strictSame(limits.shares, [...none, ...rest])
  handle(register(), here)
  const leave = ['192.0.2.1', '192.0.2.2', '192.0.2.2', '192.0.2.1', '192.0.2.2'].map(address => {
    try {
      return limits.enter(at(address))
    } catch {
      return () => {}
    }
  })
  limits.enter(here)
  limits.found(here.owner!, 7)
  const most = (host: string, count: number) => used(`connections from ${host}`, count, 3)
  t.strictSame(limits.shares, [
    used(all!, 5, 8),
    used(others!, 4, 4),
    most('192.0.2.1', 2),
    used(names!, 1, 9),
    used('names of user 7', 1, 5),
    ...rest,
  ])
  leave[0]!()
  t.strictSame(limits.shares[2], most('192.0.2.2', 2))
  t.end()
})

/** Limits to questions that are held and watches, sixteen in all, and what asks for one. */
function followed() {
  const subscriptions: Subscriptions = new Subscriptions({
    max: 16,
    enter: owner => limits.follow(owner),
  })
  const limits = new Limits(new Registry(), {}, subscriptions)
  const follow = (owner: Partial<Owner>) =>
    subscriptions.follow(owner, {}, { tell() {}, released() {} })
  const take = (owner: Partial<Owner>, count: number) => {
    for (let taken = 0; taken < count; taken++) follow(owner)
  }
  const refused = (owner: Partial<Owner>, message: RegExp) =>
    t.throws(() => follow(owner), { code: 'EBUSY', reason: 'ELIMIT', message })
  return { subscriptions, limits, follow, take, refused }
}

/** A connection from an address. */
const from = (address: string): Owner => {
  const { address: own, remote } = far(address)
  return { ...silent(), ends: { address: own, remote } }
}

/** A connection of this host. */
const ours = (): Owner => ({
  ...silent(),
  ends: { address: here.address, remote: here.remote },
})

t.test('one other host may wait and watch a quarter of all, and all others a half', t => {
  const { subscriptions, limits, take, follow, refused } = followed()
  const [one, same] = [from('2001:db8::1'), from('2001:db8::2')]
  take(one, 3)
  take(same, 1)
  refused(one, /4 questions and watches from 2001:db8:0:0 are open/)
  // Datagrams may be of anybody.
  take({}, 4)
  refused({}, /4 questions and watches from datagrams/)
  refused(from('192.0.2.7'), /8 questions and watches from other hosts/)
  t.match(limits.shares.at(-1), { used: 8, most: 8 })
  const stop = follow(ours())
  stop()
  subscriptions.release(one)
  take(from('192.0.2.7'), 3)
  refused(from('192.0.2.8'), /8 questions/)
  t.end()
})

t.test('one user may wait and watch a quarter of all, beside a few that count for nobody', t => {
  const { subscriptions, limits, take, refused } = followed()
  const wait = question({ op: 'resolve', service: 'a', wait: 1 })
  const [one, other, stranger] = [ours(), ours(), ours()]
  const watch = question({ id: 1, op: 'watch' })
  t.equal(limits.asks(wait, one), undefined, 'few wait')
  take(one, 2)
  for (const asked of [question({ op: 'resolve', service: 'a' }), register()]) {
    t.equal(limits.asks(asked, one), undefined, `${asked.op}, which is held for a moment at most`)
  }
  t.equal(limits.asks(watch, one), 'soon')
  t.equal(limits.asks(watch, one), undefined)
  take(stranger, 2)
  t.equal(limits.asks(wait, one), 'first')
  subscriptions.release(stranger)
  limits.found(one, 7)
  t.equal(limits.asks(wait, one), undefined)
  limits.found(other, 7)
  take(other, 2)
  for (const each of [one, other]) refused(each, /user 7 may hold 4 questions and watches/)
  t.match(limits.shares.at(-2), { of: 'questions and watches of user 7', used: 4, most: 4 })
  limits.found(stranger, 8)
  take(stranger, 1)
  subscriptions.release(other)
  take(one, 2)
  t.end()
})

t.test('the last bounds that were reached are known for a minute, each once', t => {
  const world = { now: 0 }
  const bounds = new LatestBounds(() => world.now)
  for (const text of ['a', 'b', 'c', 'a', 'd', 'e']) {
    bounds.note(text)
    world.now += 10_000
  }
  t.strictSame(bounds.texts, ['c', 'a', 'd', 'e'])
  world.now = 90_000
  t.strictSame(bounds.texts, ['a', 'd', 'e'])
  world.now = 110_001
  t.strictSame(bounds.texts, [])
  t.strictSame(new LatestBounds().texts, [])
  t.end()
})

t.test('one connection may register and withdraw so fast and no faster', async t => {
  const { handle, world } = limited({ changes: { perSecond: 10, burst: 2 } })
  handle(register(), here)
  handle({ op: 'unregister', registration: 1 }, here)
  t.throws(() => handle(register(), here), {
    reason: 'ELIMIT',
    message: /10 registrations over one connection a second/,
  })
  t.throws(() => handle({ op: 'unregister', registration: 1 }, here), { code: 'EBUSY' })
  t.ok(handle(register(), { ...here, owner: silent() }), 'another is not held up')
  t.ok(handle(status, here), 'and may ask')
  world.now += 100
  t.ok(handle(register('b'), here), 'and may go on in a moment')
})

t.test('one other host may ask so much and no more, whatever its addresses', async t => {
  const { handle, world } = limited({ hostQuestions: { perSecond: 1, burst: 2 } })
  for (const [one, same, other] of [
    ['192.0.2.7', '192.0.2.7', '192.0.2.8'],
    ['2001:db8::1', '2001:db8::2', '2001:db8:1::1'],
  ]) {
    t.ok(handle(status, at(one!)))
    t.ok(handle(status, at(same!)))
    t.throws(() => handle(status, at(one!)), {
      reason: 'ELIMIT',
      message: /1 questions from one host a second/,
    })
    t.ok(handle(status, at(other!)))
  }
  world.now += 1_000
  t.ok(handle(status, at('192.0.2.7')))
})

t.test('what is not known is asked too', async t => {
  const { handle } = limited({ hostQuestions: { perSecond: 1, burst: 2 } })
  const dance = question({ op: 'dance' })
  for (let n = 0; n < 2; n++) t.throws(() => handle(dance, at('192.0.2.7')), { code: 'ENOSYS' })
  t.throws(() => handle(dance, at('192.0.2.7')), { code: 'EBUSY' })
})

t.test('all other hosts may ask so much and no more, and this one is answered', async t => {
  const { handle } = limited({ remoteQuestions: { perSecond: 1, burst: 2 } })
  handle(status, at('192.0.2.7'))
  handle(status, at('192.0.2.8'))
  t.throws(() => handle(status, at('192.0.2.9')), {
    reason: 'ELIMIT',
    message: /questions from other hosts/,
  })
  t.ok(handle(status, here))
})

t.test('programs of this host may ask as much as they like', async t => {
  const none = { perSecond: 0, burst: 0 }
  const { handle } = limited({ hostQuestions: none, remoteQuestions: none })
  for (let n = 0; n < 1_000; n++) t.ok(handle(status, here))
  t.throws(() => handle(question({ op: 'resolve', service: 'a' }), here), { code: 'ECONNREFUSED' })
})

t.test('what is never answered over UDP is no matter of limits', async t => {
  const none = { perSecond: 0, burst: 0 }
  const { limits } = limited({ changes: none, names: 0 })
  const { owner: _, ...udp } = here
  t.strictSame(
    limits.step(register(), udp, () => ({ passed: true })),
    { passed: true },
  )
})

t.test('there may be so many connections and no more', async t => {
  const { limits } = limited({ connections: 2 })
  const leave = limits.enter(here)
  limits.enter(here)
  t.throws(() => limits.enter(here), { reason: 'ELIMIT', message: /2 connections are open/ })
  leave()
  t.ok(limits.enter(here))
})

t.test('where all places are taken one may be made free, for this host alone', async t => {
  const { limits } = limited({ connections: 1 })
  const leave = limits.enter(here)
  const full = { code: 'EBUSY', message: /1 connections are open/ }
  t.throws(() => limits.enter(here, () => t.pass('it is tried')), full)
  t.throws(() => limits.enter(at('192.0.2.7'), () => t.fail('it is not')), full)
  t.ok(limits.enter(here, leave))
})

t.test('other hosts may take half of the connections, and one of them a few', async t => {
  const { limits } = limited({ connections: 8, hostConnections: 2 })
  const leave = limits.enter(at('2001:db8::1'))
  const leaveToo = limits.enter(at('2001:db8::2'))
  t.throws(() => limits.enter(at('2001:db8::3')), {
    reason: 'ELIMIT',
    message: /2 connections from 2001:db8:0:0 are open/,
  })
  limits.enter(at('192.0.2.7'))
  limits.enter(at('192.0.2.8'))
  t.throws(() => limits.enter(at('192.0.2.9')), {
    message: /4 connections from other hosts are open/,
  })
  t.ok(limits.enter(here), 'the rest is for this host')
  leave()
  leaveToo()
  t.ok(limits.enter(at('2001:db8::3')), 'one may come when one has gone')
})

t.test('what is not said has a default', async t => {
  const limits = new Limits(new Registry())
  t.ok(limits.enter(here))
  t.ok(limits.step(status, at('192.0.2.7'), () => ({ ok: true })))
})
