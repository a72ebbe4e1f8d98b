import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { policyCommand } from '../../lib/commands/policy.ts'
import { parsePolicy } from '../../lib/policy/file.ts'
import { printed } from '../fixtures/command.ts'

test('a policy is said to be one', async t => {
  const file = join(t.testdir(), 'p.yaml')
  writeFileSync(file, 'rules: [{deny: all}]')
  t.equal(await printed(t, policyCommand, 'check', file), `${file} is a policy of 1 rule\n`)
  writeFileSync(file, 'rules: []')
  t.equal(await printed(t, policyCommand, 'check', file), `${file} is a policy of 0 rules\n`)
})

test('what is none is refused, with line and reason', async t => {
  const file = join(t.testdir({ 'p.yaml': 'rules:\n  - deny: dance' }), 'p.yaml')
  await t.rejects(printed(t, policyCommand, 'check', file), {
    code: 'ERR_MONIKER_POLICY',
    message: /p\.yaml:2: expected publish or resolve or list or connect or all, got "dance"/,
  })
})

test('the policy in the help is one', async t => {
  const stdout = t.capture(process.stdout, 'write', () => true)
  policyCommand.commands[0]!.outputHelp()
  stdout.restore()
  const text = stdout.args().join('')
  const example = /\n( {2}rules:\n(?: {4}.*\n)+)/.exec(text)![1]!
  const policy = parsePolicy(example, 'help', new Map([['luke', new Set([7])]]))
  t.equal(policy.size, 6)
  const subject = { service: 'web', version: '1.0.0', address: '127.0.0.1', local: true }
  t.match(policy.judge('publish', { ...subject, namespace: 'jedi', uid: 7 }), { allowed: true })
  t.match(policy.judge('publish', { ...subject, namespace: 'jedi', uid: 8 }), { allowed: false })
})
