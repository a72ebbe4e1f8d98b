import { once } from 'node:events'
import type { LookupFunction } from 'node:net'
import t, { type Test } from 'tap'
import { connect, watch } from '../../index.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import type { MonikerError } from '../../lib/errors.ts'
import { daemon } from '../fixtures/daemon.ts'
import { nameServer } from '../fixtures/dns.ts'
import { elsewhere, external } from '../fixtures/external.ts'
import { fake } from '../fixtures/fake.ts'
import { hasIPv6 } from '../fixtures/ipv6.ts'
import { line, lines } from '../fixtures/lines.ts'
import { lookup, nobody, stranger } from '../fixtures/services.ts'
import { ALL, CARRIED, LEADING_HERE, LOOPBACKS, NUMERIC } from '../fixtures/spellings.ts'

/** A service of this host alone, at its loopback addresses, and how often it was reached. */
async function secret(t: Test) {
  const reached: (string | undefined)[] = []
  const serve = (socket: { localAddress?: string | undefined; end(): void }) => {
    reached.push(socket.localAddress)
    socket.end()
  }
  const port = await stranger(t, serve)
  if (hasIPv6) await stranger(t, serve, '::1', port)
  return { port, reached }
}

/** The failure of a connect. */
async function failure(...args: Parameters<typeof connect>): Promise<MonikerError> {
  const socket = connect(...args)
  const [error] = (await once(socket, 'error')) as [MonikerError]
  socket.destroy()
  return error
}

const spelled = [...LEADING_HERE, ...NUMERIC]

t.test(
  'no answer of a far daemon leads to a loopback address of its client',
  elsewhere,
  async t => {
    const { port, reached } = await secret(t)
    const honest = await stranger(t, socket => void socket.end('far'), external)
    const endpoint = { transport: 'tcp', version: '1.0.0', instance: 'x-1' }
    const far = await fake(t, {
      address: external!,
      tcp: ({ id, service }, socket) => {
        const address = spelled[Number(String(service).slice(1))]
        const one = address === undefined ? { port: honest } : { port, address }
        socket.write(line({ id, endpoints: [{ ...endpoint, ...one }], ttl: 1 }))
      },
    })
    const at = { host: external!, daemonPort: far.port }
    for (const [index, address] of spelled.entries()) {
      const { code, reason } = await failure({ service: `s${index}`, ...at })
      const isAddress = !NUMERIC.includes(address)
      t.equal(code, isAddress ? 'ECONNREFUSED' : 'EPROTO', address)
      t.equal(reason, isAddress ? 'ELOOPBACK' : 'EPROTOCOL', address)
    }
    const socket = connect({ service: 'honest', ...at })
    t.equal(String((await once(socket, 'data'))[0]), 'far', 'an honest answer is followed')
    t.strictSame(reached, [])
  },
)

t.test('no further endpoint of a far daemon does', elsewhere, async t => {
  const endpoints = [...LEADING_HERE, '192.0.2.9'].map(address => ({ transport: 'own', address }))
  const one = { transport: 'tcp', port: 1, version: '1.0.0', instance: 'x-1' }
  const far = await fake(t, {
    address: external!,
    tcp: ({ id, service }, socket) => {
      const some = endpoints.slice(Number(String(service).slice(1))).slice(0, 8)
      socket.write(line({ id, endpoints: [{ ...one, endpoints: some }], ttl: 1 }))
    },
  })
  const resolver = new Resolver({ port: far.port })
  const found: unknown[] = []
  for (let at = 0; at < endpoints.length; at += 8) {
    const resolution = await resolver.resolve(`s${at}`, { host: external! })
    found.push(...resolution.endpoints[0]!.endpoints!)
  }
  t.strictSame(found, [{ transport: 'own', address: '192.0.2.9' }])
})

