import { deepStrictEqual, equal } from 'node:assert/strict'
import fc from 'fast-check'
import semver from 'semver'
import t from 'tap'
import { Registry, type Entry } from '../../lib/daemon/registry.ts'
import { MonikerError } from '../../lib/errors.ts'
import type { Offer, Resolve } from '../../lib/wire/protocol.ts'
import { offer as anything } from '../fixtures/offers.ts'

/** An offer of `starwars`, unless told otherwise. */
const offer = (given: Partial<Offer> = {}): Offer =>
  anything({ service: 'starwars', port: 4000, ...given })

/** A question for any `starwars` over TCP, unless told otherwise. */
const asked = (given: Partial<Resolve> = {}): Resolve => ({
  op: 'resolve',
  namespace: '',
  service: 'starwars',
  version: '',
  transports: ['tcp'],
  ...given,
})

const ports = (entries: Iterable<Entry>) => [...entries].map(entry => entry.port)

t.test('a name that is registered is found, with all that was offered', async t => {
  const registry = new Registry()
  const owner = {}
  const offered = offer({ metadata: { a: 1 }, pid: 7 })
  const entry = registry.register(owner, offered)

  t.match(entry, { ...offered, registration: 1, owner })
  t.strictSame(registry.resolve(asked()), [entry])
  t.strictSame([...registry.list()], [entry])
  t.equal(registry.size, 1)
  t.equal(registry.held(owner), 1)
  t.equal(registry.held({}), 0)
})

t.test('a name that is not registered is not offered', async t => {
  const registry = new Registry()
  const expected = { code: 'ECONNREFUSED', reason: 'ENOSERVICE', syscall: 'resolve' }
  t.throws(() => registry.resolve(asked({ version: '^1' })), {
    ...expected,
    service: 'starwars@^1',
  })
  registry.register({}, offer({ transport: 'udp' }))
  t.throws(() => registry.resolve(asked()), expected, 'nor is it over another transport')
  t.throws(() => registry.resolve(asked({ namespace: 'ns' })), expected, 'nor in another namespace')
  const blind = () => registry.resolve(asked({ transports: ['udp'] }), () => false)
  t.throws(blind, expected, 'nor to those who may not see it')
})

t.test('a version that is not there is not offered, and those that are, are named', async t => {
  const registry = new Registry()
  for (const version of ['1.0.0', '2.0.0', '3.0.0', '4.0.0', '5.0.0']) {
    registry.register({}, offer({ version, shared: true }))
    registry.register({}, offer({ version, shared: true }))
  }
  registry.register({}, offer({ version: '9.0.0', address: '127.0.0.1' }))
  const offered = ['5.0.0', '4.0.0', '3.0.0', '2.0.0']
  const visible = (entry: Entry) => entry.address === '::'
  t.throws(() => registry.resolve(asked({ version: '>=6' }), visible), {
    code: 'ECONNREFUSED',
    reason: 'EVERSION',
    service: 'starwars@>=6',
    offered,
  })
})

t.test('the highest version in range wins, in whatever order they came', async () => {
  const versions = ['1.0.0', '1.10.0', '1.9.0', '2.0.0', '2.0.1-rc.1', '0.1.0']
  const table: [range: string, best: string][] = [
    ['', '2.0.1-rc.1'],
    ['*', '2.0.0'],
    ['^1', '1.10.0'],
    ['<1.10', '1.9.0'],
    ['1.0.0', '1.0.0'],
    ['>=2.0.1-0', '2.0.1-rc.1'],
    ['^0.1', '0.1.0'],
  ]
  fc.assert(
    fc.property(fc.shuffledSubarray(versions, { minLength: versions.length }), order => {
      const registry = new Registry()
      for (const version of order) registry.register({}, offer({ version }))
      for (const [version, best] of table) {
        const found = registry.resolve(asked({ version }))
        deepStrictEqual(
          found.map(entry => entry.version),
          [best],
        )
      }
    }),
  )
})

