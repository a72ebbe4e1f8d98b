import { Argument, Command, Option } from 'commander'
import { test, type Test } from 'tap'
import { candidates, complete } from '../../lib/commands/complete.ts'
import { shapeOf } from '../../lib/commands/shape.ts'
import type { Listed } from '../../lib/wire/protocol.ts'
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
  t.same(await offered(t, port, 'resolve', '--url', 'ns:w'), ['ns:web'])
  t.same(await offered(t, port, 'open', 'ns:w'), ['ns:web'])
  t.same(await offered(t, port, 'policy', ''), ['check', 'help'])
  t.same(await offered(t, port, 'help', 'r'), [])
})

test('where there is no daemon there are no names', { buffered: false }, async t => {
  const port = await nobody()
  t.same(await offered(t, port, 'connect', ''), [])
  t.same(await offered(t, port, 'completion', 'b'), ['bash'])
})

const common = { transport: 'tcp', address: '::', shared: false } as const

const services: Listed[] = [
  { ...common, namespace: '', service: 'db', version: '16.1.0', port: 5432, instance: '1' },
  { ...common, namespace: 'shop', service: 'db', version: '15.0.0', port: 5433, instance: '2' },
  { ...common, namespace: '', service: 'cache', version: '7.2.0', port: 6379, instance: '3' },
]

/** A command line that has one of each kind. */
const root = new Command('moniker')
root.command('connect').description('joins').argument('<name>').argument('[host]')
root
  .command('wait')
  .argument('<name...>')
  .option('-t, --timeout <time>', 'how long')
  .option('-q, --quiet', 'no words')
root
  .command('run')
  .argument('<name>')
  .argument('<command...>')
  .option('--with <names>')
  .option('--file <file>')
  .option('--policy <file>')
  .option('--namespace <name>')
  .addOption(new Option('--format <format>').choices(['sh', 'fish']))
  .addOption(new Option('--secret').hideHelp())
  .option('-v', 'has no long form')
root.command('completion').addArgument(new Argument('<shell>').choices(['bash', 'zsh']))
const policy = root.command('policy')
policy.command('check').argument('<file>').option('--strict')
root.command('hidden', { hidden: true })

const cases: [typed: string, words: string[]][] = [
  ['', ['connect', 'wait', 'run', 'completion', 'policy', 'help']],
  ['c', ['connect', 'completion']],
  ['-', ['--help']],
  ['nonsense ', []],
  ['connect ', ['db', 'shop:db', 'cache']],
  ['connect s', ['shop:db']],
  ['connect db@', ['db@16.1.0']],
  ['connect db ', []],
  ['connect --', ['--help']],
  ['wait db ', ['db', 'shop:db', 'cache']],
  ['wait db other=d', ['other=db']],
  ['wait --timeout ', []],
  ['wait -t ', []],
  ['wait --quiet c', ['cache']],
  ['wait --timeout 3s c', ['cache']],
  ['run ', []],
  ['run web ', [':files']],
  ['run web -- ls -', [':files']],
  ['run --', ['--with', '--file', '--policy', '--namespace', '--format', '--help']],
  ['run --with c', ['cache']],
  ['run --with db,main=s', ['db,main=shop:db']],
  ['run --namespace ', ['shop']],
  ['run --file x', [':files']],
  ['run --policy x', [':files']],
  ['policy check x', [':files']],
  ['run --format ', ['sh', 'fish']],
  ['policy ', ['check', 'help']],
  ['policy check --', ['--strict', '--help']],
  ['policy nonsense ', []],
  ['completion z', ['zsh']],
  ['completion zsh ', []],
]
for (const [typed, words] of cases) {
  test(`after "${typed}" may stand ${words.join(', ') || 'anything'}`, async t => {
    const found = await candidates(shapeOf(root), typed.split(' '), async () => services)
    t.same(
      found.map(({ word }) => word),
      words,
    )
  })
}

test('each says what it is', async t => {
  const about = async (...words: string[]) =>
    (await candidates(shapeOf(root), words, async () => services)).map(({ about }) => about)
  t.same(await about('conn'), ['joins'])
  t.same(await about('wait', '--t'), ['how long'])
  t.same(await about('wait', 'shop'), ['15.0.0, tcp port 5433'])
  t.equal((await about()).length, 6)
})
