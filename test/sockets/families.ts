import { once } from 'node:events'
import type { Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import t, { type Test } from 'tap'
import { MonikerError } from '../../lib/errors.ts'
import type { Name } from '../../lib/name.ts'
import type { ResolveOptions } from '../../lib/resolution.ts'
import { connect, type ConnectOptions } from '../../lib/sockets/socket.ts'
import { awake } from '../fixtures/awake.ts'
import { failed } from '../fixtures/failed.ts'
import { Held, site, type Place } from '../fixtures/held.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { noSwallow, swallow } from '../fixtures/swallow.ts'

awake(t)

/** The daemon of a host at two addresses: the first says `first`, and the other family `other`, or nothing. */
function twoFamilies(first: Place, other: Place | Error | undefined) {
  const asked: (number | undefined)[] = []
  const answer = (name: Name, place: Place) => ({
    name,
    host: 'far.test',
    endpoints: [place],
    ttl: 0,
  })
  const resolver = {
    async resolve(name: Name, { family, signal }: ResolveOptions = {}) {
      asked.push(family || undefined)
      if (!family) return answer(name, first)
      if (other instanceof Error) throw other
      if (other) return answer(name, other)
      return new Promise<never>((_resolve, reject) =>
        signal!.addEventListener('abort', () => reject(signal!.reason as Error)),
      )
    },
  }
  return { resolver, asked }
}

const FAR = { service: 'echo', host: 'far.test' }
const SOON = { autoSelectFamilyAttemptTimeout: 20 }

/** A server on one address, and the same one at another where nobody listens, or nothing comes back. */
async function placesOf(t: Test) {
  const { place, seen } = await site(t, 'one')
  const refusing: Place = { ...place, address: '127.0.0.2' }
  return { place, refusing, seen }
}

async function hello(socket: Socket): Promise<string> {
  socket.end('hello')
  return text(socket)
}

t.test('a host that refuses by one family is reached by the other', async t => {
  const { place, refusing } = await placesOf(t)
  const { resolver, asked } = twoFamilies(refusing, place)
  const socket = connect({ ...FAR, resolver })
  t.equal(await hello(socket), 'hello')
  t.strictSame(asked, [undefined, 6])
})

t.test('so is one that has no way by IPv6', { skip: withoutIPv6 }, async t => {
  const { place } = await placesOf(t)
  const { resolver, asked } = twoFamilies({ ...place, address: '::1' }, place)
  t.equal(await hello(connect({ ...FAR, resolver })), 'hello')
  t.strictSame(asked, [undefined, 4])
})

t.test('what was remembered of one family and fails is reached by the other', async t => {
  const { place, refusing } = await placesOf(t)
  const { resolver } = twoFamilies(refusing, place)
  const held = Object.assign(new Held(refusing), { resolve: resolver.resolve })
  const socket = connect({ ...FAR, resolver: held })
  await failed(socket)
  held.answer(refusing)
  t.equal(await hello(socket), 'hello')
})

t.test('so is one that is silent by one, in the time of net', { skip: noSwallow }, async t => {
  const { place } = await placesOf(t)
  const silent: Place = { ...place, address: '127.0.0.3' }
  await swallow(t, silent.address, silent.port)
  const socket = connect({ ...FAR, ...SOON, resolver: twoFamilies(silent, place).resolver })
  t.equal(await hello(socket), 'hello')

  const nowhere: Place = { ...silent, address: '127.0.0.2' }
  const { resolver, asked } = twoFamilies(silent, nowhere)
  const refused = connect({ ...FAR, ...SOON, resolver })
  t.match(await once(refused, 'error'), [{ code: 'ECONNREFUSED', address: '127.0.0.2' }])
  t.strictSame(asked, [undefined, 6], 'the second is the last')

  const missing = new MonikerError('ENOHOST', { service: 'echo', host: 'far.test' })
  for (const other of [{ ...place, instance: 'two' }, missing, undefined]) {
    const { resolver, asked } = twoFamilies(silent, other)
    const socket = connect({ ...FAR, ...SOON, resolver })
    while (asked.length < 2) await new Promise(resolve => setTimeout(resolve, 5))
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate)
    t.ok(socket.connecting, 'nobody knows a better way')
    socket.destroy()
    await once(socket, 'close')
  }
})

t.test('where the other knows nothing, the first error is told', async t => {
  const { refusing } = await placesOf(t)
  const missing = new MonikerError('ENOHOST', { service: 'echo', host: 'far.test' })
  const socket = connect({ ...FAR, resolver: twoFamilies(refusing, missing).resolver })
  t.match(await once(socket, 'error'), [{ code: 'ECONNREFUSED', address: '127.0.0.2' }])
})

t.test('nobody looks for the other where net would not', async t => {
  const { place, refusing } = await placesOf(t)
  const calls: Record<string, Partial<ConnectOptions>> = {
    'a family': { family: 4 },
    'no selection': { autoSelectFamily: false },
    'an address': { host: '127.0.0.2' },
    'this host': { host: 'localhost', transports: ['tcp'] },
    'any host': { host: '*' },
    'a local address': { localAddress: '127.0.0.1' },
  }
  for (const [what, call] of Object.entries(calls)) {
    const resolver = new Held()
    const socket = connect({ ...FAR, ...call, resolver } as ConnectOptions)
    resolver.answer(refusing)
    t.match(await once(socket, 'error'), [{ code: 'ECONNREFUSED' }], what)
  }
  const { resolver, asked } = twoFamilies(place, undefined)
  const socket = connect({ ...FAR, ...SOON, resolver })
  t.equal(await hello(socket), 'hello')
  t.strictSame(asked, [undefined], 'and it is no matter where the first is reached')
})

t.test('what TLS has wrapped stays with its handle', async t => {
  const { place, refusing } = await placesOf(t)
  const { resolver, asked } = twoFamilies(refusing, place)
  const { resolve } = resolver
  let release!: () => void
  const wrapped = new Promise<void>(resolve => (release = resolve))
  resolver.resolve = async (name, options) => {
    const found = await resolve(name, options)
    if (options?.family) await wrapped
    return found
  }
  const socket = connect({ ...FAR, resolver })
  while (asked.length < 2) await new Promise(setImmediate)
  tls.connect({ socket }).on('error', () => {})
  release()
  t.match(await once(socket, 'error'), [{ code: 'ECONNREFUSED', address: '127.0.0.2' }])
})
