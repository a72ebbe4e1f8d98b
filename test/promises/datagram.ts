import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { DatagramService, converse } from '../../lib/promises/datagram.ts'
import { daemon } from '../fixtures/daemon.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'
import { nobody } from '../fixtures/services.ts'

async function listening(t: Test): Promise<DatagramService> {
  const { port: daemonPort } = await daemon(t)
  const service = new DatagramService({ host: '127.0.0.1' })
  await service.listen({ service: 'clock', daemonPort })
  t.teardown(() => service.close())
  return service
}

async function dial(t: Test, port: number) {
  const socket = createSocket('udp4')
  socket.connect(port, '127.0.0.1')
  await once(socket, 'connect')
  const conversation = converse(socket)
  t.teardown(() => conversation.close())
  return conversation
}

t.test('each peer is a conversation of its own', async t => {
  const service = await listening(t)
  const one = await dial(t, service.address.port)
  const other = await dial(t, service.address.port)
  await one.send('from one')
  const first = (await service.accept())!
  await other.send('from the other')
  const second = (await service.accept())!
  t.equal(String(await first.receive(4)), 'from', 'the rest of a datagram is lost, as in recv(2)')
  t.equal(String(await second.receive()), 'from the other')
  await second.send('back')
  t.equal(String(await other.receive()), 'back')

  await one.send('again')
  t.equal(String(await first.receive()), 'again')
  await first.close()
  t.equal(await first.receive(), null)
  await one.send('anew')
  t.equal(String(await (await service.accept())!.receive()), 'anew')
})

t.test('a service that closes ends its conversations', async t => {
  const service = await listening(t)
  const one = await dial(t, service.address.port)
  await one.send('hello')
  const peer = (await service.accept())!
  await peer.receive()
  const received = peer.receive()
  await service.close()
  t.equal(await received, null)
  await t.rejects(peer.send('x'), { code: 'ERR_SOCKET_DGRAM_NOT_RUNNING' })
  await service.close()
})

t.test('a port without a listener is an error', async t => {
  const one = await dial(t, await nobody())
  const received = one.receive()
  await t.rejects(one.send(Buffer.alloc(70_000)), { code: 'EMSGSIZE' })
  await one.send('anybody?', new AbortController())
  await t.rejects(received, { code: 'ECONNREFUSED' })
  await one[Symbol.asyncDispose]()
})

t.test('a peer beyond the backlog is not heard', async t => {
  const { port: daemonPort } = await daemon(t)
  const service = new DatagramService({ backlog: 0 })
  await service.listen({ service: 'clock', daemonPort })
  const [one, other] = [await dial(t, service.address.port), await dial(t, service.address.port)]
  const accepted = service.accept()
  await one.send('one')
  const peer = (await accepted)!
  await other.send('lost')
  await one.send('more')
  t.same([String(await peer.receive()), String(await peer.receive())], ['one', 'more'])

  setImmediate(() => void other.send('heard'))
  for await (const peer of service) {
    t.equal(String(await peer.receive()), 'heard')
    break
  }
  await service[Symbol.asyncDispose]()
})

t.test('a service over IPv6 is bound to it', { skip: withoutIPv6 }, async t => {
  const { port: daemonPort } = await daemon(t)
  const service = new DatagramService({ host: '::1' })
  await service.listen({ service: 'clock', daemonPort })
  t.match(service.address, { address: '::1' })
  await service.close()
  for await (const _peer of service) t.fail('no peer comes any more')
})

t.test('a service that fails is an error to each call that waits', async t => {
  const { port: daemonPort } = await daemon(t)
  const first = new DatagramService()
  await first.listen({ service: 'clock', daemonPort })
  const second = new DatagramService()
  const accepted = second.accept()
  const expected = { code: 'EADDRINUSE', service: 'clock@0.0.0' }
  await t.rejects(second.listen({ service: 'clock', daemonPort }), expected)
  await t.rejects(accepted, expected)
  await second.close()
  await first.close()
})

t.test('a missing listener is told once, and the next datagram is heard', async t => {
  const port = await nobody()
  const client = await dial(t, port)
  await client.send('lost')
  await t.rejects(client.receive(), { code: 'ECONNREFUSED' })
  const socket = createSocket('udp4').bind(port, '127.0.0.1')
  t.teardown(() => socket.close())
  await once(socket, 'listening')
  socket.on('message', (message, from) => socket.send(message, from.port, from.address))
  await client.send('hello')
  t.equal(String(await client.receive()), 'hello')
  for (const size of [-1, 2.5, NaN]) {
    await t.rejects(client.receive(size), { code: 'ERR_INVALID_ARG_VALUE', message: /a size of 0/ })
  }
})
