import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { connect, type LookupFunction, type Socket } from 'node:net'
import { join } from 'node:path'
import { test, type Test } from 'tap'
import { parse, type Name } from '../../lib/name.ts'
import { sessions } from '../../lib/client/sessions.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { watch } from '../../lib/client/watch.ts'
import { createServer } from '../../lib/sockets/server.ts'
import type { DaemonOptions } from '../../lib/daemon/daemon.ts'
import type { Resolution, ResolveOptions, SocketQuestion } from '../../lib/resolution.ts'
import { elsewhere, external } from '../fixtures/external.ts'
import { fake, silent as mute } from '../fixtures/fake.ts'
import { line, type Message } from '../fixtures/lines.ts'
import { daemon } from '../fixtures/daemon.ts'
import { nameServer } from '../fixtures/dns.ts'
import { lookup, named, nobody, portOf, silence, stranger } from '../fixtures/services.ts'

test('a name leads to the port its server chose', async t => {
  const { port } = await daemon(t)
  const server = await named(t, { service: 'starwars@1.2.0', daemonPort: port })
  const resolver = new Resolver({ port })

  const { endpoints, host, name, ttl } = await resolver.resolve(parse('starwars'))
  t.equal(host, '')
  t.same(name, parse('starwars'))
  t.ok(ttl > 0)
  t.match(endpoints, [
    { transport: 'tcp', port: portOf(server), address: '127.0.0.1', version: '1.2.0' },
  ])
})

test('the highest version in range wins', async t => {
  const { port: daemonPort } = await daemon(t)
  for (const version of ['1.2.0', '1.10.0', '2.0.0']) {
    await named(t, { service: 'starwars', version, daemonPort })
  }
  const found = async (text: string) => {
    const { endpoints } = await new Resolver({ port: daemonPort }).resolve(text)
    return endpoints[0]?.version
  }
  t.equal(await found('starwars'), '2.0.0')
  t.equal(await found('starwars@^1'), '1.10.0')
  t.equal(await found('starwars@~1.2'), '1.2.0')
})

test('a name of trusted users alone is asked for, and a daemon that knows nothing of it is too old', async t => {
  for (const trusted of [undefined, false, 'yes', true]) {
    const endpoints = [{ transport: 'tcp', port: 7, version: '0.0.0', instance: 'a' }]
    const place = await fake(t, {
      tcp: ({ id }, socket) => void socket.write(line({ id, endpoints, trusted })),
    })
    const { answer } = new Resolver(place).ask(parse('web'), { trusted: true })
    if (trusted === true) t.match(await answer, { endpoints: [{ port: 7 }] })
    else await t.rejects(answer, { code: 'ENOSYS', service: 'web' })
    t.match(place.streamed, [{ op: 'resolve', service: 'web', trusted: true }])
    const other = new Resolver(place).ask(parse('web'))
    t.match(await other.answer, { endpoints: [{ port: 7 }] })
    t.notOk('trusted' in place.streamed[1]!)
  }
})

test('a stranger at the designated port is one for every question', async t => {
  const kinds: Record<string, (socket: Socket) => void> = {
    'one that hangs up': socket => socket.destroy(),
    'one that hangs up when it is asked': socket => socket.once('data', () => socket.destroy()),
    'one that ends when it is asked': socket => socket.once('data', () => socket.end()),
    'one that speaks another language': socket => socket.write('SSH-2.0-other\r\n'),
  }
  for (const [kind, serve] of Object.entries(kinds)) {
    const port = await stranger(t, serve)
    const resolver = new Resolver({ port })
    const expected = { code: 'EPROTO', reason: 'EPROTOCOL', host: 'localhost', port }
    await t.rejects(resolver.resolve('web'), expected, kind)
    await t.rejects(resolver.resolve('web', { wait: 10 }), expected, kind)
    await t.rejects(resolver.list(), expected, kind)
    await t.rejects(resolver.status(), expected, kind)
    const watched = watch({ daemonPort: port })
    const [lost] = (await once(watched, 'lost')) as [Error]
    t.match(lost, expected, kind)
    watched.close()
    const server = createServer().listen({ service: 'web', daemonPort: port })
    t.match(await once(server, 'error'), [{ code: 'EPROTO', reason: 'EPROTOCOL', port }], kind)
  }
})

test('where a firewall swallows UDP and TCP is refused there is no daemon', async t => {
  const port = await nobody()
  const hole = createSocket('udp4')
  t.teardown(() => hole.close())
  await once(hole.bind(port, '127.0.0.1'), 'listening')
  const began = performance.now()
  await t.rejects(new Resolver({ port }).resolve('web'), {
    code: 'ECONNREFUSED',
    reason: 'ENODAEMON',
  })
  t.ok(performance.now() - began < 2_000)
})

test(
  'a service at loopback is said to be there alone, by the address of its own host',
  elsewhere,
  async t => {
    const { port } = await daemon(t, { hosts: ['0.0.0.0'] })
    await named(t, { service: 'web', host: '127.0.0.1', daemonPort: port })
    const asked = new Resolver({ port }).resolve('web', { host: external! })
    const message = /web is offered at loopback addresses alone/
    await t.rejects(asked, { code: 'ECONNREFUSED', reason: 'ELOOPBACK', message })
  },
)

