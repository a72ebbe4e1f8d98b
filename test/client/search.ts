import { once } from 'node:events'
import { inspect } from 'node:util'
import t, { type Test } from 'tap'
import { Resolver } from '../../lib/client/resolver.ts'
import type { Daemon } from '../../lib/daemon/daemon.ts'
import type { Directory } from '../../lib/directories/directory.ts'
import { parse, type Name } from '../../lib/name.ts'
import type { Resolution, ResolveOptions } from '../../lib/resolution.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { createSocket } from '../../lib/sockets/datagram.ts'
import { awake } from '../fixtures/awake.ts'
import { invalid } from '../fixtures/calls.ts'
import { daemon } from '../fixtures/daemon.ts'
import { memory, sighting } from '../fixtures/directory.ts'
import { lines } from '../fixtures/lines.ts'
import { lookup, named, nobody, portOf, silence, stranger } from '../fixtures/services.ts'

awake(t)

const host = '*'
const notOffered = {
  code: 'ECONNREFUSED',
  reason: 'ENOSERVICE',
  host,
  message: /web is not offered at any host/,
}

/** This host's daemon, which has no `web`, and another one, which has it. */
async function two(t: Test) {
  const [mine, other] = await Promise.all([daemon(t), daemon(t)])
  const server = await named(t, { service: 'web@1.2.0', daemonPort: other.port })
  return { mine, other, server, resolver: new Resolver({ port: mine.port }) }
}

/** A directory that leads to a daemon. */
const leading = ({ port }: Pick<Daemon, 'port'>) => memory([{ daemonPort: port }])

t.test('a name is found at the host where a directory has seen it', async t => {
  const { mine, other, server, resolver } = await two(t)
  const directory = leading(other)
  const found = await resolver.resolve('web@^1', { host, directories: [directory] })
  t.match(found, {
    host: '127.0.0.1',
    name: { service: 'web' },
    endpoints: [{ port: portOf(server), version: '1.2.0', source: 'daemon' }],
  })
  const wanted = { service: 'web', namespaces: [''], version: '^1', transports: ['tcp'] }
  t.strictSame(directory.asked, [wanted])
  t.equal(directory.signals[0]!.aborted, false)

  const always = new Resolver({ port: mine.port, directories: [directory] })
  t.match(await always.resolve(parse('web'), { host }), { host: '127.0.0.1' })
  t.match(await always.recall(parse('web'), { host }), { host: '127.0.0.1' })
  await t.rejects(always.resolve('web'), { code: 'ECONNREFUSED', host: 'localhost' })
  await t.rejects(resolver.resolve('web', { directories: [directory] }), {
    code: 'ECONNREFUSED',
    host: 'localhost',
  })
  t.equal(directory.asked.length, 3, 'for the host * alone')
})

t.test('a socket goes there, and knows the host', async t => {
  const { mine, other } = await two(t)
  const directories = [leading(other)]
  const resolver = new Resolver({ port: mine.port })
  for (const times of ['cold', 'warm']) {
    const socket = connect('web', host, { directories, resolver })
    t.teardown(() => socket.destroy())
    socket.end(times)
    const [data] = (await once(socket, 'data')) as [Buffer]
    t.equal(String(data), times)
    t.match(socket.moniker, { host: '127.0.0.1', service: 'web', version: '1.2.0' })
  }
})

t.test('a datagram goes there', async t => {
  const [mine, other] = await Promise.all([daemon(t), daemon(t)])
  const server = createSocket('udp4').bind({ service: 'clock', daemonPort: other.port })
  t.teardown(() => server.close())
  await once(server, 'listening')
  const client = createSocket('udp4')
  t.teardown(() => client.close())
  const directories = [memory([{ service: 'clock', transport: 'udp', daemonPort: other.port }])]
  client.send('tick', 'clock', { host, directories, daemonPort: mine.port })
  const [message] = (await once(server, 'message')) as [Buffer]
  t.equal(String(message), 'tick')
})

t.test('two hosts may have one designated port', async t => {
  const { port } = await daemon(t)
  await daemon(t, { hosts: ['127.0.0.2'], port })
  const nc = await lines(t, port, { host: '127.0.0.2' })
  nc.ask({ op: 'register', service: 'web', transport: 'tcp', port: 80 })
  await nc.answer()
  const directories = [memory([{ host: '127.0.0.3' }, { host: '127.0.0.2' }])]
  const found = await new Resolver({ port }).resolve('web', { host, directories })
  t.match(found, { host: '127.0.0.2', endpoints: [{ address: '127.0.0.2', port: 80 }] })
})

