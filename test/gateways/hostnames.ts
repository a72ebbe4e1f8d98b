import { test } from 'tap'
import { domainNameOf, hostnameOf, isOurs, meaningOf } from '../../lib/gateways/hostnames.ts'
import { formatURI } from '../../lib/name.ts'

/** The meaning of a host name, as a URI with its kind. */
function read(hostname: string, domain?: string): string {
  const meaning = meaningOf(hostname, domain)
  if (!meaning) return 'none'
  const { name, host, kind } = meaning
  return `${formatURI({ ...name, host })} ${kind}`
}

test('a host name means a service of this host, or of another', t => {
  const meanings: Record<string, string> = {
    'web.localhost': 'web:// localhost',
    'WEB.Localhost.': 'web:// localhost',
    'web.luke.localhost': 'luke:web:// localhost',
    'web.luke.sky.localhost': 'luke.sky:web:// localhost',
    'web.at.theforce.net.localhost': 'at.theforce.net:web:// localhost',
    'at.localhost': 'at:// localhost',
    'web.moniker.internal': 'web:// domain',
    'web.luke.moniker.internal': 'luke:web:// domain',
    'web.at.theforce.net.moniker.internal': 'web://theforce.net domain',
    'web.at.orf.at.moniker.internal': 'web://orf.at domain',
    'web.luke.at.orf.at.moniker.internal': 'luke:web://orf.at domain',
    'web.at.192.0.2.1.moniker.internal': 'web://192.0.2.1 domain',
    'web.at.2001-db8--1.ip6.moniker.internal': 'web://[2001:db8::1] domain',
    'web.at.localhost.moniker.internal': 'web:// domain',
    'web.at.moniker.internal': 'at:web:// domain',
    web: 'web:// bare',
    my_app: 'my_app:// bare',
  }
  for (const [hostname, meaning] of Object.entries(meanings))
    t.equal(read(hostname), meaning, hostname)
  t.equal(read('web.names.test', 'names.test'), 'web:// domain')
  t.equal(read('web.moniker.internal', 'names.test'), 'none')
  t.end()
})

test('a host name that is none of ours means nothing', t => {
  const none = [
    '',
    'localhost',
    'LOCALHOST.',
    'theforce.net',
    '127.0.0.1',
    '::1',
    '1web.localhost',
    '.localhost',
  ]
  none.push(
    'moniker.localhost',
    'moniker.internal',
    '.moniker.internal',
    'web.at..moniker.internal',
  )
  none.push(
    'web..localhost',
    'web.1.localhost',
    'web.at.1-2-3.ip6.moniker.internal',
    `${'a'.repeat(64)}.localhost`,
  )
  for (const hostname of none) t.equal(read(hostname), 'none', hostname)
  t.end()
})

test('what is under our domains is never looked for elsewhere', t => {
  for (const ours of [
    'localhost',
    'moniker.localhost',
    '1.localhost',
    'moniker.internal',
    'x.y.moniker.internal.',
  ]) {
    t.ok(isOurs(ours), ours)
  }
  for (const other of ['web', 'theforce.net', 'mylocalhost', 'amoniker.internal'])
    t.notOk(isOurs(other), other)
  t.ok(isOurs('web.names.test', 'names.test'))
  t.end()
})

test('a name has a host name, unless its service has a dot', t => {
  const name = (namespace: string, service: string) => ({ namespace, service, version: '' })
  t.equal(hostnameOf(name('', 'web')), 'web.localhost')
  t.equal(hostnameOf(name('luke.sky', 'web')), 'web.luke.sky.localhost')
  t.equal(hostnameOf(name('', 'web.app')), undefined)
  t.equal(hostnameOf(name('', 'moniker')), undefined, 'it is kept for a page of our own')
  t.end()
})

test('a name of any host has a host name under the domain, if that means it', t => {
  const name = (namespace: string, service: string) => ({ namespace, service, version: '' })
  const hostnames: [namespace: string, service: string, host: string, expected?: string][] = [
    ['', 'web', '', 'web.moniker.internal'],
    ['', 'web', 'LocalHost', 'web.moniker.internal'],
    ['luke.sky', 'web', '', 'web.luke.sky.moniker.internal'],
    ['', 'starwars', 'theforce.net', 'starwars.at.theforce.net.moniker.internal'],
    ['', 'starwars', 'theforce.net.', 'starwars.at.theforce.net.moniker.internal'],
    ['reynolds', 'http', 'ietf.org', 'http.reynolds.at.ietf.org.moniker.internal'],
    ['', 'web', '192.0.2.1', 'web.at.192.0.2.1.moniker.internal'],
    ['', 'web', '2001:DB8:0::1', 'web.at.2001-db8--1.ip6.moniker.internal'],
    ['', 'web', 'fe80::1%eth0'],
    ['', 'web.app', 'theforce.net'],
    ['', 'web', 'theforce..net'],
    ['at', 'web', 'theforce.net'],
    ['luke.at.sky', 'web', ''],
  ]
  for (const [namespace, service, host, expected] of hostnames) {
    t.equal(
      domainNameOf(name(namespace, service), host),
      expected,
      `${namespace}:${service} ${host}`,
    )
  }
  t.equal(domainNameOf(name('', 'web'), '', 'names.test'), 'web.names.test')
  t.end()
})