test('what fails has the code that net programs know, and says the rest', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'starwars@1.2.0', daemonPort: port })
  const garbage = await stranger(t, socket => socket.end('220 mail ready\r\n'))
  const hangUp = await stranger(t, socket => socket.destroy())
  const empty = await stranger(t, socket => socket.end('{"v":1,"id":1,"endpoints":[]}\n'))
  const silent = await stranger(t)
  const closed = await nobody()

  const cases = [
    [
      'tie',
      port,
      'ECONNREFUSED',
      'ENOSERVICE',
      /tie is not offered at localhost:\d+; is the program/,
    ],
    ['starwars@^2', port, 'ECONNREFUSED', 'EVERSION', /starwars@\^2 is not offered .*; 1\.2\.0 is/],
    ['ns:starwars', port, 'ECONNREFUSED', 'ENOSERVICE', /ns:starwars is not offered/],
    [
      'tie',
      closed,
      'ECONNREFUSED',
      'ENODAEMON',
      /no daemon answers at .* asked for tie; is the program/,
    ],
    ['tie', garbage, 'EPROTO', 'EPROTOCOL', /expected one JSON object a line, got "220 mail/],
    ['tie', hangUp, 'EPROTO', 'EPROTOCOL', /closed without an answer/],
    ['tie', empty, 'EPROTO', 'EPROTOCOL', /no endpoint that can be reached/],
    [
      'tie',
      silent,
      'ETIMEDOUT',
      'ESILENT',
      /no answer about tie from .* within 300 ms; does the daemon hang/,
    ],
  ] as const
  for (const [service, port, code, reason, message] of cases) {
    const resolver = new Resolver({ port, ...(port === silent && { timeout: 300 }) })
    await t.rejects(resolver.resolve(parse(service), { host: 'localhost', family: 4 }), {
      name: 'MonikerError',
      code,
      reason,
      message,
      port,
      host: 'localhost',
      syscall: 'resolve',
    })
  }
})

test('a host that has no address is not found', async t => {
  const error = (code: string) => Object.assign(new Error(`getaddrinfo ${code}`), { code })
  const cases = [
    [error('ENOTFOUND'), undefined, { code: 'ENOTFOUND', reason: 'ENOHOST', host: 'a.invalid' }],
    [error('EAI_AGAIN'), undefined, { code: 'EAI_AGAIN' }],
    [null, [], { code: 'ENOTFOUND' }],
    [null, 'no address', { code: 'ENOTFOUND' }],
    [null, undefined, { code: 'ENOTFOUND' }],
  ] as const
  for (const [failure, found, expected] of cases) {
    const resolved = new Resolver({ port: 1 }).resolve(parse('tie'), {
      host: 'a.invalid',
      hints: 0,
      lookup: (_host, _options, callback) => callback(failure, found as unknown as string),
    })
    await t.rejects(resolved, expected)
  }
})

test('a look-up of the caller turns the host into addresses, one or all', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'starwars', daemonPort: port, host: '127.0.0.1' })
  const resolver = new Resolver({ port })
  const one = await resolver.resolve(parse('starwars'), {
    host: 'theforce.test',
    lookup: (_host, _options, callback) => callback(null, '127.0.0.1', 4),
  })
  t.equal(one.endpoints[0]?.address, '127.0.0.1')
  t.equal(one.host, 'theforce.test')
  const all = await resolver.resolve(parse('starwars'), {
    host: 'theforce.test',
    lookup: lookup('127.0.0.1'),
  })
  t.equal(all.endpoints[0]?.address, '127.0.0.1')
})

test('a host that is half reachable works', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'starwars', daemonPort: port })
  await silence(t, '127.0.0.2', port)
  const resolver = new Resolver({ port })

  for (const first of ['127.0.0.2', '127.0.0.3']) {
    const { endpoints } = await resolver.resolve(parse('starwars'), {
      host: 'theforce.test',
      lookup: lookup(first, '127.0.0.1'),
    })
    t.equal(endpoints[0]?.address, '127.0.0.1', `beside ${first}`)
  }
})

test('the address whose daemon knows the name wins over one whose daemon does not', async t => {
  const { port } = await daemon(t)
  await daemon(t, { hosts: ['127.0.0.2'], port })
  await named(t, { service: 'starwars', daemonPort: port })
  const { endpoints } = await new Resolver({ port }).resolve(parse('starwars'), {
    host: 'theforce.test',
    lookup: lookup('127.0.0.2', '127.0.0.1'),
  })
  t.equal(endpoints[0]?.address, '127.0.0.1')
})

test('one daemon that says no is believed before another stays silent for ever', async t => {
  const { port } = await daemon(t)
  await silence(t, '127.0.0.2', port)
  const resolver = new Resolver({ port, timeout: 60_000 })
  const at = { host: 'theforce.test', lookup: lookup('127.0.0.1', '127.0.0.2') }
  await t.rejects(resolver.resolve(parse('tie'), at), {
    code: 'ECONNREFUSED',
    reason: 'ENOSERVICE',
  })
})