t.test('a far daemon tells of no service that only its own host can reach', elsewhere, async t => {
  const service = (address: string, index: number) => ({
    namespace: '',
    service: `s${index}`,
    version: '1.0.0',
    transport: 'tcp',
    port: 1,
    address,
    shared: false,
    instance: `x-${index}`,
  })
  const path = 'moniker-path'
  const endpoints = [
    { transport: 'own', address: '0::1' },
    { transport: 'own', path },
    { transport: 'own' },
  ]
  const others = ['0::0', '::FFFF:192.0.2.9'].map((address, index) => ({
    ...service(address, 100 + index),
    path,
    endpoints,
  }))
  const all = [...[...LOOPBACKS, ...CARRIED].map(service), ...others]
  const far = await fake(t, {
    address: external!,
    tcp: ({ id, op }, socket) => {
      const isList = op === 'list'
      for (const one of isList ? all : []) socket.write(line({ id, services: [one], more: true }))
      if (op !== 'status') socket.write(line({ id, services: [] }))
      for (const one of isList ? [] : all) socket.write(line({ id, event: 'up', ...one }))
    },
  })
  const at = { host: external!, daemonPort: far.port }
  const expected = [
    { service: 's100', address: '::', endpoints: [{ transport: 'own' }], path: undefined },
    { service: 's101', address: '192.0.2.9', endpoints: [{ transport: 'own' }], path: undefined },
  ]
  const listed = await new Resolver().list(at)
  t.equal(listed.length, expected.length)
  t.match(listed, expected)
  const watched = watch(at)
  t.teardown(() => watched.close())
  while (watched.services.length < expected.length) await once(watched, 'up')
  t.equal(watched.services.length, expected.length)
  t.match(watched.services, expected)
})

t.test('no record of the DNS does', elsewhere, async t => {
  const { port, reached } = await secret(t)
  await nameServer(t, { '_web._tcp.theforce.test': [{ target: 'target.test', port }] })
  await stranger(t, socket => void socket.end('far'), external, port)
  const daemonPort = await nobody()
  const asked = { service: 'web', host: 'theforce.test', daemonPort, fallback: ['srv'] as const }
  const leading =
    (address: string): LookupFunction =>
    (host, options, found) =>
      lookup(host === 'target.test' ? address : external!)(host, options, found)
  for (const address of LEADING_HERE) {
    const { reason } = await failure({ ...asked, lookup: leading(address) })
    t.equal(reason, 'ENODAEMON', address)
  }
  const socket = connect({ ...asked, lookup: leading(external!) })
  t.equal(String((await once(socket, 'data'))[0]), 'far', 'an honest record is followed')
  t.strictSame(reached, [])
})

t.test('a service bound to a loopback address is not told to another host', elsewhere, async t => {
  const { port } = await daemon(t, { publicList: true })
  const own = await lines(t, port)
  // It comes from an address of this host that is not the one it comes to, as no program of this host does.
  const other = await lines(t, port, { localAddress: external! })
  const offer = { op: 'register', service: 'a', transport: 'tcp', port: 1 }
  const addresses = [...LOOPBACKS, ...CARRIED, '127.0.0.1', '::1']
  for (const [index, address] of addresses.entries()) {
    const service = `s${index}`
    own.ask({ ...offer, service, address }, { op: 'resolve', service })
    t.match(await own.answer(), { registration: Number }, address)
    t.match(await own.answer(), { endpoints: [{ port: 1 }] }, address)
    other.ask({ op: 'resolve', service })
    t.match(await other.answer(), { error: { code: 'ENOSERVICE' } }, address)
  }
  other.ask({ op: 'list' })
  t.match(await other.answer(), { services: [] })
  const endpoints = [
    { transport: 'own', address: '0::1' },
    { transport: 'own', port: 7, address: '0::0' },
  ]
  for (const [index, address] of ALL.entries()) {
    own.ask({ ...offer, service: `all${index}`, address, endpoints })
    t.match(await own.answer(), { registration: Number }, address)
    other.ask({ op: 'resolve', service: `all${index}`, transports: ['own'] })
    const { endpoints: found } = (await other.answer()) as { endpoints: { endpoints: unknown }[] }
    t.strictSame(found[0]!.endpoints, [{ transport: 'own', port: 7 }], address)
  }
})
