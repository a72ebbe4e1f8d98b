import { mock } from 'node:test'
import t from 'tap'
import { Subscriptions } from '../../lib/daemon/subscriptions.ts'
import { local } from '../../lib/daemon/answer.ts'
import { chain } from '../../lib/daemon/chain.ts'
import { Registry } from '../../lib/daemon/registry.ts'
import { hold } from '../../lib/daemon/hold.ts'
import { MonikerError } from '../../lib/errors.ts'
import { question, type Answer } from '../../lib/wire/protocol.ts'
import { awake } from '../fixtures/awake.ts'
import { offer } from '../fixtures/offers.ts'
import { here as program, silent } from '../fixtures/peers.ts'

const owner = silent()
const here = program(owner)

const resolve = (given: Answer = {}) =>
  question({ op: 'resolve', service: 'a', wait: 60_000, ...given })

function daemon(settled?: () => Promise<void> | undefined) {
  const subscriptions = new Subscriptions({ max: 2 })
  const registry = new Registry((change, entry) => subscriptions.tell(change, entry))
  const answer = chain(
    hold(subscriptions, settled && { settled }),
    local(registry, { generation: 36, ttl: 1, status: () => ({}) }),
  )
  return { subscriptions, registry, answer }
}

t.test('what is there is told at once', async t => {
  const { registry, answer } = daemon()
  registry.register({}, offer())
  t.match(answer(resolve(), here), { endpoints: [{ port: 80 }] })
})

t.test('what is not there is told once it comes', async t => {
  const { subscriptions, registry, answer } = daemon()
  const answers = [answer(resolve(), here), answer(resolve({ version: '^2' }), here)]
  const first = registry.register(owner, offer())
  t.match(await answers[0], { endpoints: [{ port: 80 }] })
  t.equal(subscriptions.size, 1, 'another version is not what was asked for')
  registry.unregister(owner, first.registration)
  registry.register(owner, offer({ version: '2.1.0', port: 81 }))
  t.match(await answers[1], { endpoints: [{ port: 81 }] })
  t.equal(subscriptions.size, 0)
})

t.test('what does not come in time is refused with the latest reason', async t => {
  awake(t)
  const { subscriptions, registry, answer } = daemon()
  const never = answer(resolve({ version: '^2', wait: 1 }), here)
  registry.register({}, offer())
  await t.rejects(never as Promise<Answer>, { code: 'ECONNREFUSED', offered: ['1.0.0'] })
  t.equal(subscriptions.size, 0)
})

/** A daemon that is young until `settle` is called, and how often it was asked whether it is. */
function young() {
  let settle!: () => void
  let settled: Promise<void> | undefined = new Promise(resolve => (settle = resolve))
  void settled.then(() => (settled = undefined))
  let count = 0
  const when = () => {
    count++
    return settled
  }
  return { ...daemon(when), settle, asked: () => count }
}

t.test('a daemon that is young waits for whatever it is asked for, over UDP too', async t => {
  const { registry, answer } = young()
  const { owner: _, ...datagram } = here
  const answers = [answer(resolve({ wait: 0 }), here), answer(resolve(), datagram)]
  registry.register({}, offer())
  for (const one of answers) t.match(await one, { endpoints: [{ port: 80 }] })
})

t.test('what has not come by the time that it has settled is refused there and then', async t => {
  const { subscriptions, registry, answer, settle } = young()
  const { owner: _, ...datagram } = here
  const found = answer(resolve({ service: 'b', wait: 0 }), here)
  registry.register({}, offer({ service: 'b' }))
  await found
  const asked = [[resolve({ wait: 0 }), here] as const, [resolve(), datagram] as const]
  const never = asked.map(([question, peer]) => answer(question, peer) as Promise<Answer>)
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  settle()
  for (const one of never) await t.rejects(one, { code: 'ECONNREFUSED' })
  t.equal(subscriptions.size, 0)
  t.throws(() => answer(resolve({ wait: 0 }), here), { code: 'ECONNREFUSED' })
})

t.test('a question is held for as long as it says, and until the daemon has settled', async t => {
  awake(t)
  const long = young()
  const patient = long.answer(resolve(), here)
  long.settle()
  await new Promise(setImmediate)
  long.registry.register({}, offer())
  t.match(await patient, { endpoints: [{ port: 80 }] })

  const short = young()
  const hasty = short.answer(resolve({ wait: 1 }), here)
  while (short.asked() === 0) await new Promise(setImmediate)
  short.registry.register({}, offer())
  t.match(await hasty, { endpoints: [{ port: 80 }] })
})