test('a question can be given up at any time', async t => {
  const silent = await stranger(t)
  const resolver = new Resolver({ port: silent })
  const reason = new Error('changed my mind')
  await t.rejects(resolver.resolve(parse('tie'), { signal: AbortSignal.abort(reason) }), reason)

  const controller = new AbortController()
  const resolved = resolver.resolve(parse('tie'), { signal: controller.signal })
  controller.abort(reason)
  await t.rejects(resolved, reason)

  const late = new AbortController()
  const never = resolver.resolve(parse('tie'), {
    host: 'a.test',
    lookup: () => late.abort(reason),
    signal: late.signal,
  })
  await t.rejects(never, reason)
  const plain = new AbortController()
  const unreasoned = resolver.resolve(parse('tie'), { signal: plain.signal })
  plain.abort()
  await t.rejects(unreasoned, { name: 'AbortError' })
})

test('an answer that does not say how long it is good for is good for now', async t => {
  const answer =
    '{"v":1,"id":1,"endpoints":[{"transport":"tcp","port":9,"version":"1.0.0","instance":"a"}]}'
  const port = await stranger(t, socket => socket.end(`${answer}\n`))
  const { ttl, endpoints } = await new Resolver({ port }).resolve(parse('tie'))
  t.equal(ttl, 0)
  t.match(endpoints, [{ port: 9, address: '127.0.0.1' }])
})

test('the services of a host can be listed, all or those of a namespace', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'starwars@1.2.0', daemonPort: port, metadata: { side: 'light' } })
  await named(t, { service: 'reynolds:http', daemonPort: port, host: '127.0.0.1' })
  const resolver = new Resolver({ port })

  const all = await resolver.list()
  t.match(all, [
    { service: 'starwars', version: '1.2.0', metadata: { side: 'light' }, pid: process.pid },
    { service: 'http', namespace: 'reynolds', version: '0.0.0', address: '127.0.0.1' },
  ])
  t.match(await resolver.list({ namespace: 'reynolds' }), [{ service: 'http' }])
  t.same(await resolver.list({ namespace: 'nobody' }), [])
})

test('a daemon says how it is doing', async t => {
  const { port } = await daemon(t)
  t.match(await new Resolver({ port }).status(), { pid: process.pid, port, names: 0, protocol: 1 })
  const closed = await nobody()
  const failed = new Resolver().status({ daemonPort: closed })
  await t.rejects(failed, { code: 'ECONNREFUSED', reason: 'ENODAEMON' })
})

test('without a port of its own it asks the designated one of this process', async t => {
  const { port } = await daemon(t)
  process.env.MONIKER_PORT = String(port)
  t.teardown(() => delete process.env.MONIKER_PORT)
  await t.rejects(new Resolver().resolve(parse('tie')), { port, code: 'ECONNREFUSED' })
})

test('a network that cannot be reached is said to be so', async t => {
  // No connection can be made to everybody: the kernel refuses at once, and nothing leaves it.
  const host = '255.255.255.255'
  const failed = new Resolver({ port: 1 }).resolve(parse('tie'), { host })
  await t.rejects(failed, { reason: 'EUNREACHABLE', code: 'EHOSTUNREACH', host })
})

test('a look-up of the caller is asked for this host too', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'tie', daemonPort: port })
  const asked: string[] = []
  const lookup: LookupFunction = (host, _options, callback) => {
    asked.push(host)
    callback(null, '127.0.0.1', 4)
  }
  const resolver = new Resolver({ port })
  for (const host of ['', 'localhost']) await resolver.resolve(parse('tie'), { host, lookup })
  t.same(asked, ['localhost', 'localhost'])
  // Not an address in Node's eyes, and one that needs no network to be looked up.
  const { endpoints } = await resolver.resolve(parse('tie'), { host: '127.1' })
  t.equal(endpoints[0]!.address, '127.0.0.1')
})

/** A daemon, and its designated port. */
async function counted(t: Test) {
  const ours = await daemon(t)
  return { daemon: ours, port: ours.port }
}

test('what is recalled is asked for once, and again when it is doubted', async t => {
  const { daemon, port } = await counted(t)
  await named(t, { service: 'tie', daemonPort: port })
  const resolver = new Resolver({ port, now: () => 0 })
  const tie = parse('tie')
  const first = await resolver.recall(tie)
  t.equal(resolver.recall(tie), first)
  t.not(await resolver.recall(tie, { host: 'localhost' }), first, 'another host is another name')
  const { questions } = daemon.status() as { questions: number }
  resolver.doubt(tie, { signal: AbortSignal.abort() })
  const again = resolver.recall(tie, { signal: new AbortController().signal })
  t.ok(again instanceof Promise)
  t.same(((await again) as Resolution).endpoints, first.endpoints)
  t.match(daemon.status(), { questions: questions + 1 }, 'by one question')
  t.equal(
    resolver.recall(tie, { wait: 10 }),
    resolver.recall(tie),
    'nobody waits for what is known',
  )
  const waited = resolver.recall(parse('nobody'), { wait: 10 })
  await t.rejects(waited as Promise<Resolution>, { code: 'ECONNREFUSED' })
  resolver.doubt(parse('nobody'))
  resolver.doubt(tie)
  const given = resolver.recall(tie, { signal: AbortSignal.abort(new Error('enough')) })
  await t.rejects(given as Promise<Resolution>, { message: 'enough' })
})

