import { once } from 'node:events'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { Admission, type AdmissionOptions } from '../../lib/sockets/admission.ts'
import { throws, uncaught } from '../fixtures/thrown.ts'

/** A server whose connections pass an admission, and those that were let in. */
async function guarded(t: Test, given: AdmissionOptions = {}) {
  const world = { now: 0 }
  const admission = new Admission({ guarded: true, now: () => world.now, ...given })
  const admitted: Socket[] = []
  const server = createServer(socket => admission.admit(socket, () => admitted.push(socket)))
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
  return { admission, world, admitted, knock }
}

/** A peer of which nothing matters but where it comes from. */
function from(remoteAddress: string): Socket {
  return Object.defineProperties(new Socket(), {
    remoteAddress: { value: remoteAddress },
    localAddress: { value: '192.0.2.1' },
  })
}

t.test('a peer that is expected is let in at once, more than once', async t => {
  const { admission, admitted, knock } = await guarded(t)
  admission.expect('127.0.0.1', 1_000)
  await knock()
  await knock()
  t.equal(admitted.length, 2)
})

t.test('a connection that is faster than its notice is let in when that comes', async t => {
  const { admission, admitted, knock } = await guarded(t, { hold: 60_000 })
  const [{ socket, other }, second] = [await knock(), await knock()]
  t.strictSame(admitted, [])
  socket.write('early')
  admission.onExpect({ address: '127.0.0.1', ttl: 1 })
  await new Promise(process.nextTick)
  t.strictSame(admitted, [other, second.other])
  t.equal(other.listenerCount('error'), 0, 'and is as any other')
  const [text] = (await once(other, 'data')) as [Buffer]
  t.equal(String(text), 'early')
})

t.test('a connection that has sent all its bytes meanwhile is heard', async t => {
  const { admission, admitted, knock } = await guarded(t, { hold: 60_000 })
  const { socket, other } = await knock()
  socket.end()
  await once(socket, 'finish')
  await new Promise(setImmediate)
  admission.expect('127.0.0.1', 1_000)
  await new Promise(process.nextTick)
  t.strictSame(admitted, [other])
  t.equal(await text(other), '')
})

t.test('an error over one that is let in does not concern the next', async t => {
  const admission = new Admission({ guarded: true, hold: 60_000 })
  const passed: string[] = []
  const thrown = uncaught()
  admission.admit(from('192.0.2.7'), throws)
  admission.admit(from('192.0.2.7'), () => passed.push('next'))
  admission.expect('192.0.2.7', 1_000)
  t.match(await thrown, { message: 'a listener of the program' })
  await new Promise(process.nextTick)
  t.strictSame(passed, ['next'])
})

t.test('a connection that comes before the program listens is let in when it does', async t => {
  const { admission, knock } = await guarded(t, { guarded: false })
  const early: Socket[] = []
  const [{ socket, other }, gone] = [await knock(), await knock()]
  for (const one of [other, gone.other]) admission.hold(one, () => early.push(one))
  socket.write('early')
  gone.other.destroy(new Error('reset'))
  admission.release()
  await new Promise(process.nextTick)
  t.strictSame(early, [other], 'one that has gone is not')
  t.equal(other.listenerCount('error'), 0, 'and is as any other')
  t.equal(String(await once(other, 'data')), 'early')
})

t.test(
  'a connection that comes before is closed if the program is not going to listen',
  async t => {
    const { admission, knock } = await guarded(t, { guarded: false })
    const { socket, other } = await knock()
    admission.hold(other, () => t.fail('let in'))
    admission.refuse()
    admission.release()
    await once(socket.resume(), 'close')
  },
)

t.test('an error over one that came early does not concern the next', async t => {
  const admission = new Admission()
  const passed: string[] = []
  const thrown = uncaught()
  admission.hold(from('192.0.2.7'), throws)
  admission.hold(from('192.0.2.7'), () => passed.push('next'))
  admission.release()
  t.match(await thrown, { message: 'a listener of the program' })
  await new Promise(process.nextTick)
  t.strictSame(passed, ['next'])
})

t.test('a peer that the daemon has not sent is dropped', async t => {
  const { admission, admitted, knock } = await guarded(t, { hold: 20 })
  for (const news of [{}, { address: 7, ttl: 1 }, { address: '127.0.0.1', ttl: 'long' }]) {
    admission.onExpect(news)
  }
  admission.expect('192.0.2.7', 1_000)
  const { socket } = await knock()
  await once(socket.resume(), 'close')
  t.strictSame(admitted, [])
})

t.test('a connection that gives up is forgotten', async t => {
  const { admission, admitted, knock } = await guarded(t, { hold: 60_000 })
  const { other } = await knock()
  await new Promise(resolve => other.once('close', resolve).destroy(new Error('reset')))
  admission.expect('127.0.0.1', 1_000)
  t.strictSame(admitted, [])
})

t.test('a peer is expected for as long as its answer lives, and a moment more', async t => {
  const { admission, world } = await guarded(t, { hold: 60_000 })
  const isIn = () => {
    let passed = false
    const socket = from('192.0.2.7')
    admission.admit(socket, () => (passed = true))
    socket.destroy()
    return passed
  }
  admission.expect('192.0.2.7', 30_000)
  world.now = 35_000
  t.ok(isIn())
  world.now++
  t.notOk(isIn())
  t.notOk(isIn())
  admission.expect('192.0.2.7', Number.MAX_VALUE)
  world.now += 3_600_000 + 5_001
  t.notOk(isIn(), 'but never for ever')
})

t.test('only so many are expected, and only so many held', async t => {
  const { admission } = await guarded(t, { hold: 60_000 })
  for (let n = 0; n <= 4_096; n++) admission.expect(`10.0.${n >> 8}.${n & 255}`, 1_000)
  const passed: string[] = []
  const sockets = ['10.0.0.0', '10.0.0.1', '10.0.16.0'].map(address => {
    const socket = from(address)
    admission.admit(socket, () => passed.push(address))
    return socket
  })
  t.strictSame(passed, ['10.0.0.1', '10.0.16.0'], 'the first is forgotten')
  while (sockets.length < 258) sockets.push(from('192.0.2.7'))
  for (const socket of sockets.slice(3)) admission.admit(socket, () => {})
  t.notOk(sockets.at(-1)!.destroyed)
  const last = from('192.0.2.7')
  admission.admit(last, () => {})
  t.ok(last.destroyed)
  for (const socket of sockets) socket.destroy()
})

t.test('the peers of this host are all one, and IPv4 is IPv4', async t => {
  const admission = new Admission({ guarded: true, hold: 60_000 })
  const passed: string[] = []
  admission.expect('127.0.0.1', 1_000)
  admission.expect('198.51.100.7', 1_000)
  for (const address of ['::1', '::ffff:127.0.0.1', '192.0.2.1', '::ffff:198.51.100.7']) {
    admission.admit(from(address), () => passed.push(address))
  }
  t.equal(passed.length, 4)
  const none = new Socket()
  admission.admit(none, () => passed.push('none'))
  none.destroy()
  t.equal(passed.length, 4)
})

t.test('each option has a default', async t => {
  const admission = new Admission({ guarded: true })
  admission.expect('192.0.2.7', 1)
  admission.admit(from('192.0.2.7'), () => t.pass())
  new Admission().admit(from('198.51.100.7'), () => t.pass('not guarded'))
})
