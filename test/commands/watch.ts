import { test } from 'tap'
import { watchCommand } from '../../lib/commands/watch.ts'
import { daemon } from '../fixtures/daemon.ts'
import { printed } from '../fixtures/command.ts'
import { named } from '../fixtures/services.ts'

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