test('what is remembered of a host is for who looks it up in the same way', async t => {
  const { port } = await counted(t)
  await named(t, { service: 'tie', daemonPort: port })
  const resolver = new Resolver({ port, now: () => 0 })
  const [one, other] = [lookup('127.0.0.1'), lookup('127.0.0.2')]
  const recall = (lookup: LookupFunction) =>
    resolver.recall(parse('tie'), { host: 'far.example', lookup })
  const first = await recall(one)
  t.equal(recall(one), first)
  // No daemon is there.
  await t.rejects(Promise.resolve(recall(other)), { code: 'ECONNREFUSED', reason: 'ENODAEMON' })
  t.equal(recall(one), first)
})

test('those who ask for the same at the same time share one question', async t => {
  const { daemon: ours, port } = await counted(t)
  await named(t, { service: 'tie', daemonPort: port, shared: true })
  await named(t, { service: 'tie', daemonPort: port, shared: true })
  const resolver = new Resolver({ port })
  const before = ours.status().questions
  const [one, other] = await Promise.all([1, 2].map(() => resolver.resolve(parse('tie'))))
  t.equal(ours.status().questions - before, 1)
  t.strictSame(other!.endpoints, one!.endpoints.toReversed(), 'and take turns at its answer')
  const far = { host: 'far.example', lookup: lookup('127.0.0.1') }
  await Promise.all([1, 2].map(() => resolver.resolve(parse('tie'), far)))
  t.equal(ours.status().questions - before, 2, 'of a host that is looked up, too')
})

test('who gives a question up leaves it to the others; the last ends it', async t => {
  const port = await stranger(t)
  const resolver = new Resolver({ port })
  const [first, second] = [new AbortController(), new AbortController()]
  const one = resolver.resolve(parse('tie'), first)
  const other = resolver.resolve(parse('tie'), second)
  first.abort(new Error('first'))
  await t.rejects(one, { message: 'first' })
  second.abort(new Error('second'))
  await t.rejects(other, { message: 'second' })

  // While its end is on the way, it cannot be joined.
  const again = new AbortController()
  const third = resolver.resolve(parse('tie'), again)
  again.abort(new Error('third'))
  await t.rejects(third, { message: 'third' })
})

test('a daemon that is asked often is asked over a connection that is kept', async t => {
  const { daemon: ours, port } = await counted(t)
  const server = await named(t, { service: 'tie', daemonPort: port })
  const resolver = new Resolver({ port })
  const ask = () => resolver.resolve(parse('tie'), { host: '127.0.0.1' })
  while (!sessions.at({ address: '127.0.0.1', port })) await ask()
  const { connections } = ours.status()
  t.match(await ask(), { endpoints: [{ transport: 'tcp' }] })
  t.equal(resolver.ask(parse('tie')).sent, undefined, 'the question has left')
  await t.rejects(resolver.resolve(parse('wing'), { host: '127.0.0.1' }), {
    code: 'ECONNREFUSED',
    reason: 'ENOSERVICE',
  })
  t.match(await resolver.resolve(parse('tie')), { endpoints: [{}] }, 'whatever the host is called')
  t.equal(ours.status().connections, connections)
  await t.rejects(
    resolver.resolve(parse('wing')),
    { code: 'ECONNREFUSED', reason: 'ENOSERVICE' },
    'asked elsewhere too',
  )

  await once(server.close(), 'close')
  await ours.stop()
  await t.rejects(ask(), { code: 'ECONNREFUSED', reason: 'ENODAEMON' })
})

test('a socket is told when its question to this host has left', async t => {
  const tcp = ({ id }: Message, socket: Socket) => void socket.write(line({ id, endpoints: [] }))
  const place = await fake(t, { tcp })
  const resolver = new Resolver({ port: place.port })
  const name = parse('tie')
  const { sent, answer } = resolver.ask(name)
  t.type(sent, Promise)
  await Promise.all([sent, t.rejects(answer)])
  t.equal(place.streamed.length, 1)
  const far = resolver.ask(name, { host: '192.0.2.1' })
  t.equal(far.sent, undefined, 'a server of another host is called meanwhile')
  far.leave()
  await t.rejects(far.answer)
})

test('what a far host refuses is remembered for a moment', async t => {
  const { daemon: ours, port } = await counted(t)
  let time = 0
  const resolver = new Resolver({ port, now: () => time })
  const far = { host: 'far.example', lookup: lookup('127.0.0.1') }
  const ask = () => resolver.resolve(parse('tie'), far)
  await t.rejects(ask(), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  const { questions } = ours.status()
  await t.rejects(ask(), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  t.equal(ours.status().questions, questions)
  const own = { host: 'localhost', lookup: lookup('127.0.0.1') }
  const near = () => resolver.resolve(parse('tie'), { host: 'localhost' })
  const refused = { code: 'ECONNREFUSED', reason: 'ENOSERVICE' }
  await t.rejects(resolver.resolve(parse('tie'), own), refused)
  const before = ours.status().questions
  await t.rejects(near(), refused)
  await t.rejects(near(), refused)
  t.ok(ours.status().questions >= before + 2, 'but not what this one does')
  const asked = ours.status().questions
  time = 101
  await t.rejects(ask(), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
  t.equal(ours.status().questions, asked + 1)
})

test('that a question was given up is not remembered as a failure of the host', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'tie', daemonPort: port })
  const resolver = new Resolver({ port })
  const at = { host: '127.0.0.1', lookup: lookup('127.0.0.1') }
  const { answer, leave } = resolver.ask(parse('tie'), at)
  leave()
  await t.rejects(answer)
  t.match(await resolver.resolve(parse('tie'), at), { host: '127.0.0.1' })
})

