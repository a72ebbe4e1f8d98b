import t, { type Test } from 'tap'
import {
  PORT,
  designatedPort,
  embeddedHosts,
  isReservation,
  policyFile,
  reservationWord,
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
    ['0::1,::ffff:7f00:1', loopback],
    ['0:0::0', ['::']],
    ['::ffff:0.0.0.0', ['0.0.0.0']],
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

t.test('the word of a reservation is in MONIKER_RESERVATION, if it is one', async t => {
  const word = 'a-secret-of-16-letters'
  for (const [text, found] of [[undefined], [''], ['short'], [word, word]] as const) {
    environment(t, 'MONIKER_RESERVATION', text)
    t.equal(reservationWord(), found)
  }
  t.equal(isReservation(7), false)
})
