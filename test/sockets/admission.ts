import { once } from 'node:events'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { Gate, type GateOptions } from '../../lib/sockets/admission.ts'
import { throws, uncaught } from '../fixtures/thrown.ts'

/** A server whose connections go by a gate, and those that were let in. */
async function gated(t: Test, given: GateOptions = {}) {
  const world = { now: 0 }
  const gate = new Gate({ now: () => world.now, ...given })
  const admitted: Socket[] = []
  const server = createServer(socket => gate.admit(socket, () => admitted.push(socket)))
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of admitted) socket.destroy()
  })
  const { port } = server.address() as AddressInfo
  const knock = async (localAddress = '127.0.0.1') => {
    const accepted = once(server, 'connection') as Promise<[Socket]>
    const socket = connect({ port, host: '127.0.0.1', localAddress })
    socket.on('error', () => {})
    t.teardown(() => socket.destroy())
    const [[other]] = await Promise.all([accepted, once(socket, 'connect')])
    return { socket, other }
  }
  return { gate, world, admitted, knock }
}

/** A peer of which nothing matters but where it comes from. */
function from(remoteAddress: string): Socket {
  return Object.defineProperties(new Socket(), {
    remoteAddress: { value: remoteAddress },
    localAddress: { value: '192.0.2.1' },
  })
}

t.test('a peer that is expected is let in at once, more than once', async t => {
  const { gate, admitted, knock } = await gated(t)
  gate.expect('127.0.0.1', 1_000)
  await knock()
  await knock()
  t.equal(admitted.length, 2)
})

t.test('one that is faster than the news is let in when they come', async t => {
  const { gate, admitted, knock } = await gated(t, { hold: 60_000 })
  const [{ socket, other }, second] = [await knock(), await knock()]
  t.strictSame(admitted, [])
  socket.write('early')
  gate.told({ address: '127.0.0.1', ttl: 1 })
  await new Promise(process.nextTick)
  t.strictSame(admitted, [other, second.other])
  t.equal(other.listenerCount('error'), 0, 'and is as any other')
  const [text] = (await once(other, 'data')) as [Buffer]
  t.equal(String(text), 'early')
})

t.test('one that has said all there is to say meanwhile is heard', async t => {
  const { gate, admitted, knock } = await gated(t, { hold: 60_000 })
  const { socket, other } = await knock()
  socket.end()
  await once(socket, 'finish')
  await new Promise(setImmediate)
  gate.expect('127.0.0.1', 1_000)
  await new Promise(process.nextTick)
  t.strictSame(admitted, [other])
  t.equal(await text(other), '')
})

t.test('what becomes of one that is let in is nothing to the next', async t => {
  const gate = new Gate({ hold: 60_000 })
  const passed: string[] = []
  const thrown = uncaught()
  gate.admit(from('192.0.2.7'), throws)
  gate.admit(from('192.0.2.7'), () => passed.push('next'))
  gate.expect('192.0.2.7', 1_000)
  t.match(await thrown, { message: 'a listener of the program' })
  await new Promise(process.nextTick)
  t.strictSame(passed, ['next'])
})

t.test('one that nobody has sent is dropped', async t => {
  const { gate, admitted, knock } = await gated(t, { hold: 20 })
  for (const news of [{}, { address: 7, ttl: 1 }, { address: '127.0.0.1', ttl: 'long' }]) {
    gate.told(news)
  }
  gate.expect('192.0.2.7', 1_000)
  const { socket } = await knock()
  await once(socket.resume(), 'close')
  t.strictSame(admitted, [])
})

t.test('one that gives up is forgotten', async t => {
  const { gate, admitted, knock } = await gated(t, { hold: 60_000 })
  const { other } = await knock()
  await new Promise(resolve => other.once('close', resolve).destroy(new Error('reset')))
  gate.expect('127.0.0.1', 1_000)
  t.strictSame(admitted, [])
})

t.test('a peer is expected for as long as its answer lives, and a moment more', async t => {
  const { gate, world } = await gated(t, { hold: 60_000 })
  const isIn = () => {
    let passed = false
    const socket = from('192.0.2.7')
    gate.admit(socket, () => (passed = true))
    socket.destroy()
    return passed
  }
  gate.expect('192.0.2.7', 30_000)
  world.now = 35_000
  t.ok(isIn())
  world.now++
  t.notOk(isIn())
  t.notOk(isIn())
  gate.expect('192.0.2.7', Number.MAX_VALUE)
  world.now += 3_600_000 + 5_001
  t.notOk(isIn(), 'but never for ever')
})

t.test('only so many are expected, and only so many held', async t => {
  const { gate } = await gated(t, { hold: 60_000 })
  for (let n = 0; n <= 4_096; n++) gate.expect(`10.0.${n >> 8}.${n & 255}`, 1_000)
  const passed: string[] = []
  const sockets = ['10.0.0.0', '10.0.0.1', '10.0.16.0'].map(address => {
    const socket = from(address)
    gate.admit(socket, () => passed.push(address))
    return socket
  })
  t.strictSame(passed, ['10.0.0.1', '10.0.16.0'], 'the first is forgotten')
  while (sockets.length < 258) sockets.push(from('192.0.2.7'))
  for (const socket of sockets.slice(3)) gate.admit(socket, () => {})
  t.notOk(sockets.at(-1)!.destroyed)
  const last = from('192.0.2.7')
  gate.admit(last, () => {})
  t.ok(last.destroyed)
  for (const socket of sockets) socket.destroy()
})

t.test('the peers of this host are all one, and IPv4 is IPv4', async t => {
  const gate = new Gate({ hold: 60_000 })
  const passed: string[] = []
  gate.expect('127.0.0.1', 1_000)
  gate.expect('198.51.100.7', 1_000)
  for (const address of ['::1', '::ffff:127.0.0.1', '192.0.2.1', '::ffff:198.51.100.7']) {
    gate.admit(from(address), () => passed.push(address))
  }
  t.equal(passed.length, 4)
  const none = new Socket()
  gate.admit(none, () => passed.push('none'))
  none.destroy()
  t.equal(passed.length, 4)
})

t.test('what is not said has a default', async t => {
  const gate = new Gate()
  gate.expect('192.0.2.7', 1)
  gate.admit(from('192.0.2.7'), () => t.pass())
})
