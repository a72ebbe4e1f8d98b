import { test } from 'tap'
import { monikerCommand } from '../../lib/commands/moniker.ts'

test('each command says what it does, in a sentence, and where its daemon is', async t => {
  for (const command of monikerCommand.commands) {
    t.match(command.description(), /^[A-Z].*\.$/, command.name())
    for (const { description } of command.options) t.match(description, /^\S.*[^.]$/)
  }
})

test('how it ends is told in its help', async t => {
  const stdout = t.capture(process.stdout, 'write', () => true)
  monikerCommand.outputHelp()
  stdout.restore()
  t.match(stdout.args().join(''), /listen .*connect .*run .*ls .*Exit status: 0 done, 1 failed/s)
})