t.test('this host comes first, and without directories it is the only one', async t => {
  const { port } = await daemon(t)
  const server = await named(t, { service: 'web', daemonPort: port })
  const resolver = new Resolver({ port })
  for (const directories of [undefined, [], [memory()]]) {
    const found = await resolver.resolve('web', { host, directories })
    t.match(found, { host: '', endpoints: [{ port: portOf(server) }] })
  }
  t.match(await resolver.list({ host }), [{ service: 'web' }])
  await t.rejects(resolver.resolve('db', { host }), { code: 'ECONNREFUSED', host: 'localhost' })
})

t.test('what has gone costs time, and never leads astray', async t => {
  const { other, resolver } = await two(t)
  const none = await daemon(t)
  const quiet = await stranger(t)
  await silence(t, '127.0.0.4', quiet)
  const directory = memory([
    { id: 'no daemon', daemonPort: await nobody() },
    { id: 'no service', daemonPort: none.port },
    { id: 'silent', host: '127.0.0.4', daemonPort: quiet },
    { id: 'right', daemonPort: other.port },
  ])
  const [start, options] = [performance.now(), { host, directories: [directory] }]
  t.match(await resolver.resolve('web', options), { endpoints: [{ version: '1.2.0' }] })
  t.ok(performance.now() - start < 4_000, 'nor is the silent one waited for')
  directory.sightings = directory.sightings.slice(0, 2)
  await t.rejects(resolver.resolve('web', options), notOffered)
})

t.test('an answer that is remembered is confirmed before a byte passes', async t => {
  const { mine, other, server, resolver } = await two(t)
  const next = await daemon(t)
  const directory = leading(other)
  const options = { host, directories: [directory] }
  await resolver.resolve('web', options)
  await once(server.close(), 'close')
  await named(t, { service: 'web@2.0.0', daemonPort: next.port })
  directory.sightings = leading(next).sightings
  const socket = connect('web', host, { ...options, daemonPort: mine.port, resolver })
  t.teardown(() => socket.destroy())
  await once(socket, 'connect')
  t.match(socket.moniker, { version: '2.0.0' })
})

t.test(
  'a host that sends us away is heard before it is said that no host has the name',
  async t => {
    const { other, resolver } = await two(t)
    const resolved = resolver.resolve('web@^2', { host, directories: [leading(other)] })
    await t.rejects(resolved, {
      code: 'ECONNREFUSED',
      reason: 'EVERSION',
      port: other.port,
      offered: ['1.2.0'],
    })
  },
)

