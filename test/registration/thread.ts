import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { Resolver } from '../../lib/client/resolver.ts'
import { awake } from '../fixtures/awake.ts'
import { daemon } from '../fixtures/daemon.ts'
import { nobody } from '../fixtures/services.ts'
import { standing } from '../fixtures/standing.ts'

awake(t)

const thread = new URL('../../lib/registration/thread.ts', import.meta.url)

t.test('a thread is an embedded daemon until another takes its place', async t => {
  const port = await nobody()
  await daemon(t, { port, embedded: true })
  const resolver = new Resolver({ port })
  const { started } = await resolver.status()
  const worker = new Worker(thread, { workerData: port })
  let hasExited = false
  const exited = once(worker, 'exit').finally(() => (hasExited = true))
  const since = () =>
    resolver.status().then(
      status => status.started,
      () => started,
    )
  while (!hasExited && (await since()) === started);
  t.match(await resolver.status(), { embedded: true, pid: process.pid })

  await standing(t, port)
  t.same(await exited, [0])
})

t.test('a thread that can take nothing over ends', async t => {
  const { port } = await daemon(t)
  t.same(await once(new Worker(thread, { workerData: port }), 'exit'), [0])
})
