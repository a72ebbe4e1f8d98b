import t from 'tap'
import { Audience } from '../../lib/daemon/subscriptions.ts'
import { chain, isVisible, local, policy, type Peer, type Sight } from '../../lib/daemon/answer.ts'
import { Registry } from '../../lib/daemon/registry.ts'
import { watching } from '../../lib/daemon/watching.ts'
import { question, type Answer, type Id } from '../../lib/wire/protocol.ts'
import { offer } from '../fixtures/offers.ts'

const watch = (given: Answer = {}) => question({ op: 'watch', id: 7, ...given })

const sees: Sight = (_action, peer, entry) => isVisible(entry, peer)

function daemon(publicList = false) {
  const audience = new Audience()
  const registry = new Registry((change, entry) => audience.tell(change, entry))
  const answer = chain(
    policy({ mayList: () => publicList }),
    watching(registry, audience, 36, sees),
    local(registry, { generation: 36, ttl: 1, status: () => ({}) }),
  )
  return { audience, registry, answer }
}

/** Somebody, and what they are told. */
function somebody(isLocal = true): Peer & { told: [Id, Answer][] } {
  const told: [Id, Answer][] = []
  const owner = { isOpen: true, tell: (id: Id, event: Answer) => told.push([id, event]) }
  const remote = { address: '192.0.2.2', port: 1 }
  return { local: isLocal, address: '192.0.2.1', remote, owner, told }
}

t.test('a watcher is told what there is, and then of each change', async t => {
  const { registry, answer } = daemon()
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

t.test('nobody is told of what they may not see', async t => {
  const { registry, answer, audience } = daemon(true)
  const peer = somebody(false)
  registry.register({}, offer({ address: '127.0.0.1' }))
  t.strictSame(answer(watch(), peer), { services: [] })
  registry.register({}, offer({ service: 'b', address: '127.0.0.1' }))
  registry.register({}, offer({ service: 'c' }))
  t.match(peer.told, [[7, { event: 'up', service: 'c' }]])
  t.equal(peer.told.length, 1)
  t.equal(audience.held(peer.owner!), 1)
  audience.release(peer.owner!)
  registry.register({}, offer({ service: 'd' }))
  t.equal(peer.told.length, 1)
})

t.test('to watch is for this host, over TCP, unless it is opened', async t => {
  const { answer } = daemon()
  t.throws(() => answer(watch(), somebody(false)), {
    code: 'EACCES',
    message: /watch is for programs on the host itself, unless monikerd --public-list/,
  })
  const { owner: _, ...datagram } = somebody()
  t.throws(() => answer(watch(), datagram), { message: /watch is answered over TCP alone/ })
  const registry = new Registry()
  const unpoliced = chain(
    watching(registry, new Audience(), 1, sees),
    local(registry, { generation: 1, ttl: 1, status: () => ({}) }),
  )
  t.throws(() => unpoliced(watch(), datagram), { message: /nothing here answers watch/ })
})
