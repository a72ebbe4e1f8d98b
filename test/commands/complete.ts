import { test, type Test } from 'tap'
import { complete } from '../../lib/commands/complete.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named, nobody } from '../fixtures/services.ts'

/** The words that are offered, without what is said of them. */
async function offered(t: Test, port: number, ...words: string[]): Promise<string[]> {
  process.env.MONIKER_PORT = String(port)
  const log = t.capture(console, 'log')
  try {
    await complete(words)
  } finally {
    log.restore()
    delete process.env.MONIKER_PORT
  }
  const lines = log.args().map(([text]) => String(text))
  return lines.map(line => line.split('\t')[0]!)
}

test('commands, options and names of services are offered', { buffered: false }, async t => {
  const { port } = await daemon(t)
  await named(t, { service: 'ns:web', daemonPort: port })
  t.same(await offered(t, port, 'res'), ['resolve'])
  t.same(await offered(t, port, 'resolve', '--js'), ['--json'])
  t.same(await offered(t, port, 'resolve', 'ns:w'), ['ns:web'])
  t.same(await offered(t, port, 'policy', ''), ['check', 'help'])
  t.same(await offered(t, port, 'help', 'r'), [])
})

test('where there is no daemon there are no names', { buffered: false }, async t => {
  const port = await nobody()
  t.same(await offered(t, port, 'connect', ''), [])
  t.same(await offered(t, port, 'completion', 'b'), ['bash'])
})
