import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { hostPolicy, hostPolicyFile, policyFiles } from '../../lib/policy/host.ts'
import { HOST_POLICY } from '../../lib/settings.ts'
import { governed, ungoverned } from '../fixtures/governed.ts'

t.test('the policy of a host is looked for once, by one lstat', async t => {
  let count = 0
  const { lstatSync } = fs
  const counted = ((file: string, options: fs.StatSyncOptions) => {
    if (file === HOST_POLICY) count++
    return lstatSync(file, options)
  }) as typeof lstatSync
  t.intercept(fs, 'lstatSync', { value: counted })
  syncBuiltinESMExports()
  t.teardown(syncBuiltinESMExports)
  for (let i = 0; i < 3; i++) t.equal(hostPolicy(), undefined)
  t.equal(count, 1)
})

t.test('its file is there, or not, or cannot be known to be', async t => {
  const dir = t.testdir({ 'policy.yml': '', 'lost.yml': t.fixture('symlink', 'no-such-file') })
  const file = join(dir, 'policy.yml')
  t.equal(hostPolicyFile(file), file)
  t.equal(hostPolicyFile(join(dir, 'none.yml')), undefined)
  t.equal(hostPolicyFile(`${file}/none.yml`), undefined)
  const lost = join(dir, 'lost.yml')
  t.equal(hostPolicyFile(lost), lost, 'a link that leads nowhere is a policy that was lost')
  const long = join(dir, 'x'.repeat(300))
  t.equal(hostPolicyFile(long), long)
  t.intercept(process, 'getuid', { value: undefined })
  t.equal(hostPolicyFile(file), undefined, 'there is no such place on Windows')
})

t.test('it is obeyed beside another', async t => {
  t.strictSame(policyFiles(undefined), [])
  t.strictSame(policyFiles('p.yaml'), ['p.yaml'])
})

const calls = ['listen', 'listen again', 'connect', 'secret', 'absent', 'wait', 'send', 'watch']
const secret = 'rules: [{deny: connect, name: secret}]'
const everything = 'rules: [{allow: connect}]'
const nothing = 'rules: [{deny: connect, name: web}, {allow: connect}]'

t.test('no environment takes the policy of a host away', { skip: ungoverned }, async t => {
  const dir = t.testdir({ 'everything.yml': everything, 'nothing.yml': nothing })
  const tried = (t: Test, policy: string, file?: string) => {
    const env = file === undefined ? {} : { MONIKER_POLICY: join(dir, file) }
    const { stdout, stderr } = governed(t, ['test/fixtures/obedient.ts'], { policy, env })
    return JSON.parse(stdout || `{"stderr":${JSON.stringify(stderr)}}`) as object
  }
  const usual = {
    listen: '',
    'listen again': '',
    connect: '',
    secret: 'EDENIED',
    absent: 'ENOSERVICE',
    wait: '',
    send: 'ENOSERVICE',
    watch: '',
  }
  await t.test('by itself', async t => t.strictSame(tried(t, secret), usual))
  await t.test('beside one that allows it', async t =>
    t.strictSame(tried(t, secret, 'everything.yml'), usual),
  )
  await t.test('beside one that denies more', async t => {
    const both = { ...usual, connect: 'EDENIED', wait: 'EDENIED' }
    t.strictSame(tried(t, secret, 'nothing.yml'), both)
  })
  await t.test('of its embedded daemon', async t => {
    const policy = 'rules: [{deny: publish, name: secret}]'
    const found = { ...usual, 'listen again': 'EDENIED', secret: 'ENOSERVICE' }
    t.strictSame(tried(t, policy, 'everything.yml'), found)
  })
})

t.test('one that is wrong refuses every call by name', { skip: ungoverned }, async t => {
  const refused = Object.fromEntries(calls.map(call => [call, 'EPOLICY']))
  const wrong = [
    ['it cannot be read', { policy: 'rules: 1' }],
    ['others could write it', { policy: secret, mode: 0o777 }],
  ] as const
  for (const [what, host] of wrong) {
    await t.test(what, async t => {
      const { stdout, stderr } = governed(t, ['test/fixtures/obedient.ts'], host)
      t.strictSame(JSON.parse(stdout), refused, stderr)
    })
    await t.test(`${what}, and monikerd does not start`, async t => {
      const { status, stderr } = governed(t, ['lib/monikerd.ts'], host)
      t.equal(status, 1)
      t.match(stderr, /no policy was read: \/etc\/moniker/)
    })
    await t.test(`${what}, and doctor says why`, async t => {
      const { status, stdout } = governed(t, ['lib/cli.ts', 'doctor'], host)
      t.equal(status, 1)
      t.match(stdout, /hint +policy +.*\/etc\/moniker.*\n.*until it is mended/)
    })
  }
})