test('a daemon at a loopback address may tell of a socket of this host', async t => {
  const answer = { transport: 'tcp', address: '127.0.0.2', port: 1, path: 'moniker-1' }
  const port = await stranger(t, socket => {
    socket.on('data', () => {
      const endpoints = [{ ...answer, version: '1.0.0', instance: 'a' }]
      socket.write(`${JSON.stringify({ v: 1, id: 1, endpoints, ttl: 1 })}\n`)
    })
  })
  const near = await new Resolver({ port }).resolve(parse('tie'), { host: '127.0.0.1' })
  t.equal(near.endpoints[0]!.path, 'moniker-1')
})

test('a name that is not there yet is waited for, be it the daemon that is not', async t => {
  const port = await nobody()
  const resolver = new Resolver({ port })
  const found = resolver.resolve(parse('tie@^1'), { host: 'localhost', wait: 60_000 })
  await daemon(t, { port })
  await named(t, { service: 'tie@0.1.0', daemonPort: port })
  const server = await named(t, { service: 'tie@1.1.0', daemonPort: port })
  const { endpoints } = await found
  t.match(endpoints, [{ port: portOf(server), version: '1.1.0' }])
})

test('a name is waited for while the daemon comes and goes', async t => {
  const first = await daemon(t)
  const { port } = first
  const found = new Resolver({ port }).resolve(parse('tie'), { wait: 60_000 })
  while (first.status().followers === 0) await new Promise(setImmediate)
  await first.stop()
  await daemon(t, { port })
  const server = await named(t, { service: 'tie', daemonPort: port })
  t.match((await found).endpoints, [{ port: portOf(server) }])
})

test('what does not come in time, or may never, fails as without a wait', async t => {
  const { port } = await daemon(t)
  const resolver = new Resolver({ port })
  const refused = { code: 'ECONNREFUSED', host: 'localhost' }
  const late = resolver.resolve(parse('tie'), { host: 'localhost', wait: 20 })
  await t.rejects(late, { ...refused, reason: 'ENOSERVICE' })
  const nowhere = new Resolver({ port: await nobody() })
  const alone = nowhere.resolve(parse('tie'), { host: 'localhost', wait: 20 })
  await t.rejects(alone, { ...refused, reason: 'ENODAEMON' })
  const garbage = await stranger(t, socket => socket.end('220 mail ready\r\n'))
  const at = { host: 'localhost', family: 4, wait: 60_000 }
  const strange = new Resolver({ port: garbage }).resolve(parse('tie'), at)
  await t.rejects(strange, { code: 'EPROTO' })

  const reason = new Error('enough')
  const controller = new AbortController()
  const { signal } = controller
  const given = resolver.resolve(parse('tie'), { wait: 60_000, signal })
  setImmediate(() => controller.abort(reason))
  await t.rejects(given, reason)
})

test('what is not in one namespace is found in another, and is said to be there', async t => {
  const { port } = await daemon(t)
  const resolver = new Resolver({ port })
  const mine = parse('mine:tie')
  await named(t, { service: 'tie', daemonPort: port })
  const found = await resolver.resolve(mine, { also: ['ours', ''] })
  t.match(found.name, { namespace: '', service: 'tie' })
  const recalled = await resolver.recall(mine, { also: [''] })
  t.match(recalled.name, { namespace: '' })
  await t.rejects(async () => resolver.recall(mine), { code: 'ECONNREFUSED' })
  await named(t, { service: 'mine:tie', daemonPort: port })
  t.match((await resolver.resolve(mine, { also: [''] })).name, { namespace: 'mine' })
})

test('what the policy does not let programs connect to is not told', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'secret', daemonPort: port })
  await named(t, { service: 'open', daemonPort: port })
  const policy = join(t.testdir({ 'p.yaml': 'rules: [{deny: connect, name: secret}]' }), 'p.yaml')
  const resolver = new Resolver({ port, policy })
  const nowhere = new Resolver({ port: await nobody(), policy })
  const fallback = ['well-known'] as const
  t.match((await nowhere.resolve(parse('http'), { fallback })).endpoints, [{ port: 80 }])
  t.match(await resolver.resolve(parse('open')), { endpoints: [{}] })
  const refused = { code: 'EACCES', reason: 'EDENIED', service: 'secret' }
  await t.rejects(resolver.resolve(parse('secret')), refused)
  await t.rejects(resolver.resolve(parse('secret'), { wait: 60_000 }), refused)
})

