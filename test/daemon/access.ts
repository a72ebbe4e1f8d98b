import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import { Access, type AccessOptions } from '../../lib/daemon/access.ts'
import { local } from '../../lib/daemon/answer.ts'
import { chain, type Owner, type Peer } from '../../lib/daemon/chain.ts'
import { NAMELESS } from '../../lib/daemon/dialect.ts'
import { Registry } from '../../lib/daemon/registry.ts'
import { parsePolicy } from '../../lib/policy/file.ts'
import { question, type Answer, type Question, type Visitor } from '../../lib/wire/protocol.ts'
import { interfaces } from '../fixtures/interfaces.ts'
import { offer } from '../fixtures/offers.ts'
import { far, here, sender, silent } from '../fixtures/peers.ts'

const users = new Map([
  ['root', new Set([0])],
  ['luke', new Set([7])],
])

/** The steps of a daemon that have to do with who may what; `uid` is who asks on this host. */
function guarded(
  uid: number | undefined,
  rules: object[] | undefined,
  given: Partial<AccessOptions> = {},
) {
  const denied: string[] = []
  const asked: number[] = []
  const world = { uid }
  const access = new Access({
    port: () => 6664,
    denied: text => denied.push(text),
    users: { users },
    identities: {
      of: async (_from, { port }) => {
        asked.push(port)
        return world.uid
      },
    },
    ...given,
  })
  if (rules) access.policy = parsePolicy(JSON.stringify({ rules }), 'p.yaml', users)
  const registry = new Registry()
  const handle = chain(
    access.step,
    local(registry, {
      generation: 36,
      ttl: 1,
      status: () => ({
        started: 1,
        pid: 2,
        names: registry.size,
        denied: denied.length,
        shares: [registry.size],
        full: [`${denied.length} denied`],
        policies: ['p.yaml'],
      }),
      sees: access.sees,
      oversees: access.oversees,
      mayResolve: access.mayResolve,
      trusts: access.trusts,
      findHolders: access.findHolders,
      userOf: access.userOf,
      isTrusted: access.isTrusted,
    }),
  )
  // A refusal may be thrown or rejected: here it is always rejected.
  const ask = async (question: Question, peer: Peer = here()) => handle(question, peer)
  return { access, handle, ask, denied, asked, world, registry }
}

const register = (given: Answer = {}) =>
  question({ id: 1, op: 'register', service: 'a', transport: 'tcp', port: 80, ...given })
const resolve = (given: Answer = {}) => question({ op: 'resolve', service: 'a', ...given })
const list = question({ op: 'list' })
const names = async (answer: Promise<Answer>) =>
  ((await answer).services as { service: string }[]).map(({ service }) => service)

t.test(
  'what a program may resolve stays so once its user is known, or is of no account',
  async t => {
    const peer = here()
    t.ok(guarded(7, undefined).access.isSettled(peer))
    t.ok(guarded(7, [{ deny: 'resolve', name: 'x' }]).access.isSettled(peer))
    const rules = [{ deny: 'resolve', name: 'x', user: 'luke' }]
    const { access, ask, world } = guarded(undefined, rules)
    await t.rejects(ask(resolve(), peer), { code: 'ECONNREFUSED' })
    t.notOk(access.isSettled(peer))
    world.uid = 8
    await t.rejects(ask(resolve(), peer), { code: 'ECONNREFUSED' })
    t.ok(access.isSettled(peer))
  },
)

t.test('where there is no policy the plain namespace is open, and nobody waits', async t => {
  const { handle, ask, asked } = guarded(7, undefined)
  t.match(handle(register(), here()), { registration: 1 })
  t.match(handle(resolve(), here()), { endpoints: [{}] })
  t.match(handle(resolve(), far()), { endpoints: [{}] })
  t.match(handle(list, here()), { services: [{}] })
  await t.rejects(ask(list, far()), { code: 'EACCES' })
  t.strictSame(asked, [])
})

const table: [namespace: string, uid: number | undefined, refused?: RegExp][] = [
  ['luke', 7],
  ['LUKE', 7],
  ['luke', 0],
  ['luke', 8, /namespace luke is that of user luke of this host, not of user 8/],
  [
    'luke',
    undefined,
    /and the user of this program cannot be known; a policy that has "unproven: allow"/,
  ],
  ['root', 7, /not of user 7/],
  ['root', 0],
  ['other', 8],
  ['other', undefined],
]

for (const [namespace, uid, refused] of table) {
  t.test(`user ${uid} and the namespace ${namespace}`, async t => {
    const { ask } = guarded(uid, undefined)
    const answer = ask(register({ namespace }))
    if (refused) await t.rejects(answer, { reason: 'EDENIED', message: refused })
    else t.match(await answer, { registration: 1 })
  })
}

t.test('a policy may let a peer of unknown user into the namespace of a user', async t => {
  const { access, ask } = guarded(undefined, [])
  access.policy = parsePolicy('{"rules":[],"unproven":"allow"}', 'p.yaml', users)
  t.match(await ask(register({ namespace: 'luke' })), { registration: 1 })
})

