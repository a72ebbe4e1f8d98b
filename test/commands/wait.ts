import { test } from 'tap'
import { waitCommand } from '../../lib/commands/wait.ts'
import { printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named, nobody } from '../fixtures/services.ts'

test('names are waited for, and even their daemon', async t => {
  const port = await nobody()
  const waited = printed(t, waitCommand, 'db@^1', 'ns:cache', '--daemon-port', String(port))
  const { port: daemonPort } = await daemon(t, { port })
  await named(t, { service: 'db@1.2.0', daemonPort })
  await named(t, { service: 'ns:cache', daemonPort })
  t.equal(await waited, '')
  const uri = `db://localhost:${port}/shop`
  t.match(await printed(t, waitCommand, uri), /^# moniker: not used: path \/shop; .*\n$/)
  t.equal(process.exitCode, undefined)
})

test('when time is up, those that are missing are told', async t => {
  t.teardown(() => (process.exitCode = undefined))
  const { port: daemonPort } = await daemon(t)
  await named(t, { service: 'db@1.2.0', daemonPort })
  const at = ['--timeout', '20ms', '--daemon-port', String(daemonPort)]
  t.match((await printed(t, waitCommand, 'db', 'db@^2', 'cache', ...at)).split('\n'), [
    /^# moniker: ECONNREFUSED: db@\^2 is not offered at localhost:\d+; 1.2.0 is$/,
    /^# moniker: ECONNREFUSED: cache is not offered/,
    '',
  ])
  t.equal(process.exitCode, 1)
})
