import { once } from 'node:events'
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { exactVersion, parse } from '../lib/name.ts'
import type { Offer } from '../lib/protocol.ts'
import { Registrar } from '../lib/registrar.ts'
import { Resolver } from '../lib/resolver.ts'
import { awake } from './fixtures/awake.ts'
import { daemon } from './fixtures/daemon.ts'
import { nobody, stranger } from './fixtures/services.ts'

awake(t)

/** An offer of a name; nobody need listen there. */
function offer(text: string, port = 9): Offer {
  const name = parse(text)
  const version = exactVersion(name.version)
  return { ...name, version, transport: 'tcp', port, address: '127.0.0.1', shared: false }
}

function services(port: number): Promise<string[]> {
  return new Resolver({ port }).list().then(all => all.map(({ service }) => service))
}

t.test('a name is held until it is withdrawn', async t => {
  const { port } = await daemon(t)
  const registrar = Registrar.at(port)
  t.equal(Registrar.at(port), registrar)

  const tie = await registrar.register(offer('tie'))
  const wing = await registrar.register(offer('wing'))
  t.same(await services(port), ['tie', 'wing'])
  await tie.withdraw()
  await tie.withdraw()
  t.same(await services(port), ['wing'])
  await wing.withdraw()
  t.same(await services(port), [])

  const short = await registrar.register(offer('tie'))
  await short.withdraw()
  const again = await registrar.register(offer('tie'))
  t.same(await services(port), ['tie'])
  await again.withdraw()
})

t.test('a name that is taken says by whom', async t => {
  const { port } = await daemon(t)
  const registrar = Registrar.at(port)
  const lease = await registrar.register(offer('tie', 4567))
  await t.rejects(registrar.register(offer('tie')), {
    code: 'EADDRINUSE',
    reason: 'ETAKEN',
    syscall: 'register',
    service: 'tie@0.0.0',
    message: new RegExp(`tie@0.0.0 is already registered .* process ${process.pid} on port 4567`),
  })
  await lease.withdraw()
})

t.test('where no daemon answers, this process becomes the daemon', async t => {
  const port = await nobody()
  const registrar = Registrar.at(port)
  const leases = await Promise.all([
    registrar.register(offer('tie')),
    registrar.register(offer('wing')),
  ])
  t.match(await new Resolver({ port }).status(), { embedded: true, pid: process.pid, names: 2 })
  for (const lease of leases) await lease.withdraw()
})

t.test('a race for the designated port that is lost is a daemon found', async t => {
  const port = await nobody()
  let races = 0
  const registrar = new Registrar(port, async () => {
    await daemon(t, { port })
    races++
    throw Object.assign(new Error('somebody was faster'), { code: 'EADDRINUSE' })
  })
  const lease = await registrar.register(offer('tie'))
  t.equal(races, 1)
  t.same(await services(port), ['tie'])
  await lease.withdraw()
})

t.test('a name is withdrawn even if the daemon goes meanwhile', async t => {
  const ours = await daemon(t)
  const lease = await Registrar.at(ours.port).register(offer('tie'))
  const withdrawn = lease.withdraw()
  await ours.stop()
  t.equal(await withdrawn, undefined)
})

t.test('programs that start at the same moment agree on one daemon', async t => {
  const port = await nobody()
  const programs = Array.from({ length: 3 }, (_, index) => program(t, port, `tie${index}`))
  await Promise.all(programs.map(child => once(child, 'message')))
  t.same((await services(port)).sort(), ['tie0', 'tie1', 'tie2'])
})

t.test('when the daemon goes, its names are lost, and that is said', async t => {
  const ours = await daemon(t)
  const registrar = Registrar.at(ours.port)
  const lease = await registrar.register(offer('tie'))
  const lost = once(lease, 'lost')
  await ours.stop()
  t.match(await lost, [
    { code: 'ECONNRESET', reason: 'ELOST', service: 'tie@0.0.0', message: /no longer/ },
  ])
  await lease.withdraw()

  await daemon(t, { port: ours.port })
  const again = await registrar.register(offer('tie'))
  t.same(await services(ours.port), ['tie'])
  await again.withdraw()
})

t.test('what has the designated port and is no daemon is told from one', async t => {
  const cases = [
    ['220 mail ready\r\n', 'EPROTO', /expected one JSON object a line/],
    ['{"v":1,"id":1}\n', 'EPROTO', /the answer has no registration/],
    ['', 'EPROTO', /closed without an answer/],
  ] as const
  for (const [answer, code, message] of cases) {
    const port = await stranger(t, socket => socket.end(answer))
    await t.rejects(Registrar.at(port).register(offer('tie')), { code, message, port })
  }
})

t.test('a daemon that stays silent is given up', async t => {
  const port = await stranger(t)
  const registered = Registrar.at(port).register(offer('tie'), { timeout: 100 })
  await t.rejects(registered, { code: 'ETIMEDOUT', reason: 'ESILENT', service: 'tie@0.0.0' })
})

t.test('a registration that is given up leaves no name behind', async t => {
  const { port } = await daemon(t)
  const registrar = Registrar.at(port)
  const held = await registrar.register(offer('wing'))
  const reason = new Error('changed my mind')
  await t.rejects(registrar.register(offer('tie'), { signal: AbortSignal.abort(reason) }), reason)

  const controller = new AbortController()
  const given = registrar.register(offer('tie'), controller)
  // The connection is there: the question has gone out by the next turn.
  await Promise.resolve()
  controller.abort(reason)
  await t.rejects(given, reason)
  // It is undone as soon as the daemon has said that it is done.
  while ((await services(port)).length > 1);
  t.same(await services(port), ['wing'])

  const plain = new AbortController()
  const unreasoned = registrar.register(offer('tie'), plain)
  plain.abort()
  await t.rejects(unreasoned, { name: 'AbortError' })
  await held.withdraw()
})

t.test('a port that may not be bound is said to be so', async t => {
  process.env.MONIKER_HOST = '127.0.0.1,256.0.0.1'
  t.teardown(() => delete process.env.MONIKER_HOST)
  const port = await nobody()
  await t.rejects(Registrar.at(port).register(offer('tie')), { port, code: 'EHOSTUNREACH' })
})

t.test('a daemon that cannot be reached is said to be so', async t => {
  const port = await nobody()
  let started = 0
  const registrar = new Registrar(port, async () => void started++)
  await t.rejects(registrar.register(offer('tie')), { code: 'ECONNREFUSED', port })
  t.equal(started, 1)
})

t.test('the daemon is found at ::1 too', async t => {
  const there = await daemon(t, { hosts: ['::1'] }).catch(() => undefined)
  if (!there) return t.pass('no IPv6 here')
  const lease = await Registrar.at(there.port).register(offer('tie'))
  t.match(await new Resolver({ port: there.port }).status(), { names: 1, embedded: false })
  await lease.withdraw()
})

function program(t: Test, port: number, name: string) {
  const path = fileURLToPath(new URL('fixtures/program.ts', import.meta.url))
  const child = fork(path, [name], { env: { ...process.env, MONIKER_PORT: String(port) } })
  t.teardown(() => child.kill())
  return child
}
