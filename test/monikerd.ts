import { t, test } from 'tap'
import { freePort } from '../lib/node/proc.ts'
import { Resolver } from '../lib/client/resolver.ts'
import { moniker } from './fixtures/command.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 4

const program = 'monikerd.ts'

test('monikerd is moniker daemon', async t => {
  const port = await freePort()
  const { child, said, ended } = moniker(t, ['--host', '127.0.0.1'], { program, port })
  await said(/answering on port/)
  t.match(await new Resolver({ port }).status(), { pid: child.pid, embedded: false })
  child.kill()
  t.match(await ended, { status: 0, stdout: '' })
})

test('it knows its version', async t => {
  const { ended } = moniker(t, ['--version'], { program })
  t.match(await ended, { status: 0, stdout: /^\d+\.\d+\.\d+\n$/ })
})
