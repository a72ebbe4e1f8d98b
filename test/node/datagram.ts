import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import t from 'tap'
import { redirectDatagrams } from '../../lib/node/datagram.ts'
import { withoutIPv6 } from '../fixtures/ipv6.ts'

const kinds = [
  { type: 'udp4', address: '127.0.0.1', skip: false },
  { type: 'udp6', address: '::1', skip: withoutIPv6 },
] as const

for (const { type, address, skip } of kinds) {
  for (const isBound of [false, true]) {
    const what = `a socket of ${type}, ${isBound ? 'bound' : 'not bound'} by the program, goes elsewhere`
    t.test(what, { skip }, async t => {
      const [one, other, client] = [createSocket(type), createSocket(type), createSocket(type)]
      t.teardown(() => [one, other, client].forEach(socket => socket.close()))
      for (const socket of [one, other]) await once(socket.bind(0, address), 'listening')
      if (isBound) {
        // A free port that the program has chosen.
        const free = createSocket(type)
        await once(free.bind(0, address), 'listening')
        const { port } = free.address()
        await new Promise<void>(resolve => free.close(resolve))
        await once(client.bind(port, address), 'listening')
      }
      await new Promise<void>(resolve => client.connect(one.address().port, address, resolve))
      const { port } = client.address()
      client.on('connect', () => t.fail('nobody is told'))

      redirectDatagrams(client, other.address().port, address)
      t.equal(client.address().port, port)
      t.match(client.remoteAddress(), { port: other.address().port, address })
      client.send('hello')
      const [message, from] = (await once(other, 'message')) as [Buffer, { port: number }]
      t.strictSame([String(message), from.port], ['hello', port])
      const back = once(client, 'message')
      other.send('back', port, address)
      t.equal(String((await back)[0]), 'back')
    })
  }
}

t.test('an address that cannot be gone to is an error', async t => {
  const client = createSocket('udp4')
  t.teardown(() => client.close())
  await new Promise<void>(resolve => client.connect(9, '127.0.0.1', resolve))
  t.throws(() => redirectDatagrams(client, 9, 'nonsense'), { code: 'EINVAL', syscall: 'connect' })
  t.match(client.remoteAddress(), { port: 9, address: '127.0.0.1' })
})