t.test('one directory that fails or hangs holds up no other', async t => {
  const { mine, other, resolver } = await two(t)
  const failing: Partial<Directory>[] = [
    { lookup: async () => Promise.reject(new Error('etcd is down')) },
    {
      lookup: () => {
        throw new Error('etcd is down')
      },
    },
    { lookup: () => new Promise(() => {}) },
    { lookup: async () => 'nonsense' as never },
    { lookup: async () => undefined as never },
    { lookup: () => Promise.reject(`\u001b[2J${'x'.repeat(10_000)}`) },
  ]
  const all = failing.map(given => memory([], given))
  const found = await resolver.resolve('web', { host, directories: [...all, leading(other)] })
  t.match(found, { endpoints: [{ version: '1.2.0' }] })

  const at = (index: number) => ({ host, directories: [all[index]!] })
  const soon = new Resolver({ port: mine.port, timeout: 300 })
  const failed = { code: 'EHOSTUNREACH', reason: 'EUNREACHABLE', host }
  for (const index of [0, 1]) {
    const message = /the directory memory failed: etcd is down/
    await t.rejects(soon.resolve('web', at(index)), { ...failed, message })
  }
  const message = /no answer about web from any host within 300 ms; does one of the directories/
  await t.rejects(soon.resolve('web', at(2)), { code: 'ETIMEDOUT', reason: 'ESILENT', message })
  for (const index of [3, 4]) {
    const message = /expected an array of sightings/
    await t.rejects(soon.resolve('web', at(index)), { ...failed, message })
  }
  const clean = /the directory memory failed:  \[2Jx{252}$/
  await t.rejects(soon.resolve('web', at(5)), { ...failed, message: clean })
})

t.test('a directory that is only followed is not asked', async t => {
  const { resolver } = await two(t)
  const directories = [{ name: 'followed', follow: () => () => {} }]
  await t.rejects(resolver.resolve('web', { host, directories }), notOffered)
})

t.test('sightings that are hostile lead nowhere', async t => {
  const { mine, other } = await two(t)
  const resolver = new Resolver({ port: mine.port })
  let knocked = 0
  const knock = await stranger(t, () => void knocked++)
  const daemonPort = other.port
  const wrong = [
    null,
    7,
    'web',
    {},
    { host: '*' },
    { host: '' },
    { host: 'a b' },
    { host: 'a'.repeat(256) },
    { host: 7 },
    { host: '0.0.0.0' },
    { host: '::' },
    { host: '::ffff:7f00:1' },
    { host: 'http://127.0.0.1' },
    { id: 7 },
    { service: 'web2' },
    { service: 'not a name' },
    { namespace: 'other' },
    { version: 'new' },
    { version: '^1' },
    { daemonPort: 0 },
    { daemonPort: '80' },
    { port: 65_536 },
    { address: 'here' },
    { transport: 'sctp' },
    { transport: 'udp' },
    { metadata: { a: 'x'.repeat(2_000) } },
    { metadata: { a: 1n } },
  ]
  const refused = wrong.map(async one => {
    const isSome = typeof one === 'object' && one && Object.keys(one).length > 0
    const seen = isSome ? { ...sighting({ daemonPort }), ...one } : one
    const directories = [memory([], { lookup: async () => [seen] as never })]
    const resolved = resolver.resolve('web', { host, directories })
    await t.rejects(resolved, notOffered, inspect(one))
  })
  await Promise.all(refused)

  // Names of other hosts do not lead to daemons, nor to strangers, of this one.
  for (const address of ['127.0.0.1', '0.0.0.0', '::ffff:7f00:1']) {
    for (const name of ['evil.test', '127.evil.test']) {
      const directories = [memory([{ host: name, daemonPort: knock }])]
      const resolved = resolver.resolve('web', { host, directories, lookup: lookup(address) })
      await t.rejects(resolved, {
        code: 'EHOSTUNREACH',
        host: name,
        message: /its name leads to loopback addresses/,
      })
    }
  }
  t.equal(knocked, 0)
})

t.test('of very many sightings the first eight are followed', async t => {
  const { other, resolver } = await two(t)
  const wrong = await nobody()
  const many = Array.from({ length: 10_000 }, (_, at) => ({
    id: String(at),
    daemonPort: at === 8 ? other.port : wrong,
  }))
  const directories = [memory(many)]
  await t.rejects(resolver.resolve('web', { host, directories }), notOffered)
  const [first, ...rest] = many.slice(1)
  const sooner = [memory([first!, ...rest])]
  t.match(await resolver.resolve('web', { host, directories: sooner }), { host: '127.0.0.1' })
})

t.test('a search can be given up, and tells its directories', async t => {
  const { resolver } = await two(t)
  const signals: AbortSignal[] = []
  const directory = memory([], {
    lookup: (_wanted, signal) => {
      signals.push(signal)
      return new Promise((_resolve, reject) => signal.addEventListener('abort', reject))
    },
  })
  const reason = new Error('enough')
  for (const wait of [0, 60_000]) {
    const controller = new AbortController()
    const { signal } = controller
    const resolved = resolver.resolve('web', { host, directories: [directory], signal, wait })
    const before = signals.length
    while (signals.length === before) await new Promise(setImmediate)
    controller.abort(reason)
    await t.rejects(resolved, reason)
    t.equal(signals.at(-1)!.aborted, true)
  }
  const gone = resolver.ask(parse('web'), { host, directories: [directory], wait: 60_000 })
  gone.leave()
  await t.rejects(gone.answer, /nobody waits/)
})

t.test('a name can be waited for on any host', async t => {
  const [mine, other] = await Promise.all([daemon(t), daemon(t)])
  const directory = leading(other)
  const socket = connect('web', host, {
    directories: [directory],
    daemonPort: mine.port,
    wait: 60_000,
  })
  t.teardown(() => socket.destroy())
  while (directory.asked.length < 2) await new Promise(setImmediate)
  await named(t, { service: 'web', daemonPort: other.port })
  await once(socket, 'connect')
})

t.test('calls with the same directories share a question, and no others do', async t => {
  const { other, resolver } = await two(t)
  const [one, another] = [leading(other), leading(other)]
  const ask = (directory: Directory) => resolver.resolve('web', { host, directories: [directory] })
  await Promise.all([ask(one), ask(one), ask(another)])
  t.equal(one.asked.length, 1)
  t.equal(another.asked.length, 1)
})

t.test('a namespace is looked for in a directory too, and more of them', async t => {
  const { mine, other } = await two(t)
  const resolver = new Resolver({ port: mine.port })
  const directory = memory([{ daemonPort: other.port }])
  const options = { host, directories: [directory] }
  await t.rejects(resolver.resolve('ns:web', options), { code: 'ECONNREFUSED' })
  const found = await resolver.resolve('ns:web', { ...options, also: [''] })
  t.equal(found.name.namespace, '')
  t.strictSame(directory.asked.at(-1)!.namespaces, ['ns', ''])
})

t.test('a directory that is final is believed where there is no daemon', async t => {
  const { port } = await daemon(t)
  const resolver = new Resolver({ port })
  const server = await stranger(t, socket => socket.end('hello'))
  const daemonPort = await nobody()
  const seen = { daemonPort, port: server, version: '1.2.0', metadata: { a: 1 } }
  const final = (given: object) => [memory([{ ...seen, ...given }], { final: true })]
  const found = await resolver.resolve('web@^1', { host, directories: final({}) })
  t.match(found, {
    host: '127.0.0.1',
    ttl: 0,
    endpoints: [
      {
        address: '127.0.0.1',
        port: server,
        version: '1.2.0',
        source: 'memory',
        metadata: { a: 1 },
      },
    ],
  })
  const socket = connect('web', host, { resolver, directories: final({ host: 'localhost' }) })
  const [data] = (await once(socket, 'data')) as [Buffer]
  t.equal(String(data), 'hello')
  t.match(socket.moniker, { host: 'localhost', source: 'memory' })

  const refused: [what: string, directories: Directory[]][] = [
    ['one that is not final', [memory([seen])]],
    ['no port', final({ port: undefined })],
    ['a host with a daemon', final({ daemonPort: port })],
  ]
  for (const [what, directories] of refused) {
    await t.rejects(resolver.resolve('web', { host, directories }), notOffered, what)
  }
  const silent = new Resolver({ port, timeout: 300 })
  const at = (address: string) =>
    silent.resolve('web', {
      host,
      directories: final({ host: 'far.test', address }),
      lookup: lookup('127.0.0.1'),
    })
  for (const address of ['127.0.0.1', '::1', '0.0.0.0'])
    await t.rejects(at(address), { code: 'EHOSTUNREACH', host: 'far.test' })
})

t.test('what a directory finds passes the policy of this host', async t => {
  const { mine, other } = await two(t)
  const policy = `${t.testdir({ 'policy.json': '{"rules":[{"deny":"connect"}]}' })}/policy.json`
  const resolver = new Resolver({ port: mine.port, policy })
  const final = memory([{ daemonPort: await nobody(), port: 80 }], { final: true })
  for (const directory of [leading(other), final]) {
    const resolved = resolver.resolve('web', { host, directories: [directory] })
    await t.rejects(resolved, { code: 'EACCES' })
  }
})

t.test('a resolver with an answer of its own is asked for any host as well', async t => {
  const asked: ResolveOptions[] = []
  class Own extends Resolver {
    override resolve(_name: Name | string, options: ResolveOptions = {}): Promise<Resolution> {
      asked.push(options)
      return new Promise(() => {})
    }
  }
  const directories = [memory()]
  const { known, port, leave } = new Own().ask(parse('web'), { host, directories })
  t.strictSame([known, port], [undefined, undefined])
  t.match(asked, [{ host, directories }])
  leave()
  t.equal(asked[0]!.signal!.aborted, true)
})

t.test('what is no list of directories is refused', async t => {
  const message = /options\.directories to be at most 8 directories \(.*\), or/
  const wrong = { ...invalid, message }
  for (const directories of [['lan'], 'lan', [{}], Array(9).fill(memory())] as never[]) {
    t.throws(() => new Resolver({ directories }), wrong)
    t.throws(() => connect('web', { directories }), wrong)
    await t.rejects(new Resolver().resolve('web', { host, directories }), wrong)
  }
})
