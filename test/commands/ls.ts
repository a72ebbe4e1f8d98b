import { EventEmitter } from 'node:events'
import { stripVTControlCharacters } from 'node:util'
import { test, type Test } from 'tap'
import { Client } from '../../lib/client/connection.ts'
import { watch } from '../../lib/client/watch.ts'
import { fitted, lsCommand, showLive } from '../../lib/commands/ls.ts'
import { printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named, nobody } from '../fixtures/services.ts'

test('the services of a host are a table, in the order of their names', async t => {
  const { port: daemonPort } = await daemon(t)
  const at = ['--daemon-port', String(daemonPort)]
  t.equal(await printed(t, lsCommand, ...at), 'NAME  VERSION  TRANSPORT  ADDRESS  PORT  PROCESS\n')

  const host = '127.0.0.1'
  for (const service of ['wing', 'ns:tie', 'tie@1.0.0', 'tie@1.2.0']) {
    await named(t, { service, daemonPort, host })
  }
  const { pid } = process
  const lines = (await printed(t, lsCommand, ...at)).split('\n')
  const row = (name: string, version: string) =>
    new RegExp(`^${name} +${version} +tcp +127.0.0.1 +\\d+ +${pid}$`)
  t.match(lines, [
    /^NAME +VERSION +TRANSPORT +ADDRESS +PORT +PROCESS$/,
    row('tie', '1.2.0'),
    row('tie', '1.0.0'),
    row('wing', '0.0.0'),
    /^$/,
    row('ns:tie', '0.0.0'),
  ])
  t.equal(await printed(t, lsCommand, '127.0.0.1', ...at), lines.join('\n'))
  t.equal(await printed(t, lsCommand, `127.0.0.1:${daemonPort}`), lines.join('\n'))
})

test('one namespace may be asked for, and JSON', async t => {
  const { port: daemonPort } = await daemon(t)
  const server = await named(t, { service: 'ns:tie@1.2.0', daemonPort, metadata: { path: '/' } })
  await named(t, { service: 'wing', daemonPort })
  const at = ['--json', '--daemon-port', String(daemonPort), '--namespace']

  const services = JSON.parse(await printed(t, lsCommand, ...at, 'ns')) as object[]
  const { port } = server.address() as { port: number }
  t.equal(services.length, 1)
  t.match(services, [{ namespace: 'ns', service: 'tie', version: '1.2.0', port, metadata: {} }])
  t.equal(await printed(t, lsCommand, ...at, 'other'), '[]\n')
})

test('a program need not have said what process it is', async t => {
  const { port } = await daemon(t)
  const client = await Client.connect({ address: '127.0.0.1', port })
  t.teardown(() => client.close())
  const offer = { namespace: '', service: 'tie', version: '1.0.0', transport: 'udp' } as const
  await client.ask({ op: 'register', ...offer, port: 4567, address: '::', shared: false })
  const lines = await printed(t, lsCommand, '--daemon-port', String(port))
  t.match(lines, /^tie +1.0.0 +udp +:: +4567$/m)
})

test('where no daemon answers there is nothing to list', async t => {
  const listed = printed(t, lsCommand, '--daemon-port', String(await nobody()))
  await t.rejects(listed, { code: 'ECONNREFUSED', message: /no daemon answers/ })
})

test('they can be watched, as lines, as JSON, or as a table on a terminal', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'tie', daemonPort })
  await named(t, { service: 'ns:tie', daemonPort })
  const at = ['--watch', '--namespace', 'ns', '--daemon-port', String(daemonPort)]
  const isTTY = (value: boolean) => t.intercept(process.stdout, 'isTTY', { value })
  const ended = () => process.emit('SIGTERM')
  /** The first thing that is written. */
  const first = async (object: object, method: string, pattern: RegExp, ...args: string[]) => {
    const texts: string[] = []
    const written = t.capture(
      object as { write: (text: string) => boolean },
      method as 'write',
      text => {
        texts.push(text)
        if (pattern.test(text)) ended()
        return true
      },
    )
    await lsCommand.parseAsync([...at, ...args], { from: 'user' })
    written.restore()
    return texts.join('')
  }
  isTTY(false)
  t.match(await first(console, 'log', /./), /up .*ns:tie@0.0.0 tcp/)
  isTTY(true)
  t.match(await first(console, 'log', /./, '--json'), /^\{"event":"up","namespace":"ns"/)
  t.match(await first(process.stdout, 'write', /tie/), /\?1049h.*NAME.*ns:tie/s)
})

/** A terminal of a few rows, and the wait until what it shows, without its colours, is like `pattern`. */
function terminal(rows = 10) {
  let text = ''
  const stream = Object.assign(new EventEmitter(), {
    rows,
    write: (some: string) => {
      text += some
      stream.emit('written')
      return true
    },
  })
  const shown = () => stripVTControlCharacters(text.slice(text.lastIndexOf('\u001B[H')))
  const shows = async (pattern: RegExp) => {
    while (!pattern.test(shown())) await new Promise(resolve => stream.once('written', resolve))
  }
  return { stream: stream as never, resize: () => stream.emit('resize'), shows, all: () => text }
}

/** A watch that ends with the test. */
function watching(t: Test, daemonPort: number) {
  const watched = watch({ daemonPort, grace: 0 })
  t.teardown(() => watched.close())
  return watched
}

test('the table changes with what is there, on a screen of its own', async t => {
  const { port: daemonPort } = await daemon(t)
  const { stream, shows, resize, all } = terminal()
  const watched = watching(t, daemonPort)
  const done = showLive(watched, stream)
  await shows(/^NAME .*PROCESS$/)
  const server = await named(t, { service: 'web', daemonPort })
  await shows(/^NAME .*\nweb +0.0.0 /)
  const before = all()
  resize()
  await shows(/web/)
  while (all() === before) await new Promise(setImmediate)
  server.close()
  await shows(/^NAME .*PROCESS$/)

  t.notOk(all().endsWith('\u001B[?1049l'))
  watched.close()
  await done
  t.ok(all().startsWith('\u001B[?1049h'))
  t.ok(all().endsWith('\u001B[?1049l'))
})

test('a daemon that is not there is tried again, and that is said', async t => {
  const port = await nobody()
  const { stream, shows } = terminal()
  const watched = watching(t, port)
  const done = showLive(watched, stream)
  await shows(/^NAME .*\n.*no daemon answers .*\(trying again\)$/)
  await daemon(t, { port })
  await shows(/^NAME .*PROCESS$/)
  watched.close()
  await done
})

test('one who may not watch is told so', async t => {
  const watched = watching(t, await nobody())
  const { stream, shows } = terminal()
  const done = showLive(watched, stream)
  await shows(/NAME/)
  const error = new Error('denied')
  watched.emit('error', error)
  await t.rejects(done, error)
})

test('what has no room is counted', async t => {
  const lines = ['head', 'a', 'b', 'c']
  t.same(fitted(lines, 4), lines)
  t.same(fitted(lines, 3), ['head', 'a', '… and 2 more'])
  t.same(fitted(lines, 3, 'no\u001Bdaemon'), ['head', '… and 3 more', 'no daemon'])
  t.same(fitted(lines, 1, 'no daemon'), ['… and 4 more', 'no daemon'])
  t.same(fitted(lines, 5, 'no daemon'), [...lines, 'no daemon'])
})
