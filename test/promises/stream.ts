import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { Stream, StreamService } from '../../lib/promises/stream.ts'
import { daemon } from '../fixtures/daemon.ts'
import { stranger } from '../fixtures/services.ts'

/** A stream, and the socket at its other end. */
async function pair(t: Test): Promise<{ stream: Stream; socket: Socket; other: Socket }> {
  const others: Socket[] = []
  const port = await stranger(t, socket => void others.push(socket))
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  while (others.length === 0) await new Promise(setImmediate)
  t.teardown(() => socket.destroy())
  return { stream: new Stream(socket), socket, other: others[0]! }
}

t.test('as many bytes are received as were asked for, however they came', async t => {
  const { stream, other } = await pair(t)
  const five = stream.receive(5)
  const rest = stream.receive(5)
  const all = Promise.all([five, rest])
  for (const byte of 'helloworld') other.write(byte)
  t.same((await all).map(String), ['hello', 'world'])

  const big = Buffer.alloc(300_000, 'x')
  const received = stream.receive(big.length)
  other.write(big)
  t.ok(big.equals((await received)!), 'more than a stream buffers')

  other.end('end')
  t.equal(String(await stream.receive(10)), 'end', 'fewer at the end')
  t.equal(await stream.receive(10, new AbortController()), null)
  t.equal(await stream.receive(), null)
  await stream.close()
})

t.test('a receiver that gives up leaves the bytes, and the turn, to the next', async t => {
  const { stream, other } = await pair(t)
  const reason = new Error('changed my mind')
  const controller = new AbortController()
  const first = stream.receive(3)
  const second = stream.receive(3, controller)
  const third = stream.receive(3)
  controller.abort(reason)
  await t.rejects(second, reason)
  other.write('onetwo')
  t.same((await Promise.all([first, third])).map(String), ['one', 'two'])
})

t.test('a connection that breaks is an error to receive and to send', async t => {
  const { stream, other } = await pair(t)
  await stream.send('x', new AbortController())
  const received = stream.receive()
  other.resetAndDestroy()
  await t.rejects(received, { code: 'ECONNRESET' })
  await t.rejects(stream.send('x'), { code: /EPIPE|ECONNRESET|ERR_STREAM_DESTROYED/ } as never)
  await t.rejects(stream.receive(), { code: 'ECONNRESET' })
  await stream.close()
})

t.test('a peer that does not close is not waited for for ever', async t => {
  const { stream, socket, other } = await pair(t)
  other.pause()
  const controller = new AbortController()
  const closed = stream.close(controller)
  controller.abort()
  await closed
  t.ok(socket.destroyed)
  await stream[Symbol.asyncDispose]()
})

t.test('as many peers wait as may, and none is left when the service closes', async t => {
  const { port: daemonPort } = await daemon(t)
  const service = new StreamService({ backlog: 2 })
  await service.listen({ service: 'tie', daemonPort })
  const closed: Promise<unknown>[] = []
  for (let count = 0; count < 4; count++) {
    const socket = connect(service.address.port).on('error', () => {})
    closed.push(new Promise(resolve => socket.resume().once('close', resolve)))
    await once(socket, 'connect')
  }
  await Promise.any(closed)
  for await (const peer of service) {
    await peer.close()
    break
  }
  await service[Symbol.asyncDispose]()
  await Promise.all(closed)
  for await (const _peer of service) t.fail('no peer is left')
})

t.test('a service that fails is an error to each call that waits', async t => {
  const { port: daemonPort } = await daemon(t)
  const taken = await stranger(t)
  const failing = new StreamService()
  const listening = failing.listen({ service: 'tie', daemonPort, port: taken, host: '127.0.0.1' })
  await t.rejects(listening, { code: 'EADDRINUSE' })
  await t.rejects(failing.accept(), { code: 'EADDRINUSE' })
})

t.test('no bytes are had at once, and less than none are refused', async t => {
  const { stream, other } = await pair(t)
  t.equal((await stream.receive(0))!.length, 0)
  for (const size of [-1, 2.5, NaN]) {
    await t.rejects(stream.receive(size), { code: 'ERR_INVALID_ARG_VALUE', message: /a size of 0/ })
  }
  other.write('hello')
  t.equal(String(await stream.receive()), 'hello')
})

t.test('a close that is given up already does not wait', async t => {
  const { stream, socket } = await pair(t)
  await stream.close({ signal: AbortSignal.abort() })
  t.ok(socket.destroyed)
})
