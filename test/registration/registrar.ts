import { live } from '../fixtures/live.ts'
import { once } from 'node:events'
import { fork } from 'node:child_process'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { parse } from '../../lib/name.ts'
import { exactVersion } from '../../lib/version.ts'
import type { MonikerError } from '../../lib/errors.ts'
import type { Offer } from '../../lib/wire/protocol.ts'
import { Registrar, type Lease } from '../../lib/registration/registrar.ts'
import { standings } from '../../lib/client/standing.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { awake } from '../fixtures/awake.ts'
import { daemon } from '../fixtures/daemon.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { line, lines, type Lines } from '../fixtures/lines.ts'
import { nobody, stranger } from '../fixtures/services.ts'

awake(t)

/** An offer of a name, for a port that needs no listener. */
function offer(text: string, port = 9): Offer {
  const name = parse(text)
  const version = exactVersion(name.version)
  return { ...name, version, transport: 'tcp', port, address: '127.0.0.1', shared: false }
}

/** The start of a daemon where another has the port. */
async function taken(): Promise<never> {
  throw Object.assign(new Error('taken'), { code: 'EADDRINUSE' })
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
  await Promise.all([tie.withdraw(), tie.withdraw()])
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

t.test('the error for a name that is taken tells its holder', async t => {
  const { port } = await daemon(t)
  const registrar = Registrar.at(port)
  const lease = await registrar.register(offer('tie', 4567))
  await t.rejects(registrar.register(offer('tie')), {
    code: 'EADDRINUSE',
    reason: 'ETAKEN',
    syscall: 'listen',
    service: 'tie@0.0.0',
    message: new RegExp(`tie@0.0.0 is already registered .* process ${process.pid} on port 4567`),
  })
  await lease.withdraw()

  const datagrams = { ...offer('tie'), transport: 'udp' } as const
  const first = await registrar.register(datagrams)
  await t.rejects(registrar.register(datagrams), { code: 'EADDRINUSE', syscall: 'bind' })
  await first.withdraw()
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
    throw Object.assign(new Error('another was faster'), { code: 'EADDRINUSE' })
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

t.test(
  'when the daemon goes, this process takes its place, and the names are there again',
  async t => {
    const ours = await daemon(t)
    const registrar = Registrar.at(ours.port)
    const leases = [await registrar.register(offer('tie')), await registrar.register(offer('wing'))]
    const back = leases.map(lease => once(lease, 'regained'))
    const lost = leases.map(lease => once(lease, 'lost'))
    await ours.stop()
    t.match(await Promise.all(lost), [
      [{ code: 'ECONNRESET', reason: 'ELOST', service: 'tie@0.0.0', message: /again as soon as/ }],
      [{ code: 'ECONNRESET', reason: 'ELOST', service: 'wing@0.0.0' }],
    ])
    await Promise.all(back)
    t.same((await services(ours.port)).sort(), ['tie', 'wing'])
    t.match(await new Resolver({ port: ours.port }).status(), { embedded: true, names: 2 })
    for (const lease of leases) await lease.withdraw()
    t.same(await services(ours.port), [])
  },
)

/** A start that finds that another daemon was faster, and calls `then` when that one is there. */
function faster(t: Test, port: number, then: () => Promise<unknown>) {
  return async () => {
    await daemon(t, { port })
    await then()
    throw Object.assign(new Error('another was faster'), { code: 'EADDRINUSE' })
  }
}

/** The start of a process that may not become the daemon. */
function forbidden(): Promise<void> {
  return Promise.reject(Object.assign(new Error('permission denied'), { code: 'EACCES' }))
}

t.test('where it may not take the place, it comes back as soon as there is a daemon', async t => {
  const first = await daemon(t)
  const { port } = first
  const lease = await new Registrar(port, forbidden).register(offer('tie'))
  const reasons: string[] = []
  lease.on('lost', error => reasons.push(error.reason))
  await first.stop()
  while (reasons.length < 2) await once(lease, 'lost')
  t.same(reasons, ['ELOST', 'EUNREACHABLE'], 'each reason once')
  const regained = once(lease, 'regained')
  const second = await daemon(t, { port })
  await regained
  t.same(await services(port), ['tie'])
  const lost = once(lease, 'lost')
  await second.stop()
  t.match(await lost, [{ reason: 'ELOST' }], 'the same reason is news once the name was back')
  await lease.withdraw()
})

t.test('many come back at once, and all of them', async t => {
  const first = await daemon(t)
  const { port } = first
  const registrars = Array.from({ length: 50 }, () => new Registrar(port, forbidden))
  const leases = await Promise.all(
    registrars.map((registrar, at) => registrar.register(offer(`tie${at}`))),
  )
  const lost = leases.map(lease => once(lease, 'lost'))
  await first.stop()
  await Promise.all(lost)
  const back = leases.map(lease => once(lease, 'regained'))
  await daemon(t, { port })
  await Promise.all(back)
  t.equal((await services(port)).length, 50)
  await Promise.all(leases.map(lease => lease.withdraw()))
})

t.test(
  'the program that has held a name for longer has it, once the daemon is another',
  async t => {
    const first = await daemon(t)
    const { port } = first
    const late = new Registrar(port)
    let younger!: Lease
    let evicted!: Promise<unknown[]>
    const before = async () => {
      younger = await late.register(offer('tie', 8))
      evicted = once(younger, 'lost')
    }
    const elder = await new Registrar(port, faster(t, port, before)).register(offer('tie', 9))
    const regained = once(elder, 'regained')
    await first.stop()
    await regained
    t.match(await evicted, [{ code: 'EADDRINUSE', reason: 'ETAKEN', message: /on port 9/ }])

    const back = once(younger, 'regained')
    await elder.withdraw()
    await back
    t.same(await services(port), ['tie'], 'the other waits for its turn')
    await younger.withdraw()
  },
)

t.test(
  'a name that another program holds by the time it is asked for again is waited for',
  async t => {
    const first = await daemon(t)
    const { port } = first
    let rival!: Lines
    const lease = await new Registrar(
      port,
      faster(t, port, async () => {
        rival = await lines(t, port)
        rival.ask({ op: 'register', ...offer('tie', 7), since: 1 })
        await rival.answer()
      }),
    ).register(offer('tie'))
    const reasons: MonikerError[] = []
    lease.on('lost', error => reasons.push(error))
    await first.stop()
    while (reasons.length < 2) await once(lease, 'lost')
    t.match(reasons, [{ reason: 'ELOST' }, { reason: 'ETAKEN', message: /on port 7/ }])
    rival.socket.destroy()
    await once(lease, 'regained')
    await lease.withdraw()
  },
)

t.test('a name that is withdrawn while it is lost does not come back', async t => {
  const first = await daemon(t)
  const { port } = first
  const registrar = new Registrar(port, forbidden)
  const [tie, wing] = [
    await registrar.register(offer('tie')),
    await registrar.register(offer('wing')),
  ]
  const lost = once(tie, 'lost')
  await first.stop()
  await lost
  await tie.withdraw()
  const regained = once(wing, 'regained')
  await daemon(t, { port })
  await regained
  t.same(await services(port), ['wing'])
  await wing.withdraw()
})

t.test('a name that is withdrawn while it is asked for again is let go', async t => {
  const heard: string[] = []
  let connections = 0
  let resolve!: (done: Promise<void>) => void
  const withdrawn = new Promise<void>(done => (resolve = done))
  const port = await stranger(t, socket => {
    const isFirst = ++connections === 1
    socket.on('data', data => {
      const { id, op } = JSON.parse(String(data)) as { id: number; op: string }
      heard.push(op)
      if (op === 'register' && !isFirst) resolve(lease.withdraw())
      socket.write(line({ id, registration: 1, unregistered: true }), () => isFirst && socket.end())
    })
  })
  const lease = await new Registrar(port).register(offer('tie'))
  await withdrawn
  t.same(heard, ['register', 'register', 'unregister'])
})

t.test(
  'a name that is withdrawn while it is asked for again, and refused, stays withdrawn',
  async t => {
    let connections = 0
    let resolve!: (done: Promise<void>) => void
    const withdrawn = new Promise<void>(done => (resolve = done))
    const port = await stranger(t, socket => {
      const isFirst = ++connections === 1
      socket.on('data', () => {
        if (isFirst) return socket.end(line({ registration: 1 }))
        resolve(lease.withdraw())
        socket.write(line({ error: { code: 'EDENIED', message: 'no' } }))
      })
    })
    const lease = await new Registrar(port).register(offer('tie'))
    const reasons: string[] = []
    lease.on('lost', error => reasons.push(error.reason))
    const timers = t.capture(live, 'setTimeout', live.setTimeout)
    await withdrawn
    timers.restore()
    // A limit of time for the question is 1,000 ms, and a pause is shorter.
    const all = timers.args() as unknown as [then: unknown, ms: number][]
    const pauses = all.filter(([, ms]) => ms < 1_000)
    t.same(pauses, [], 'no pause after which it would be asked for again')
    t.same(reasons, ['ELOST'])
  },
)

t.test('an eviction in one packet with the grant is reported', async t => {
  const evicted = { event: 'evicted', registration: 7 }
  const error = { code: 'ETAKEN', message: 'held on port 4711' }
  const table = [
    [evicted, /held by a program that had it before/],
    [{ ...evicted, error }, /held on port 4711/],
  ] as const
  for (const [event, message] of table) {
    const port = await stranger(t, socket => {
      socket.once('data', () => socket.write([{ registration: 7 }, event].map(line).join('')))
    })
    const lease = await new Registrar(port).register(offer('tie'))
    t.match(await once(lease, 'lost'), [{ reason: 'ETAKEN', service: 'tie@0.0.0', port, message }])
    t.equal(lease.end(), true, 'there is nothing left to let go')
    t.equal(lease.end(), false)
    await lease.withdraw()
  }
})

t.test('unknown events, and those of another registration, are ignored', async t => {
  const replies = [
    [{ event: 'greeted' }, { registration: 1 }],
    [{ event: 'evicted', registration: 1 }, { registration: 2 }],
    [{ event: 'evicted', registration: 2 }, { error: { code: 'EDENIED', message: 'no' } }],
  ]
  const port = await stranger(t, socket => {
    socket.once('data', () => {
      const reply = replies.shift()!.map(line).join('')
      // The last stays; the others go when the name has been had.
      socket.write(reply, () => setImmediate(() => replies.length > 0 && socket.end()))
    })
  })
  const lease = await new Registrar(port).register(offer('tie'))
  const log: string[] = []
  lease
    .on('lost', error => log.push(`lost: ${error.reason}`))
    .on('regained', () => log.push('regained'))
  while (log.length < 4) await new Promise(setImmediate)
  await new Promise(setImmediate)
  t.same(log, ['lost: ELOST', 'regained', 'lost: ELOST', 'lost: EDENIED'])
  await lease.withdraw()
})

t.test('a guarded server hears of its peers, be it in one packet with the grant', async t => {
  const event = { event: 'expect', address: '127.0.0.1', ttl: 1 }
  const port = await stranger(t, socket => {
    socket.once('data', () => {
      socket.write(line({ registration: 1 }) + line(event))
      socket.once('data', () => socket.end())
    })
  })
  const events: unknown[] = []
  const expect = (event: unknown) => events.push(event)
  const leases = [
    await new Registrar(port).register(offer('tie'), { expect }),
    await new Registrar(port).register(offer('tie')),
  ]
  t.match(events, [event])
  t.equal(events.length, 1)
  await Promise.all(leases.map(lease => lease.withdraw()))
})

t.test('this daemon and the next are told how busy a service is', async t => {
  const first = await daemon(t)
  const { port } = first
  const load = () => new Resolver({ port }).list().then(([one]) => one?.load)
  const lease = await new Registrar(port, forbidden).register(offer('tie'))
  lease.report(1)
  while ((await load()) !== 1);
  let lost = once(lease, 'lost')
  await first.stop()
  await lost
  lease.report(2)
  let regained = once(lease, 'regained')
  const second = await daemon(t, { port })
  await regained
  t.equal(await load(), 2)

  // A report whose daemon goes before it has answered is no reason to fail.
  lease.report(3)
  lost = once(lease, 'lost')
  await second.stop()
  await lost
  regained = once(lease, 'regained')
  await daemon(t, { port })
  await regained
  t.equal(await load(), 3)
  await lease.withdraw()
})

t.test('a daemon that goes before it has answered is asked again', async t => {
  let connections = 0
  const port = await stranger(t, socket => {
    const isGoing = [1, 2, 4].includes(++connections)
    socket.on('data', data => {
      if (isGoing) return socket.end()
      const { id } = JSON.parse(String(data)) as { id: number }
      socket.write(line({ id, registration: 1 }), () => connections === 3 && socket.end())
    })
  })
  const lease = await new Registrar(port).register(offer('tie'))
  t.equal(connections, 3)
  await once(lease, 'regained')
  t.equal(connections, 5)
  await lease.withdraw()
})

t.test(
  'a daemon that does not say whether a name is held again is asked anew, with more patience',
  async t => {
    const asked: number[] = []
    const port = await stranger(t, socket => {
      const at = asked.push(performance.now())
      socket.on('data', data => {
        const { id } = JSON.parse(String(data)) as { id: number }
        if (at === 2 || at === 3) return
        socket.write(line({ id, registration: 1 }), () => at === 1 && socket.end())
      })
    })
    const lease = await new Registrar(port).register(offer('tie'))
    await once(lease, 'regained')
    t.equal(asked.length, 4)
    t.ok(asked[3]! - asked[2]! > 1_500, 'twice as long as the second before')
    await lease.withdraw()
  },
)

t.test('a daemon that goes while it is come to is one that is lost', async t => {
  const first = await daemon(t)
  const { port } = first
  let resets = 0
  const reset = async () => {
    if (++resets === 2) await daemon(t, { port })
    throw Object.assign(new Error('reset'), { code: 'ECONNRESET' })
  }
  const lease = await new Registrar(port, reset).register(offer('tie'))
  const reasons: string[] = []
  lease.on('lost', error => reasons.push(error.reason))
  const regained = once(lease, 'regained')
  await first.stop()
  await regained
  t.same(reasons, ['ELOST'])
  await lease.withdraw()
})

t.test('a program that has the designated port and is no daemon is told from one', async t => {
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

t.test('a connection that is made for a registration that was given up is closed', async t => {
  let resolve!: () => void
  const closed = new Promise<void>(done => (resolve = done))
  const port = await stranger(t, socket => void socket.resume().once('close', resolve))
  const controller = new AbortController()
  const given = new Registrar(port).register(offer('tie'), controller)
  given.catch(() => {})
  // It begins to connect in this turn.
  await new Promise(process.nextTick)
  controller.abort(new Error('changed my mind'))
  await t.rejects(given, { message: 'changed my mind' })
  await closed
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

t.test('the daemon is found at ::1 too', { skip: withoutIPv6 }, async t => {
  const there = await daemon(t, { hosts: ['::1'] })
  const lease = await Registrar.at(there.port).register(offer('tie'))
  t.match(await new Resolver({ port: there.port }).status(), { names: 1, embedded: false })
  await lease.withdraw()
})

function program(t: Test, port: number, name: string) {
  const path = fileURLToPath(new URL('../fixtures/program.ts', import.meta.url))
  const child = fork(path, [name], { env: { ...process.env, MONIKER_PORT: String(port) } })
  t.teardown(() => child.kill())
  return child
}

t.test('what is asked by the way that names are held is asked of the next daemon, too', async t => {
  const first = await daemon(t)
  const { port } = first
  const registrar = new Registrar(port, taken)
  const never = new AbortController().signal
  const question = {
    op: 'resolve',
    namespace: '',
    service: 'tie',
    version: '',
    transports: ['tcp'],
  } as const
  const none = { code: 'ECONNREFUSED', reason: 'ENODAEMON' }
  await t.rejects(registrar.ask(question, never), none, 'no name is held')

  const lease = await registrar.register(offer('tie'))
  t.match(await registrar.ask(question, never), { answer: { endpoints: [{}] }, daemon: { port } })
  await first.stop()
  const second = daemon(t, { port, grace: 0 })
  t.match(await registrar.ask(question, never), { answer: { endpoints: [{}] } })
  await (await second).stop()

  const over = new AbortController()
  const asked = registrar.ask(question, over.signal)
  over.abort(new Error('enough'))
  await t.rejects(asked, { message: 'enough' })
  await lease.withdraw()
  t.notOk(standings.has(port))
})

t.test('it fails as the question does, if that is not for want of a daemon', async t => {
  const port = await stranger(t, socket => {
    socket.once('data', data => {
      const { id } = JSON.parse(String(data)) as { id: number }
      socket.write(line({ id, registration: 1 }), () =>
        socket.once('data', () => socket.write('nonsense\n')),
      )
    })
  })
  const registrar = new Registrar(port)
  const lease = await registrar.register(offer('tie'))
  await t.rejects(registrar.ask({ op: 'status' }, new AbortController().signal), { code: 'EPROTO' })
  await lease.withdraw()
})

t.test('daemons that come and go while a name is asked for are not one that is silent', async t => {
  let starts = 0
  const port = await nobody()
  const start = async () => {
    if (++starts === 1) return taken()
    await pause(250)
    await daemon(t, { port })
  }
  const lease = await new Registrar(port, start).register(offer('tie'), { timeout: 200 })
  t.equal(lease.state, 'held')
  await lease.withdraw()
})

t.test('a program that has the port and listens to nobody is given up', async t => {
  let starts = 0
  const registrar = new Registrar(await nobody(), async () => {
    starts++
    return taken()
  })
  const reason = new Error('enough')
  const signal = AbortSignal.timeout(100)
  await t.rejects(registrar.register(offer('tie'), { signal }), { name: 'TimeoutError' })
  await t.rejects(registrar.register(offer('tie'), { signal: AbortSignal.abort(reason) }), reason)
  const known = starts
  await pause(100)
  t.ok(starts <= known + 1, 'nobody goes on for a name that nobody wants')
})

const word = 'a-secret-of-16-letters'

/** A name to reserve. */
function reserved(text: string) {
  const { port: _, address: __, ...name } = offer(text)
  return { ...name, reservation: word }
}

t.test('a name that is reserved is kept until the program with the word has it', async t => {
  const { port } = await daemon(t)
  const [registrar, others] = [new Registrar(port), new Registrar(port)]
  const lease = await registrar.reserve(reserved('tie'))
  t.same(await services(port), [])
  const message = new RegExp(
    `tie@0.0.0 is already registered .*, reserved by process ${process.pid};`,
  )
  await t.rejects(others.register(offer('tie')), { code: 'EADDRINUSE', message })

  const claimed = once(lease, 'claimed')
  const named = await others.register({ ...offer('tie@1.2.0'), reservation: word })
  await claimed
  t.equal(lease.state, 'released')
  await lease.withdraw()
  t.same(await services(port), ['tie'])
  await named.withdraw()

  const given = await registrar.reserve(reserved('tie'))
  await given.withdraw()
  const free = await others.register(offer('tie'))
  await free.withdraw()
})

t.test(
  'a name takes the place of its reservation, unless the program has claimed that',
  async t => {
    const { port } = await daemon(t)
    const registrar = new Registrar(port)
    const instead = await registrar.reserve(reserved('tie'))
    instead.on('claimed', () => t.fail('claimed'))
    const lease = await registrar.register(offer('tie'), { instead })
    t.equal(instead.state, 'released')
    const claimed = once(lease, 'claimed')
    const other = await new Registrar(port).register({ ...offer('tie'), reservation: word })
    await claimed
    const late = registrar.register(offer('tie'), { instead })
    await t.rejects(late, {
      code: 'EADDRINUSE',
      message: /held by the program that it was reserved/,
    })
    await other.withdraw()

    const first = await registrar.reserve(reserved('tie'))
    // The other asks as soon as it can, and is heard before the claim is told.
    const both = await Promise.allSettled([
      new Registrar(port).register({ ...offer('tie@2.0.0'), reservation: word }),
      registrar.register(offer('tie'), { instead: first }),
    ])
    t.ok(both.some(({ status }) => status === 'fulfilled'))
    for (const one of both) if (one.status === 'fulfilled') await one.value.withdraw()
    await first.withdraw()

    const kept = await registrar.reserve(reserved('tie'))
    const elsewhere = new Registrar(port)
    const rival = elsewhere.register(offer('tie'), { instead: kept })
    await t.rejects(rival, { code: 'EADDRINUSE' }, 'over another connection it is no place')
    await kept.withdraw()
  },
)

t.test('a program has the word in its environment', async t => {
  const { port } = await daemon(t)
  process.env.MONIKER_RESERVATION = word
  t.teardown(() => delete process.env.MONIKER_RESERVATION)
  const lease = await new Registrar(port).reserve(reserved('tie'))
  const claimed = once(lease, 'claimed')
  const named = await new Registrar(port).register(offer('tie'))
  await claimed
  await named.withdraw()
})

t.test('a reservation is made again at the next daemon, without force', async t => {
  const first = await daemon(t)
  const { port } = first
  const holder = await new Registrar(port).register(offer('tie'))
  const lost = once(holder, 'lost')
  const linux = process.platform === 'linux'
  const registrar = new Registrar(port)
  if (!linux)
    return t.rejects(registrar.reserve({ ...reserved('tie'), force: true }), { code: 'EACCES' })
  const lease = await registrar.reserve({ ...reserved('tie'), force: true })
  t.match(await lost, [{ reason: 'ETAKEN', message: /reserved by process/ }])
  // It asks again, and has no older claim.
  for (const state of ['lost', 'refused']) {
    while (holder.state !== state) await new Promise(setImmediate)
  }
  t.equal(lease.state, 'held')
  await holder.withdraw()

  const gone = once(lease, 'lost')
  const back = once(lease, 'regained')
  await first.stop()
  await gone
  await back
  await t.rejects(new Registrar(port).register(offer('tie')), { code: 'EADDRINUSE' })
  await lease.withdraw()
})

t.test('a claim that is not about this registration is ignored', async t => {
  const port = await stranger(t, socket => {
    createInterface({ input: socket }).on('line', text => {
      const { id, op } = JSON.parse(text) as { id: number; op: string }
      if (op === 'unregister') return void socket.write(line({ id, unregistered: true }))
      socket.write(line({ id, registration: 1, generation: 1 }))
      socket.write(line({ id, event: 'claimed', registration: 2 }))
      socket.write(line({ id, event: 'claimed', registration: 1 }))
      socket.write(line({ id, event: 'claimed', registration: 1 }))
    })
  })
  const lease = await new Registrar(port).reserve(reserved('tie'))
  let times = 0
  lease.on('claimed', () => times++)
  await once(lease, 'claimed')
  await new Promise(setImmediate)
  t.equal(times, 1)
})

t.test('a daemon that knows no reservations says so', async t => {
  const port = await stranger(t, socket => {
    createInterface({ input: socket }).on('line', text => {
      const { id } = JSON.parse(text) as { id: number }
      socket.write(line({ id, error: { code: 'ENOSYS', message: 'the operation "reserve"' } }))
    })
  })
  await t.rejects(new Registrar(port).reserve(reserved('tie')), {
    code: 'ENOSYS',
    reason: 'ENOSYS',
  })
})
