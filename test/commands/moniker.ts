import { test } from 'tap'
import { monikerCommand } from '../../lib/commands/moniker.ts'

test('each command says what it does, in a sentence, and where its daemon is', async t => {
  for (const command of (await monikerCommand()).commands) {
    t.match(command.description(), /^[A-Z].*\.$/, command.name())
    for (const { description } of command.options) t.match(description, /^\S.*[^.]$/)
  }
})

test('how it ends is told in its help', async t => {
  const moniker = await monikerCommand()
  const stdout = t.capture(process.stdout, 'write', () => true)
  moniker.outputHelp()
  stdout.restore()
  t.match(stdout.args().join(''), /listen .*connect .*run .*ls .*Exit status: 0 done, 1 failed/s)
})

test('what is called is all that is loaded, unless it speaks of the others', async t => {
  const commands = async (called: string) =>
    (await monikerCommand(called)).commands.map(command => command.name())
  t.same(await commands('resolve'), ['resolve'])
  for (const called of ['help', '--help', 'toString', '']) {
    t.equal((await commands(called)).length, 14, called)
  }
})
