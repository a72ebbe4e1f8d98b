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

function daemon(grace: () => number = () => 0) {
  const subscriptions = new Subscriptions({ max: 2 })
  const registry = new Registry((change, entry) => subscriptions.tell(change, entry))
  const answer = chain(
    hold(subscriptions, { grace }),
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

t.test('what does not come while the daemon is young is refused afterwards', async t => {
  awake(t)
  const graces = [60_000, 1, 0]
  const { answer } = daemon(() => graces.shift()!)
  const never = answer(resolve({ wait: 0 }), here)
  await t.rejects(never as Promise<Answer>, { code: 'ECONNREFUSED' })
  t.same(graces, [])
})

t.test('nobody waits who does not ask to, or over UDP', async t => {
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

t.test('who has gone is forgotten, and refused for the last reason there was', async t => {
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

t.test('it is waited for in each of the namespaces', async t => {
  const { registry, answer, subscriptions } = daemon()
  const found = answer(resolve({ namespace: 'mine', also: ['', 'ours'] }), here)
  registry.register({}, offer({ namespace: 'other' }))
  registry.register({}, offer({ namespace: 'ours', port: 81 }))
  t.match(await found, { namespace: 'ours', endpoints: [{ port: 81 }] })
  t.equal(subscriptions.size, 0)
})

t.test('a daemon that is young waits for whatever it is asked for, over UDP too', async t => {
  awake(t)
  const { registry, answer } = daemon(() => 60_000)
  const { owner: _, ...datagram } = here
  const answers = [answer(resolve({ wait: 0 }), here), answer(resolve(), datagram)]
  registry.register({}, offer())
  for (const one of answers) t.match(await one, { endpoints: [{ port: 80 }] })

  const grace = [1]
  const never = daemon(() => grace.pop() ?? 0).answer(resolve({ wait: 0 }), datagram)
  await t.rejects(never as Promise<Answer>, { code: 'ECONNREFUSED' })
})

const register = (given: Answer = {}) =>
  question({ id: 1, op: 'register', ...offer(), port: 81, ...given })

t.test('whoever takes over a name from one who is just going waits for that', async t => {
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

t.test('whoever waits for a name does not get it before one who has a right to it', async t => {
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

t.test('a registration that is refused for another reason is refused at once', async t => {
  const deny = () => {
    throw new MonikerError('EDENIED', { text: 'no' })
  }
  t.throws(() => chain(hold(new Subscriptions()), deny)(register(), here), { code: 'EACCES' })
})
