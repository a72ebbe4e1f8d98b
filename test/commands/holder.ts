import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { test, type Test } from 'tap'
import { Holder } from '../../lib/commands/holder.ts'
import { entry, type Entry } from '../../lib/commands/portlist.ts'
import { freePort } from '../../lib/node/proc.ts'
import { Registrar } from '../../lib/registration/registrar.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named } from '../fixtures/services.ts'

const never = new AbortController().signal

/** A holder, what it has said since it was last asked, and what the daemon has of it. */
async function holding(t: Test, ...entries: Entry[]) {
  const ours = await daemon(t)
  const { port } = ours
  const lines: string[] = []
  const tell = (text: string) => void lines.push(text)
  const holder = new Holder({ registrar: new Registrar(port), tell })
  t.teardown(() => holder.close())
  holder.want(entries)
  const said = async () => {
    await holder.round(never)
    return lines.splice(0)
  }
  const known = async () => {
    const services = await new Resolver({ port }).list()
    return services.map(({ service, address, port }) => `${service} ${address} ${port}`).toSorted()
  }
  return { holder, said, known, lines, ours, port }
}

async function listens(port: number, host = '127.0.0.1'): Promise<Server> {
  const server = createServer()
  await once(server.listen(port, host), 'listening')
  return server
}

const ends = (server: Server) => once(server.close(), 'close')

test('a name is held while its port answers, wherever it does', async t => {
  const port = await freePort()
  const { said, known } = await holding(t, entry('tie', { port }))
  const nobody = `nobody answers on port ${port}`

  t.same(await said(), [`tie@0.0.0 is not registered yet: ${nobody}`])
  t.same(await said(), [], 'and not said twice')
  let server = await listens(port)
  t.same(await said(), [`tie@0.0.0 is port ${port}`])
  t.same(await known(), [`tie 127.0.0.1 ${port}`])
  t.same(await said(), [])

  await ends(server)
  t.same(await said(), [`tie@0.0.0 is withdrawn: ${nobody}`])
  t.same(await known(), [])
  t.same(await said(), [])
  server = await listens(port)
  t.same(await said(), [`tie@0.0.0 is port ${port}`])

  await ends(server)
  server = await listens(port, '127.0.0.2')
  t.same(await said(), [
    `tie@0.0.0 is withdrawn: it is served at 127.0.0.2 now`,
    `tie@0.0.0 is port ${port}`,
  ])
  t.same(await known(), [`tie 127.0.0.2 ${port}`])
  await ends(server)
})

test('a list that changes leaves alone what stays', async t => {
  const servers = await Promise.all([listens(0), listens(0)])
  const [one, two] = servers.map(server => (server.address() as { port: number }).port)
  const metadata = { path: '/api' }
  const first = entry('tie', { port: one!, metadata })
  const { holder, said, known } = await holding(t, first)
  t.same(await said(), [`tie@0.0.0 is port ${one}`])

  holder.want([entry('tie', { port: one!, metadata }), entry('wing', { port: two! })])
  t.same(await said(), [`wing@0.0.0 is port ${two}`])
  holder.want([entry('tie', { port: two! })])
  const gone = 'is withdrawn: it is not asked for any more'
  t.same((await said()).toSorted(), [
    `tie@0.0.0 is port ${two}`,
    `tie@0.0.0 ${gone}`,
    `wing@0.0.0 ${gone}`,
  ])
  t.same(await known(), [`tie 127.0.0.1 ${two}`])
  await holder.close()
  t.same(await known(), [])
  await Promise.all(servers.map(ends))
})

test('a name that is taken is tried again after ever more rounds, until it is had', async t => {
  const server = await listens(0)
  t.teardown(() => ends(server))
  const { port } = server.address() as { port: number }
  const { said, port: daemonPort } = await holding(t, entry('tie', { port }))
  const other = await named(t, { service: 'tie', daemonPort })
  t.match(await said(), [/^EADDRINUSE: tie@0.0.0 is already registered.*; it is tried again$/])
  t.same(await said(), [])
  t.same(await said(), [], 'the same is not said again')
  await once(other.close(), 'close')
  t.same(await said(), [])
  t.same(await said(), [])
  t.same(await said(), [`tie@0.0.0 is port ${port}`])
})

test('a name that the daemon has lost is registered again', async t => {
  const server = await listens(0)
  t.teardown(() => ends(server))
  const { port } = server.address() as { port: number }
  const { said, known, ours } = await holding(t, entry('tie', { port }))
  t.same(await said(), [`tie@0.0.0 is port ${port}`])
  await ours.stop()
  await new Resolver({ port: ours.port }).resolve('tie', { wait: 60_000 })
  t.same(await known(), [`tie 127.0.0.1 ${port}`])
  t.same(await said(), [])
})

test('a port of UDP is called so', async t => {
  const port = await freePort()
  const { said } = await holding(t, entry('clock', { port, udp: true }))
  t.same(await said(), [`clock@0.0.0 is not registered yet: nobody answers on port ${port} of UDP`])
})

test('a round that nobody wants any more says nothing', async t => {
  const server = await listens(0)
  t.teardown(() => ends(server))
  const { port } = server.address() as { port: number }
  const { holder, known, lines } = await holding(t, entry('tie', { port }))
  const reason = new Error('stop')
  await t.rejects(holder.round(AbortSignal.abort(reason)), reason)
  t.same(lines, [])
  t.same(await known(), [])
})