t.test('any number of ranges is judged, as often as it is asked for', async t => {
  const registry = new Registry()
  registry.register({}, offer({ version: '2.0.0' }))
  for (const _ of ['first', 'again']) {
    for (let minor = 0; minor < 5_000; minor++) {
      equal(registry.resolve(asked({ version: `>=1.${minor}` })).length, 1)
    }
    t.throws(() => registry.resolve(asked({ version: '>=3' })), { code: 'ECONNREFUSED' })
  }
})

t.test('a name that is taken cannot be taken again, and the holder is named', async t => {
  const registry = new Registry()
  const owner = {}
  registry.register(owner, offer({ pid: 7 }))
  registry.register({}, offer({ version: '2.0.0' }))
  const expected = { code: 'EADDRINUSE', syscall: 'register' }
  const message = /starwars@1\.0\.0 is already registered .*by process 7 on port 4000;/
  t.throws(() => registry.register({}, offer()), { ...expected, message })
  t.throws(() => registry.register(owner, offer()), expected, 'not even by its holder')
  t.throws(() => registry.register({}, offer({ shared: true })), expected, 'nor shared with it')
  const anonymous = { ...expected, message: /held on port 4000;/ }
  t.throws(() => registry.register({}, offer({ version: '2.0.0' })), anonymous)
  t.equal(registry.size, 2, 'what was refused is not held')
})

t.test('the same name may be had over another transport, version or namespace', async t => {
  const registry = new Registry()
  registry.register({}, offer())
  registry.register({}, offer({ transport: 'udp' }))
  registry.register({}, offer({ version: '1.0.1' }))
  registry.register({}, offer({ namespace: 'ns' }))
  t.equal(registry.size, 4)
})

t.test('a name goes to whoever has held it for longer', async t => {
  const table: [wanted: Partial<Offer>, held: Partial<Offer>, wins: boolean][] = [
    [{ since: 1 }, { since: 2 }, true],
    [{ since: 2 }, { since: 1 }, false],
    [{ since: 1, port: 1 }, { since: 1, port: 2 }, true],
    [{ since: 1, port: 2 }, { since: 1, port: 1 }, false],
    [{ since: 2 }, {}, true],
    [{}, { since: 1 }, false],
    [{ port: 1 }, { port: 2 }, false],
    [{ since: 1 }, { shared: true }, true],
  ]
  for (const [wanted, held, wins] of table) {
    const registry = new Registry()
    const rival = registry.register({}, offer(held))
    const evicted: Entry[] = []
    const ask = () => registry.register({}, offer(wanted), entry => evicted.push(entry))
    const says = `${JSON.stringify(wanted)} beside ${JSON.stringify(held)}`
    if (wins) t.equal(ask(), registry.resolve(asked())[0], says)
    else t.throws(ask, { code: 'EADDRINUSE' }, says)
    t.strictSame(evicted, wins ? [rival] : [])
    t.equal(registry.size, 1)
  }
})

t.test('a registration that ends a younger one needs no listener for that', async t => {
  const registry = new Registry()
  registry.register({}, offer())
  registry.register({}, offer({ since: 1, port: 9 }))
  t.strictSame(ports(registry.list()), [9])
})

t.test('no registration ends for a new one that an older one keeps out', async t => {
  const registry = new Registry()
  registry.register({}, offer({ shared: true, since: 1 }))
  registry.register({}, offer({ shared: true, since: 9 }))
  t.throws(() => registry.register({}, offer({ since: 5 })), { code: 'EADDRINUSE' })
  t.equal(registry.size, 2)
})

t.test('shared instances are handed out in turn', async t => {
  const registry = new Registry()
  for (const port of [1, 2, 3]) registry.register({}, offer({ port, shared: true }))
  registry.register({}, offer({ port: 9, version: '0.9.0', shared: true }))
  const turns = Array.from({ length: 4 }, () => ports(registry.resolve(asked())))
  t.strictSame(turns, [
    [1, 2, 3],
    [2, 3, 1],
    [3, 1, 2],
    [1, 2, 3],
  ])
})

