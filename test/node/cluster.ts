import cluster, { type Address } from 'node:cluster'
import { on, once } from 'node:events'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { test, type Test } from 'tap'
import { clusterGroup } from '../../lib/node/cluster.ts'
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

test('a program of one process and one thread shares nothing unsaid', t => {
  t.equal(clusterGroup(), false)
  t.end()
})
