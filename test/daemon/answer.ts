import t from 'tap'
import { Access } from '../../lib/daemon/access.ts'
import { local } from '../../lib/daemon/answer.ts'
import { chain, type Peer } from '../../lib/daemon/chain.ts'
import { NAMELESS } from '../../lib/daemon/dialect.ts'
import { Leases } from '../../lib/daemon/leases.ts'
import { Subscriptions } from '../../lib/daemon/subscriptions.ts'
import { Registry } from '../../lib/daemon/registry.ts'
import {
  question,
  type Answer,
  type Id,
  type Question,
  type Register,
} from '../../lib/wire/protocol.ts'
import { interfaces } from '../fixtures/interfaces.ts'
import { offer } from '../fixtures/offers.ts'
import { far, here as program, sender, silent } from '../fixtures/peers.ts'

const here = program()
const remote = far()
const status: Question = { op: 'status' }

const resolve = (given: Answer = {}) => question({ op: 'resolve', service: 'a', ...given })
const register = (given: Answer = {}) =>
  question({ id: 1, op: 'register', service: 'a', transport: 'tcp', port: 80, ...given })

/** The offer of `register`, as it is listed. */
const listed = {
  namespace: '',
  service: 'a',
  version: '0.0.0',
  transport: 'tcp',
  port: 80,
  address: '::',
  shared: false,
}

/** The step that asks whether a peer may, where there is no policy. */
const access = (publicList: boolean) =>
  new Access({ publicList, port: () => 1, denied: () => {} }).step

/** The chain of a daemon, but for its counters; it answers at once. */
function handler({
  publicList = false,
  ttl = 30_000,
  age,
}: { publicList?: boolean; ttl?: number; age?: number } = {}) {
  const registry = new Registry()
  return chain(
    access(publicList),
    local(registry, {
      generation: 36,
      ttl,
      status: () => ({ names: registry.size }),
      ...(age !== undefined && { age: () => age, connections: () => 7 }),
    }),
  ) as (question: Question, peer: Peer) => Answer
}

function handlerWithoutAccess() {
  return chain(local(new Registry(), { generation: 36, ttl: 1, status: () => ({}) }))
}

t.test('what a later version asks is refused to everybody alike', async t => {
  const handle = handler({ publicList: true })
  const { owner: _, ...udp } = here
  for (const peer of [here, remote, udp]) {
    const message = /the operation "dance" is not known here/
    t.throws(() => handle(question({ op: 'dance' }), peer), { reason: 'ENOSYS', message })
  }
})

t.test('a question for transports to come finds nothing, or what else will do', async t => {
  const handle = handler()
  handle(register(), here)
  t.match(handle(resolve({ transports: ['sctp', 'tcp'] }), here), { endpoints: [{ port: 80 }] })
  for (const transports of [['sctp'], []]) {
    t.throws(() => handle(resolve({ transports }), here), {
      code: 'ECONNREFUSED',
      reason: 'ENOSERVICE',
    })
  }
})

t.test('a socket with a path is told to those of this host who ask for Unix sockets', async t => {
  const handle = handler()
  const socket = { transport: 'local', path: 'moniker-1', user: 0 }
  handle(register({ endpoints: [socket] }), here)
  const found = (peer: Peer, ...transports: string[]) =>
    (handle(resolve({ transports }), peer).endpoints as Answer[])[0]!.endpoints
  t.strictSame(found(here, 'unix', 'tcp'), [socket])
  t.equal(found(here, 'tcp'), undefined)
  t.equal(found(remote, 'unix', 'tcp'), undefined)
})

t.test('nor to those who ask for a program of another host', async t => {
  interfaces(t, { eth0: [{ address: '192.0.2.1' }] })
  const handle = handler()
  const endpoints = [
    { transport: 'local', path: 'moniker-1', user: 0 },
    { transport: 'own', address: '127.0.0.1' },
    { transport: 'own', port: 7 },
  ]
  handle(register({ endpoints, path: 'moniker-a' }), here)
  const found = (address: string) => {
    const answer = handle(resolve({ transports: ['unix', 'own', 'tcp'], for: { address } }), here)
    t.equal(answer.for, true)
    return (answer.endpoints as Answer[])[0]!
  }
  t.match(found('127.0.0.1'), { path: 'moniker-a', endpoints })
  t.strictSame(found('192.0.2.2'), {
    transport: 'tcp',
    port: 80,
    version: '0.0.0',
    instance: '10-1',
    endpoints: endpoints.slice(2),
  })
  const list = handle(question({ op: 'list', for: { address: '192.0.2.2' } }), here)
  t.match(list, { for: true, services: [{ endpoints: endpoints.slice(2) }] })
})