t.test('an instance that leaves is handed out no more', async t => {
  const registry = new Registry()
  const owner = {}
  registry.register({}, offer({ port: 1, shared: true }))
  registry.register(owner, offer({ port: 2, shared: true }))
  registry.resolve(asked())
  registry.release(owner)
  t.strictSame(ports(registry.resolve(asked())), [1])
  t.throws(
    () => registry.register({}, offer()),
    { code: 'EADDRINUSE' },
    'what is left still shares',
  )
})

t.test('only its owner can let a name go, and only once', async t => {
  const registry = new Registry()
  const owner = {}
  const other = {}
  const { registration } = registry.register(owner, offer())
  registry.register(other, offer({ service: 'other' }))

  t.notOk(registry.unregister({}, registration))
  t.notOk(registry.unregister(other, registration))
  t.notOk(registry.unregister(owner, registration + 1))
  t.ok(registry.unregister(owner, registration))
  t.notOk(registry.unregister(owner, registration))
  t.throws(() => registry.resolve(asked()), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  t.equal(registry.size, 1)
})

t.test('a registration has a number that no other has had', async t => {
  const registry = new Registry()
  const owner = {}
  const first = registry.register(owner, offer())
  registry.unregister(owner, first.registration)
  t.not(registry.register(owner, offer()).registration, first.registration)
})

t.test('all names of an owner go when it goes', async t => {
  const registry = new Registry()
  const owner = {}
  for (const service of ['a', 'b', 'c']) registry.register(owner, offer({ service }))
  registry.register({}, offer({ service: 'd' }))

  t.equal(registry.release(owner), 3)
  t.equal(registry.release(owner), 0)
  t.strictSame(
    [...registry.list()].map(entry => entry.service),
    ['d'],
  )
  t.equal(registry.held(owner), 0)
})

t.test('a list may be of one namespace', async t => {
  const registry = new Registry()
  registry.register({}, offer({ port: 1 }))
  registry.register({}, offer({ port: 2, namespace: 'ns' }))
  t.strictSame(ports(registry.list()), [1, 2])
  t.strictSame(ports(registry.list('')), [1])
  t.strictSame(ports(registry.list('ns')), [2])
  t.strictSame(ports(registry.list('other')), [])
  t.strictSame(ports(registry.list(undefined, 'starwars')), [1, 2])
  t.strictSame(ports(registry.list('ns', 'starwars')), [2])
  t.strictSame(ports(registry.list('ns', 'other')), [])
})

t.test('names such as __proto__ are names as any other', async t => {
  const registry = new Registry()
  const service = 'constructor'
  t.throws(() => registry.resolve(asked({ service })), {
    code: 'ECONNREFUSED',
    reason: 'ENOSERVICE',
  })
  registry.register({}, offer({ service, namespace: 'tostring' }))
  t.ok(registry.resolve(asked({ service, namespace: 'tostring' })))
})

/** The behaviour of a registry in the plainest words: a list, and no index. */
class Model {
  entries: (Offer & { owner: number; registration: number })[] = []
  last = 0

  register(owner: number, offer: Offer): number | 'ETAKEN' {
    const same = this.entries.filter(
      entry =>
        entry.namespace === offer.namespace &&
        entry.service === offer.service &&
        entry.version === offer.version &&
        entry.transport === offer.transport,
    )
    if (same.length > 0 && !(offer.shared && same.every(entry => entry.shared === offer.shared)))
      return 'ETAKEN'
    this.entries.push({ ...offer, owner, registration: ++this.last })
    return this.last
  }

  drop(wanted: (entry: Model['entries'][number]) => boolean): number {
    const before = this.entries.length
    this.entries = this.entries.filter(entry => !wanted(entry))
    return before - this.entries.length
  }

  /** The registrations that will do, in no order. */
  resolve({ namespace, service, version, transports }: Resolve): number[] | Refused {
    const offered = this.entries.filter(
      entry =>
        entry.namespace === namespace &&
        entry.service === service &&
        transports.includes(entry.transport),
    )
    if (offered.length === 0) return 'ENOSERVICE'
    const fitting = offered.filter(
      entry => version === '' || semver.satisfies(entry.version, version),
    )
    const best = semver.rsort(fitting.map(entry => entry.version))[0]
    if (best === undefined) return 'EVERSION'
    return numbers(fitting.filter(entry => entry.version === best))
  }
}

type Refused = 'ENOSERVICE' | 'EVERSION' | 'ETAKEN'

const numbers = (entries: Iterable<{ registration: number }>) =>
  [...entries].map(entry => entry.registration).toSorted((a, b) => a - b)

/** The result of `call`, or why it was refused. */
function outcome<T>(call: () => T): T | Refused {
  try {
    return call()
  } catch (error) {
    if (error instanceof MonikerError) return error.reason as Refused
    throw error
  }
}

const owner = fc.nat({ max: 3 })
const name = {
  namespace: fc.constantFrom('', 'ns'),
  service: fc.constantFrom('a', 'b'),
}
const someVersion = fc.constantFrom('0.0.0', '1.0.0', '1.2.0', '2.0.0-rc.1')
const transport = fc.constantFrom('tcp' as const, 'udp' as const)

const shared = fc.constantFrom(false, true, 'one', 'other')

const operation = fc.oneof(
  fc.record({
    op: fc.constant('register' as const),
    owner,
    offer: fc
      .record({ ...name, version: someVersion, transport, shared })
      .map(given => offer(given)),
  }),
  fc.record({ op: fc.constant('unregister' as const), owner, registration: fc.nat({ max: 30 }) }),
  fc.record({ op: fc.constant('release' as const), owner }),
  fc.record({
    op: fc.constant('resolve' as const),
    question: fc
      .record({
        ...name,
        version: fc.constantFrom('', '*', '^1', '1.0.0', '>=3'),
        transports: fc.uniqueArray(transport, { minLength: 1 }),
      })
      .map(given => asked(given)),
  }),
)

t.test('whatever is done to it, a registry does as its model', async () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), operations => {
      const registry = new Registry()
      const model = new Model()
      const owners = [{}, {}, {}, {}]
      for (const step of operations) {
        switch (step.op) {
          case 'register': {
            const register = () => registry.register(owners[step.owner]!, step.offer).registration
            equal(outcome(register), model.register(step.owner, step.offer))
            break
          }
          case 'unregister': {
            const { owner, registration } = step
            const dropped = model.drop(
              entry => entry.owner === owner && entry.registration === registration,
            )
            equal(registry.unregister(owners[owner]!, registration), dropped === 1)
            break
          }
          case 'release':
            equal(
              registry.release(owners[step.owner]!),
              model.drop(entry => entry.owner === step.owner),
            )
            break
          case 'resolve': {
            const found = outcome(() => numbers(registry.resolve(step.question)))
            deepStrictEqual(found, model.resolve(step.question))
            break
          }
        }
        equal(registry.size, model.entries.length)
        deepStrictEqual(numbers(registry.list()), numbers(model.entries))
        for (const [n, owner] of owners.entries()) {
          equal(registry.held(owner), model.entries.filter(entry => entry.owner === n).length)
        }
      }
    }),
    { numRuns: 300 },
  )
})

