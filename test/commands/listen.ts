import child_process, { spawn } from 'node:child_process'
import { once } from 'node:events'
import { syncBuiltinESMExports } from 'node:module'
import net, { type Socket } from 'node:net'
import { t, test, type Test } from 'tap'
import { listenCommand } from '../../lib/commands/listen.ts'
import { parse } from '../../lib/name.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { connect } from '../../lib/sockets/socket.ts'
import { moniker, printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { freeRange } from '../fixtures/ports.ts'
import { named } from '../fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 4

const find = (port: number, name: string) =>
  new Resolver({ port }).resolve(parse(name)).then(({ endpoints }) => endpoints[0]!)

/** The failure of a name once it has gone, which may take the time that a client is given to connect. */
async function gone(port: number, name: string): Promise<unknown> {
  for (;;) {
    try {
      await find(port, name)
    } catch (error) {
      return error
    }
  }
}

/** A connection to a service at this daemon; it goes with the test. */
function caller(t: Test, service: string, daemonPort: number): Socket {
  const socket = connect({ service, daemonPort, allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  return socket
}

/** All that comes, up to the end; unlike `text`, it leaves the socket open. */
async function heard(socket: Socket): Promise<string> {
  let text = ''
  socket.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  await once(socket, 'end')
  return text
}

/** For what runs inside this process, and is caught in what it writes. */
const alone = { buffered: false }

test('the first who comes is joined to standard input and output', async t => {
  const { port } = await daemon(t)
  const { child, said, ended } = moniker(t, ['listen', 'tie@1.2.0', '--host', '127.0.0.1'], {
    port,
  })
  await said(/^moniker: listening as tie@1.2.0 on port \d+\n$/)
  const place = await find(port, 'tie')
  t.match(place, { address: '127.0.0.1', version: '1.2.0' })

  const both = [net.connect(place.port, place.address), net.connect(place.port, place.address)]
  const texts = both.map(heard)
  child.stdin.write('hello')
  const first = await Promise.race(both.map(socket => once(socket, 'data').then(() => socket)))
  const other = both.findIndex(socket => socket !== first)
  t.equal(await texts[other], '', 'the other is turned away')
  t.match(await gone(port, 'tie'), { code: 'ECONNREFUSED' }, 'the name is withdrawn')

  child.stdin.end(' there')
  t.equal(await texts[1 - other], 'hello there')
  t.match(await ended, { status: 0, stderr: /^[^\n]+\n$/ })
})

test('with --keep-open all share both, until a signal', async t => {
  const { port } = await daemon(t)
  const { child, said, ended } = moniker(t, ['listen', 'tie', '--keep-open'], { port })
  await said(/listening as tie@0.0.0/)
  const callers = Array.from({ length: 12 }, () => caller(t, 'tie', port))
  for (const [index, socket] of callers.entries()) socket.write(`<${index}>`)
  for (const index of callers.keys()) await said(new RegExp(`<${index}>`), 'stdout')

  const greeted = callers.map(socket => once(socket, 'data'))
  child.stdin.write('hello')
  for (const one of greeted) t.equal(String(await one), 'hello')
  // One that leaves is not missed.
  await once(callers.pop()!.end(), 'close')
  child.kill()
  // A signal ends our side; theirs is waited for.
  await Promise.all(callers.map(socket => once(socket.resume(), 'end')))
  await t.rejects(find(port, 'tie'), { code: 'ECONNREFUSED' }, 'the name is withdrawn')
  for (const socket of callers) socket.end('.')
  const { status, stdout, stderr } = await ended
  t.equal(status, 0)
  t.equal(stdout.match(/\./g)?.length, 11)
  t.match(stderr, /^[^\n]+\n$/, 'there is no warning')
})

test('with --exec each connection has a command of its own', async t => {
  const { port } = await daemon(t)
  // Does as it is told by the first line.
  const args = ['listen', 'shell', '-k', '-e', 'read -r line; exec $line']
  const { child, said, ended } = moniker(t, args, { port })
  await said(/listening as shell/)

  const cats = [caller(t, 'shell', port), caller(t, 'shell', port)]
  for (const [index, socket] of cats.entries()) socket.write(`cat\n<${index}>`)
  for (const [index, socket] of cats.entries()) {
    t.equal(String((await once(socket, 'data'))[0]), `<${index}>`)
  }
  cats[0]!.end(' and more')
  t.equal(await heard(cats[0]!), ' and more')

  const early = caller(t, 'shell', port)
  early.write('echo done\n')
  t.equal(await heard(early), 'done\n', 'a command need not wait for the end')
  await once(early.end('x'.repeat(1_000_000)), 'close')

  const endless = caller(t, 'shell', port)
  endless.write('yes\n')
  await once(endless, 'data')
  endless.destroy()

  child.kill()
  cats[1]!.end()
  t.equal(await heard(cats[1]!), '')
  t.match(await ended, { status: 0 }, 'no command is left')
})

test('when nobody reads its output any more, the command ends', async t => {
  const { port } = await daemon(t)
  const { child, said, ended } = moniker(t, ['listen', 'tie', '-k'], { port })
  await said(/listening/)
  const socket = caller(t, 'tie', port).on('error', () => {})
  socket.write('one')
  await said(/one/, 'stdout')
  child.stdout.destroy()
  socket.write('two')
  t.match(await ended, { status: 0, stderr: /^[^\n]+\n$/ })
})

test('a connection whose command cannot be started is closed', alone, async t => {
  const { port } = await daemon(t)
  const replace = (own: unknown) => {
    Object.assign(child_process, { spawn: own })
    syncBuiltinESMExports()
  }
  const real = spawn
  t.teardown(() => replace(real))
  replace(() => real('no-such-shell'))

  const lines: string[] = []
  const speaks = new Promise<void>(resolve => {
    t.capture(process.stderr, 'write', (line: string) => {
      lines.push(line)
      resolve()
      return true
    })
  })
  const args = ['tie', '--exec', 'cat', '--daemon-port', String(port)]
  const done = listenCommand.parseAsync(args, { from: 'user' })
  await speaks
  t.equal(await heard(caller(t, 'tie', port)), '')
  await done
  t.match(lines, [
    /^moniker: listening as tie@0.0.0/,
    /^moniker: spawn no-such-shell E(NOENT|ACCES)\n$/,
  ])
})

test('a name that is taken is not shared', alone, async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'tie', daemonPort: port })
  const listened = printed(t, listenCommand, 'tie', '-k', '--daemon-port', String(port))
  await t.rejects(listened, { code: 'EADDRINUSE', message: /tie@0.0.0 is already registered/ })
})

test('its port is chosen within --ports', async t => {
  const { port } = await daemon(t)
  const first = await freeRange(1)
  const ports = `${first}-${first}`
  const { said } = moniker(t, ['listen', 'tie', '-k', '--ports', ports], { port })
  await said(new RegExp(`listening as tie@0.0.0 on port ${first}\n`))
  const full = moniker(t, ['listen', 'wing', '--ports', ports], { port })
  t.match(await full.ended, {
    status: 1,
    stderr: new RegExp(`^moniker: EADDRINUSE: no port of ${ports} is free`),
  })
  const both = moniker(t, ['listen', 'wing', '--ports', ports, '--port', '80'], { port })
  t.match(await both.ended, {
    status: 2,
    stderr: /--ports <range>' cannot be used with option '--port/,
  })
})
