import { once } from 'node:events'
import { Server, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { isLoopback } from '../../lib/address.ts'
import { json } from '../../lib/daemon/json.ts'
import { DesignatedPort, type PortOptions } from '../../lib/daemon/port.ts'
import { active } from '../fixtures/active.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { lines } from '../fixtures/lines.ts'
import { NUMERIC } from '../fixtures/spellings.ts'
import { want } from '../fixtures/wanting.ts'

/** A designated port whose connections are greeted, on any free port of 127.0.0.1 unless told otherwise. */
function port(t: Test, given: Partial<PortOptions> = {}) {
  const sockets: Socket[] = []
  const one = new DesignatedPort({
    port: 0,
    hosts: ['127.0.0.1'],
    embedded: false,
    ref: true,
    dialects: [json],
    answer: () => ({}),
    refused: () => {},
    asked: () => {},
    connected: socket => {
      sockets.push(socket.on('error', () => {}))
      socket.write('{"hello":true}\n')
    },
    ...given,
  })
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    return one.close()
  })
  return one
}

/** Another program that has `number` of 127.0.0.1. */
async function other(t: Test, number: number) {
  const server = createServer(socket => socket.on('error', () => {}).end())
  await once(server.listen(number, '127.0.0.1'), 'listening')
  const close = async () => {
    if (server.listening) await once(server.close(), 'close')
  }
  t.teardown(close)
  return close
}

const greeting = async (t: Test, number: number) => (await lines(t, number)).answer()

t.test('a port that is open is bound over TCP and UDP, and one that is closed is not', async t => {
  const one = port(t)
  t.equal(one.isOpen, false)
  await one.open()
  t.equal(one.isOpen, true)
  t.strictSame(one.addresses, ['127.0.0.1'])
  t.strictSame(await greeting(t, one.number), { hello: true })
  const { number } = one
  const closed = one.close()
  t.equal(one.isOpen, false)
  t.strictSame(one.addresses, [])
  await other(t, number)
  t.ok(closed)
})

t.test('a port that is given up is free, and its connections stay', async t => {
  const one = port(t)
  await one.open()
  const nc = await lines(t, one.number)
  await nc.answer()
  const successor = {}
  one.giveUp(successor)
  t.equal(one.isGivenTo(successor), true)
  t.equal(one.isGivenTo({}), false)
  t.equal(one.isOpen, false)
  t.strictSame(one.addresses, [])
  await other(t, one.number)
  t.equal(nc.socket.destroyed, false)
})

t.test('a port that was given up is taken back, unless another program has it', async t => {
  const one = port(t)
  await one.open()
  const successor = {}
  one.giveUp(successor)
  const leave = await other(t, one.number)
  t.equal(await one.takeBack(successor), false)
  t.equal(one.isOpen, false)
  await leave()
  t.equal(await one.takeBack(successor), true)
  t.equal(one.isOpen, true)
  t.equal(one.isGivenTo(successor), false)
  t.strictSame(one.addresses, ['127.0.0.1'])
  t.strictSame(await greeting(t, one.number), { hello: true })
  t.equal(await one.takeBack(successor), true, 'which it need not be twice')
})

t.test('a port that another daemon has asked for meanwhile is not taken back', async t => {
  const one = port(t)
  await one.open()
  const [first, second] = [{}, {}]
  one.giveUp(first)
  const taken = one.takeBack(first)
  one.giveUp(second)
  t.equal(await taken, true)
  t.equal(one.isGivenTo(second), true)
  t.equal(one.isOpen, false)
})

t.test('a port that is given up while it is being opened is bound no further', async t => {
  const before = active('TCPServerWrap')
  const one = port(t, { hosts: ['127.0.0.1', '127.0.0.2'] })
  const opened = one.open()
  const successor = {}
  one.giveUp(successor)
  await opened
  t.equal(one.isGivenTo(successor), true)
  t.equal(one.isOpen, false)
  for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate)
  t.equal(active('TCPServerWrap'), before)
})

t.test('a port that is taken cannot be opened', async t => {
  const one = port(t)
  await one.open()
  const two = port(t, { port: one.number })
  await t.rejects(two.open(), { code: 'EADDRINUSE' })
  t.equal(two.isOpen, false)
})

t.test('what is bound by a name answers over UDP as well', async t => {
  const one = port(t, { hosts: ['localhost'] })
  await one.open()
  t.equal(one.addresses.length, 1)
  t.ok(isLoopback(one.addresses[0]!))
})

t.test('a number that the system would take for an address is none', async t => {
  for (const host of NUMERIC) {
    const one = port(t, { hosts: ['127.0.0.1', host] })
    await t.rejects(one.open(), { code: 'ENOTFOUND', hostname: host }, host)
    await one.close()
  }
})

t.test('an address that this host has not', { skip: withoutIPv6 }, async t => {
  const missing = '2001:db8::7'
  const hosts = ['127.0.0.1', missing]
  await t.rejects(port(t, { hosts }).open(), { code: 'EADDRNOTAVAIL' }, 'is asked for')
  const one = port(t, { hosts, embedded: true })
  await one.open()
  t.strictSame(one.addresses, ['127.0.0.1'], 'and left out of an embedded daemon')
})

t.test('a connection that the system cannot give us is survived', async t => {
  const servers: Server[] = []
  const { listen } = Server.prototype
  t.intercept(Server.prototype, 'listen', {
    value(this: Server, ...args: never[]) {
      servers.push(this)
      return Reflect.apply(listen, this, args) as Server
    },
  })
  const one = port(t)
  await one.open()
  for (const server of servers) server.emit('error', want())
  const { answer } = await lines(t, one.number)
  t.match(await answer(), { hello: true })
})
