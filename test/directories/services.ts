import t from 'tap'
import { portIn, serviceAt, serviceIn, wellKnown } from '../../lib/directories/services.ts'
import { asked, places } from '../fixtures/fallback.ts'

t.test('the table of services gives the port', async t => {
  t.strictSame(places(await wellKnown(asked({ service: 'http' }))), ['well-known tcp 192.0.2.9 80'])
  t.strictSame(await wellKnown(asked({ service: 'no-such-thing' })), [])
})

t.test('without a table it fails', async t => {
  process.env.SystemRoot = '/nowhere'
  t.teardown(() => delete process.env.SystemRoot)
  await t.rejects(wellKnown(asked()), { code: 'ENOENT' })
  t.equal(await serviceAt(80), undefined)
})

t.test('it gives the service of a port of TCP, by its first name', async t => {
  t.equal(await serviceAt(80), 'http')
  t.equal(await serviceAt(4_181), undefined)
  const table = ['domain 53/udp', 'name 53/tcp nameserver', 'other 53/tcp'].join('\n')
  t.equal(serviceIn(table, 53, 'tcp'), 'name')
})

t.test('a table is read as services(5) has it', async t => {
  const table = [
    '# comment',
    '',
    'http\t\t80/tcp\t\twww WWW-http\t# WorldWideWeb',
    '  domain 53/tcp',
    'domain 53/udp # name-domain server 54/tcp',
    'nonsense',
    'broken x/tcp',
    'wide 70000/tcp',
  ].join('\r\n')
  const cases: [service: string, transport: 'tcp' | 'udp', port: number | undefined][] = [
    ['http', 'tcp', 80],
    ['www', 'tcp', 80],
    ['www-http', 'tcp', 80],
    ['http', 'udp', undefined],
    ['domain', 'udp', 53],
    ['worldwideweb', 'tcp', undefined],
    ['nonsense', 'tcp', undefined],
    ['broken', 'tcp', undefined],
    ['wide', 'tcp', undefined],
    ['80/tcp', 'tcp', undefined],
  ]
  for (const [service, transport, port] of cases) t.equal(portIn(table, service, transport), port)
})