t.test('a question is held only if it says so, and never over UDP', async t => {
  const { answer } = daemon()
  const { owner: _, ...datagram } = here
  const absent = { code: 'ECONNREFUSED', reason: 'ENOSERVICE' }
  t.throws(() => answer(resolve({ wait: 0 }), here), absent)
  t.throws(() => answer(resolve(), datagram), absent)
  const other = question({ op: 'unregister', registration: 1, wait: 1 })
  t.strictSame(answer(other, here), { unregistered: false })
})

t.test('a refusal that time does not mend is told at once', async t => {
  const deny = () => {
    throw new MonikerError('EDENIED', { text: 'no' })
  }
  t.throws(() => chain(hold(new Subscriptions()), deny)(resolve(), here), { code: 'EACCES' })
})

t.test('a peer that has gone is forgotten, and refused for the last reason there was', async t => {
  const { subscriptions, registry, answer } = daemon()
  const never = answer(resolve(), here) as Promise<Answer>
  subscriptions.release(owner)
  t.equal(subscriptions.size, 0)
  registry.register({}, offer())
  await t.rejects(never, { code: 'ECONNREFUSED' })
})

t.test('only so many wait', async t => {
  const { answer, subscriptions } = daemon()
  const held = [answer(resolve(), here), answer(resolve(), here)]
  await t.rejects(answer(resolve(), here) as Promise<Answer>, { code: 'EBUSY' })
  t.equal(subscriptions.size, 2)
  subscriptions.release(owner)
  for (const one of held) await t.rejects(one as Promise<Answer>, { code: 'ECONNREFUSED' })
})

t.test('a name is waited for in each of the namespaces', async t => {
  const { registry, answer, subscriptions } = daemon()
  const found = answer(resolve({ namespace: 'mine', also: ['', 'ours'] }), here)
  registry.register({}, offer({ namespace: 'other' }))
  registry.register({}, offer({ namespace: 'ours', port: 81 }))
  t.match(await found, { namespace: 'ours', endpoints: [{ port: 81 }] })
  t.equal(subscriptions.size, 0)
})

const register = (given: Answer = {}) =>
  question({ id: 1, op: 'register', ...offer(), port: 81, ...given })

t.test('a registration waits for the holder of its name that is just going', async t => {
  const { registry, answer, subscriptions } = daemon()
  const { registration } = registry.register(owner, offer())
  registry.register(owner, offer({ service: 'b' }))
  const first = answer(register(), here)
  const second = answer(register({ port: 82 }), here)
  registry.unregister(owner, registration)
  t.match(await first, { registration: 3 })
  awake(t)
  await t.rejects(second as Promise<Answer>, { code: 'EADDRINUSE', message: /on port 81/ })
  t.equal(subscriptions.size, 0)
  t.equal(registry.size, 2)
})

t.test('a registration that waits does not get the name before an older one', async t => {
  awake(t)
  const { subscriptions, registry, answer } = daemon()
  registry.register(owner, offer({ since: 9 }))
  const late = answer(register(), here)
  registry.register({}, offer({ since: 1, port: 8 }))
  await t.rejects(late as Promise<Answer>, { code: 'EADDRINUSE', message: /on port 8;/ })
  t.equal(registry.size, 1)
  t.equal(subscriptions.size, 0)
})

t.test('a name whose holder goes in two steps is registered once', async t => {
  const { registry, answer } = daemon()
  for (const transport of ['tcp', 'udp'] as const) registry.register(owner, offer({ transport }))
  const late = answer(register(), here)
  registry.release(owner)
  t.match(await late, { registration: 3 })
  t.equal(registry.size, 1)
})

/** A daemon that finds out users first: a name is told once `find` is called after it was looked for. */
function inquiring() {
  const finds: (() => void)[] = []
  const subscriptions = new Subscriptions()
  const registry = new Registry((change, entry) => subscriptions.tell(change, entry))
  const answer = chain(
    hold(subscriptions),
    async (_question, _peer, next) => {
      await new Promise<void>(resolve => finds.push(resolve))
      return next()
    },
    local(registry, { generation: 36, ttl: 1, status: () => ({}) }),
  )
  const find = () => finds.splice(0).forEach(one => one())
  return { subscriptions, registry, answer, find, finds }
}

