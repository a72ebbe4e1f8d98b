import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import t from 'tap'
import type { MonikerError } from '../../lib/errors.ts'
import { reconnect } from '../../lib/sockets/reconnect.ts'
import { connect } from '../../lib/sockets/socket.ts'
import type { Transport } from '../../lib/transports/transport.ts'
import type { Reachable } from '../../lib/wire/protocol.ts'
import { Held } from '../fixtures/held.ts'
import { kinds, placeOf, transportOf } from '../fixtures/kinds.ts'
import { nobody } from '../fixtures/services.ts'

const raise = (thrown: unknown) => () => {
  throw thrown
}

const boom = raise(new Error('boom'))

/** A transport for what is registered as TCP, but for what is given. */
const faulty = (given: Partial<Record<keyof Transport, unknown>>): Transport =>
  Object.assign(transportOf({ open: () => Promise.reject(new Error('not here')) }), {
    name: 'faulty',
    ...given,
  })

const there = (to: Reachable) => ({ net: { host: to.address, port: to.port } })

const faults: [what: string, given: Parameters<typeof faulty>[0], says: RegExp][] = [
  ['whose key throws', { key: boom }, /boom$/],
  ['whose dial throws', { dial: boom }, /boom$/],
  ['whose dial gives nothing', { dial: () => undefined }, /undefined/],
  ['whose dial gives no way', { dial: () => ({}) }, /its dial gave no way: expected \{ net \} or/],
  ['whose way leads to no port', { dial: () => ({ net: { port: 70_000 } }) }, /70000/],
  ['whose dress throws', { dial: there, dress: boom }, /boom$/],
  [
    'that opens no stream',
    { dial: () => ({ open: async () => ({}) }) },
    /its open gave no stream$/,
  ],
  ['that opens nothing', { dial: () => ({ open: async () => undefined }) }, /gave no stream$/],
  [
    'that throws no error',
    { dial: () => ({ open: () => Promise.reject(Symbol('no')) }) },
    /faulty failed: symbol$/,
  ],
  [
    'that is longwinded',
    { key: raise(`\u001b[2J${'x'.repeat(1_000)}`) },
    /faulty failed:  \[2Jx{252}$/,
  ],
]

for (const [what, given, says] of faults) {
  t.test(`a transport ${what} fails its call alone`, async t => {
    const place = await placeOf(t, kinds['a socket']!, socket => void socket.end('hello'))
    const error = { code: 'ERR_MONIKER_TRANSPORT', reason: 'ETRANSPORT', syscall: 'connect' }
    const more = { service: 'tell', host: 'localhost' }
    // Nothing was known, and then the place was.
    for (const known of [undefined, place]) {
      const resolver = new Held(known)
      const call = { service: 'tell', resolver, transports: [faulty(given)] }
      const socket = connect(call)
      resolver.answer(place)
      const [failed] = (await once(socket, 'error')) as [MonikerError]
      t.match(failed, { ...error, ...more, message: says })
      t.match(
        failed.message,
        /tell at localhost cannot be connected to: the transport faulty failed/,
      )
      await once(socket, 'close')
    }
  })
}

t.test('a transport that throws does not lead there, but another may', async t => {
  const place = await placeOf(t, kinds['a socket']!, socket => void socket.end('hello'))
  const opens = { open: async () => undefined }
  const wrong = [{ key: boom }, { dial: boom }, { dial: () => ({}) }, { dial: () => opens }]
  for (const given of [...wrong, { likely: boom }]) {
    const resolver = new Held(undefined, await nobody())
    const socket = connect({ service: 'tell', resolver, transports: [faulty(given), 'tcp'] })
    resolver.answer(place)
    t.equal(await text(socket), 'hello', JSON.stringify(Object.keys(given)))
  }
})

t.test('a transport that changes its mind fails its call alone', async t => {
  const place = await placeOf(t, kinds['a socket']!, socket => void socket.pipe(socket))
  const other = { ...place, port: await nobody() }
  for (const key of ['key', 'dress'] as const) {
    let calls = 0
    const answerOnce = (value?: string) => () => (calls++ === 0 ? value : boom())
    const resolver = new Held(other)
    const own = faulty({ dial: there, [key]: answerOnce('one') })
    const socket = connect({ service: 'tell', resolver, transports: [own] })
    if (key === 'dress') while (calls === 0) await new Promise(setImmediate)
    resolver.answer(place)
    t.match(await once(socket, 'error'), [{ code: 'ERR_MONIKER_TRANSPORT', message: /boom$/ }])
    await once(socket, 'close')
  }
})

t.test('a transport whose allows throws is refused at once', async t => {
  const transports = [faulty({ allows: boom })]
  const error = { code: 'ERR_MONIKER_TRANSPORT', reason: 'ETRANSPORT', cause: { message: 'boom' } }
  const message = 'ERR_MONIKER_TRANSPORT: the transport faulty failed: boom'
  t.throws(() => connect({ service: 'tell', transports }), { ...error, message })
  t.throws(() => reconnect('tell', { transports }), { ...error, message })
})
