// The same program in two work trees: each has its own names, and finds its own neighbours first.
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { connect, createSocket, watch } from '../../index.ts'
import { connect as converse } from '../../lib/promises.ts'
import { home } from '../fixtures/home.ts'
import { named } from '../fixtures/services.ts'

/** As it is in a process of the tree. */
async function within<T>(namespace: string, what: () => T | Promise<T>): Promise<T> {
  process.env.MONIKER_NAMESPACE = namespace
  try {
    return await what()
  } finally {
    delete process.env.MONIKER_NAMESPACE
  }
}

/** A server on `service` that says in which tree it is. */
async function serve(t: Test, namespace: string, service: string): Promise<void> {
  await within(namespace, () =>
    named(t, { service, host: '127.0.0.1' }, socket => socket.end(`${service} of ${namespace}`)),
  )
}

t.test('each tree finds its own first, and then what the host has', async t => {
  await home(t)
  for (const tree of ['one', 'two', '']) await serve(t, tree, 'web')
  await serve(t, '', 'db')
  const cases = [
    ['one', 'web', 'web of one', 'one'],
    ['two', 'web', 'web of two', 'two'],
    ['two', 'db', 'db of ', ''],
    ['', 'web', 'web of ', ''],
    ['one', 'two:web', 'web of two', 'two'],
  ] as const
  for (const [tree, target, expected, namespace] of cases) {
    const socket = await within(tree, () => connect(target))
    t.equal(await text(socket), expected)
    t.equal(socket.moniker?.namespace, namespace)
  }
  const peer = await within('one', () => converse('web', 'localhost'))
  t.equal(String(await peer.receive()), 'web of one')
  await peer.close()
})

t.test('datagrams go by the same rule', async t => {
  await home(t)
  const clock = createSocket('udp4').bind('clock')
  await once(clock, 'listening')
  const client = createSocket('udp4')
  await within('one', () => client.connect('clock'))
  await once(client, 'connect')
  t.match(client.moniker, { namespace: '', service: 'clock' })
  client.close()
  clock.close()
  await once(clock, 'close')
})

t.test('a watch of a name is of both', async t => {
  await home(t)
  for (const tree of ['one', 'two', '']) await serve(t, tree, 'web')
  const watched = await within('one', () => watch('web'))
  await once(watched, 'ready')
  t.same(
    watched.services.map(({ namespace }) => namespace),
    ['one', ''],
  )
  watched.close()
})