test('a host without a daemon can be looked for elsewhere, which is said', async t => {
  const port = await nobody()
  const resolver = new Resolver({ port })
  const fallback = ['srv', 'well-known'] as const
  await nameServer(t, { '_starwars._tcp.theforce.test': [{ target: 'a.test', port: 4181 }] })
  const at = { host: 'theforce.test', lookup: lookup('127.0.0.2', '192.0.2.1') }
  const found = await resolver.resolve(parse('starwars@^1'), { ...at, fallback })
  t.match(found.endpoints, [{ address: '192.0.2.1', port: 4181, version: '', source: 'srv' }])
  t.equal(found.ttl, 0)

  const http = { host: 'localhost', fallback, family: 4, transports: ['unix', 'tcp'] as const }
  for (const wait of [0, 60_000]) {
    const { endpoints } = await resolver.resolve(parse('http'), { ...http, wait })
    t.match(endpoints, [{ address: '127.0.0.1', port: 80, source: 'well-known' }])
    t.equal(endpoints.length, 1)
  }
  const refused = { code: 'ECONNREFUSED', reason: 'ENODAEMON' }
  await t.rejects(resolver.resolve(parse('http'), { host: 'localhost' }), refused)
  await t.rejects(resolver.resolve(parse('no-such'), { ...at, fallback }), refused)
  await t.rejects(resolver.resolve(parse('ns:http'), { ...http }), refused)
  const also = { ...http, also: [''] }
  t.match((await resolver.resolve(parse('ns:http'), also)).name, { namespace: '' })
  const strict = new Resolver({ port, timeout: 60_000 })
  await t.rejects(strict.resolve(parse('no-such'), { ...http, wait: 1 }), refused)
})

test('a daemon that says no is believed, whatever else is known', async t => {
  const { port } = await daemon(t)
  const asked = { host: 'localhost', fallback: ['well-known'] as const }
  const refused = { code: 'ECONNREFUSED', reason: 'ENOSERVICE' }
  await t.rejects(new Resolver({ port }).resolve(parse('http'), asked), refused)
  await named(t, { service: 'http', daemonPort: port })
  const { endpoints } = await new Resolver({ port }).resolve(parse('http'), asked)
  t.match(endpoints, [{ source: 'daemon' }])
})

test('a question that everybody has given up fails, and nothing else does', async t => {
  // A daemon that is young holds each question.
  const { port } = await daemon(t, { grace: 60_000 })
  const { answer, leave } = new Resolver({ port }).ask(parse('web'))
  setImmediate(leave)
  await t.rejects(answer, { code: undefined, message: 'it is done' })
})

test('those who share an answer all get the least busy first', async t => {
  const { port } = await daemon(t)
  const all = { service: 'web', shared: true, load: true, daemonPort: port }
  const busy = await named(t, all)
  const connected = once(busy, 'connection')
  const socket = connect(portOf(busy), '127.0.0.1')
  t.teardown(() => socket.destroy())
  await connected
  const before = new Resolver({ port })
  const loads = async () => (await before.resolve(parse('web'))).endpoints.map(({ load }) => load)
  while ((await loads())[0] !== 1) await new Promise(setImmediate)
  await named(t, all)
  const resolver = new Resolver({ port })
  const [one, other] = await Promise.all([
    resolver.resolve(parse('web'), { host: '127.0.0.1' }),
    resolver.resolve(parse('web'), { host: '127.0.0.1' }),
  ])
  t.same(one!.endpoints, other!.endpoints)
  t.match(one!.endpoints, [{ load: 0 }, { load: 1 }])
})

test('a text means what it means to connect', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'tie', namespace: 'shop', daemonPort: port })
  await named(t, { service: 'wing', namespace: '', daemonPort: port })
  process.env.MONIKER_NAMESPACE = 'shop'
  t.teardown(() => delete process.env.MONIKER_NAMESPACE)
  const resolver = new Resolver({ port })
  t.match(await resolver.resolve('tie'), { name: { namespace: 'shop' } })
  t.match(await resolver.resolve('wing'), { name: { namespace: '' } })
  // A name is what it is.
  await t.rejects(resolver.resolve(parse('tie')), { code: 'ECONNREFUSED', reason: 'ENOSERVICE' })
})

test('those that are as busy as each other take turns', async t => {
  const { port } = await daemon(t)
  for (let time = 0; time < 2; time++) {
    await named(t, { service: 'tie', shared: true, load: true, daemonPort: port })
  }
  const resolver = new Resolver({ port })
  const all = await Promise.all([1, 2, 3, 4].map(() => resolver.resolve(parse('tie'))))
  const ports = all.map(({ endpoints }) => endpoints[0]!.port)
  t.equal(new Set(ports).size, 2)
  t.same(ports.slice(0, 2), ports.slice(2))
})

test('a subclass with an answer of its own is asked by that, and remembers nothing for sockets', async t => {
  class Own extends Resolver {
    signals: (AbortSignal | undefined)[] = []
    override resolve(name: Name, { signal }: ResolveOptions = {}): Promise<Resolution> {
      this.signals.push(signal)
      return Promise.resolve({ name, host: '', endpoints: [], ttl: 0 })
    }
  }
  const resolver = new Own()
  const { known, port, answer, leave } = resolver.ask(parse('tie'))
  t.strictSame([known, port], [undefined, undefined])
  t.match(await answer, { name: { service: 'tie' } })
  leave()
  t.ok(resolver.signals[0]?.aborted)
})

