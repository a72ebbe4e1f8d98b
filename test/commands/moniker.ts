import { test } from 'tap'
import { monikerCommand, run } from '../../lib/commands/moniker.ts'

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
  const all = await commands('help')
  t.ok(all.length > 10)
  for (const called of ['--help', 'toString', '']) t.same(await commands(called), all, called)
})

test('a wrong call is status 2, and help is none', { buffered: false }, async t => {
  t.teardown(() => (process.exitCode = undefined))
  const streams = [process.stdout, process.stderr]
  const captured = streams.map(stream => t.capture(stream, 'write', () => true))
  const status = async (...args: string[]) => {
    process.exitCode = undefined
    await run([process.execPath, 'moniker', ...args])
    return process.exitCode
  }
  const statuses = [
    await status('nonsense'),
    await status('completion', 'sh'),
    await status('help'),
  ]
  captured.forEach(one => one.restore())
  t.same(statuses, [2, 2, 0])
})

test('what else fails is for the caller', async t => {
  const call = run([process.execPath, 'moniker', 'policy', 'check', '/no/such'])
  await t.rejects(call, { code: 'ERR_MONIKER_POLICY' })
})
