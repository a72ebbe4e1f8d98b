import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { ProtectedNames } from '../../lib/policy/protected.ts'

const table = `
# Network services, Internet style
echo		7/tcp
echo		7/udp
http		80/tcp		www		# WorldWideWeb HTTP
 Kerberos	88/udp		kerberos5
two		8080/tcp
two		1023/udp
zip		6/ddp
nbp		2
alt		1024/tcp
#ssh		22/tcp
`

function system(t: Test, setting: string): { names: ProtectedNames; set: (to: string) => void } {
  const dir = t.testdir({ services: table, setting })
  const file = join(dir, 'setting')
  const names = new ProtectedNames({ table: join(dir, 'services'), setting: file })
  return { names, set: to => writeFileSync(file, to) }
}

t.test('names that go with a port of root’s are protected, and aliases are not', async t => {
  const { names } = system(t, '1024\n')
  const known = [
    'echo',
    'http',
    'HTTP',
    'kerberos',
    'two',
    'zip',
    'nbp',
    'alt',
    'ssh',
    'www',
    'web',
  ]
  const found = known.flatMap(name => names.of(name)?.port ?? [])
  t.strictSame(found, [7, 80, 80, 88, 1023])
  t.strictSame(names.of('http'), { port: 80, start: 1024 })
})

t.test('as many as the kernel keeps, now', async t => {
  const { names, set } = system(t, '80\n')
  t.ok(names.of('echo'))
  t.notOk(names.of('http'))
  set('81\n')
  t.ok(names.of('http'))
  set('0\n')
  t.notOk(names.of('echo'))
})

t.test('where there is no table, or no such setting, there is no rule', async t => {
  const dir = t.testdir({ services: table, setting: '1024' })
  const [services, setting] = [join(dir, 'services'), join(dir, 'setting')]
  t.notOk(new ProtectedNames({ table: services, setting: './none' }).of('http'))
  t.notOk(new ProtectedNames({ table: './none', setting }).of('http'))
})

t.test('those of this host are its own', async t => {
  t.notOk(new ProtectedNames().of('no-such-service-at-all'))
})

t.test('where the setting or the table cannot be read, nobody is let in by that', async t => {
  const dir = t.testdir({ services: table, folder: {} })
  const [services, folder] = [join(dir, 'services'), join(dir, 'folder')]
  const unreadable = { reason: 'EDENIED', message: /folder cannot be read/ }
  t.throws(() => new ProtectedNames({ table: services, setting: folder }).of('http'), unreadable)
  t.throws(() => new ProtectedNames({ table: folder, setting: services }).of('http'), unreadable)
})