t.test('where no users are known no gateway is told', async t => {
  const handle = handlerWithoutAccess()
  t.strictSame(handle(question({ op: 'gateway', port: 1 }), here), { gateway: true })
  t.strictSame(handle(question({ op: 'gateways' }), here), { gateways: [] })
})

t.test('where no users are known no name is trusted', async t => {
  const handle = handlerWithoutAccess()
  void handle(register(), here)
  for (const service of ['a', 'none']) {
    t.throws(() => handle(resolve({ service, trusted: true }), here), {
      code: 'ECONNREFUSED',
      reason: 'ENOSERVICE',
    })
  }
})

t.test('further endpoints of a service are told to those who ask for them', async t => {
  const handle = handler({ publicList: true })
  const own = { transport: 'own', port: 7, lane: { a: 1 } }
  const local = { transport: 'own', address: '127.0.0.1' }
  const beside = { transport: 'own', path: 'moniker-1' }
  const all = { transport: 'lan', address: '0.0.0.0' }
  const endpoints = [own, local, beside, all]
  handle(register({ endpoints }), here)
  const found = (peer: Peer, ...transports: string[]) =>
    (handle(resolve({ transports }), peer).endpoints as Answer[])[0]
  const tcp = { transport: 'tcp', port: 80, version: '0.0.0', instance: '10-1' }
  t.strictSame(found(here, 'tcp'), tcp, 'and to nobody else')
  t.strictSame(found(here, 'sctp', 'tcp'), tcp)
  t.strictSame(found(here, 'own', 'tcp'), { ...tcp, endpoints: [own, local, beside] })
  t.strictSame(found(here, 'own'), { ...tcp, endpoints: [own, local, beside] })
  t.strictSame(found(remote, 'own', 'tcp'), { ...tcp, endpoints: [own] })
  t.strictSame(found(here, 'lan'), { ...tcp, endpoints: [{ transport: 'lan' }] })
  t.throws(() => found(here, 'udp', 'sctp'), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  const list = (peer: Peer) => (handle(question({ op: 'list' }), peer).services as Answer[])[0]
  t.strictSame(list(here), { ...listed, endpoints, instance: '10-1' })
  t.strictSame(list(remote), { ...listed, endpoints: [own, all], instance: '10-1' })
})

t.test('a name lives from its registration to its withdrawal', async t => {
  const handle = handler({ ttl: 7 })
  const metadata = { a: 1 }

  t.strictSame(handle(register({ version: '1.2.0', metadata }), here), {
    registration: 1,
    generation: 36,
  })
  t.strictSame(handle(resolve(), here), {
    endpoints: [{ transport: 'tcp', port: 80, version: '1.2.0', instance: '10-1', metadata }],
    ttl: 7,
  })
  const unregister: Question = { op: 'unregister', registration: 1 }
  t.strictSame(handle(unregister, { ...here, owner: silent() }), { unregistered: false })
  t.strictSame(handle(unregister, here), { unregistered: true })
  t.strictSame(handle(unregister, here), { unregistered: false })
  t.throws(() => handle(resolve(), here), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
})

t.test('a guarded server is told whom it was given to, unless it is behind', async t => {
  const told: unknown[] = []
  const holder = {
    isOpen: true,
    isBehind: false,
    tell: (...args: unknown[]) => void told.push(args),
  }
  const handle = handler({ ttl: 7 })
  handle(register({ id: 'mine', guarded: true, shared: true }), { ...here, owner: holder })
  handle(register({ port: 81, shared: true }), here)
  handle(resolve(), { ...here, remote: { address: '::1', port: 1 } })
  handle(resolve(), remote)
  t.strictSame(told, [
    ['mine', { event: 'expect', address: '127.0.0.1', ttl: 7 }],
    ['mine', { event: 'expect', address: '192.0.2.2', ttl: 7 }],
  ])
  handle(resolve(), sender('127.0.0.1'))
  handle(resolve(), sender('192.0.2.2'))
  t.equal(told.length, 2, 'a datagram may have any sender')
  handle(resolve(), NAMELESS)
  t.equal(told.length, 3)
  holder.isBehind = true
  handle(resolve(), remote)
  handle({ op: 'list' }, here)
  t.equal(told.length, 3)
})

t.test(
  'a daemon that is young gives a name to whoever held it before, and tells who has to go',
  async t => {
    const told: unknown[] = []
    const younger = { ...silent(), tell: (...event: unknown[]) => void told.push(event) }
    const handle = handler({ age: 9_999 })
    handle(register({ id: 'mine', since: 20 }), { ...here, owner: younger })
    t.strictSame(handle(register({ port: 81, pid: 7, since: 10 }), here), {
      registration: 2,
      generation: 36,
      connections: 7,
    })
    const message = 'held by process 7 on port 81'
    const error = { code: 'ETAKEN', message }
    t.strictSame(told, [['mine', { event: 'evicted', registration: 1, error }]])
    t.strictSame(handle({ op: 'list' }, here), {
      services: [{ ...listed, port: 81, pid: 7, instance: '10-2' }],
    })
  },
)

t.test('later, whoever has it keeps it, whatever others say of their age', async t => {
  for (const handle of [handler({ age: 10_000 }), handler()]) {
    handle(register({ since: 20 }), here)
    const late = () => handle(register({ since: 10 }), { ...here, owner: silent() })
    t.throws(late, { code: 'EADDRINUSE' })
  }
})

t.test('a status is what it was said to be', async t => {
  const handle = handler()
  handle(register(), here)
  t.strictSame(handle(status, here), { names: 1 })
})

t.test('the socket of a service is told to those of this host who will go by it', async t => {
  const handle = handler()
  handle(register({ path: 'moniker-1' }), here)
  handle(register({ service: 'b' }), here)
  const both = { transports: ['unix', 'tcp'] }
  const paths = (question: Question, peer: Peer) =>
    (handle(question, peer).endpoints as { path?: string }[]).map(({ path }) => path)
  t.strictSame(paths(resolve(both), here), ['moniker-1'])
  t.strictSame(paths(resolve(), here), [undefined])
  t.strictSame(paths(resolve(both), remote), [undefined])
  t.strictSame(paths(resolve({ ...both, service: 'b' }), here), [undefined])
})

t.test('a list tells all but who owns what', async t => {
  const handle = handler()
  const {
    op: _,
    id: __,
    ...offer
  } = register({
    namespace: 'ns',
    pid: 7,
    metadata: {},
  }) as Register
  handle(register({ namespace: 'ns', pid: 7, metadata: {} }), here)
  handle(register(), here)

  t.strictSame(handle({ op: 'list', namespace: 'ns' }, here), {
    services: [{ ...offer, instance: '10-1' }],
  })
  t.equal((handle({ op: 'list' }, here).services as []).length, 2)
})

t.test('of many instances eight are told, each in its turn', async t => {
  const handle = handler()
  for (let port = 1; port <= 10; port++) handle(register({ port, shared: true }), here)
  const ports = () => (handle(resolve(), here).endpoints as { port: number }[]).map(e => e.port)

  t.strictSame(ports(), [1, 2, 3, 4, 5, 6, 7, 8])
  t.strictSame(ports(), [2, 3, 4, 5, 6, 7, 8, 9])
})

t.test('a service bound to the loopback address is never told to another host', async t => {
  const handle = handler({ publicList: true })
  for (const [service, address] of [
    ['a', '127.0.0.1'],
    ['b', '::1'],
    ['c', '127.7.7.7'],
  ]) {
    handle(register({ service, address }), here)
    t.ok(handle(resolve({ service }), here))
    t.throws(
      () => handle(resolve({ service }), remote),
      { code: 'ECONNREFUSED', reason: 'ENOSERVICE' },
      address!,
    )
  }
  t.strictSame(handle({ op: 'list' }, remote), { services: [] })
})

t.test('the version of a service that cannot be reached is not told either', async t => {
  const handle = handler()
  handle(register({ version: '1.0.0' }), here)
  handle(register({ version: '9.0.0', address: '127.0.0.1' }), here)

  t.match(handle(resolve(), remote), { endpoints: [{ version: '1.0.0' }] })
  t.throws(() => handle(resolve({ version: '>1' }), remote), {
    code: 'ECONNREFUSED',
    offered: ['1.0.0'],
  })
})

t.test('an address is told where it is not the one that was asked', async t => {
  interfaces(t, {
    none: undefined,
    eth0: [{ address: '192.0.2.1' }, { address: '2001:db8::1' }],
    eth1: [{ address: '2001:db8::2' }],
  })
  const table: [bound: string, local: boolean, asked: string, told: string | undefined][] = [
    ['::', true, '127.0.0.1', undefined],
    ['::', false, '2001:db8::1', undefined],
    ['0.0.0.0', true, '127.0.0.1', undefined],
    ['0.0.0.0', false, '192.0.2.1', undefined],
    ['0.0.0.0', true, '::1', '127.0.0.1'],
    ['0.0.0.0', false, '2001:db8::1', '192.0.2.1'],
    ['0.0.0.0', false, '2001:db8::2', undefined],
    ['0.0.0.0', false, '2001:db8::9', undefined],
    ['127.0.0.1', true, '::1', '127.0.0.1'],
    ['192.0.2.7', false, '192.0.2.1', '192.0.2.7'],
    ['2001:db8::1', false, '192.0.2.1', '2001:db8::1'],
  ]
  for (const [bound, isLocal, asked, told] of table) {
    const handle = handler()
    handle(register({ address: bound }), here)
    const answer = handle(resolve(), { ...remote, local: isLocal, address: asked })
    const [endpoint] = answer.endpoints as { address?: string }[]
    t.equal(endpoint!.address, told, `bound to ${bound}, asked at ${asked}`)
  }
})

t.test('what is not for the registry alone to answer is passed on', async t => {
  const pass = local(new Registry(), { generation: 1, ttl: 1, status: () => ({}) })
  const { owner: _, ...datagram } = here
  for (const op of ['handover', 'dance', 'gateway']) {
    t.strictSame(
      pass(question({ op, port: 1 }), datagram, () => ({ by: 'another' })),
      { by: 'another' },
    )
  }
})

t.test('what is not in one namespace is looked for in the next', async t => {
  const handle = handler()
  const also = ['ours', '']
  const asked = (given: Answer = {}) => handle(resolve({ namespace: 'mine', also, ...given }), here)
  t.throws(() => asked(), { code: 'ECONNREFUSED', service: 'mine:a' })
  handle(register(), here)
  t.match(asked(), { namespace: '', endpoints: [{ port: 80 }] })
  handle(register({ namespace: 'ours', port: 81 }), here)
  t.match(asked(), { namespace: 'ours', endpoints: [{ port: 81 }] })
  handle(register({ namespace: 'mine', port: 82, version: '1.0.0' }), here)
  t.match(asked({ version: '^1' }), { endpoints: [{ port: 82 }] })
  t.notOk('namespace' in asked({ version: '^1' }))
  const version = { code: 'ECONNREFUSED', reason: 'EVERSION', offered: ['1.0.0'] }
  t.throws(() => asked({ version: '^7' }), version, 'the first refusal is told')
})

t.test('a service says how busy it is, and whoever asks is told', async t => {
  const handle = handler()
  const { registration } = handle(register({ load: 3 }), here) as { registration: number }
  t.match(handle(resolve(), here), { endpoints: [{ load: 3 }] })
  const update = question({ op: 'update', registration, load: 5 })
  t.strictSame(handle(update, here), { updated: true })
  t.match(handle(resolve(), here), { endpoints: [{ load: 5 }] })
  t.strictSame(handle(question({ op: 'update', registration: 99, load: 5 }), here), {
    updated: false,
  })
  t.throws(() => handle(update, remote), { code: 'EACCES' })
})

const watch = (given: Answer = {}) => question({ op: 'watch', id: 7, ...given })

/** A daemon that has watchers. */
function watched(publicList = false) {
  const subscriptions = new Subscriptions()
  const registry = new Registry((change, entry) => subscriptions.tell(change, entry))
  const answer = chain(
    access(publicList),
    local(registry, { generation: 36, ttl: 1, status: () => ({}), subscriptions }),
  )
  return { subscriptions, registry, answer }
}

/** Somebody, and what they are told. */
function somebody(isLocal = true): Peer & { told: [Id, Answer][] } {
  const told: [Id, Answer][] = []
  const owner = { isOpen: true, tell: (id: Id, event: Answer) => told.push([id, event]) }
  const remote = { address: '192.0.2.2', port: 1 }
  return { local: isLocal, address: '192.0.2.1', remote, owner, told }
}

t.test('a watcher is told what there is, and then of each change', async t => {
  const { registry, answer } = watched()
  const peer = somebody()
  registry.register({}, offer({ port: 81, metadata: { side: 'light' } }))
  registry.register({}, offer({ service: 'b' }))
  registry.register({}, offer({ namespace: 'ns' }))
  const here = { namespace: '', service: 'a', port: 81, instance: '10-1' }
  t.match(answer(watch({ namespace: '', service: 'A' }), peer), { services: [here] })
  t.equal((answer(watch(), somebody()) as { services: [] }).services.length, 3)
  t.equal((answer(watch({ service: 'a' }), somebody()) as { services: [] }).services.length, 2)
  t.strictSame(answer(watch({ namespace: 'none' }), somebody()), { services: [] })
  const both = answer(watch({ namespace: 'ns', service: 'a', also: ['', 'ns'] }), somebody())
  t.match(both, { services: [{ namespace: 'ns' }, { namespace: '' }] })

  const owner = {}
  registry.register(owner, offer({ version: '2.0.0', pid: 4 }))
  registry.register(owner, offer({ service: 'c' }))
  registry.release(owner)
  const { owner: _, ...change } = { owner, ...offer({ version: '2.0.0', pid: 4 }) }
  t.strictSame(peer.told, [
    [7, { event: 'up', ...change, instance: '10-4' }],
    [7, { event: 'down', ...change, instance: '10-4' }],
  ])
})

t.test('no peer is told of a name that it may not see', async t => {
  const { registry, answer, subscriptions } = watched(true)
  const peer = somebody(false)
  registry.register({}, offer({ address: '127.0.0.1' }))
  t.strictSame(answer(watch(), peer), { services: [] })
  registry.register({}, offer({ service: 'b', address: '127.0.0.1' }))
  registry.register({}, offer({ service: 'c' }))
  t.match(peer.told, [[7, { event: 'up', service: 'c' }]])
  t.equal(peer.told.length, 1)
  t.equal(subscriptions.count(peer.owner!), 1)
  subscriptions.release(peer.owner!)
  registry.register({}, offer({ service: 'd' }))
  t.equal(peer.told.length, 1)
})

t.test('nor is one that asks for another', async t => {
  interfaces(t, { eth0: [{ address: '192.0.2.1' }] })
  const { registry, answer } = watched()
  const peer = somebody()
  registry.register({}, offer({ address: '127.0.0.1' }))
  const far = watch({ for: { address: '192.0.2.2' } })
  t.strictSame(answer(far, peer), { services: [], for: true })
  registry.register({}, offer({ service: 'b', address: '127.0.0.1' }))
  t.strictSame(peer.told, [])
  const near = watch({ id: 8, for: { address: '127.0.0.2' } })
  t.match(answer(near, peer), { services: [{ service: 'a' }, { service: 'b' }], for: true })
  registry.register({}, offer({ service: 'c', address: '127.0.0.1' }))
  t.match(peer.told, [[8, { event: 'up', service: 'c' }]])
})

t.test('to watch is for this host, over TCP, unless it is opened', async t => {
  const { answer } = watched()
  t.throws(() => answer(watch(), somebody(false)), {
    code: 'EACCES',
    message: /watch is for programs on the host itself, unless monikerd --public-list/,
  })
  const { owner: _, ...datagram } = somebody()
  t.throws(() => answer(watch(), datagram), { message: /watch is answered over TCP alone/ })
  const unpoliced = chain(local(new Registry(), { generation: 1, ttl: 1, status: () => ({}) }))
  t.throws(() => unpoliced(watch(), datagram), { message: /operation watch is not known here/ })
})

const word = 'a-secret-of-16-letters'
const reserve = (given: Answer = {}) =>
  question({
    id: 'mine',
    op: 'reserve',
    service: 'a',
    transport: 'tcp',
    reservation: word,
    ...given,
  })

t.test('a name that is reserved is kept for the program that has the word', async t => {
  const told: unknown[] = []
  const starter = { ...silent(), tell: (...event: unknown[]) => void told.push(event) }
  const watched: unknown[] = []
  const watcher = { ...silent(), tell: (...event: unknown[]) => void watched.push(event) }
  const subscriptions = new Subscriptions()
  const observed = new Registry((change, entry) => subscriptions.tell(change, entry))
  const handle = chain(
    access(false),
    local(observed, { generation: 36, ttl: 1, status: () => ({}), subscriptions }),
  ) as (question: Question, peer: Peer) => Answer
  handle(question({ id: 'w', op: 'watch' }), { ...here, owner: watcher })

  t.same(handle(reserve(), { ...here, owner: starter }), { registration: 1, generation: 36 })
  t.throws(() => handle(resolve(), here), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  t.same(handle(question({ op: 'list' }), here), { services: [] })
  t.throws(() => handle(register(), here), { reason: 'ETAKEN', message: /, reserved;/ })
  t.throws(() => handle(reserve({ reservation: 'another-secret-of-16' }), here), {
    code: 'EADDRINUSE',
    reason: 'ETAKEN',
  })
  t.same(watched, [])

  handle(register({ reservation: word }), here)
  t.same(told, [['mine', { event: 'claimed', registration: 1 }]])
  t.match(handle(resolve(), here), { endpoints: [{ port: 80 }] })
  const { services } = handle(question({ op: 'list' }), here) as { services: object[] }
  t.notMatch(JSON.stringify([services, watched]), word, 'the word is told to nobody')
  t.equal(watched.length, 1)

  const evicted: unknown[] = []
  const holder = { ...silent(), tell: (...event: unknown[]) => void evicted.push(event) }
  handle(register({ service: 'b', id: 'theirs' }), { ...here, owner: holder })
  handle(reserve({ service: 'b', force: true, pid: 9 }), { ...here, owner: starter })
  const error = { code: 'ETAKEN', message: 'reserved by process 9' }
  t.same(evicted, [['theirs', { event: 'evicted', registration: 3, error }]])
  t.same(handle({ op: 'unregister', registration: 4 }, { ...here, owner: starter }), {
    unregistered: true,
  })
  t.match(handle(register({ service: 'b' }), here), { registration: 5 })

  handle(reserve({ service: 'c' }), { ...here, owner: starter })
  handle(register({ service: 'c', reservation: word }), { ...here, owner: starter })
  t.notMatch(JSON.stringify(handle(question({ op: 'list' }), here)), word)
})

t.test('a name is registered instead of its reservation, unless that was claimed', async t => {
  const handle = handler()
  const told: unknown[] = []
  const starter = {
    ...here,
    owner: { ...silent(), tell: (...event: unknown[]) => void told.push(event) },
  }
  handle(reserve(), starter)
  handle(register({ id: 'kept', instead: 1 }), starter)
  t.same(told, [], 'it knows')
  t.match(handle(resolve(), here), { endpoints: [{ port: 80 }] })
  handle(register({ port: 81, reservation: word }), { ...here, owner: silent() })
  t.same(told, [['kept', { event: 'claimed', registration: 2 }]])
  t.match(handle(resolve(), here), { endpoints: [{ port: 81 }] })

  handle(reserve({ service: 'b' }), starter)
  handle(register({ service: 'b', version: '2', reservation: word }), { ...here, owner: silent() })
  const message = /held by the program that it was reserved for/
  t.throws(() => handle(register({ service: 'b', instead: 4 }), starter), {
    code: 'EADDRINUSE',
    message,
  })
})

/** A daemon that grants leases, and somebody of this host who asks it. */
function leasing({ mayFollow, max }: { mayFollow?: () => boolean; max?: number } = {}) {
  const leases = new Leases({ ...(max !== undefined && { max }) })
  const registry = new Registry(
    (_change, entry) => leases.end(entry),
    entry => leases.end(entry),
  )
  const answer = chain(
    local(registry, {
      generation: 36,
      ttl: 1,
      status: () => ({}),
      leases,
      ...(mayFollow && { mayFollow }),
    }),
  ) as (question: Question, peer: Peer) => Answer
  const { told, ...peer } = somebody()
  const asker: Peer = { ...peer, connection: peer.owner! }
  const follow = (given: Answer = {}, from = asker) =>
    answer(question({ id: 'f', op: 'resolve', service: 'a', follow: true, ...given }), from)
  return { leases, registry, answer, follow, asker, told }
}

const stale = ['f', { event: 'stale' }]

t.test('the answer of one server is a lease, which is over with the first change', async t => {
  const { leases, registry, answer, follow, asker, told } = leasing()
  const owner = {}
  const { registration } = registry.register(owner, offer())
  t.match(follow(), { endpoints: [{ port: 80 }], followed: true })
  t.notOk('followed' in answer(resolve(), asker), 'nobody who has not asked for it has one')
  t.notOk('followed' in follow({ follow: false }))
  t.notOk('followed' in follow({ for: { address: '127.0.0.1' } }), 'nor who asks for another')
  registry.register(owner, offer({ service: 'b' }))
  registry.register(owner, offer({ namespace: 'ns' }))
  t.strictSame(told, [])
  registry.register(owner, offer({ version: '0.0.1' }))
  t.strictSame(told.splice(0), [stale], 'of any version')
  follow()
  registry.unregister(owner, registration)
  registry.release(owner)
  t.strictSame(told, [stale], 'and once')
  t.equal(leases.size, 0)
})

t.test('the namespaces before that of a leased answer count, and those after do not', async t => {
  const { registry, follow, told } = leasing()
  registry.register({}, offer({ namespace: 'two' }))
  t.match(follow({ namespace: 'one', also: ['', 'two', 'three'] }), {
    namespace: 'two',
    followed: true,
  })
  registry.register({}, offer({ namespace: 'three' }))
  t.strictSame(told, [])
  registry.register({}, offer({ namespace: '' }))
  t.strictSame(told, [stale])
})

t.test('a reservation, and a first load, end a lease', async t => {
  const { registry, follow, told } = leasing()
  const owner = {}
  const { registration } = registry.register(owner, offer())
  follow()
  registry.register({}, { ...offer({ version: '2.0.0' }), reservation: word })
  t.strictSame(told.splice(0), [stale])
  t.match(follow(), { followed: true }, 'what is reserved is no second server')
  registry.register({}, offer({ version: '2.0.0' }), undefined, { reservation: word })
  t.ok(told.splice(0).length > 0)
  follow({ version: '^1' })
  registry.update(owner, registration, 1)
  t.strictSame(told, [stale])
})

t.test('an answer that differs from one to the next is no lease', async t => {
  const { leases, registry, follow } = leasing()
  registry.register(silent(), offer({ service: 'guarded', guarded: true }))
  registry.register({}, offer({ service: 'busy', load: 0 }))
  for (const port of [1, 2]) registry.register({}, offer({ service: 'many', shared: true, port }))
  for (const service of ['guarded', 'busy', 'many']) {
    t.notOk('followed' in follow({ service }), service)
  }
  t.equal(leases.size, 0)
})

t.test('only a connection of this host has leases, where it may', async t => {
  const { registry, follow, asker } = leasing()
  registry.register({}, offer())
  const { owner: _, ...socket } = { ...asker, nameless: true }
  t.match(follow({}, socket), { followed: true }, 'over the Unix socket too')
  const { connection, ...datagram } = asker
  const others: Peer[] = [
    datagram,
    { ...asker, local: false },
    { ...asker, connection: { ...connection!, isOpen: false } },
  ]
  for (const peer of others) t.notOk('followed' in follow({}, peer))

  const unsure = leasing({ mayFollow: () => false })
  unsure.registry.register({}, offer())
  t.notOk('followed' in unsure.follow())
})

t.test('without room for a lease there is an answer all the same', async t => {
  const { registry, follow } = leasing({ max: 1 })
  registry.register({}, offer())
  t.match(follow(), { followed: true })
  t.match(follow(), { endpoints: [{}], followed: undefined })
  const none = handler()
  none(register(), here)
  const asker = { ...here, connection: here.owner! }
  t.notOk('followed' in none(resolve({ follow: true, id: 1 }), asker))
})

t.test('a client is told of what has changed before it is answered again', async t => {
  const waiting: (() => void)[] = []
  const leases = new Leases({ later: work => waiting.push(work) })
  const registry = new Registry((_change, entry) => leases.end(entry))
  const answer = chain(local(registry, { generation: 1, ttl: 1, status: () => ({}), leases }))
  registry.register({}, offer())
  registry.register({}, offer({ service: 'b' }))
  const clients = Array.from({ length: 100 }, () => {
    const { told, ...peer } = somebody()
    const asker = { ...peer, connection: peer.owner! }
    void answer(question({ id: 'f', op: 'resolve', service: 'a', follow: true }), asker)
    return { told, asker }
  })
  registry.register({}, offer({ version: '2.0.0' }))
  t.equal(waiting.length, 1)
  const { told, asker } = clients.at(-1)!
  t.strictSame(told, [])
  void answer(resolve({ service: 'b' }), asker)
  t.strictSame(told, [stale])
  while (waiting.length > 0) waiting.shift()!()
  for (const { told } of clients) t.strictSame(told, [stale])
})
