// A client that is told by a daemon in another process, and one that is written from PROTOCOL.md alone.
import { fork, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { sessions } from '../../lib/client/sessions.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { parse } from '../../lib/name.ts'
import { freePort } from '../../lib/node/proc.ts'
import { connect as connectByName } from '../../lib/sockets/socket.ts'
import type { Endpoint } from '../../lib/wire/protocol.ts'
import { moniker } from '../fixtures/command.ts'
import { unix } from '../fixtures/localsocket.ts'

const program = fileURLToPath(new URL('../fixtures/program.ts', import.meta.url))
const name = parse('starwars')

/** Starts a program that listens on `name`. */
function start(t: Test, name: string, port: number): ChildProcess {
  const env = { ...process.env, MONIKER_PORT: String(port) }
  const child = fork(program, [name], { env, execArgv: process.execArgv })
  t.teardown(async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  return child
}

/** A daemon that stands alone: one in a program goes to a thread of its own after a while, and all leases end then. */
async function daemon(t: Test): Promise<{ port: number; child: ChildProcess }> {
  const port = await freePort()
  const { child, said } = moniker(t, ['daemon', '--host', '127.0.0.1'], { port })
  await said(/answering on port/)
  return { port, child }
}

/** A client with a lease on `starwars`, and the daemon. */
async function leasing(t: Test) {
  const { port, child } = await daemon(t)
  await once(start(t, 'starwars@1.0.0', port), 'message')
  const resolver = new Resolver({ port })
  const leased = () => resolver.leased(name)
  /** Asks until the name is vouched for. */
  const ask = async () => {
    while (!leased()) await resolver.resolve(name)
  }
  /** The version that a connect goes to. */
  const go = async () => {
    const socket = connectByName({ service: 'starwars', resolver, daemonPort: port })
    await once(socket, 'connect')
    socket.destroy()
    return socket.moniker!.version
  }
  await ask()
  t.equal(await go(), '1.0.0')
  const session = sessions.at({ address: '127.0.0.1', port })!
  t.teardown(() => session.close())
  return { port, child, resolver, session, leased, ask, go }
}

/** Returns once the daemon says that a version is there. Nothing else happens in this process meanwhile. */
function block(port: number, version: string): void {
  const code = `
    const socket = require('node:net').connect(${port}, '127.0.0.1')
    const ask = () => socket.write('{"v":1,"id":1,"op":"resolve","service":"starwars"}\\n')
    socket.on('data', told => String(told).includes('"version":"${version}"') ? process.exit() : ask())
    ask()`
  spawnSync(process.execPath, ['-e', code], { timeout: 30_000 })
}

t.test('a program that was busy does not go to where a name was', async t => {
  const { port, leased, go } = await leasing(t)
  const other = start(t, 'starwars@2.0.0', port)
  block(port, '2.0.0')
  // The line is there by now, and could not be read.
  t.ok(leased()!.isHeld)
  t.equal(await go(), '2.0.0')
  await once(other, 'message')
})

t.test('a higher version is gone to from the next question on', async t => {
  const { port, resolver, ask, go } = await leasing(t)
  for (const version of ['2.0.0', '3.0.0', '4.0.0', '5.0.0']) {
    await once(start(t, `starwars@${version}`, port), 'message')
    // Over a connection of its own, or over the session. Else a moment may pass, as between any two processes.
    if (version < '4') await resolver.status()
    else await t.rejects(resolver.resolve('tie'))
    t.equal(await go(), version)
    await ask()
  }
})

t.test(
  'a daemon that is stopped has said the last word, and one that is killed none',
  unix,
  async t => {
    const { child, session, leased, go } = await leasing(t)
    child.kill('SIGSTOP')
    t.equal(await go(), '1.0.0')
    const closed = once(session, 'close')
    child.kill('SIGKILL')
    await closed
    t.equal(leased(), undefined)
  },
)

t.test('a client that is written from PROTOCOL.md alone is told of a change', async t => {
  const { port } = await daemon(t)
  await once(start(t, 'starwars@1.0.0', port), 'message')
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  t.teardown(() => socket.destroy())
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  const hear = async () => JSON.parse((await lines.next()).value!) as Record<string, unknown>

  socket.write('{"v":1,"id":"mine","op":"resolve","service":"starwars","follow":true}\n')
  const { id, endpoints, followed } = await hear()
  t.match([id, endpoints, followed], ['mine', [{ version: '1.0.0' }], true])
  start(t, 'starwars@2.0.0', port)
  t.strictSame(await hear(), { v: 1, id: 'mine', event: 'stale' })
  socket.write('{"v":1,"id":2,"op":"resolve","service":"starwars","follow":true}\n')
  t.match(await hear(), { id: 2, endpoints: [{ version: '2.0.0' }], followed: true })
})

t.test('and it finds the socket with a path', unix, async t => {
  const { port } = await daemon(t)
  await once(start(t, 'starwars@1.0.0', port), 'message')
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  t.teardown(() => socket.destroy())
  const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
  socket.write('{"v":1,"id":1,"op":"resolve","service":"starwars","transports":["unix","tcp"]}\n')
  const { endpoints } = JSON.parse((await lines.next()).value!) as { endpoints: Endpoint[] }
  const { transport, path, user } = endpoints[0]!.endpoints![0]!
  t.equal(transport, 'local')
  const folder = user === 0 ? '/run/moniker' : `/run/user/${String(user)}/moniker`
  const road = connect(`${folder}/${String(path)}`)
  road.end('BJWhello')
  t.equal(await text(road), 'hello')
})

t.test('a lease keeps no program alive', async t => {
  const { port } = await daemon(t)
  await once(start(t, 'starwars', port), 'message')
  const url = (path: string) => JSON.stringify(new URL(`../../${path}`, import.meta.url).href)
  const code = `
    const { Resolver } = await import(${url('lib/client/resolver.ts')})
    const { parse } = await import(${url('lib/name.ts')})
    const [resolver, name] = [new Resolver({ port: ${port} }), parse('starwars')]
    while (!resolver.leased(name)) await resolver.resolve(name)
    console.log('leased')`
  const args = [...process.execArgv, '--input-type=module', '-e', code]
  const { stdout, status, stderr } = spawnSync(process.execPath, args, {
    timeout: 9_000,
    encoding: 'utf8',
  })
  t.strictSame([stdout, status], ['leased\n', 0], stderr)
})
