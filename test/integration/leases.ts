// A client that is told by a daemon in another process, and one that is written from PROTOCOL.md alone.
import { fork, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { sessions } from '../../lib/client/connection.ts'
import { hearing } from '../../lib/client/lease.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { parse } from '../../lib/name.ts'
import { freePort } from '../../lib/node/proc.ts'

const program = fileURLToPath(new URL('../fixtures/program.ts', import.meta.url))
const name = parse('starwars')

/** Starts a program that listens on `name`; the first of a port is the daemon. */
function start(t: Test, name: string, port: number): ChildProcess {
  const env = { ...process.env, MONIKER_PORT: String(port) }
  const child = fork(program, [name], { env, execArgv: process.execArgv })
  t.teardown(async () => {
    child.kill('SIGKILL')
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  })
  return child
}

/** A client with a lease on `starwars`, and the program that is the daemon. */
async function leasing(t: Test) {
  const port = await freePort()
  const child = start(t, 'starwars@1.0.0', port)
  await once(child, 'message')
  const resolver = new Resolver({ port })
  const versionOf = () => resolver.leased(name)?.endpoints[0]!.version
  const heard = async () => {
    while (!hearing.isRecent()) await new Promise(setImmediate)
  }
  /** Asks until the name is vouched for, and in which version. */
  const ask = async () => {
    for (;;) {
      const version = versionOf()
      if (version !== undefined) return version
      await resolver.resolve(name)
    }
  }
  t.equal(await ask(), '1.0.0')
  const session = sessions.at({ address: '127.0.0.1', port })!
  t.teardown(() => session.close())
  return { port, child, resolver, session, versionOf, heard, ask }
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
  const { port, versionOf, heard, ask } = await leasing(t)
  const other = start(t, 'starwars@2.0.0', port)
  block(port, '2.0.0')
  // The line is there by now, and could not be read.
  t.equal(versionOf(), undefined)
  await once(other, 'message')
  await heard()
  t.equal(versionOf(), undefined)
  t.equal(await ask(), '2.0.0')
})

t.test('a higher version is known within 50 ms, and after the next question', async t => {
  const { port, resolver, versionOf, ask } = await leasing(t)
  for (const version of ['2.0.0', '3.0.0', '4.0.0', '5.0.0']) {
    const child = start(t, `starwars@${version}`, port)
    let isThere = false
    child.once('message', () => (isThere = true))
    while (!isThere) {
      versionOf()
      await new Promise(setImmediate)
    }
    // Over a connection of its own, or over the session.
    if (version < '4') await resolver.status()
    else await t.rejects(resolver.resolve('tie'))
    t.ok([version, undefined].includes(versionOf()), version)
    t.equal(await ask(), version)
  }
})

t.test('a daemon that is stopped has said the last word, and one that is killed none', async t => {
  const { child, session, versionOf, heard } = await leasing(t)
  child.kill('SIGSTOP')
  let version: string | undefined
  for (; version === undefined; await new Promise(setImmediate)) version = versionOf()
  t.equal(version, '1.0.0')
  const closed = once(session, 'close')
  child.kill('SIGKILL')
  await closed
  await heard()
  t.equal(versionOf(), undefined)
})

t.test('a client that is written from PROTOCOL.md alone is told of a change', async t => {
  const port = await freePort()
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

t.test('a lease keeps no program alive', async t => {
  const port = await freePort()
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
