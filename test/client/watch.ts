import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import type { Daemon } from '../../lib/daemon/daemon.ts'
import type { MonikerError } from '../../lib/errors.ts'
import type { Listed } from '../../lib/wire/protocol.ts'
import { watch, type Watch } from '../../lib/client/watch.ts'
import { awake } from '../fixtures/awake.ts'
import { elsewhere, external } from '../fixtures/external.ts'
import { daemon } from '../fixtures/daemon.ts'
import { memory, sighting } from '../fixtures/directory.ts'
import { fake } from '../fixtures/fake.ts'
import { home } from '../fixtures/home.ts'
import { line, lines, type Lines } from '../fixtures/lines.ts'
import { lookup, named, nobody, portOf, stranger } from '../fixtures/services.ts'

awake(t)

/** A watch that ends with the test, and what it has told. */
function watching(t: Test, ...args: unknown[]) {
  const watched = (watch as (...args: unknown[]) => Watch)(...args)
  t.teardown(() => watched.close())
  const told: string[] = []
  const note = (event: string) => (one: Listed) =>
    told.push(`${event} ${one.namespace && `${one.namespace}:`}${one.service} ${one.port}`)
  watched.on('up', note('up')).on('down', note('down'))
  watched.on('ready', () => told.push('ready')).on('lost', () => told.push('lost'))
  /** Waits until `count` things have been told. */
  const has = async (count: number) => {
    while (told.length < count) await new Promise(setImmediate)
    return told
  }
  return { watched, told, has }
}

/** Registers a name at `port` for each of `services`, from 1 on. */
async function registered(nc: Lines, ...services: string[]): Promise<void> {
  nc.ask(
    ...services.map((service, at) => ({
      op: 'register',
      service,
      transport: 'tcp',
      port: at + 1,
      shared: true,
    })),
  )
  for (const _ of services) await nc.answer()
}

async function restarted(t: Test, old: Daemon): Promise<Daemon> {
  const { port } = old
  await old.stop()
  return daemon(t, { port })
}

t.test('what is up is told, and then what comes and goes', async t => {
  const daemonPort = await home(t)
  const nc = await lines(t, daemonPort)
  await registered(nc, 'web', 'db')
  const { watched, has } = watching(t, 'web')
  t.strictSame(await has(2), ['up web 1', 'ready'])
  t.match(watched.services, [{ service: 'web', port: 1 }])
  const other = await lines(t, daemonPort)
  await registered(other, 'db', 'web')
  t.strictSame((await has(3)).slice(2), ['up web 2'])
  other.socket.destroy()
  t.strictSame((await has(4)).slice(3), ['down web 2'])
  t.match(watched.services, [{ service: 'web', port: 1 }])
  watched.close()
  watched.close()
  await once(watched, 'close')
})

t.test('a loop is told the same, and whoever leaves it closes the watch', async t => {
  const served = await daemon(t)
  const { port: daemonPort } = served
  const nc = await lines(t, daemonPort)
  await registered(nc, 'web')
  const told: string[] = []
  const watched = watch({ service: 'web', daemonPort })
  for await (const { event, port } of watched) {
    told.push(`${event} ${port}`)
    if (told.length === 1) await registered(nc, 'db', 'web')
    if (told.length === 2) nc.socket.destroy()
    if (told.length === 4) break
  }
  t.strictSame(told.slice(0, 2), ['up 1', 'up 2'])
  t.strictSame(told.slice(2).sort(), ['down 1', 'down 2'])
  await once(watched, 'close')
  while (served.status().open > 0) await new Promise(setImmediate)
  for await (const _ of watched) t.fail('it is over')
})

t.test('a loop that begins late is told first of what is there then', async t => {
  const { port: daemonPort } = await daemon(t)
  const nc = await lines(t, daemonPort)
  await registered(nc, 'web', 'db')
  const { watched, has } = watching(t, { daemonPort })
  await has(3)
  for await (const { event, service } of watched) {
    t.same([event, service], ['up', 'web'])
    break
  }
})

