import { test } from 'tap'
import { servicesTable, sorted } from '../../lib/commands/services.ts'
import type { Listed } from '../../lib/wire/protocol.ts'

const common = { transport: 'tcp', address: '::', shared: false, port: 1 } as const

const service = (namespace: string, service: string, more: Partial<Listed> = {}): Listed => ({
  ...common,
  namespace,
  service,
  version: '1.0.0',
  instance: `${namespace}${service}`,
  ...more,
})

test('each namespace is a part of its own, the first that of the host', async t => {
  const services = [service('b', 'web'), service('', 'web'), service('a', 'x'), service('', 'db')]
  const names = sorted(services).map(({ namespace, service }) => `${namespace}:${service}`)
  t.same(names, [':db', ':web', 'a:x', 'b:web'])
  t.same(servicesTable(services), [
    'NAME   VERSION  TRANSPORT  ADDRESS  PORT  PROCESS',
    'db     1.0.0    tcp        ::       1',
    'web    1.0.0    tcp        ::       1',
    '',
    'a:x    1.0.0    tcp        ::       1',
    '',
    'b:web  1.0.0    tcp        ::       1',
  ])
  t.same(servicesTable([]), ['NAME  VERSION  TRANSPORT  ADDRESS  PORT  PROCESS'])
})

test('metadata is shown where there is any, as far as there is room', async t => {
  const long = { text: 'x'.repeat(100) }
  const [head, first, second, third] = servicesTable([
    service('', 'a', { pid: 4711, metadata: { path: '/\n' } }),
    service('', 'b'),
    service('', 'c', { metadata: long }),
  ])
  t.match(head, /PROCESS {2}METADATA$/)
  t.match(first, / 4711 +\{"path":"\/\\n"\}$/)
  t.match(second, /::       1$/)
  t.match(third, /\{"text":"x{71}…$/)
})
