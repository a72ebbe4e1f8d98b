import { once } from 'node:events'
import t from 'tap'
import { Daemon } from '../lib/daemon/daemon.ts'
import { succeed } from '../lib/handover.ts'
import { parse } from '../lib/name.ts'
import { Resolver } from '../lib/resolver.ts'
import { awake } from './fixtures/awake.ts'
import { daemon } from './fixtures/daemon.ts'
import { named, nobody, portOf, stranger } from './fixtures/services.ts'

awake(t)

const taken = Object.assign(new Error('taken'), { code: 'EADDRINUSE' })

t.test('an embedded daemon hands its port over, and no question fails meanwhile', async t => {
  const { port } = await daemon(t, { embedded: true })
  const server = await named(t, { service: 'tie', daemonPort: port })
  const resolver = new Resolver({ port })
  const asking = new AbortController()
  const asked = (async () => {
    let answers = 0
    for (; !asking.signal.aborted; answers++) {
      const { endpoints } = await resolver.resolve(parse('tie'))
      t.equal(endpoints[0]?.port, portOf(server))
    }
    return answers
  })()
  const registered = once(server, 'registered')

  const standing = new Daemon({ port, hosts: ['127.0.0.1'] })
  t.teardown(() => standing.stop())
  await succeed(port, () => standing.start())
  await registered
  t.match(await resolver.status(), { embedded: false, names: 1 })
  asking.abort()
  t.ok((await asked) > 0)

  const back = once(server, 'registered')
  await standing.stop()
  await back
  t.match(await resolver.status(), { embedded: true, names: 1 }, 'and it is given back')
})

t.test('nobody else hands anything over', async t => {
  const programs = [
    (await daemon(t)).port,
    await stranger(t, socket => void socket.write('220 mail ready\r\n')),
    await stranger(t, socket => socket.destroy()),
  ]
  for (const port of programs) {
    const start = () => new Daemon({ port, hosts: ['127.0.0.1'] }).start()
    await t.rejects(succeed(port, start), { code: 'EADDRINUSE' })
  }
  t.match(await new Resolver({ port: programs[0]! }).status(), { embedded: false })
})

t.test('what else keeps it from starting is told, and the names come back', async t => {
  const { port } = await daemon(t, { embedded: true })
  const server = await named(t, { service: 'tie', daemonPort: port })
  const registered = once(server, 'registered')
  let tries = 0
  const start = async () => {
    if (++tries === 1) throw taken
    throw new Error('no such address')
  }
  await t.rejects(succeed(port, start), { message: 'no such address' })
  await registered
  t.match(await new Resolver({ port }).status(), { embedded: true, names: 1 })
})

t.test('a daemon that has gone by itself hands nothing over', async () => {
  const port = await nobody()
  let tries = 0
  await succeed(port, async () => {
    if (++tries < 3) throw taken
  })
  t.equal(tries, 3)
})

t.test('who is never fast enough gives up', async t => {
  const port = await nobody()
  let tries = 0
  const start = async () => {
    tries++
    throw taken
  }
  await t.rejects(succeed(port, start), taken)
  t.equal(tries, 11)
})