t.test('all is watched, or a namespace, or those of a version', async t => {
  const { port: daemonPort } = await daemon(t)
  const nc = await lines(t, daemonPort)
  const register = { op: 'register', transport: 'tcp', port: 1 }
  nc.ask({ ...register, service: 'web', version: '1.0.0' })
  nc.ask({ ...register, service: 'web', version: '2.0.0', port: 2 })
  nc.ask({ ...register, service: 'web', namespace: 'ns', port: 3 })
  for (let answers = 0; answers < 3; answers++) await nc.answer()
  const cases: [args: unknown[], told: string[]][] = [
    [[{ daemonPort }], ['up ns:web 3', 'up web 1', 'up web 2']],
    [[{ daemonPort, namespace: 'NS' }], ['up ns:web 3']],
    [[{ daemonPort, namespace: '' }], ['up web 1', 'up web 2']],
    [
      ['web', { daemonPort }],
      ['up web 1', 'up web 2'],
    ],
    [['ns:web', { daemonPort }], ['up ns:web 3']],
    [['web@^1', { daemonPort }], ['up web 1']],
    [[`web@2://127.0.0.1:${daemonPort}`], ['up web 2']],
    [[new URL(`ns:web://127.0.0.1:${daemonPort}`)], ['up ns:web 3']],
    [[{ service: 'web', version: '3', daemonPort }], []],
    [[{ service: 'web', also: ['ns'], daemonPort }], ['up ns:web 3', 'up web 1', 'up web 2']],
  ]
  for (const [args, expected] of cases) {
    const { told, has } = watching(t, ...args)
    while (!told.includes('ready')) await has(told.length + 1)
    t.strictSame([...told].sort(), [...expected, 'ready'].sort(), JSON.stringify(args))
  }
})

t.test('a daemon that is restarted takes no name down that comes back', async t => {
  let served = await daemon(t)
  const { port: daemonPort } = served
  await registered(await lines(t, daemonPort), 'web', 'db')
  const { watched, told, has } = watching(t, { daemonPort, grace: 60_000 })
  await has(3)
  for (let times = 0; times < 3; times++) {
    served = await restarted(t, served)
    await registered(await lines(t, daemonPort), 'web', 'db', 'more')
    while (told.filter(one => one === 'ready').length < times + 2) await has(told.length + 1)
  }
  const nc = await lines(t, daemonPort)
  await registered(nc, 'last')
  while (!told.includes('up last 1')) await has(told.length + 1)
  t.strictSame(
    told.filter(one => /up|down/.test(one)),
    ['up web 1', 'up db 2', 'up more 3', 'up last 1'],
  )
  t.equal(watched.services.length, 4)
})

t.test('servers that live on are not told to be down, nor up again', async t => {
  const served = await daemon(t)
  const { port: daemonPort } = served
  const servers = [await named(t, { service: 'web@1.2.0', daemonPort })]
  servers.push(await named(t, { service: 'db', daemonPort, metadata: { side: 'light' } }))
  const { told, has } = watching(t, { daemonPort, grace: 60_000 })
  await has(3)
  const back = servers.map(server => once(server, 'registered'))
  await restarted(t, served)
  await Promise.all(back)
  while (told.filter(one => one === 'ready').length < 2) await has(told.length + 1)
  const late = await named(t, { service: 'late', daemonPort })
  while (!told.includes(`up late ${portOf(late)}`)) await has(told.length + 1)
  t.equal(told.filter(one => /up|down/.test(one)).length, 3)
})

t.test('a name that does not come back with its daemon is down', async t => {
  const served = await daemon(t)
  const { port: daemonPort } = served
  await registered(await lines(t, daemonPort), 'web', 'db')
  const { has, told } = watching(t, { daemonPort, grace: 200 })
  await has(3)
  await restarted(t, served)
  await registered(await lines(t, daemonPort), 'web')
  while (!told.includes('down db 2')) await has(told.length + 1)
  t.notOk(told.includes('down web 1'))
})

