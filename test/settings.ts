import t, { type Test } from 'tap'
import {
  PORT,
  designatedPort,
  embeddedHosts,
  isReservation,
  policyFile,
  portRange,
  reservationWord,
  shuffled,
} from '../lib/settings.ts'

function environment(t: Test, name: string, value: string | undefined): void {
  const before = process.env[name]
  t.teardown(() => restore(name, before))
  restore(name, value)
}

function restore(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name]
  else process.env[name] = value
}

t.test('the designated port is 6664, or that in MONIKER_PORT', async t => {
  const table: [text: string | undefined, port: number][] = [
    [undefined, PORT],
    ['', 6664],
    ['1', 1],
    ['7000', 7000],
    ['65535', 65_535],
  ]
  for (const [text, port] of table) {
    environment(t, 'MONIKER_PORT', text)
    t.equal(designatedPort(), port, `${text}`)
  }
})

t.test('a MONIKER_PORT that is no port is refused', async t => {
  for (const text of ['0', '-1', '65536', '1.5', 'http', '6664x']) {
    environment(t, 'MONIKER_PORT', text)
    const message = `ERR_INVALID_ARG_VALUE: expected MONIKER_PORT to be a port from 1 to 65535, got "${text}"`
    t.throws(designatedPort, { code: 'ERR_INVALID_ARG_VALUE', message })
  }
})

t.test('an embedded daemon binds the loopback addresses, and those in MONIKER_HOST', async t => {
  const loopback = ['127.0.0.1', '::1']
  const table: [text: string | undefined, hosts: string[]][] = [
    [undefined, loopback],
    ['', loopback],
    [' , ', loopback],
    ['127.0.0.1, ::1', loopback],
    ['127.0.0.2', [...loopback, '127.0.0.2']],
    ['127.0.0.2,', [...loopback, '127.0.0.2']],
    ['::', ['::']],
    ['127.0.0.2,0.0.0.0', ['0.0.0.0']],
  ]
  for (const [text, hosts] of table) {
    environment(t, 'MONIKER_HOST', text)
    t.strictSame(embeddedHosts(), hosts, `${text}`)
  }
})

t.test('the policy of this host is in MONIKER_POLICY, if it is set', async t => {
  const table = [
    [undefined, undefined],
    ['', undefined],
    ['/etc/moniker.yaml', '/etc/moniker.yaml'],
  ] as const
  for (const [text, file] of table) {
    environment(t, 'MONIKER_POLICY', text)
    t.equal(policyFile(), file)
  }
})

t.test('the range of ports is in MONIKER_PORTS, if it is set', async t => {
  const table = [
    [undefined, undefined],
    ['', undefined],
    ['20000-20999', { first: 20_000, last: 20_999 }],
    ['1-65535', { first: 1, last: 65_535 }],
    ['7-7', { first: 7, last: 7 }],
  ] as const
  for (const [text, range] of table) {
    environment(t, 'MONIKER_PORTS', text)
    t.same(portRange(), range, `${text}`)
  }
  for (const text of [
    '7',
    '0-7',
    '8-7',
    '1-65536',
    '1-',
    '-7',
    '1-2-3',
    'a-b',
    '1-999999',
    ' 1-2',
  ]) {
    environment(t, 'MONIKER_PORTS', text)
    const message = `ERR_INVALID_ARG_VALUE: expected MONIKER_PORTS to be a range of ports such as 20000-20999, got "${text}"`
    t.throws(portRange, { message }, text)
  }
})

t.test('the ports of a range come in random order, each once', async t => {
  const range = { first: 5, last: 104 }
  const one = [...shuffled(range)]
  const sorted = Array.from({ length: 100 }, (_, index) => index + 5)
  t.same(
    one.toSorted((a, b) => a - b),
    sorted,
  )
  t.notSame(one, sorted)
  t.notSame([...shuffled(range)], one)
})

t.test('the word of a reservation is in MONIKER_RESERVATION, if it is one', async t => {
  const word = 'a-secret-of-16-letters'
  for (const [text, found] of [[undefined], [''], ['short'], [word, word]] as const) {
    environment(t, 'MONIKER_RESERVATION', text)
    t.equal(reservationWord(), found)
  }
  t.equal(isReservation(7), false)
})