const turn = () => new Promise(setImmediate)

t.test('a name is waited for as well where users are found out first', async t => {
  const { subscriptions, registry, answer, find, finds } = inquiring()
  registry.register(owner, offer({ service: 'b' }))
  const there = answer(resolve({ service: 'b' }), here)
  find()
  t.match(await there, { endpoints: [{ port: 80 }] })

  const found = answer(resolve(), here)
  find()
  while (subscriptions.size === 0) await turn()
  find()
  registry.register(owner, offer())
  registry.register(owner, offer({ version: '2.0.0', port: 81 }))
  while (finds.length < 2) await turn()
  find()
  t.match(await found, { endpoints: [{ port: 81 }] })
  t.equal(subscriptions.size, 0)
})

t.test('a name that comes between the look for it and the wait is not missed', async t => {
  const { subscriptions, registry, answer, find, finds } = inquiring()
  const found = answer(resolve(), here)
  find()
  // After the look, which waits already, and before what waits for its refusal.
  queueMicrotask(() => registry.register(owner, offer()))
  while (finds.length === 0) await turn()
  t.equal(registry.size, 1)
  find()
  t.match(await found, { endpoints: [{ port: 80 }] })
  t.equal(subscriptions.size, 0)
})

t.test('and it is refused when the time is over, once users have been found out', async t => {
  awake(t)
  const { subscriptions, answer, find } = inquiring()
  const never = answer(resolve({ wait: 1 }), here) as Promise<Answer>
  let isRefused = false
  never.catch(() => (isRefused = true))
  while (!isRefused) {
    find()
    await turn()
  }
  await t.rejects(never, { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  t.equal(subscriptions.size, 0)

  const hasty = answer(resolve({ wait: 0 }), here) as Promise<Answer>
  find()
  await t.rejects(hasty, { code: 'ECONNREFUSED' })
})

t.test('nothing is held for a peer that has gone while users were found out', async t => {
  const { subscriptions, answer, find } = inquiring()
  const gone = { ...silent(), isEnded: false }
  const never = answer(resolve(), program(gone)) as Promise<Answer>
  gone.isEnded = true
  find()
  await t.rejects(never, { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  t.equal(subscriptions.size, 0)
})

t.test('a registration that is refused for another reason is refused at once', async t => {
  const deny = () => {
    throw new MonikerError('EDENIED', { text: 'no' })
  }
  t.throws(() => chain(hold(new Subscriptions()), deny)(register(), here), { code: 'EACCES' })
})

t.test(
  'a name is found, or free, in the end though so many wait that nobody was told yet',
  async t => {
    awake(t)
    const subscriptions = new Subscriptions({ later: () => {} })
    const registry = new Registry((change, entry) => subscriptions.tell(change, entry))
    const answer = chain(
      hold(subscriptions),
      local(registry, { generation: 36, ttl: 1, status: () => ({}) }),
    )
    for (let n = 0; n < 64; n++) {
      subscriptions.follow({}, {}, { tell() {}, released() {} })
    }
    const found = answer(resolve({ wait: 1 }), here)
    const { registration } = registry.register(owner, offer())
    t.match(await found, { endpoints: [{ port: 80 }] })
    const late = answer(register(), here)
    registry.unregister(owner, registration)
    t.match(await late, { registration: 2 })
    t.equal(subscriptions.size, 64)
  },
)

t.test('a question is asked again only after what may help', async t => {
  const subscriptions = new Subscriptions()
  const registry = new Registry((change, entry) => subscriptions.tell(change, entry))
  let asked = 0
  const answer = chain(
    hold(subscriptions),
    (_question, _peer, next) => {
      asked++
      return next()
    },
    local(registry, { generation: 36, ttl: 1, status: () => ({}) }),
  )
  const found = answer(resolve({ version: '^2' }), here)
  registry.register(owner, offer())
  registry.register(owner, offer({ version: '2.0.0', transport: 'udp' }))
  registry.register(owner, offer({ version: '2.0.1' }))
  t.match(await found, { endpoints: [{ version: '2.0.1' }] })
  t.equal(asked, 2)
})