t.test('without a daemon for long, all is down; until there is one, it is looked for', async t => {
  const daemonPort = await nobody()
  const { has, told, watched } = watching(t, { daemonPort, grace: 1 })
  const [lost] = (await once(watched, 'lost')) as [Error]
  t.match(lost, { reason: 'ENODAEMON', syscall: 'watch', port: daemonPort, host: 'localhost' })
  const served = await daemon(t, { port: daemonPort })
  await registered(await lines(t, daemonPort), 'web')
  while (!told.includes('up web 1')) await has(told.length + 1)
  await served.stop()
  while (!told.includes('down web 1')) await has(told.length + 1)
  t.equal(told.filter(one => one === 'lost').length, 2, 'each loss is told once')
})

t.test('what comes with the first answer is not lost', async t => {
  const web = { service: 'web', transport: 'tcp', port: 1, instance: 'a' }
  const daemonPort = await stranger(t, socket =>
    socket.write(
      [
        { services: [web] },
        { event: 'up', ...web, port: 2, instance: 'b' },
        { event: 'down', ...web },
        { event: 'to come', ...web },
      ]
        .map(line)
        .join(''),
    ),
  )
  const { has } = watching(t, { service: 'web', daemonPort })
  t.strictSame((await has(4)).slice(0, 3), ['up web 1', 'up web 2', 'down web 1'])
})

t.test(
  'a daemon that refuses is an error, where one is read and where it is listened for',
  async t => {
    const refusal = { error: { code: 'EDENIED', message: 'not you' } }
    const daemonPort = await stranger(t, socket => socket.end(line(refusal)))
    const expected = { code: 'EACCES', syscall: 'watch', message: /refused at localhost:.*not you/ }
    const [error] = (await once(watch({ daemonPort }), 'error').catch((error: unknown) => [
      error,
    ])) as [Error]
    t.match(error, expected)
    const read = async () => {
      for await (const _ of watch('web', { daemonPort })) t.fail('nothing comes')
    }
    await t.rejects(read(), expected)
  },
)

t.test('a daemon that is silent, or talks nonsense, is asked again', async t => {
  let asked = 0
  const daemonPort = await stranger(t, socket => {
    if (++asked === 2) socket.write('220 mail ready\r\n')
    if (asked === 3) socket.write(line({ services: [] }) + line({ event: 'up' }))
  })
  const { watched, told } = watching(t, { daemonPort, timeout: 50 })
  const [lost] = (await once(watched, 'lost')) as [Error]
  t.match(lost, { reason: 'ESILENT' })
  while (asked < 4) await new Promise(setImmediate)
  t.strictSame(told, ['lost'])
})

t.test('a daemon that hangs is lost, and one that has nothing to tell is not', async t => {
  const quiet = await fake(t, {
    tcp: ({ id, op }, socket) =>
      void socket.write(line(op === 'watch' ? { id, services: [] } : { id, uptime: 1 })),
  })
  const frozen = await fake(t, {
    tcp: ({ id, op }, socket) => op === 'watch' && void socket.write(line({ id, services: [] })),
  })
  const [alive, lost] = [quiet, frozen].map(({ port }) =>
    watching(t, { host: '127.0.0.1', daemonPort: port, timeout: 100 }),
  )
  const [error] = (await once(lost!.watched, 'lost')) as [Error]
  t.match(error, { code: 'ETIMEDOUT', reason: 'ESILENT' })
  while (quiet.streamed.length < 3) await once(quiet.sockets[0]!, 'data')
  t.strictSame(alive!.told, ['ready'], 'it is asked, and answers')
  t.match(quiet.streamed, [{ op: 'watch' }, { op: 'status' }, { op: 'status' }])
})