t.test('any number of ranges may be asked for', async t => {
  const registry = new Registry()
  registry.register({}, offer({ version: '1.2.3' }))
  for (let patch = 0; patch < 5_000; patch++) {
    const [entry] = registry.resolve(asked({ version: `>=0.0.${patch}` }))
    if (entry?.version !== '1.2.3') return t.fail(`>=0.0.${patch}`)
  }
  t.pass('more than are remembered')
})

t.test('an observer is told of each name that comes or goes', async t => {
  const told: string[] = []
  const registry = new Registry((change, { service, port }) =>
    told.push(`${change} ${service} ${port}`),
  )
  const [one, other] = [{}, {}]
  const { registration } = registry.register(one, offer())
  t.throws(() => registry.register(other, offer()), { code: 'EADDRINUSE' })
  registry.register(other, offer({ service: 'a', port: 1 }))
  registry.register(other, offer({ service: 'b', port: 2 }))
  registry.unregister(other, registration)
  registry.unregister(one, registration)
  registry.release(other)
  t.strictSame(told, [
    'up starwars 4000',
    'up a 1',
    'up b 2',
    'down starwars 4000',
    'down a 1',
    'down b 2',
  ])
})

t.test(
  'an observer is told of the first load that a service reports, when it is known',
  async t => {
    const told: unknown[] = []
    const registry = new Registry(undefined, ({ service, load }) => told.push([service, load]))
    const owner = {}
    const { registration } = registry.register(owner, offer())
    const busy = registry.register(owner, offer({ service: 'a', port: 1, load: 0 }))
    registry.update(owner, 99, 1)
    registry.update(owner, busy.registration, 1)
    t.strictSame(told, [])
    registry.update(owner, registration, 0)
    registry.update(owner, registration, 7)
    t.strictSame(told, [['starwars', 0]])
  },
)

