import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import t from 'tap'
import { parse } from '../lib/name.ts'
import { Resolver } from '../lib/client/resolver.ts'
import { connect, service, type Connection } from '../lib/promises.ts'
import { awake } from './fixtures/awake.ts'
import { daemon } from './fixtures/daemon.ts'
import { home } from './fixtures/home.ts'
import { lines } from './fixtures/lines.ts'
import { withoutIPv6 } from './fixtures/ipv6.ts'

awake(t)

for (const transport of ['tcp', 'udp'] as const) {
  t.test(`a conversation over ${transport}`, async t => {
    const port = await home(t)
    const stage = await service('starwars@1.2.0', { transport, metadata: { side: 'light' } })
    t.match(stage.address, { moniker: 'starwars@1.2.0' })
    t.match(await new Resolver({ port }).list(), [{ transport, port: stage.address.port }])

    const client = await connect('starwars@^1', 'localhost', { transport })
    await client.send('hello')
    const peer = (await stage.accept())!
    t.equal(String(await peer.receive()), 'hello')
    await peer.send(Buffer.from('there'))
    t.equal(String(await client.receive(5)), 'there')
    await Promise.all([client.close(), peer.close()])
    await client.close()

    await stage.close()
    await stage.close()
    t.equal(await stage.accept(), null)
    t.same(await new Resolver({ port }).list(), [])
  })

  t.test(`each turn of the loop is a peer, over ${transport}`, async t => {
    await home(t)
    const stage = await service('echo', { transport })
    const call = async (text: string) => {
      const peer = await connect('echo', { transport })
      await peer.send(text)
      const answer = String(await peer.receive())
      await peer.close()
      return answer
    }
    const answers = Promise.all([call('one'), call('two'), call('three')])
    let peers = 0
    for await (const peer of stage) {
      await peer.send((await peer.receive())!)
      await peer.close()
      if (++peers === 3) break
    }
    t.same(await answers, ['one', 'two', 'three'])
    await stage[Symbol.asyncDispose]()
    for await (const _peer of stage) t.fail('nobody comes any more')
  })

  t.test(`a name can be waited for, over ${transport}`, async t => {
    await home(t)
    const connected = connect('late', { transport, wait: 60_000 })
    const stage = await service('late', { transport })
    const client = await connected
    await client.send('at last')
    const peer = (await stage.accept())!
    t.equal(String(await peer.receive()), 'at last')
    await Promise.all([client.close(), peer.close()])
    await stage.close()
  })

  t.test(`every wait can be given up, over ${transport}`, async t => {
    const daemonPort = await home(t)
    const reason = new Error('changed my mind')
    const signal = AbortSignal.abort(reason)
    const options = { transport, signal }
    await t.rejects(service('echo', options), reason)
    await t.rejects(connect('echo', options), reason)
    await t.rejects(connect('echo', { transport }), { code: 'ECONNREFUSED', service: 'echo' })
    await t.rejects(service('echo@^1', { transport }), { code: 'ERR_MONIKER_NAME' })

    const stage = await service('echo', { transport, signal: new AbortController().signal })
    await t.rejects(service('echo', { transport }), { code: 'EADDRINUSE' })
    const controller = new AbortController()
    const waits: Promise<unknown>[] = [stage.accept(controller)]
    const peer = await connect('echo', { transport, daemonPort })
    await t.rejects(peer.send('x', { signal }), reason)
    await t.rejects(peer.receive(1, { signal }), reason)
    if (transport === 'udp') waits.push(peer.receive(undefined, controller))
    else waits[0] = peer.receive(undefined, controller)
    controller.abort(reason)
    for (const wait of waits) await t.rejects(wait, reason)
    await peer[Symbol.asyncDispose]()
    await stage.close()
  })

  t.test(`what asks too long is given up, over ${transport}`, async t => {
    const reason = new Error('changed my mind')
    const resolver = { resolve: () => new Promise<never>(() => {}) }
    const controller = new AbortController()
    const { signal } = controller
    const connected = connect('echo', { transport, resolver, signal })
    setImmediate(() => controller.abort(reason))
    await t.rejects(connected, reason)
  })
}

t.test('a service over IPv6 is found, at its own address', { skip: withoutIPv6 }, async t => {
  await home(t)
  for (const transport of ['tcp', 'udp'] as const) {
    const stage = await service('echo', { transport, host: '::1' })
    t.match(stage.address, { address: '::1', family: 'IPv6' })
    const client = await connect('echo://localhost', { transport })
    await client.send('six')
    const peer = (await stage.accept()) as Connection
    t.equal(String(await peer.receive()), 'six')
    await Promise.all([client.close(), peer.close(), stage.close()])
  }
})

t.test('a connection that is given up while it is made is closed', async t => {
  const reason = new Error('changed my mind')
  const controller = new AbortController()
  const found = {
    name: parse('echo'),
    host: '',
    ttl: 0,
    get endpoints() {
      process.nextTick(() => controller.abort(reason))
      const address = '127.0.0.1'
      return [{ transport: 'udp' as const, address, port: 9, version: '0.0.0', instance: 'a' }]
    },
  }
  const resolver = { resolve: () => Promise.resolve(found) }
  const { signal } = controller
  await t.rejects(connect('echo', { transport: 'udp', resolver, signal }), reason)
})

t.test('options are those of a call without a host too', async t => {
  await home(t)
  const stage = await service('clock', { transport: 'udp' })
  const client = await connect('clock', undefined, { transport: 'udp' })
  await client.send('hello')
  t.equal(String(await (await stage.accept())!.receive()), 'hello')
  await client.close()
  await stage.close()
})

t.test('a transport that is none is refused', async t => {
  const error = {
    code: 'ERR_INVALID_ARG_VALUE',
    message: /options\.transport to be one of tcp, udp/,
  }
  const options = { transport: 'sctp' as never }
  await t.rejects(service('x', options), error)
  await t.rejects(connect('x', options), error)
})

t.test('datagrams follow their name', async t => {
  const { port: daemonPort } = await daemon(t)
  const nc = await lines(t, daemonPort)
  const places = [createSocket('udp4'), createSocket('udp4')] as const
  t.teardown(() => places.forEach(place => place.close()))
  const offer = { op: 'register', service: 'clock', transport: 'udp' }
  for (const place of places) await once(place.bind(0, '127.0.0.1'), 'listening')
  const [first, second] = places
  nc.ask({ ...offer, port: first.address().port })
  const { registration } = (await nc.answer())!
  let time = 0
  const resolver = new Resolver({ port: daemonPort, now: () => time })
  const connection = await connect('clock', { transport: 'udp', resolver })
  t.teardown(() => connection.close())
  nc.ask({ op: 'unregister', registration }, { ...offer, port: second.address().port })
  await nc.answer()
  await nc.answer()
  time = 81
  first.on('message', () => t.fail('the name is no longer here'))
  const heard = once(second, 'message')
  await connection.send('hello')
  t.equal(String((await heard)[0]), 'hello')
})
