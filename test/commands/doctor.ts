import { test } from 'tap'
import { doctorCommand } from '../../lib/commands/doctor.ts'
import { printed } from '../fixtures/command.ts'
import { daemon } from '../fixtures/daemon.ts'
import { home } from '../fixtures/home.ts'
import { nobody } from '../fixtures/services.ts'

test('each check is a line, and all is well', async t => {
  t.teardown(() => (process.exitCode = undefined))
  const { port } = await daemon(t)
  const lines = await printed(t, doctorCommand, '127.0.0.1', '--daemon-port', String(port))
  t.match(lines, /^ok {4}versions {8}moniker .*\n(ok .*\n)+ok {4}daemon {10}monikerd/)
  t.equal(process.exitCode, 0)
})

test('what is not well has a hint, and is told by the exit status', async t => {
  t.teardown(() => (process.exitCode = undefined))
  const at = ['127.0.0.1', '--daemon-port', String(await nobody())]
  const lines = await printed(t, doctorCommand, ...at)
  t.match(lines, /^hint {2}tcp 127.0.0.1 {3}ECONN.*\n {22}run monikerd there$/m)
  t.equal(process.exitCode, 1)
  const findings = JSON.parse(await printed(t, doctorCommand, ...at, '--json')) as object[]
  t.match(findings.at(-1), { check: 'tcp 127.0.0.1', ok: false, hint: 'run monikerd there' })
})

test('this host and its usual port are meant unless told otherwise', async t => {
  t.teardown(() => (process.exitCode = undefined))
  const port = await home(t)
  t.match(await printed(t, doctorCommand), `a daemon answers on port ${port}`)
})
