import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { Daemon } from '../../lib/daemon/daemon.ts'
import { takeOver } from '../../lib/registration/takeover.ts'
import { parse } from '../../lib/name.ts'
import { decode, encode, idOf } from '../../lib/wire/protocol.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { awake } from '../fixtures/awake.ts'
import { daemon } from '../fixtures/daemon.ts'
import { lines } from '../fixtures/lines.ts'
import { named, nobody, portOf, stranger } from '../fixtures/services.ts'
import { standing } from '../fixtures/standing.ts'

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

  const successor = await standing(t, port)
  await registered
  t.match(await resolver.status(), { embedded: false, names: 1 })
  asking.abort()
  t.ok((await asked) > 0)

  const back = once(server, 'registered')
  await successor.stop()
  await back
  t.match(await resolver.status(), { embedded: true, names: 1 }, 'and it is given back')
})

t.test('no other program hands its port over', async t => {
  const programs = [
    (await daemon(t)).port,
    await stranger(t, socket => void socket.write('220 mail ready\r\n')),
    await stranger(t, socket => socket.destroy()),
  ]
  for (const port of programs) {
    const one = new Daemon({ port, hosts: ['127.0.0.1'] })
    await t.rejects(takeOver(port, one), { code: 'EADDRINUSE' })
  }
  t.match(await new Resolver({ port: programs[0]! }).status(), { embedded: false })
})

t.test('any other failure to start is an error, and the predecessor goes on', async t => {
  const port = await nobody()
  const one = await daemon(t, { port, embedded: true })
  const server = await named(t, { service: 'tie', daemonPort: port })
  server.on('unregistered', () => t.fail())
  let tries = 0
  const start = async () => {
    if (++tries === 1) throw taken
    throw new Error('no such address')
  }
  await t.rejects(takeOver(port, { start }), { message: 'no such address' })
  while (!one.isAnswering) await new Promise(setImmediate)
  t.match(await new Resolver({ port }).status(), { embedded: true, names: 1 })
})

t.test('a daemon that hands over late goes on as well, if its successor has gone', async t => {
  const port = await nobody()
  const one = await daemon(t, { port, embedded: true })
  const server = await named(t, { service: 'tie', daemonPort: port })
  server.on('unregistered', () => t.fail())
  const nc = await lines(t, port)
  nc.ask({ op: 'handover' })
  nc.socket.end()
  t.match(await nc.answer(), { handover: true })
  while (!one.isAnswering) await new Promise(setImmediate)
  t.match(await new Resolver({ port }).status(), { embedded: true, names: 1 })
})

t.test('names are waited for until the daemon before has gone', async t => {
  const { port, leave } = await busy(t)
  const successor = new Daemon({ port, hosts: ['127.0.0.1'], grace: 0 })
  t.teardown(() => successor.stop())
  await takeOver(port, successor)
  const found = new Resolver({ port }).resolve('tie')
  while (successor.status().followers === 0) await new Promise(setImmediate)
  const server = await named(t, { service: 'tie', daemonPort: port })
  t.match(await found, { endpoints: [{ port: portOf(server) }] })
  await leave()
  await t.rejects(new Resolver({ port }).resolve('wing'), { code: 'ECONNREFUSED' })
})

/** A daemon that hands over, and once it is asked again sends its programs away when it is told to. */
async function busy(t: Test): Promise<{ port: number; leave: () => Promise<void> }> {
  const server = createServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const asked = new Promise<Socket>(resolve => {
    server.once('connection', socket => {
      socket.once('data', question => {
        server.close()
        socket.write(encode(idOf(decode(String(question))), { handover: true }))
        socket.once('data', () => resolve(socket))
      })
      t.teardown(() => socket.destroy())
    })
  })
  const leave = async () => void (await asked).destroy()
  return { port: (server.address() as AddressInfo).port, leave }
}

t.test('a daemon that has gone by itself hands nothing over', async () => {
  const port = await nobody()
  let tries = 0
  const start = async () => {
    if (++tries < 3) throw taken
  }
  await takeOver(port, { start })
  t.equal(tries, 3)
})

t.test('a successor that is never fast enough gives up', async t => {
  const port = await nobody()
  let tries = 0
  const start = async () => {
    tries++
    throw taken
  }
  await t.rejects(takeOver(port, { start }), taken)
  t.equal(tries, 11)
})
