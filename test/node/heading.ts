import { live } from '../fixtures/live.ts'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { readHeading } from '../../lib/node/heading.ts'

/** A server that reads headings, a client of it, and what has come of them. */
async function reading(t: Test) {
  const come: [port: number, socket: Socket][] = []
  const all: Socket[] = []
  const server = createServer({ noDelay: true }, socket => {
    all.push(socket)
    readHeading(socket, port => come.push([port, socket]))
  })
  t.teardown(() => {
    for (const socket of all) socket.destroy()
    server.close()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const client = connect({ port, host: '127.0.0.1', noDelay: true })
  client.on('error', () => {})
  t.teardown(() => client.destroy())
  const first = async () => {
    while (come.length === 0) await new Promise(setImmediate)
    return come[0]!
  }
  return { client, come, all, first }
}

t.test('a heading comes before all else, and is none of it', async t => {
  const { client, first } = await reading(t)
  client.end('BJWhi')
  const [port, socket] = await first()
  t.equal(port, 2_391)
  t.equal(await text(socket), 'hi')
  t.equal(socket.push, Readable.prototype.push)
})

t.test('it may come in pieces, and alone', async t => {
  const { client, come, all, first } = await reading(t)
  client.write('_')
  while (!all[0]?.bytesRead) await new Promise(setImmediate)
  t.strictSame(come, [])
  client.end('__')
  const [port, socket] = await first()
  t.equal(port, 32_767)
  t.equal(await text(socket), '')
})

t.test('a connection without one is cut off, and no trouble', async t => {
  for (const text of ['', '@@', '@@`', '@@\u0000']) {
    const { client, come } = await reading(t)
    client.end(text)
    await once(client.resume(), 'close')
    t.strictSame(come, [])
  }
  const { client, come, all } = await reading(t)
  while (!all[0]) await new Promise(setImmediate)
  client.resetAndDestroy()
  while (!all[0].destroyed) await new Promise(setImmediate)
  t.strictSame(come, [])
})

t.test('so is one that takes long for it', async t => {
  const late: (() => void)[] = []
  t.intercept(live, 'setTimeout', {
    value: (then: () => void, ms: number) => {
      late.push(then)
      return setTimeout(then, ms)
    },
  })
  const { client, all } = await reading(t)
  while (!all[0]) await new Promise(setImmediate)
  for (const then of late) then()
  await once(client.resume(), 'close')
})