const protectedNames = {
  of: (service: string) => (service === 'http' ? { port: 80, start: 1024 } : undefined),
}

for (const [uid, rules, may, says] of [
  [0, undefined, true],
  [9, undefined, true],
  [
    7,
    undefined,
    false,
    /port 80, and those below 1024 are root's; take luke:http, or .*"allow: publish, name: http, user: luke"/,
  ],
  [8, undefined, false, /take NAMESPACE:http, or .*user: USER"/],
  [undefined, undefined, false, /take NAMESPACE:http/],
  [7, [{ allow: 'publish', name: 'http', user: 'luke' }], true],
  [8, [{ allow: 'publish', name: 'http', user: 'luke' }], false, /port 80/],
  [undefined, [{ allow: 'publish', name: 'http', user: 'luke' }], false, /port 80/],
  [7, [{ deny: 'publish', user: 'luke' }], false, /the policy of this host/],
  [0, [{ deny: 'publish' }], false, /the policy of this host/],
] as [number | undefined, object[] | undefined, boolean, RegExp?][]) {
  t.test(`user ${uid} and a protected name, by ${JSON.stringify(rules)}`, async t => {
    const { ask } = guarded(uid, rules, { protectedNames, uid: 9 })
    const answer = ask(register({ service: 'http' }))
    if (may) t.match(await answer, { registration: 1 })
    else await t.rejects(answer, { code: 'EACCES', message: says! })
  })
}

t.test('a protected name is free in a namespace, and others are anywhere', async t => {
  const { handle, access, ask } = guarded(undefined, undefined, { protectedNames, uid: 9 })
  t.match(handle(register({ service: 'http', namespace: 'jedi' }), here()), { registration: 1 })
  t.match(handle(register(), here()), { registration: 2 })
  access.policy = parsePolicy('{"rules":[],"unproven":"allow"}', 'p.yaml', users)
  t.match(await ask(register({ service: 'http' })), { registration: 3 }, 'who is trusted unproven')
})

t.test('the daemon’s own user is that of its process', async t => {
  const { ask } = guarded(process.getuid?.() ?? 0, undefined, { protectedNames })
  t.match(await ask(register({ service: 'http' })), { registration: 1 })
})

t.test('the namespace of a user can be seen by all', async t => {
  const { ask } = guarded(7, undefined)
  await ask(register({ namespace: 'luke' }))
  t.match(await ask(resolve({ namespace: 'luke' }), far()), { endpoints: [{}] })
})

t.test('a peer that goes while its user is looked up holds nothing', async t => {
  const owner = { isOpen: true, tell: () => {} }
  const { ask, registry } = guarded(7, undefined, {
    identities: {
      of: async () => {
        owner.isOpen = false
        return 7
      },
    },
  })
  await t.rejects(ask(register({ namespace: 'luke' }), here(owner)), {
    message: /the connection has closed/,
  })
  t.equal(registry.size, 0)
})

t.test('the user of a peer is looked up once a connection, if it can be', async t => {
  const { ask, asked, world } = guarded(undefined, [
    { allow: 'publish', user: 'luke' },
    { deny: 'all' },
  ])
  const peer = here()
  await t.rejects(ask(register(), peer), { code: 'EACCES' })
  world.uid = 7
  t.match(await ask(register(), peer), { registration: 1 })
  t.match(await ask(register({ service: 'b' }), peer), { registration: 2 })
  t.match(await ask(register({ namespace: 'luke' }), peer), { registration: 3 })
  t.strictSame(asked, [6664, 6664])
})

t.test('a user that is known is not waited for, and has its turns together', async t => {
  const { handle, ask, access } = guarded(7, undefined)
  const peer = here()
  t.equal(access.seatOf(peer), undefined)
  t.match(await ask(register({ namespace: 'luke' }), peer), { registration: 1 })
  t.match(handle(register({ namespace: 'luke', service: 'b' }), peer), { registration: 2 })
  t.throws(() => handle(register({ namespace: 'root' }), peer), { code: 'EACCES' })
  t.equal(access.seatOf(peer), 7)
  t.equal(access.seatOf(far('2001:db8::1')), access.seatOf(far('2001:db8::2')))
})

t.test('the policy says which user may publish which name', async t => {
  const { ask, denied } = guarded(7, [{ deny: 'publish', name: 'admin-*', version: '>=2' }])
  t.match(await ask(register({ service: 'admin-x', version: '1.0.0' })), { registration: 1 })
  await t.rejects(ask(register({ service: 'admin-x', version: '2.0.0' })), {
    reason: 'EDENIED',
    message: /the policy of this host does not let you publish admin-x@2\.0\.0/,
  })
  t.strictSame(denied, ['denied 127.0.0.1: publish admin-x@2.0.0 (p.yaml:1)'])
})

t.test('what is not for somebody is as if it were not there', async t => {
  const { ask, denied } = guarded(7, [
    { allow: 'resolve', name: 'a', version: '1', from: 'remote' },
    { deny: 'resolve', from: 'remote', name: ['a', 'b'] },
  ])
  await ask(register({ version: '1.0.0' }))
  await ask(register({ version: '2.0.0' }))
  await ask(register({ service: 'b' }))

  t.match(await ask(resolve()), { endpoints: [{ version: '2.0.0' }] })
  t.match(await ask(resolve(), far()), { endpoints: [{ version: '1.0.0' }] })
  const refusal = (given: Answer) => ask(resolve(given), far()).catch((error: Error) => error)
  t.match(await refusal({ version: '2' }), { reason: 'EVERSION', offered: ['1.0.0'] })
  const [there, not] = [await refusal({ service: 'b' }), await refusal({ service: 'c' })]
  t.match(there, { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  t.equal(String(there).replace('b is', 'c is'), String(not))
  t.match(denied.at(-1), 'denied 192.0.2.2: resolve b@0.0.0 (p.yaml:1)')
})

for (const [uid, rules, unproven, sees] of [
  [7, undefined, undefined, true],
  [undefined, undefined, undefined, true],
  [0, [], undefined, true],
  [9, [], undefined, true],
  [7, [], undefined, false],
  [undefined, [], undefined, false],
  [undefined, [], 'allow', true],
] as const) {
  const about = rules ? `with a policy${unproven ? ' that trusts' : ''}` : 'without a policy'
  t.test(`user ${uid} ${sees ? 'has all' : 'has a part'} of the status ${about}`, async t => {
    const { ask, access, asked } = guarded(uid, undefined, { uid: 9 })
    if (rules) {
      access.policy = parsePolicy(JSON.stringify({ rules, unproven }), 'p.yaml', users)
    }
    const own = { started: 1, pid: 2 }
    const more = { names: 0, denied: 0, shares: [0], full: ['0 denied'], policies: ['p.yaml'] }
    t.strictSame(await ask({ op: 'status' }), sees ? { ...own, ...more } : own)
    t.equal(asked.length, rules ? 1 : 0)
  })
}

t.test('a question for a name that is withheld changes no status that is told', async t => {
  const { ask, denied } = guarded(7, [{ deny: 'resolve', name: ['a', 'b'] }], { uid: 9 })
  for (const peer of [here(), far()]) {
    const service = peer.local ? 'a' : 'b'
    const before = await ask({ op: 'status' }, peer)
    await ask(register({ service }))
    await t.rejects(ask(resolve({ service }), peer), { code: 'ECONNREFUSED' })
    t.strictSame(await ask({ op: 'status' }, peer), before)
  }
  t.equal(denied.length, 2)
})

t.test('a clash names its holder only to those who may resolve the name', async t => {
  const rules = [{ deny: 'resolve', name: 'a', user: 'luke' }]
  const { ask, world, denied } = guarded(0, rules)
  await ask(register({ pid: 4711 }))
  const clash = async () => ask(register({ port: 81 })).catch((error: Error) => error.message)
  t.match(await clash(), 'held by process 4711 on port 80')
  for (const uid of [7, undefined]) {
    world.uid = uid
    t.match(await clash(), /, held by another program;/)
  }
  world.uid = 8
  t.match(await clash(), 'held by process 4711 on port 80')
  t.strictSame(denied, [], 'nobody has asked where it is')
})

t.test('nor is a program that loses its name told by whom, if it may not resolve it', async t => {
  for (const [rules, says] of [
    [[{ deny: 'resolve', user: 'luke' }], 'held by another program'],
    [[{ deny: 'resolve', from: '192.0.2.9' }], 'held by another program'],
    [[{ deny: 'resolve', from: '192.0.2.8' }], 'reserved by process 4711'],
  ] as const) {
    const { ask } = guarded(7, [...rules])
    const told: unknown[] = []
    const ends = { address: '192.0.2.9', remote: { address: '192.0.2.9', port: 1 } }
    const loser = { ...silent(), ends, tell: (_id: unknown, event: unknown) => told.push(event) }
    await ask(register(), here(loser))
    const word = { reservation: 'a-secret-of-16-letters', force: true }
    await ask(
      question({ id: 1, op: 'reserve', service: 'a', transport: 'tcp', pid: 4711, ...word }),
    )
    t.match(told, [{ event: 'evicted', error: { code: 'ETAKEN', message: says } }])
  }
})

t.test('a list has what is for whoever asks', async t => {
  const rules = [
    { deny: 'list', name: 'secret' },
    { allow: 'list', name: 'a', from: '192.0.2.0/24' },
  ]
  const { ask, denied } = guarded(7, rules)
  for (const service of ['a', 'b', 'secret']) await ask(register({ service }))
  t.strictSame(await names(ask(list)), ['a', 'b'])
  t.strictSame(await names(ask(list, far())), ['a'])
  await t.rejects(ask(list, far('198.51.100.1')), { code: 'EACCES' })
  t.strictSame(denied, [], 'what is left out of a list is no news')
})

t.test('a list that is public is public but for what is denied', async t => {
  const { ask } = guarded(7, [{ deny: 'list', name: 'secret' }], { publicList: true })
  for (const service of ['a', 'secret']) await ask(register({ service }))
  t.strictSame(await names(ask(list, far())), ['a'])
})

t.test('a service of the loopback addresses is of this host, whatever the policy', async t => {
  const { ask } = guarded(7, [{ allow: 'all' }])
  await ask(register({ address: '127.0.0.1' }))
  await t.rejects(ask(resolve(), far()), { code: 'ECONNREFUSED' })
  t.strictSame(await names(ask(list, far())), [])
})

t.test('where the user matters it is asked for, and over the Unix socket cannot be', async t => {
  const rules = [{ allow: ['resolve', 'list'], user: 'luke' }, { deny: ['resolve', 'list'] }]
  const { ask, world, denied } = guarded(7, rules)
  await ask(register())
  t.match(await ask(resolve()), { endpoints: [{}] })
  t.strictSame(await names(ask(list)), ['a'])
  world.uid = 8
  await t.rejects(ask(resolve()), { code: 'ECONNREFUSED' })
  t.strictSame(denied, ['denied 127.0.0.1, user 8: resolve a@0.0.0 (p.yaml:1)'])
  t.strictSame(await names(ask(list)), [])
  await t.rejects(ask(resolve(), far()), { code: 'ECONNREFUSED' })
  t.strictSame(await ask(resolve(), NAMELESS), { truncated: true })
  t.strictSame(await ask(resolve({ service: 'none' }), NAMELESS), { truncated: true })
})

t.test('a datagram from an address of this host is judged by no policy', async t => {
  for (const rules of [[{ deny: 'resolve', user: 'luke' }], [{ deny: 'resolve', from: 'local' }]]) {
    const { ask, world } = guarded(7, rules)
    world.uid = 8
    await ask(register())
    for (const address of ['127.0.0.1', '127.0.0.2', '::1']) {
      t.strictSame(await ask(resolve(), sender(address)), { truncated: true }, address)
      t.strictSame(await ask(resolve({ service: 'none' }), sender(address)), { truncated: true })
    }
    t.match(await ask(resolve(), sender('192.0.2.2')), { endpoints: [{}] })
  }
  const { ask } = guarded(8, undefined)
  await ask(register())
  t.match(await ask(resolve(), sender('127.0.0.1')), { endpoints: [{}] }, 'where there is one')
})

t.test('what is told for another is what both may have', async t => {
  interfaces(t, { eth0: [{ address: '192.0.2.1' }] })
  const rules = [
    { deny: 'resolve', name: 'not-luke', user: 'luke' },
    { deny: 'resolve', name: 'not-far', from: 'remote' },
    { allow: 'resolve', name: 'luke', user: 'luke' },
    { deny: 'resolve', name: 'luke' },
  ]
  const table: [asker: number, visitor: Visitor, names: string[]][] = [
    [7, { address: '::1', uid: 7 }, ['luke', 'not-far', 'here']],
    [7, { address: '::1', uid: 8 }, ['not-far', 'here']],
    [8, { address: '::1', uid: 7 }, ['not-far', 'here']],
    [8, { address: '::1', uid: 8 }, ['not-luke', 'not-far', 'here']],
    [8, { address: '::1' }, ['not-far', 'here']],
    [8, { address: '192.0.2.2' }, ['not-luke']],
    // Nobody has said of a user of another host that it is one of this.
    [7, { address: '192.0.2.2', uid: 7 }, []],
  ]
  const all = ['luke', 'not-luke', 'not-far', 'here']
  for (const [asker, visitor, names] of table) {
    const { ask, world } = guarded(0, rules)
    for (const service of all) {
      await ask(register({ service, ...(service === 'here' && { address: '127.0.0.1' }) }))
    }
    world.uid = asker
    const found = await Promise.all(
      all.map(service =>
        ask(resolve({ service, for: visitor })).then(
          answer => t.equal(answer.for, true) && [service],
          (error: Error) => t.match(error, { reason: 'ENOSERVICE' }) && [],
        ),
      ),
    )
    t.same(new Set(found.flat()), new Set(names), `${asker} for ${JSON.stringify(visitor)}`)
  }
})

const rule = fc
  .record(
    {
      act: fc.constantFrom('allow', 'deny'),
      actions: fc.subarray(['resolve', 'list'], { minLength: 1 }),
      name: fc.constantFrom('a', 'b', 'c'),
      user: fc.constantFrom('root', 'luke'),
      from: fc.constantFrom('local', 'remote', '192.0.2.0/24', '127.0.0.8/29'),
    },
    { requiredKeys: ['act', 'actions'] },
  )
  .map(({ act, actions, ...rest }) => ({ [act]: actions, ...rest }))

t.test('whatever the policy is, nobody gets more for another than for itself', async t => {
  interfaces(t, { eth0: [{ address: '192.0.2.1' }] })
  const uids = fc.constantFrom(0, 7, 8, undefined)
  const address = fc.constantFrom('127.0.0.1', '127.0.0.9', '192.0.2.9', '198.51.100.1')
  await fc.assert(
    fc.asyncProperty(
      fc.array(rule, { maxLength: 5 }),
      uids,
      uids,
      address,
      fc.boolean(),
      async (rules, asker, uid, address, publicList) => {
        const { ask, world, access } = guarded(0, undefined, { publicList })
        await ask(register({ service: 'a' }))
        await ask(register({ service: 'b', address: '127.0.0.1' }))
        await ask(register({ service: 'c', version: '1.0.0' }))
        await ask(register({ service: 'c', version: '2.0.0' }))
        access.policy = parsePolicy(JSON.stringify({ rules }), 'p.yaml', users)

        /** All that a peer is told: of each name, and in a list. */
        const told = async (peer: Peer, given: Answer = {}) => {
          const versions = async (service: string) => {
            const found = await ask(resolve({ service, ...given }), peer).catch(() => ({}))
            const { endpoints = [] } = found as { endpoints?: { version: string }[] }
            return endpoints.map(({ version }) => `resolve ${service}@${version}`)
          }
          const each = await Promise.all(['a', 'b', 'c'].map(versions))
          const list = await names(ask(question({ op: 'list', ...given }), peer)).catch(() => [])
          return [...each.flat(), ...list.map(service => `list ${service}`)]
        }
        world.uid = uid
        const isLocal = address.startsWith('127.')
        const itself = isLocal ? { ...here(), remote: { address, port: 1 } } : far(address)
        const theirs = await told(itself)
        world.uid = asker
        const ours = await told(here())
        const visitor = { address, ...(uid !== undefined && { uid }) }
        const both = ours.filter(one => theirs.includes(one))
        deepStrictEqual(await told(here(), { for: visitor }), both)
      },
    ),
  )
})

t.test('only a program of this host asks for another, and its user has to be known', async t => {
  const visitor = { for: { address: '::1', uid: 7 } }
  const denied = { reason: 'EDENIED', message: /"for" is for programs on the host itself/ }
  for (const rules of [undefined, [{ deny: 'resolve', name: 'b' }]]) {
    const { ask, denied: log } = guarded(7, rules, { publicList: true })
    await ask(register())
    for (const peer of [far(), sender('192.0.2.2'), sender('127.0.0.1')]) {
      await t.rejects(ask(resolve(visitor), peer), denied)
    }
    await t.rejects(ask(question({ op: 'list', ...visitor }), far()), denied)
    await t.rejects(ask(question({ op: 'watch', id: 1, ...visitor }), far()), denied)
    t.match(await ask(resolve(visitor), NAMELESS), { endpoints: [{}], for: true })
    t.match(await ask(question({ op: 'list', ...visitor })), { services: [{}], for: true })
    t.strictSame(log, [])
  }
  const { ask } = guarded(7, [{ deny: 'resolve', user: 'luke' }])
  t.strictSame(await ask(resolve(visitor), NAMELESS), { truncated: true })
})

t.test('a program is of this host if it has an address of this host', async t => {
  const link = { address: 'fe80::1', scopeid: 2 }
  interfaces(t, { eth0: [{ address: '192.0.2.1' }, link] })
  const { ask } = guarded(7, undefined)
  await ask(register({ address: '127.0.0.1' }))
  for (const address of ['127.0.0.1', '127.9.9.9', '::1', '::ffff:192.0.2.1', 'fe80::1%eth0']) {
    t.match(await ask(resolve({ for: { address } })), { endpoints: [{}] }, address)
  }
  for (const address of [
    '192.0.2.2',
    '0.0.0.0',
    '::',
    'fe80::1',
    'fe80::1%eth1',
    '64:ff9b::7f00:1',
  ]) {
    await t.rejects(
      ask(resolve({ for: { address } })),
      { code: 'ECONNREFUSED', reason: 'ENOSERVICE' },
      address,
    )
  }
})

t.test('a denial is told and counted as that of any other', async t => {
  const { ask, denied } = guarded(8, [{ deny: 'resolve', user: 'luke' }])
  await ask(register())
  await t.rejects(ask(resolve({ for: { address: '127.0.0.9', uid: 7 } })), { code: 'ECONNREFUSED' })
  t.strictSame(denied, ['denied 127.0.0.9, user 7: resolve a@0.0.0 (p.yaml:1)'])
})

t.test('what is neither published, resolved nor listed is no matter of policy', async t => {
  const { handle } = guarded(7, [{ deny: 'all', user: 'luke' }])
  t.match(handle({ op: 'unregister', registration: 1 }, here()), { unregistered: false })
  t.strictSame(handle({ op: 'status' }, far()), { started: 1 }, 'and another host is told less')
})

t.test('to watch is to list', async t => {
  const { access } = guarded(8, [{ allow: 'list', user: 'luke' }, { deny: 'list' }])
  const peer = here()
  const watch = question({ op: 'watch', id: 1 })
  t.strictSame(await access.step(watch, peer, () => ({ next: true })), { next: true })
  const entry = new Registry().register({}, register() as never)
  t.notOk(access.sees('list', peer, entry))
})

t.test('users and connections are those of this host, unless told otherwise', async t => {
  const access = new Access({ port: () => 1, denied: () => {} })
  const answer = access.step(register({ namespace: 'root' }), here(), () => ({}))
  await t.rejects(Promise.resolve(answer), { reason: 'EDENIED', message: /cannot be known/ })
})

t.test('what a peer may ask depends on its host, and on the transport', async t => {
  const udp = { owner: undefined as never }
  const peers: Record<string, Peer> = {
    'this host': here(),
    'another host': far(),
    'this host by UDP': { ...here(), ...udp },
    'another host by UDP': { ...far(), ...udp },
  }
  const all = ['resolve', 'register', 'update', 'unregister', 'list', 'watch', 'status', 'handover']
  const table: [peer: string, publicList: boolean, allowed: string[]][] = [
    ['this host', false, all],
    ['this host', true, all],
    ['another host', false, ['resolve', 'status']],
    ['another host', true, ['resolve', 'list', 'watch', 'status']],
    ['this host by UDP', true, ['resolve']],
    ['another host by UDP', true, ['resolve']],
  ]
  for (const [peer, publicList, allowed] of table) {
    const { access } = guarded(7, undefined, { publicList })
    const handle = chain(access.step, () => ({}))
    for (const op of all) {
      const ask = () => handle({ op } as Question, peers[peer]!)
      const says = `${op} from ${peer}${publicList ? ', list open' : ''}`
      if (allowed.includes(op)) t.strictSame(ask(), {}, says)
      else t.throws(ask, { code: 'EACCES', reason: 'EDENIED' }, says)
    }
  }
})

t.test('a refusal by policy says why', async t => {
  const { handle } = guarded(7, undefined)
  t.throws(() => handle({ op: 'list' }, far()), { message: /list is for programs on the host/ })
  const { owner: _, ...udp } = here()
  t.throws(() => handle({ op: 'list' }, udp), { message: /list is answered over TCP alone/ })
})

const reserve = (given: Answer = {}) =>
  question({
    id: 1,
    op: 'reserve',
    service: 'a',
    transport: 'tcp',
    reservation: 'a-secret-of-16-letters',
    ...given,
  })

/** A program of this host that comes from a port of its own, by which its user is known. */
function from(port: number): Peer {
  const ends = { address: '127.0.0.1', remote: { address: '127.0.0.1', port } }
  return { local: true, ...ends, owner: { isOpen: true, tell: () => {}, ends } }
}

t.test(
  'a name is reserved as it is registered: by whom the policy lets, for a user in his namespace',
  async t => {
    const { ask } = guarded(8, [{ deny: 'publish', name: 'a' }])
    await t.rejects(ask(reserve()), { reason: 'EDENIED', message: /not let you publish a@0.0.0/ })
    await t.rejects(ask(reserve({ service: 'b', namespace: 'luke' })), {
      code: 'EACCES',
      reason: 'EDENIED',
    })
    t.match(await ask(reserve({ service: 'b' })), { registration: 1 })
    const message = /reserve is for programs on the host itself$/
    await t.rejects(ask(reserve({ service: 'c' }), far()), { reason: 'EDENIED', message })
  },
)

t.test('a protected name is reserved by those who may register it', async t => {
  const { ask } = guarded(7, undefined, { protectedNames, uid: 9 })
  await t.rejects(ask(reserve({ service: 'http' })), { code: 'EACCES', message: /port 80/ })
  t.match(await ask(reserve()), { registration: 1 })
})

t.test('a name is taken by force from a program of the same user alone', async t => {
  const table: [asker: number | undefined, holder: number | undefined, isAllowed: boolean][] = [
    [7, 7, true],
    [0, 7, true],
    [8, 7, false],
    [undefined, 7, false],
    [7, undefined, false],
    [0, undefined, true],
  ]
  for (const [asker, holder, isAllowed] of table) {
    const uids = new Map([
      [1, asker],
      [2, holder],
    ])
    const { ask, registry } = guarded(undefined, undefined, {
      identities: { of: async ({ port }) => uids.get(port) },
      rivals: question => new Set(registry.rivals(question).map(({ owner }) => owner as Owner)),
    })
    await ask(register(), from(2))
    const taken = ask(reserve({ force: true }), from(1))
    if (isAllowed) t.match(await taken, { registration: 2 })
    else
      await t.rejects(taken, {
        reason: 'EDENIED',
        message: /a@0.0.0 is held by a program of another/,
      })
    t.match(await ask(reserve({ force: true, service: 'free' }), from(1)), { registration: Number })
  }
})

t.test(
  'a name that changes hands meanwhile is not taken, one whose holder has gone is',
  async t => {
    let change = () => {}
    const { ask, registry } = guarded(undefined, undefined, {
      identities: {
        of: async () => {
          change()
          return 7
        },
      },
      rivals: question => new Set(registry.rivals(question).map(({ owner }) => owner as Owner)),
    })
    const first = from(1)
    await ask(register(), first)
    change = () => {
      registry.release(first.owner!)
      change = () => {}
      registry.register(silent(), offer({ version: '0.0.0' }))
    }
    await t.rejects(ask(reserve({ force: true }), from(2)), { code: 'EACCES', reason: 'EDENIED' })

    // The name was free when it was asked for, but its asker had to be identified.
    const free = { namespace: 'luke', service: 'c' }
    change = () => {
      change = () => {}
      registry.register(silent(), offer({ ...free, version: '0.0.0' }))
    }
    await t.rejects(ask(reserve({ ...free, force: true }), from(5)), { code: 'EACCES' })

    const gone = from(3)
    await ask(register({ service: 'b' }), gone)
    Object.assign(gone.owner!, { isOpen: false })
    const known = from(4)
    t.match(await ask(reserve({ service: 'b', force: true }), known), { registration: Number })
    await ask(register({ service: 'd' }), from(6))
    t.match(await ask(reserve({ service: 'e', force: true }), known), { registration: Number })
    t.match(await ask(reserve({ service: 'd', force: true }), known), { registration: Number })
  },
)

/** A daemon of user 9 whose peers have the users of their ports, as `uids` has them. */
function populated(uids: Record<number, number | undefined>, rules?: object[]) {
  const looked: number[] = []
  const of = async ({ port }: { port: number }) => {
    looked.push(port)
    return uids[port]
  }
  return { ...guarded(undefined, rules, { uid: 9, identities: { of } }), looked }
}

const trusted = (given: Answer = {}) => resolve({ trusted: true, ...given })
const absent = { code: 'ECONNREFUSED', reason: 'ENOSERVICE' }

t.test('names that only trusted programs hold are told if one holds them', async t => {
  const table: [
    holder: number | undefined,
    asker: number | undefined,
    visitor: object,
    may: boolean,
  ][] = [
    [0, 7, {}, true],
    [9, 7, {}, true],
    [7, 7, {}, true],
    [8, 7, {}, false],
    [7, undefined, {}, false],
    [0, undefined, {}, true],
    [undefined, undefined, {}, false],
    [undefined, 7, {}, false],
    [undefined, 0, {}, false],
    // It counts whose the program is that has the answer.
    [8, 7, { for: { address: '::1', uid: 8 } }, true],
    [7, 7, { for: { address: '::1', uid: 8 } }, false],
    [7, 7, { for: { address: '::1' } }, false],
    [7, 7, { for: { address: '203.0.113.9', uid: 7 } }, false],
    [0, 7, { for: { address: '203.0.113.9' } }, true],
  ]
  for (const [holder, asker, visitor, may] of table) {
    const { ask } = populated({ 1: asker, 2: holder })
    await ask(register(), from(2))
    const answer = ask(trusted({ ...visitor, follow: true, id: 1 }), from(1))
    const says = `user ${holder} for ${asker} ${JSON.stringify(visitor)}`
    if (!may) await t.rejects(answer, absent, says)
    else t.match(await answer, { endpoints: [{}], trusted: true, followed: undefined }, says)
    t.match(await ask(resolve(), from(1)), { trusted: undefined, endpoints: [{}] })
  }
})

t.test('what is held by others is as if it were not there, before eight are chosen', async t => {
  const { ask } = populated({ 1: 7, 2: 7, 3: 8 })
  await ask(register({ version: '1.0.0', port: 81 }), from(2))
  for (let minor = 0; minor < 100; minor++) {
    await ask(register({ version: `2.${minor}.0` }), from(3))
  }
  await ask(register({ namespace: 'ours', version: '2.0.0', port: 82 }), from(2))
  t.match(await ask(trusted(), from(1)), { endpoints: [{ version: '1.0.0', port: 81 }] })
  await t.rejects(ask(trusted({ version: '^2' }), from(1)), {
    code: 'ECONNREFUSED',
    reason: 'EVERSION',
    offered: ['1.0.0'],
  })
  t.match(await ask(trusted({ version: '^2', also: ['ours'] }), from(1)), {
    endpoints: [{ port: 82 }],
    namespace: 'ours',
  })
})

t.test('holders are looked for once, some at a time, and none of what is withheld', async t => {
  const uids = Object.fromEntries(Array.from({ length: 200 }, (_, n) => [n + 10, 7]))
  let most = 0
  let now = 0
  const looked: number[] = []
  const of = async ({ port }: { port: number }) => {
    looked.push(port)
    most = Math.max(most, ++now)
    await new Promise(setImmediate)
    now--
    return uids[port]
  }
  const rules = [{ deny: 'resolve', version: '>=3' }]
  const { ask, denied } = guarded(7, rules, { identities: { of }, uid: 9 })
  for (let n = 0; n < 199; n++) {
    await ask(register({ version: `2.${n}.0` }), from(n + 10))
  }
  await ask(register({ version: '3.0.0' }), from(209))
  looked.length = 0
  const asker = from(10)
  t.match(await ask(trusted(), asker), { endpoints: [{ version: '2.198.0' }] })
  t.equal(looked.length, 200, 'the holders, and who asks')
  t.notOk(looked.includes(209))
  t.ok(most <= 64, `${most} at a time`)
  t.equal(denied.length, 1)
  looked.length = 0
  t.match(await ask(trusted(), asker), { endpoints: [{ version: '2.198.0' }] })
  t.strictSame(looked, [])
})

t.test(
  'a holder of whom nothing can be known is not trusted, one that has gone neither',
  async t => {
    const { ask, registry, looked } = populated({ 1: 7, 2: 7 })
    registry.register(silent(), offer({ version: '9.0.0' }))
    const gone = from(2)
    await ask(register(), gone)
    Object.assign(gone.owner!, { isOpen: false })
    t.match(await ask(trusted(), from(1)), { endpoints: [{ version: '0.0.0' }] })
    t.strictSame(looked, [1, 2], 'that of no connection is not looked for')

    const other = populated({ 1: 7 })
    await other.ask(register(), from(2))
    await t.rejects(other.ask(trusted(), from(1)), absent)
    await t.rejects(other.ask(trusted(), from(1)), absent)
    t.equal(other.looked.filter(port => port === 2).length, 2, 'it may be known later')
  },
)

t.test('whoever asks for one holder while it is looked for waits for the same', async t => {
  const waiting: (() => void)[] = []
  let looked = 0
  const { ask } = guarded(undefined, undefined, {
    identities: {
      of: async () => {
        looked++
        await new Promise<void>(resolve => waiting.push(resolve))
        return 0
      },
    },
  })
  await ask(register(), from(2))
  const visitor = { for: { address: '::1', uid: 7 } }
  const answers = Array.from({ length: 50 }, () => ask(trusted(visitor), from(1)))
  await new Promise(setImmediate)
  t.equal(looked, 1)
  waiting[0]!()
  for (const one of answers) t.match(await one, { endpoints: [{}], trusted: true, for: true })
})

t.test('want of descriptors makes nobody distrusted', async t => {
  const want = Object.assign(new Error('EMFILE'), { code: 'EMFILE' })
  const { ask } = guarded(undefined, undefined, {
    identities: {
      of: async () => {
        throw want
      },
    },
  })
  await ask(register(), from(2))
  await t.rejects(ask(trusted({ for: { address: '::1', uid: 7 } }), from(1)), { code: 'EMFILE' })
})

t.test('only a program of this host whose user can be known asks for trusted names', async t => {
  const { ask } = populated({ 1: 7, 2: 7 })
  await ask(register(), from(2))
  const message = /"trusted" is for programs on the host itself/
  for (const peer of [far(), sender('127.0.0.1'), sender('192.0.2.2')]) {
    await t.rejects(ask(trusted(), peer), { code: 'EACCES', reason: 'EDENIED', message })
  }
  t.strictSame(await ask(trusted(), NAMELESS), { truncated: true })
  t.strictSame(await ask(trusted({ for: { address: '::1', uid: 7 } }), NAMELESS), {
    truncated: true,
  })
})

const gateway = (given: Answer = {}) => question({ op: 'gateway', port: 6680, ...given })
const gateways = question({ op: 'gateways' })

t.test('a program is told of a gateway of its user, of root or of the daemon’s', async t => {
  const { ask } = populated({ 1: 0, 2: 9, 3: 7, 4: 8, 6: 7 })
  const at = (port: number, uid: number) => ({ address: '127.0.0.1', port, uid })
  t.strictSame(await ask(gateways, from(3)), { gateways: [] })
  t.strictSame(await ask(gateway({ port: 4 }), from(4)), { gateway: true })
  t.strictSame(await ask(gateways, from(3)), { gateways: [] }, 'of no other')
  await ask(gateway({ port: 5 }), from(5))
  await ask(gateway({ port: 1 }), from(1))
  await ask(gateway({ port: 2 }), from(2))
  for (const port of [3, 5]) {
    t.strictSame(await ask(gateways, from(port)), { gateways: [at(1, 0), at(2, 9)] })
  }
  await ask(gateway({ port: 3, address: '::1' }), from(3))
  t.strictSame(await ask(gateways, from(6)), { gateways: [{ ...at(3, 7), address: '::1' }] })
  const message = /one connection may have 1 gateway/
  const peer = from(6)
  await ask(gateway(), peer)
  await t.rejects(ask(gateway(), peer), { code: 'EBUSY', reason: 'ELIMIT', message })
})

t.test('only a program of this host is a gateway, at an address of this host', async t => {
  interfaces(t, { eth0: [{ address: '192.0.2.1' }] })
  const { ask } = guarded(7, undefined, { publicList: true })
  const { owner: _, ...datagram } = here()
  for (const asked of [gateway(), gateways]) {
    for (const peer of [far(), NAMELESS, datagram, sender('127.0.0.1')]) {
      await t.rejects(ask(asked, peer), { code: 'EACCES', reason: 'EDENIED' })
    }
  }
  for (const address of ['127.0.0.2', '::1', '0.0.0.0', '::', '192.0.2.1']) {
    t.strictSame(await ask(gateway({ address })), { gateway: true }, address)
  }
  await t.rejects(ask(gateway({ address: '192.0.2.2' })), {
    code: 'EACCES',
    message: /192\.0\.2\.2 is no address of this host/,
  })
})
