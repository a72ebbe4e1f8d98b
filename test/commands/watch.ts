import { once } from 'node:events'
import { test } from 'tap'
import { watch } from '../../lib/client/watch.ts'
import { changeLine, closeInTime, printChanges, watchCommand } from '../../lib/commands/watch.ts'
import type { Listed } from '../../lib/wire/protocol.ts'
import { daemon } from '../fixtures/daemon.ts'
import { printed } from '../fixtures/command.ts'
import { named, nobody } from '../fixtures/services.ts'

test('all can be watched, those of a namespace, or those of a name', async t => {
  const { port: daemonPort } = await daemon(t)
  for (const service of ['web@1.0.0', 'web@2.0.0', 'ns:web', 'ns:db']) {
    await named(t, { service, daemonPort })
  }
  const cases = [
    [[], 4],
    [['--namespace', 'ns'], 2],
    [['web'], 2],
    [['web@^1'], 1],
    [['ns:web'], 1],
    [['web', '--namespace', 'ns'], 1],
    [[`web://localhost:${daemonPort}`], 2],
    [['web', '127.0.0.1'], 2],
  ] as const
  for (const [args, count] of cases) {
    let lines = 0
    const log = t.capture(console, 'log', () => {
      if (++lines === count) process.emit('SIGTERM')
    })
    await watchCommand.parseAsync([...args, '--daemon-port', String(daemonPort)], { from: 'user' })
    log.restore()
    t.equal(lines, count, args.join(' '))
  }
})

test('what is no name is refused', async t => {
  await t.rejects(printed(t, watchCommand, '80'), { code: 'ERR_MONIKER_NAME' })
})

test('a watch that is closed leaves nothing behind', async t => {
  const before = process.stdout.listenerCount('error')
  const watched = watch({ daemonPort: await nobody() })
  closeInTime(watched)
  watched.close()
  await once(watched, 'close')
  t.equal(process.stdout.listenerCount('error'), before)
  process.emit('SIGTERM')
})

test('what comes and goes is a line each, until a signal', async t => {
  process.env.NO_COLOR = '1'
  t.teardown(() => delete process.env.NO_COLOR)
  const { port: daemonPort } = await daemon(t)
  const server = await named(t, { service: 'web', daemonPort, host: '127.0.0.1' })
  const { port } = server.address() as { port: number }
  const lines: string[] = []
  const log = t.capture(console, 'log', (line: string) => {
    if (lines.push(line) === 1) server.close()
    else process.emit('SIGTERM')
  })
  await printChanges(watch({ daemonPort }))
  log.restore()
  t.same(lines, [`up   web@0.0.0 tcp 127.0.0.1 ${port}`, `down web@0.0.0 tcp 127.0.0.1 ${port}`])
})

test('or an object of JSON each, until nobody reads it', async t => {
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'web', daemonPort })
  const lines: string[] = []
  const log = t.capture(console, 'log', (line: string) => {
    lines.push(line)
    process.stdout.emit('error', new Error('EPIPE'))
  })
  await printChanges(watch({ daemonPort }), true)
  log.restore()
  t.match(JSON.parse(lines[0]!), { event: 'up', service: 'web', version: '0.0.0' })
})

test('a daemon that is not there is tried again, and that is said beside the data', async t => {
  const stderr = t.capture(process.stderr, 'write', () => true)
  const watched = watch({ daemonPort: await nobody() })
  const printed = printChanges(watched)
  await once(watched, 'lost')
  watched.close()
  await printed
  stderr.restore()
  t.match(
    stderr.args().join(''),
    /^moniker: ECONNREFUSED: no daemon answers .* \(trying again\)\n$/,
  )
})

test('a change is a line', async t => {
  process.env.NO_COLOR = '1'
  t.teardown(() => delete process.env.NO_COLOR)
  const web: Listed = {
    namespace: '',
    service: 'web',
    version: '1.0.0',
    transport: 'tcp',
    address: '::',
    port: 1,
    shared: false,
    instance: 'one',
  }
  t.equal(changeLine({ event: 'up', ...web, namespace: 'ns' }), 'up   ns:web@1.0.0 tcp :: 1')
  const hostile = { ...web, version: '1\u001B[2J' }
  t.equal(changeLine({ event: 'down', ...hostile }), 'down web@1 [2J tcp :: 1')
})
