import t from 'tap'
import { tcp } from '../../lib/transports/tcp.ts'
import type { Route, Transport } from '../../lib/transports/transport.ts'
import {
  TRANSPORT_NAMES,
  namedTransports,
  usualTransports,
  wordsOf,
} from '../../lib/transports/transports.ts'
import { hasUnix } from '../../lib/node/abstract.ts'
import { local } from '../../lib/transports/local.ts'
import { unix } from '../../lib/transports/unix.ts'

const here: Route = { isThisHost: true, net: {} }
const far: Route = { isThisHost: false, net: {} }
const place = {
  transport: 'tcp' as const,
  address: '127.0.0.1',
  port: 80,
  version: '1.0.0',
  instance: 'x',
}

/** A transport that a program may have, for some calls. */
const own = (name: string, isFor: boolean): Transport => ({
  name,
  allows: () => isFor,
  key: () => 'here',
  dial: () => ({ open: () => Promise.reject(new Error('not today')) }),
})

t.test('each row of the table has a word, and Unix sockets of both kinds have one', async t => {
  const words = TRANSPORT_NAMES.filter(word => word !== 'udp')
  t.strictSame(
    namedTransports(words, here).all.map(({ name }) => name),
    ['unix', 'unix', 'tcp'],
  )
})

t.test('a call that names no transports may use those that allow it', async t => {
  t.strictSame(usualTransports(here).words, hasUnix ? ['unix', 'tcp'] : ['tcp'])
  t.equal(usualTransports(here), usualTransports({ ...here }), 'and has the same list each time')
  t.strictSame(usualTransports(far).words, ['tcp'])
  for (const option of [{ localAddress: '127.0.0.1' }, { localPort: 7 }, { family: 4 }]) {
    t.strictSame(usualTransports({ ...here, net: option as Route['net'] }).all, [tcp])
  }
})

t.test('what is named is used, objects before words', async t => {
  const words = ['tcp', 'unix'] as const
  t.equal(namedTransports(words, far).words, words)
  t.strictSame(namedTransports(words, far).all, [local, unix, tcp], 'the faster ones first')
  const [mine, closed] = [own('mine', true), own('closed', false)]
  const named = namedTransports(['tcp', mine, closed], here)
  t.strictSame(named.all, [mine, tcp])
  t.strictSame(named.words, ['tcp', 'mine'])
  t.strictSame(wordsOf([own('tcp', true), 'tcp']), ['tcp'])
})

t.test('a transport that throws when it is asked about a call is named', async t => {
  const wrong = { ...own('hyper', true), allows: () => JSON.parse('{') as boolean }
  t.throws(() => namedTransports(['tcp', wrong], here), {
    code: 'ERR_MONIKER_TRANSPORT',
    reason: 'ETRANSPORT',
    message: /the transport hyper failed: .*JSON/,
    cause: { name: 'SyntaxError' },
  })
})

t.test('each knows where it leads, and what is one place', async t => {
  const moved = { ...place, address: '::1' }
  t.not(tcp.key(moved), tcp.key(place), 'an address that was lost leads nowhere')
  t.not(tcp.key({ ...place, port: 81 }), tcp.key(place))
  t.equal(tcp.key({ ...place, transport: 'udp' }), undefined)
  t.strictSame(tcp.dial(place, here), { net: { host: '127.0.0.1', port: 80 } })
  t.equal(unix.key(place), undefined)
  t.equal(unix.key({ ...place, path: 'moniker-1' }), 'x moniker-1')
  t.equal(unix.key({ ...place, path: 'moniker-7--web' }), 'moniker-7--web')
  const likely = unix.likely!({ namespace: '', service: 'web', version: '' }, 7)!
  t.match(likely, { path: 'moniker-7--web', port: 0 })
  t.match(unix.dial(likely, here), { net: { path: /^\0moniker-7--web\.+$/ } })
  t.equal(unix.likely!({ namespace: '', service: 'web.app', version: '' }, 7), undefined)
})