test('the same frozen options are the same question, as long as the port is', async t => {
  const own = process.env.MONIKER_PORT
  t.teardown(() => {
    if (own === undefined) delete process.env.MONIKER_PORT
    else process.env.MONIKER_PORT = own
  })
  const { port } = await daemon(t)
  const options = Object.freeze({ transports: ['tcp'] as const })
  const resolver = new Resolver()
  const name = parse('nobody')
  const asked = (at: number) => {
    process.env.MONIKER_PORT = String(at)
    const { port, answer } = resolver.ask(name, options)
    answer.catch(() => {})
    return port
  }
  t.equal(asked(port), port)
  t.equal(asked(port), port)
  const other = await nobody()
  t.equal(asked(other), other)
})

test('the same frozen question is one query, until the designated port is another', async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'tie', daemonPort: port })
  const resolver = new Resolver()
  const [name, where] = [parse('tie'), Object.freeze({ host: '' })]
  const { MONIKER_PORT: before } = process.env
  t.teardown(() => Object.assign(process.env, { MONIKER_PORT: before ?? '' }))
  process.env.MONIKER_PORT = String(port)
  for (let times = 0; times < 2; times++) {
    t.match(await resolver.ask(name, where).answer, { name: { service: 'tie' } })
  }
  process.env.MONIKER_PORT = String(await nobody())
  await t.rejects(resolver.ask(name, where).answer, { code: 'ECONNREFUSED' })
})

test('a namespace that is no word is not believed, and what is remembered is taken in turns', async t => {
  const endpoint = { transport: 'tcp', port: 80, version: '1.0.0', instance: 'one' }
  const endpoints = [endpoint, { ...endpoint, instance: 'other' }]
  const answer = { namespace: 'No Word', endpoints, ttl: 60_000 }
  const { address, port } = await fake(t, {
    tcp: ({ id }, socket) => void socket.write(line({ id, ...answer })),
  })
  const resolver = new Resolver({ port })
  const name = parse('web')
  const ask = () => resolver.ask(name, { host: address })
  const first = await ask().answer
  t.equal(first.name, name)
  const asked = [ask(), ask()]
  await Promise.all(asked.map(one => one.answer))
  const known = asked.map(one => one.known!.endpoints[0]!.instance)
  t.strictSame(known.toSorted(), ['one', 'other'])
})

test('a hint is where a name may lead; what leads nowhere is none, and what is told is not remembered', async t => {
  const endpoint = { transport: 'tcp', port: 80, version: '1.0.0', instance: 'one' }
  const answers = [
    { endpoints: [endpoint], ttl: 60_000 },
    { error: { code: 'ENOSERVICE', message: 'no' } },
  ]
  for (const hint of answers) {
    const place = await fake(t, {
      address: '127.0.0.2',
      udp: ({ id }, reply) => reply(line({ id, ...hint })),
      tcp: mute,
    })
    const resolver = new Resolver({ port: place.port })
    const hints: Resolution[] = []
    const onHint = (one: Resolution) => void hints.push(one)
    const name = parse('web')
    const ask = (given: SocketQuestion) => resolver.ask(name, { host: '127.0.0.2', ...given })
    const asked = [ask({ onHint }), ask({}), ask({})]
    while (place.datagrams.length === 0) await new Promise(setImmediate)
    while ('endpoints' in hint && hints.length < 1) await new Promise(setImmediate)
    for (const { known } of asked) t.equal(known, undefined)
    // It is told in the turn after the datagram has come.
    for (let turn = 0; turn < 10; turn++) await new Promise(setImmediate)
    for (const one of hints) t.match(one, { host: '127.0.0.2', endpoints: [{ port: 80 }] })
    for (const { answer, leave } of asked) {
      leave(new Error('enough'))
      answer.catch(() => {})
    }
    t.equal(hints.length, 'endpoints' in hint ? 1 : 0)
  }
})

/** Asks until a session is kept to the daemon of a resolver. */
async function warm(resolver: Resolver, port: number, name = parse('starwars')): Promise<void> {
  while (!sessions.at({ address: '127.0.0.1', port })) await resolver.resolve(name)
  // A first answer may have been asked for while another was vouched for.
  for (let n = 0; n < 2; n++) await resolver.resolve(name)
}

/** The resolution that a resolver vouches for, once it does. */
async function vouched(
  resolver: Resolver,
  name = parse('starwars'),
  options?: SocketQuestion,
): Promise<Resolution> {
  for (;;) {
    const found = resolver.leased(name, options)
    if (found?.isHeld) return found.resolution
    await new Promise(setImmediate)
  }
}

/** A resolver that has a lease on `starwars`, over a session that closes with the test. */
async function leasing(t: Test, options: DaemonOptions = {}) {
  const ours = await daemon(t, options)
  const { port } = ours
  const server = await named(t, { service: 'starwars@1.0.0', daemonPort: port })
  const resolver = new Resolver({ port })
  const name = parse('starwars')
  await warm(resolver, port)
  t.teardown(() => sessions.at({ address: '127.0.0.1', port })?.close())
  const leased = (options?: SocketQuestion) => resolver.leased(name, options)
  const held = (options?: SocketQuestion) => vouched(resolver, name, options)
  return { ours, port, server, resolver, name, leased, held }
}