t.test('of several that are the same the least busy is first, as its owner says', async t => {
  const registry = new Registry()
  const [one, other] = [{}, {}]
  const shared = { shared: true }
  const entries = [1, 2, 3].map(port =>
    registry.register(one, offer({ ...shared, port, load: port })),
  )
  t.strictSame(ports(registry.resolve(asked())), [1, 2, 3])
  t.equal(registry.update(one, entries[0]!.registration, 7), true)
  t.equal(registry.update(other, entries[1]!.registration, 7), false, 'no other')
  t.equal(registry.update(one, 99, 7), false)
  t.strictSame(ports(registry.resolve(asked())), [2, 3, 1])
  registry.register(other, offer({ ...shared, port: 4 }))
  t.strictSame(ports(registry.resolve(asked())), [4, 2, 3, 1])
})

const word = 'a-secret-of-16-letters'

t.test('a name that is reserved is taken, and nobody finds it', async t => {
  const registry = new Registry()
  const owner = {}
  registry.register(owner, { ...offer({ port: 0, pid: 7 }), reservation: word })
  t.throws(() => registry.resolve(asked()), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  t.same([...registry.list()], [])
  const message = /starwars@1\.0\.0 is already registered .*, reserved by process 7;/
  t.throws(() => registry.register({}, offer()), { reason: 'ETAKEN', message })
  const another = { reservation: 'another-secret-of-16' }
  t.throws(() => registry.register({}, offer(), undefined, another), {
    code: 'EADDRINUSE',
    reason: 'ETAKEN',
  })
  t.equal(registry.held(owner), 1)
})

t.test('what has the word gets the name, in whatever version', async t => {
  const registry = new Registry()
  const owner = {}
  for (const given of [{}, { version: '2.0.0' }]) {
    const reserved = registry.register(owner, { ...offer({ port: 0 }), reservation: word })
    const other = { ...offer({ port: 0, transport: 'udp' }), reservation: word }
    const kept = registry.register(owner, other)
    const claimed: unknown[] = []
    const claim = (entry: Entry) => claimed.push(entry)
    const entry = registry.register({}, offer(given), undefined, { reservation: word, claim })
    t.same(claimed, [reserved])
    t.same(registry.resolve(asked()), [entry])
    registry.release(entry.owner)
    registry.unregister(owner, kept.registration)
  }
  const held = registry.register({}, offer())
  registry.register(owner, { ...offer({ port: 0, version: '2.0.0' }), reservation: word })
  const claim = () => t.fail('claimed')
  const again = () => registry.register({}, offer(), undefined, { reservation: word, claim })
  t.throws(again, { code: 'EADDRINUSE', reason: 'ETAKEN' }, 'what cannot be had claims nothing')
  t.same(registry.rivals(offer()), [held])
  t.equal(
    registry.register({}, offer({ service: 'free' }), undefined, { reservation: word }).port,
    4000,
  )
})

t.test('a name may be taken by force, and the holder is told', async t => {
  const registry = new Registry()
  const held = registry.register({}, offer())
  const evicted: unknown[] = []
  const options = { reservation: word, force: true }
  const reserved = { ...offer({ port: 0 }), reservation: word }
  registry.register({}, reserved, rival => evicted.push(rival), options)
  t.same(evicted, [held])
  t.throws(() => registry.resolve(asked()), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
})

t.test('a holder in another PID namespace is told as such', async t => {
  const registry = new Registry()
  registry.register({}, offer({ pid: 7, pidNamespace: 1 }))
  const elsewhere = /held by process 7 of another PID namespace \(a container, say\) on port 4000;/
  const here = /held by process 7 on port 4000;/
  const cases = [
    [{ pidNamespace: 2 }, elsewhere],
    [{ pidNamespace: 1 }, here],
    [{}, here],
  ] as const
  for (const [given, message] of cases) {
    t.throws(() => registry.register({}, offer(given)), { message })
  }
})

t.test(
  'what was registered over the connection of its reservation can still be claimed',
  async t => {
    const registry = new Registry()
    const [starter, server] = [{}, {}]
    registry.register(starter, { ...offer({ port: 0 }), reservation: word })
    const kept = registry.register(starter, offer(), undefined, { reservation: word })
    t.same(registry.resolve(asked()), [kept])
    const claimed: unknown[] = []
    const claim = (entry: Entry) => claimed.push(entry)
    const entry = registry.register(server, offer(), undefined, { reservation: word, claim })
    t.same(claimed, [kept])
    t.same(registry.resolve(asked()), [entry])
    const again = () => registry.register({}, offer(), undefined, { reservation: word })
    t.throws(again, { code: 'EADDRINUSE', reason: 'ETAKEN' }, 'once')
  },
)

t.test('the word of a reservation is known to its owner, while it is held', async t => {
  const registry = new Registry()
  const owner = {}
  const { registration } = registry.register(owner, { ...offer({ port: 0 }), reservation: word })
  t.equal(registry.reservationOf(owner, registration), word)
  t.equal(registry.reservationOf({}, registration), undefined)
  registry.register({}, offer(), undefined, { reservation: word })
  t.equal(registry.reservationOf(owner, registration), undefined)
})

t.test('so many servers have one service, and no more', async t => {
  const registry = new Registry()
  for (let n = 0; n < 512; n++) registry.register({}, offer({ shared: true, port: n + 1 }))
  t.throws(() => registry.register({}, offer({ version: '2.0.0' })), {
    code: 'EBUSY',
    reason: 'ELIMIT',
    message: /512 servers have/,
  })
  t.ok(registry.register({}, offer({ service: 'other' })))
})

t.test('a list that is walked slowly has nothing that has gone meanwhile', async t => {
  const registry = new Registry()
  const owner = {}
  const held = [1, 2, 3].map(port => registry.register(owner, offer({ shared: true, port })))
  const list = registry.list()[Symbol.iterator]()
  t.equal(list.next().value, held[0])
  registry.unregister(owner, held[1]!.registration)
  t.equal(list.next().value, held[2])
  t.equal(list.next().done, true)
  const rest = registry.list()[Symbol.iterator]()
  rest.next()
  registry.release(owner)
  t.equal(rest.next().done, true)
})