t.test('a program that was stopped itself reads first what has come', async t => {
  const daemon = await fake(t, {
    tcp: ({ id, op }, socket) => {
      socket.write(line(op === 'watch' ? { id, services: [] } : { id, uptime: 1 }))
      // The answer is there, and the time is over, when this thread goes on.
      if (op === 'status') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150)
    },
  })
  const { told } = watching(t, { host: '127.0.0.1', daemonPort: daemon.port, timeout: 100 })
  while (daemon.streamed.length < 3) await new Promise(resolve => setTimeout(resolve, 20))
  t.strictSame(told, ['ready'])
})

/** So many services in lines of a kilobyte each, from a number on, of the same metadata. */
function heavy(id: unknown, from: number, count: number, event?: string): string {
  const fat = 'x'.repeat(900)
  return Array.from({ length: count }, (_, at) => {
    const port = 1 + ((from + at) % 65_535)
    const one = {
      service: 'web',
      transport: 'tcp',
      port,
      instance: `${from + at}`,
      metadata: { fat },
    }
    return line(event ? { id, event, ...one } : { id, services: [one], more: true })
  }).join('')
}

/** Writes what `more` gives, as fast as it is read, until the peer has had enough. */
async function flood(socket: Socket, more: (round: number) => string): Promise<void> {
  for (let round = 0; !socket.destroyed;) {
    if (!socket.writableNeedDrain) socket.write(more(round++), () => {})
    await new Promise(setImmediate)
  }
}

for (const [what, first, more] of [
  ['a list without end', '', (id: unknown, round: number) => heavy(id, round * 100, 100)],
  [
    'changes before its list',
    '',
    (id: unknown, round: number) => heavy(id, round * 100, 100, 'up'),
  ],
  [
    'ever more services',
    { services: [] },
    (id: unknown, round: number) => heavy(id, round * 100, 100, 'up'),
  ],
] as const) {
  t.test(`a far daemon does not fill a watcher with ${what}`, elsewhere, async t => {
    const place = await fake(t, {
      address: external!,
      tcp: ({ id }, socket) => {
        if (first) socket.write(line({ id, ...first }))
        void flood(socket, round => more(id, round))
      },
    })
    const { address: host, port: daemonPort } = place
    const before = process.memoryUsage().heapUsed
    const { watched } = watching(t, 'web', { host, daemonPort, timeout: 60_000 })
    const [error] = (await once(watched, 'error')) as [MonikerError]
    t.match(error, { code: 'EBUSY', reason: 'ELIMIT', service: 'web', host })
    const grown = process.memoryUsage().heapUsed - before
    t.ok(grown < 300_000_000, `grown by ${grown >> 20} MB`)
  })
}

t.test('every address of a host is tried, of a family', async t => {
  const { port: daemonPort } = await daemon(t)
  await registered(await lines(t, daemonPort), 'web')
  const hosts = { host: 'theforce.test', lookup: lookup('127.0.0.2', '127.0.0.1'), family: 4 }
  const { has } = watching(t, { ...hosts, daemonPort })
  t.strictSame(await has(2), ['up web 1', 'ready'])
})

t.test('a signal ends a watch, which is an error to a reader alone', async t => {
  const { port: daemonPort } = await daemon(t)
  const reason = new Error('enough')
  const controller = new AbortController()
  const { signal } = controller
  const watched = watch({ daemonPort, signal })
  const reading = watched[Symbol.asyncIterator]().next()
  watched.on('ready', () => controller.abort(reason))
  await t.rejects(reading, reason)
  await once(watch({ daemonPort, signal }), 'close')
  const disposed = watch({ daemonPort })
  disposed[Symbol.dispose]()
  await once(disposed, 'close')
})

