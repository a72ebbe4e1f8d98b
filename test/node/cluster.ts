import { spawn } from 'node:child_process'
import cluster, { type Address } from 'node:cluster'
import { on, once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { test, type Test } from 'tap'
import { appOf, appOfManager, clusterGroup, identityOf } from '../../lib/node/cluster.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { createServer } from '../../lib/sockets/server.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { daemon } from '../fixtures/daemon.ts'

/** Two workers of a cluster of this process, and the addresses that it heard of, once all listen. */
async function workers(t: Test, env: Record<string, string>) {
  cluster.setupPrimary({ exec: fileURLToPath(new URL('../fixtures/worker.ts', import.meta.url)) })
  const crew = [cluster.fork(env), cluster.fork(env)] as const
  t.teardown(() => crew.forEach(worker => worker.process.kill('SIGKILL')))
  const heard: Address[] = []
  for await (const [_worker, address] of on(cluster, 'listening')) {
    if (heard.push(address as Address) === 4) break
  }
  return { crew, heard }
}

test('the workers of a cluster share a name, and each goes with its own share', async t => {
  const { port } = await daemon(t)
  const { crew, heard } = await workers(t, { MONIKER_PORT: String(port), NAME: 'tie' })
  const [first, second] = crew
  const resolver = new Resolver({ port })
  const listed = async (transport: string) => {
    const services = await resolver.list()
    return services
      .filter(service => service.transport === transport)
      .map(({ port }) => port)
      .sort()
  }
  const ports = (type: unknown) =>
    heard.filter(address => address.addressType === type).map(address => address.port)
  t.same(await listed('tcp'), ports(6).sort())
  t.same(await listed('udp'), ports('udp4').sort())

  const call = () => text(connect({ service: 'tie', daemonPort: port }))
  t.same([await call(), await call()].sort(), [String(first.id), String(second.id)].sort())

  const rival = createServer().listen({ service: 'tie', daemonPort: port })
  await t.rejects(once(rival, 'listening'), { code: 'EADDRINUSE' }, 'it is theirs alone')

  first.process.kill('SIGKILL')
  await once(first, 'exit')
  while ((await resolver.list()).length > 2);
  t.equal(await call(), String(second.id))

  second.disconnect()
  t.same(await once(second, 'exit'), [0, null], 'it closes what listens, and ends')
  while ((await resolver.list()).length > 0);
})

test('the threads of a process share a name among them', async t => {
  const { port } = await daemon(t)
  const resolver = new Resolver({ port })
  const path = new URL('../fixtures/worker.ts', import.meta.url)
  const env = { ...process.env, MONIKER_PORT: String(port), NAME: 'tie' }
  const [first, second] = [new Worker(path, { env }), new Worker(path, { env })]
  await Promise.all([once(first, 'message'), once(second, 'message')])
  t.equal((await resolver.list()).length, 4)

  await first.terminate()
  while ((await resolver.list()).length > 2);
  second.postMessage('close')
  await once(second, 'exit')
  t.equal((await resolver.list()).length, 0)
})

const linux = { skip: process.platform !== 'linux' && 'only Linux tells processes apart so' }

test('a process is told from all others, of other containers too', linux, async t => {
  const own = identityOf('self')
  t.equal(identityOf(process.pid), own)
  t.match(own, new RegExp(`^${process.pid} \\d+ \\d+$`))
  t.not(identityOf(process.ppid), own)
  const folder = t.testdir({
    7: { stat: '7 (a (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 1 0 0 0 20 0 1 0 4711 9 9' },
  })
  t.equal(identityOf(7, folder), '7 4711 ')
  t.equal(identityOf(8, folder), '8  ', 'where nothing is told it is the PID')
})

test('a worker takes the word of its own parent, and of no other', linux, async t => {
  const parent = identityOf(process.ppid)
  t.equal(appOf(process.ppid, `${parent} word`), `${parent} word`)
  for (const told of ['', 'word', `${parent}0 word`, `${identityOf('self')} word`]) {
    t.equal(appOf(process.ppid, told), parent, told)
  }
  t.ok(
    process.env.MONIKER_APP?.startsWith(`${identityOf('self')} `),
    'each process has one to tell',
  )
})

test('PM2 is the primary of many apps, each of which is a program', async t => {
  t.equal(appOfManager({ name: 'a' }), '')
  t.equal(appOfManager({ pm_id: '0', namespace: 'default', name: 'a' }), 'default/a')
  t.equal(appOfManager({ pm_id: '0' }), '/')
  const { port } = await daemon(t)
  cluster.setupPrimary({ exec: fileURLToPath(new URL('../fixtures/worker.ts', import.meta.url)) })
  const as = (name: string, id: number, namespace = 'default') => {
    const env = { MONIKER_PORT: String(port), NAME: 'tie', name, namespace, pm_id: String(id) }
    const worker = cluster.fork(env)
    t.teardown(() => worker.process.kill('SIGKILL'))
    return worker
  }
  await once(as('one', 0), 'listening')
  await once(as('one', 1), 'listening')
  for (const [name, namespace] of [['two'], ['one', 'elsewhere']] as const) {
    const [status] = (await once(as(name, 2, namespace), 'exit')) as [number]
    t.not(status, 0, 'it has been told that the name is taken')
  }
})

const root = { skip: linux.skip || (process.getuid?.() !== 0 && 'only root can make containers') }

test('two clusters that are process 1 of their containers do not share a name', root, async t => {
  const { port } = await daemon(t)
  const [program, ...args] = [
    ...process.execArgv,
    fileURLToPath(new URL('../fixtures/primary.ts', import.meta.url)),
  ]
  const contained = (name: string) => {
    const command = [
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
      process.execPath,
      program!,
      ...args,
    ]
    const child = spawn('unshare', [...command, name], {
      env: { ...process.env, MONIKER_PORT: String(port) },
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    return once(child.stdout, 'data').then(([data]) => String(data).trim())
  }
  t.equal(await contained('tie'), 'listening')
  t.equal(await contained('tie'), 'EADDRINUSE')
})

test('a program of one process and one thread shares nothing unsaid', t => {
  t.equal(clusterGroup(), false)
  t.end()
})
