import t from 'tap'
import { ACTIONS, Policies, type Action, type Subject } from '../../lib/policy/policy.ts'
import { parsePolicy } from '../../lib/policy/file.ts'

const users = new Map([['luke', new Set([7])]])
const policy = (...rules: object[]) =>
  parsePolicy(
    rules
      .map(rule => JSON.stringify(rule))
      .join(',\n')
      .replace(/^/, '{"rules":[\n') + ']}',
    'p',
    users,
  )

const subject = (given: Partial<Subject> = {}): Subject => ({
  namespace: '',
  service: 'web',
  version: '1.2.0',
  local: true,
  address: '127.0.0.1',
  uid: 7,
  ...given,
})
const far = { local: false, address: '192.0.2.7', uid: undefined }

t.test('the first rule that matches decides, and none that does not', async t => {
  const rules = policy(
    { allow: 'resolve', name: 'web' },
    { deny: ['resolve', 'list'], name: 'web*' },
    { allow: 'all' },
  )
  t.strictSame(rules.judge('resolve', subject()), { allowed: true, file: 'p', line: 2 })
  t.strictSame(rules.judge('list', subject()), { allowed: false, file: 'p', line: 3 })
  t.strictSame(rules.judge('resolve', subject({ service: 'web2' })), {
    allowed: false,
    file: 'p',
    line: 3,
  })
  t.strictSame(rules.judge('connect', subject()), { allowed: true, file: 'p', line: 4 })
  t.equal(policy().judge('resolve', subject()), undefined)
  t.equal(rules.size, 3)
})

const conditions: [condition: object, yes: Partial<Subject>[], no: Partial<Subject>[]][] = [
  [{ name: 'Web' }, [{}], [{ service: 'we' }, { service: 'webs' }, { service: 'xweb' }]],
  [{ name: 'w*' }, [{}, { service: 'w' }], [{ service: 'xw' }]],
  [{ name: '*' }, [{}, { namespace: 'ops' }], []],
  [{ name: ['a.b', 'c+d'] }, [{ service: 'a.b' }, { service: 'c+d' }], [{ service: 'axb' }, {}]],
  [{ name: '*w*e**b*' }, [{}, { service: 'xwyezbx' }], [{ service: 'wbe' }]],
  [{ namespace: '' }, [{}], [{ namespace: 'ops' }]],
  [{ namespace: 'op*' }, [{ namespace: 'ops' }], [{}]],
  [{ version: '^1' }, [{}, { version: '1.9.9' }], [{ version: '2.0.0' }]],
  [{ version: '>=2' }, [{ version: '2.0.0-rc.1' }, { version: '3.0.0' }], [{}]],
  [{ version: ['1.2.0', '4'] }, [{}, { version: '4.1.0' }], [{ version: '1.2.1' }]],
  [{ version: 1 }, [{}], [{ version: '2.0.0' }]],
  [{ user: 'Luke' }, [{}], [{ uid: 8 }, far]],
  [{ user: [8, 'luke'] }, [{}, { uid: 8 }], [{ uid: 9 }]],
  [{ from: 'local' }, [{}], [far]],
  [{ from: 'remote' }, [far], [{}]],
  [{ from: '192.0.2.0/24' }, [far], [{}, { ...far, address: '192.0.3.1' }]],
  [{ from: '192.0.2.7' }, [far], [{}, { ...far, address: '192.0.2.8' }]],
  [{ from: '192.0.2.1-192.0.2.9' }, [far], [{}, { ...far, address: '192.0.2.10' }]],
  [
    { from: ['2001:db8::/32', 'fe80::1'] },
    [
      { ...far, address: '2001:db8::7' },
      { ...far, address: 'fe80::1%eth0' },
    ],
    [far, { ...far, address: '2001:db9::' }],
  ],
  [{ from: 'remote', name: 'web' }, [far], [{ ...far, service: 'x' }, {}]],
]

for (const [condition, yes, no] of conditions) {
  t.test(`the condition ${JSON.stringify(condition)}`, async t => {
    const rules = policy({ allow: 'resolve', ...condition })
    for (const given of yes) t.match(rules.judge('resolve', subject(given)), { allowed: true })
    for (const given of no) t.equal(rules.judge('resolve', subject(given)), undefined)
  })
}

t.test('where connections may go is a matter of names, addresses or both', async t => {
  const rules = policy({ deny: 'connect', to: ['*.example.com', '10.0.0.0/8', 'remote'] })
  const to = (host: string, address: string, local = true) =>
    rules.judge('connect', subject({ host, address, local }))?.allowed
  t.equal(to('www.Example.com', '127.0.0.1'), false)
  t.equal(to('example.com', '127.0.0.1'), undefined)
  t.equal(to('x', '10.1.2.3'), false)
  t.equal(to('x', '192.0.2.1', false), false)
  t.equal(rules.judge('resolve', subject({ address: '10.0.0.1' })), undefined)
})

t.test('a peer of unknown user is none of those who may, and any of those who may not', async t => {
  const unknown = subject({ uid: undefined })
  t.equal(policy({ allow: 'publish', user: 'luke' }).judge('publish', unknown), undefined)
  t.match(policy({ deny: 'publish', user: 'luke' }).judge('publish', unknown), { allowed: false })
  const remote = subject(far)
  t.equal(policy({ deny: 'resolve', user: 'luke' }).judge('resolve', remote), undefined)
})

t.test('whether the user matters is known for each action', async t => {
  const rules = policy({ allow: 'publish', user: 'luke' }, { deny: ['list', 'resolve'] })
  const asked = ACTIONS.filter((action: Action) => rules.asksUser(action))
  t.strictSame(asked, ['publish'])
})

t.test('whether something may be open to a place is known', async t => {
  const opens = (...rules: object[]) => policy(...rules).opens('list', far)
  t.ok(opens({ allow: 'list', from: '192.0.2.0/24', name: 'web' }))
  t.ok(opens({ allow: 'all' }))
  t.notOk(opens({ allow: 'list', from: ['local', '10.0.0.0/8'] }))
  t.notOk(opens({ deny: 'list' }, { allow: 'resolve' }))
})

t.test('of several policies each is judged apart, and what one denies is denied', async t => {
  const one = policy({ allow: 'resolve', name: 'web' }, { deny: 'resolve' })
  const other = policy({ deny: 'publish', user: 'luke' }, { allow: 'list', from: 'remote' })
  const both = new Policies([one, other])
  const verdict = (allowed: boolean, line: number) => ({ allowed, file: 'p', line })
  t.strictSame(both.judge('resolve', subject()), verdict(true, 2))
  t.strictSame(both.judge('resolve', subject({ service: 'db' })), verdict(false, 3))
  t.strictSame(both.judge('publish', subject()), verdict(false, 2))
  t.equal(both.judge('connect', subject()), undefined)
  const stricter = new Policies([policy({ allow: 'all' }), policy({ deny: 'resolve' })])
  t.match(stricter.judge('resolve', subject()), { allowed: false })
  t.match(stricter.judge('publish', subject()), { allowed: true })
  t.ok(both.asksUser('publish'))
  t.notOk(both.asksUser('resolve'))
  t.ok(both.opens('list', far))
  t.notOk(both.opens('publish', far))
})

t.test('who cannot be known is trusted by all of them, or not at all', async t => {
  const trusting = parsePolicy('{"rules":[],"unproven":"allow"}', 'p', users)
  t.ok(new Policies([trusting, trusting]).trustful)
  t.notOk(new Policies([trusting, policy()]).trustful)
})