test('a name is vouched for once it was asked for over a session, until it changes', async t => {
  const { port, server, resolver, name, held } = await leasing(t)
  t.match(await held(), { name: { service: 'starwars' }, endpoints: [{ port: portOf(server) }] })
  t.same(await held(), await resolver.resolve(name))
  const higher = await named(t, { service: 'starwars@2.0.0', daemonPort: port })
  await warm(resolver, port)
  t.match(await held(), { endpoints: [{ port: portOf(higher) }] })
  higher.close()
  await once(higher, 'close')
  await warm(resolver, port)
  t.match(await held(), { endpoints: [{ port: portOf(server) }] })
})

test('a name is vouched for in the words that it was asked for with', async t => {
  const { ours, port, resolver, leased, held } = await leasing(t)
  const { questions } = ours.status()
  t.ok(await held())
  t.ok(await held({}))
  t.ok(await held({ transports: ['tcp'] }))
  t.equal(leased({ wait: 1 }), undefined)
  const own = { name: 'own', lookup: async () => [] }
  t.equal(leased({ host: '*', directories: [own] }), undefined)
  t.equal(leased({ host: '192.0.2.1' }), undefined)
  t.equal(leased({ family: 4 }), undefined)
  t.equal(leased({ lookup: lookup('127.0.0.1') }), undefined)
  t.equal(resolver.leased(parse('tie')), undefined)
  t.equal(new Resolver({ port }).leased(parse('starwars')), undefined)
  t.equal(ours.status().questions, questions, 'without a question')
})

test('a question beside a lease asks for no other', async t => {
  const { ours, resolver, name } = await leasing(t)
  const { leases } = ours.status()
  for (let n = 0; n < 5; n++) await resolver.resolve(name)
  t.equal(ours.status().leases, leases)
})

test('what differs from one call to the next is not vouched for', async t => {
  const { port, resolver } = await leasing(t)
  await named(t, { service: 'guarded', guarded: true, daemonPort: port })
  await named(t, { service: 'busy', load: true, daemonPort: port })
  for (let n = 0; n < 2; n++) await named(t, { service: 'many', shared: true, daemonPort: port })
  for (const service of ['guarded', 'busy', 'many']) {
    await warm(resolver, port, parse(service))
    t.equal(resolver.leased(parse(service)), undefined, service)
  }
})

test('a daemon that would vouch for what differs is not believed', async t => {
  const one = { transport: 'tcp', port: 1, version: '1.0.0', instance: 'a' }
  let endpoints: object[] = [one]
  const { port } = await fake(t, {
    tcp: ({ id }, socket) => void socket.write(line({ id, endpoints, ttl: 1, followed: true })),
  })
  const resolver = new Resolver({ port })
  for (const [service, told] of Object.entries({
    one: [one],
    two: [one, { ...one, port: 2, instance: 'b' }],
    busy: [{ ...one, load: 1 }],
  })) {
    endpoints = told
    await warm(resolver, port, parse(service))
    if (service === 'one') t.ok(await vouched(resolver, parse(service)))
    else t.equal(resolver.leased(parse(service)), undefined, service)
  }
})

test('a subclass is asked in its own way', async t => {
  const { port } = await leasing(t)
  class Own extends Resolver {
    readonly #other = new Resolver({ port })
    override resolve(name: Name | string, options?: ResolveOptions): Promise<Resolution> {
      return this.#other.resolve(name, options)
    }
  }
  class Other extends Resolver {
    override ask(name: Name, options?: SocketQuestion) {
      return super.ask(name, options)
    }
  }
  for (const resolver of [new Own({ port }), new Other({ port })]) {
    await warm(resolver, port)
    t.equal(resolver.leased(parse('starwars')), undefined)
  }
})

test('a name is vouched for only where the policy of the program lets it go', async t => {
  const { port } = await leasing(t)
  await named(t, { service: 'tie', daemonPort: port })
  const policy = join(t.testdir({ 'p.yaml': 'rules: [{deny: connect, name: tie}]' }), 'p.yaml')
  const resolver = new Resolver({ port, policy })
  await warm(resolver, port)
  t.match(await vouched(resolver), { endpoints: [{}] })
  await t.rejects(resolver.resolve('tie'), { code: 'EACCES' })
  t.equal(resolver.leased(parse('tie')), undefined)
})

test('what is told over another connection takes the place of a lease', async t => {
  const { ours, port, resolver, name, leased, held } = await leasing(t)
  t.ok(await held())
  const slow = t.intercept(sessions, 'ask', { value: () => undefined })
  await resolver.resolve(name)
  slow.restore()
  t.equal(leased(), undefined)
  await warm(resolver, port)
  t.ok(await held())
  t.equal(ours.status().leases, 2, 'the daemon has not forgotten the other')
  await named(t, { service: 'starwars@2.0.0', daemonPort: port })
  await warm(resolver, port)
  t.match(await held(), { endpoints: [{ version: '2.0.0' }] })
  t.equal(ours.status().leases, 1)
})

test('a lease ends with its daemon', async t => {
  const { ours, port, leased } = await leasing(t)
  const session = sessions.at({ address: '127.0.0.1', port })!
  await Promise.all([once(session, 'close'), ours.stop()])
  t.equal(leased(), undefined)
})