t.test('what cannot be watched is refused at once', async t => {
  const cases: [args: unknown[], error: object][] = [
    [['80'], { code: 'ERR_MONIKER_NAME' }],
    [['./x.sock'], { code: 'ERR_MONIKER_NAME' }],
    [[{ service: '1' }], { code: 'ERR_MONIKER_NAME' }],
    [[5], { code: 'ERR_INVALID_ARG_VALUE', message: /a name, a URI or options, got 5$/ }],
    [[null], { message: /a name, a URI or options, got null$/ }],
    [[() => {}], { message: /a name, a URI or options, got \(\) => \{\}$/ }],
    [[{ namespace: '1' }], { message: /options\.namespace to be a word/ }],
    [[{ daemonPort: 0 }], { message: /options\.daemonPort to be a port/ }],
    [[{ grace: -1 }], { message: /options\.grace to be a number of ms from 0 to 3600000, got -1/ }],
    [['a', { timeout: 'x' }], { message: /options\.timeout to be a number of ms .*, got "x"/ }],
  ]
  for (const [args, error] of cases) {
    t.throws(() => (watch as (...args: unknown[]) => Watch)(...args), error as Error)
  }
})

t.test('what a directory tells is told beside what the daemon does', async t => {
  const served = await daemon(t)
  const nc = await lines(t, served.port)
  await registered(nc, 'web')
  const directory = memory([
    { id: 'a', host: 'a.test', service: 'Web', port: 81, metadata: { a: 1 } },
    { id: 'b', host: '192.0.2.1', port: 82 },
    { id: 'c', host: 'c.test', port: 83, address: '192.0.2.3', version: '1.2.0' },
  ])
  const directories = [directory, { name: 'asked', lookup: async () => [] }]
  const options = { host: '*', daemonPort: served.port, directories, grace: 0 }
  const { watched, told, has } = watching(t, 'web', options)
  t.strictSame((await has(5)).toSorted(), [
    'ready',
    'up web 1',
    'up web 81',
    'up web 82',
    'up web 83',
  ])
  t.match(
    watched.services.toSorted((a, b) => a.port - b.port),
    [
      { port: 1, host: undefined, source: undefined },
      { host: 'a.test', address: '', version: '', metadata: { a: 1 }, source: 'memory' },
      { host: '192.0.2.1', address: '192.0.2.1', transport: 'tcp', instance: 'memory b' },
      { host: 'c.test', address: '192.0.2.3', version: '1.2.0' },
    ],
  )
  const [sink] = directory.sinks
  sink!.up(sighting({ id: 'a', port: 99 }))
  sink!.down('b')
  sink!.down('nobody')
  sink!.lost(new Error('etcd is down'))
  t.strictSame((await has(7)).slice(5), ['down web 82', 'lost'])

  await served.stop()
  while (!told.includes('down web 1')) await new Promise(setImmediate)
  t.strictSame(
    watched.services.map(({ port }) => port),
    [81, 83],
    'they do not go with the daemon',
  )
  const before = told.length
  watched.close()
  t.strictSame(directory.sinks, [], 'it is followed no longer')
  sink!.up(sighting({ id: 'late', port: 1 }))
  sink!.down('a')
  sink!.lost(new Error('late'))
  await once(watched, 'close')
  t.equal(told.length, before)
})

t.test('a loop hears of directories too', async t => {
  const daemonPort = await home(t)
  const directories = [memory([{ host: 'a.test', port: 81 }])]
  for await (const { event, host, source } of watch('web', {
    host: '*',
    daemonPort,
    directories,
  })) {
    t.strictSame([event, host, source], ['up', 'a.test', 'memory'])
    break
  }
})

