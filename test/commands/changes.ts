import { once } from 'node:events'
import { test } from 'tap'
import { closeInTime, printChanges } from '../../lib/commands/changes.ts'
import { watch } from '../../lib/client/watch.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named, nobody } from '../fixtures/services.ts'

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

test('a daemon that is not there is looked for, and that is said beside the data', async t => {
  const stderr = t.capture(process.stderr, 'write', () => true)
  const watched = watch({ daemonPort: await nobody() })
  const printed = printChanges(watched)
  await once(watched, 'lost')
  watched.close()
  await printed
  stderr.restore()
  t.match(
    stderr.args().join(''),
    /^moniker: ECONNREFUSED: no daemon answers .* \(it is looked for\)\n$/,
  )
})