t.test('of what directories tell, what is watched is told', async t => {
  const daemonPort = await home(t)
  const all = [
    sighting({ id: 'web', port: 1, version: '1.2.0' }),
    sighting({ id: 'db', port: 2, service: 'db', namespace: 'ns' }),
    sighting({ id: 'mine', port: 3, namespace: 'mine' }),
  ]
  const cases: [options: object, told: string[]][] = [
    [{}, ['up web 1', 'up ns:db 2', 'up mine:web 3']],
    [{ namespace: 'ns' }, ['up ns:db 2']],
    [{ service: 'web' }, ['up web 1']],
    [{ service: 'web', namespace: 'mine', also: [''] }, ['up web 1', 'up mine:web 3']],
    [{ service: 'web', version: '^1' }, ['up web 1']],
    [{ service: 'web', version: '^2' }, []],
  ]
  for (const [options, expected] of cases) {
    const given = { daemonPort, host: '*', directories: [memory(all)], ...options }
    const { watched, has } = watching(t, given)
    t.strictSame((await has(expected.length + 1)).slice(0, -1), expected, JSON.stringify(options))
    watched.close()
  }
  const named = memory(all)
  const { has } = watching(t, { daemonPort, host: 'localhost', directories: [named] })
  t.strictSame(await has(1), ['ready'], 'of any host alone')
})

t.test('a directory that is hostile does no harm', async t => {
  const daemonPort = await home(t)
  const wrong = [
    null,
    {},
    sighting(),
    sighting({ port: 0 }),
    sighting({ host: '*', port: 1 }),
    sighting({ host: 'a.test', address: '127.0.0.1', port: 1 }),
    sighting({ host: 'a.test', address: '::ffff:7f00:1', port: 1 }),
  ]
  const many = Array.from({ length: 10_000 }, (_, at) => sighting({ id: String(at), port: 1 }))
  const throwing = () => {
    throw new Error('no')
  }
  const rejecting = () => Promise.reject(new Error('not now'))
  const directories = [
    memory([], {
      follow: sink => {
        for (const one of wrong) sink.up(one as never)
        sink.down(7 as never)
        return throwing
      },
    }),
    memory([], { follow: throwing }),
    memory([], { follow: () => undefined as never }),
    memory([], { follow: rejecting as never }),
    memory([], { follow: () => rejecting }),
    memory(many),
  ]
  const { watched, told, has } = watching(t, { host: '*', daemonPort, directories })
  const lost: MonikerError[] = []
  watched.on('lost', error => lost.push(error as MonikerError))
  await has(1_028)
  t.equal(told.filter(one => one.startsWith('up')).length, 1_024)
  t.strictSame(
    told.filter(one => !one.startsWith('up')),
    ['lost', 'lost', 'lost', 'ready'],
  )
  const said = ['no', 'its follow gave no function that ends it', 'not now']
  t.strictSame(
    lost.map(({ message }) => message).toSorted(),
    said
      .map(
        text =>
          `EHOSTUNREACH: any host cannot be reached to ask for it: the directory memory failed: ${text}`,
      )
      .toSorted(),
  )
  t.match(lost, Array(3).fill({ reason: 'EUNREACHABLE', host: '*', syscall: 'watch' }))
  t.equal(watched.services.length, 1_024)
  watched.close()
  await once(watched, 'close')
})

t.test('a watch that is closed at once follows nothing', async t => {
  const directory = memory()
  const watched = watch({ host: '*', directories: [directory] })
  watched.close()
  await once(watched, 'close')
  t.strictSame(directory.sinks, [])
})

t.test('a process is kept alive by a watch, unless it is unref’d', async t => {
  const { port } = await daemon(t)
  const program = (text: string) => {
    const module = JSON.stringify(new URL('../../lib/client/watch.ts', import.meta.url).href)
    const code = `import { watch } from ${module}; const watched = watch({ daemonPort: ${port} }); ${text}`
    const args = [...process.execArgv, '--input-type=module', '-e', code]
    const cwd = fileURLToPath(new URL('../..', import.meta.url))
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'], cwd })
    t.teardown(() => child.kill())
    return once(child, 'exit')
  }
  const ends = program('watched.ref(); watched.on("ready", () => watched.unref())')
  const kept = program('watched.on("ready", () => setTimeout(() => process.exit(7), 50).unref())')
  t.strictSame(await Promise.all([ends, kept]), [
    [0, null],
    [7, null],
  ])
})
