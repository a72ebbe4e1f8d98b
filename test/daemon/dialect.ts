import { once } from 'node:events'
import { Socket, createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { Arrival, peerOf, type Dialect } from '../../lib/daemon/dialect.ts'
import { Turns } from '../../lib/daemon/turns.ts'
import { json } from '../../lib/daemon/json.ts'
import { MonikerError } from '../../lib/errors.ts'
import type { Answer } from '../../lib/wire/protocol.ts'
import { line, lines } from '../fixtures/lines.ts'

const status = { op: 'status' }

/** `socket` as it has come, over which nothing has been said. */
function arriving(socket: Socket, dialects: Dialect[] = [], idle = 60_000) {
  const refused: MonikerError[] = []
  const none = () => {}
  const arrival = new Arrival(socket, peerOf(socket), [json, ...dialects], {
    answer: question => ({ got: question.op }),
    turns: new Turns(),
    seatOf: () => undefined,
    unread: { note: () => {} },
    ended: () => false,
    closed: none,
    refused: error => refused.push(error),
    isInUse: () => false,
    patience: 60_000,
    slowness: 60_000,
    idle,
  })
  return { arrival, refused }
}

/** A client, and the connection of it that has come. */
async function pair(t: Test) {
  const server = createServer({ allowHalfOpen: true })
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const come = once(server, 'connection') as Promise<[Socket]>
  const nc = await lines(t, (server.address() as AddressInfo).port, {
    allowHalfOpen: true,
  } as object)
  const [socket] = await come
  t.teardown(() => socket.destroy())
  return { nc, socket }
}

t.test('a connection that has gone before it is served is no trouble', async t => {
  const socket = new Socket()
  const { arrival, refused } = arriving(socket)
  socket.destroy()
  await once(socket, 'close')
  arrival.refuse(new MonikerError('ELIMIT', { text: 'gone' }))
  t.strictSame(refused, [])
  t.equal(arrival.owner, undefined)
})

t.test('a connection that says nothing is refused, and heard no more', async t => {
  const { nc, socket } = await pair(t)
  const { arrival, refused } = arriving(socket)
  arrival.refuse(new MonikerError('ELIMIT', { text: 'enough' }))
  arrival.refuse(new MonikerError('ELIMIT', { text: 'twice' }))
  nc.ask(status)
  t.match(await nc.rest(), [{ id: null, error: { code: 'ELIMIT', message: 'enough' } }])
  if (!socket.closed) await once(socket, 'close')
  t.equal(refused.length, 1)
  t.equal(arrival.owner, undefined)
})

t.test('a connection that says nothing ends with the peer, or when it has been idle', async t => {
  const one = await pair(t)
  arriving(one.socket)
  one.nc.socket.end()
  t.equal(await one.nc.answer(), undefined)
  const other = await pair(t)
  arriving(other.socket, [], 10)
  t.equal(await other.nc.answer(), undefined)
})

t.test('the first byte says in which language a connection is served', async t => {
  const heads: string[] = []
  const shout: Dialect = {
    claims: byte => byte === 0x41,
    serve(socket, head, peer, { answer }) {
      heads.push(head.toString())
      const owner = { isOpen: true, tell() {} }
      const found = answer({ op: 'status' }, { ...peer, owner }) as Answer
      socket.end(`${JSON.stringify(found)}\n`)
      return { owner, refuse: () => {} }
    },
    turnAway: () => t.fail('the first dialect does that'),
  }
  const { nc, socket } = await pair(t)
  const { arrival } = arriving(socket, [shout])
  nc.socket.write('AHOY')
  t.match(await nc.rest(), [{ got: 'status' }])
  t.strictSame(heads, ['AHOY'])
  t.ok(arrival.owner)

  for (const [text, expected] of [
    [line(status), { got: 'status' }],
    [' \n', { error: { code: 'EPROTOCOL' } }],
    ['\u0016\u0003\u0001\n', { error: { code: 'EPROTOCOL' } }],
    ['b\n', { error: { code: 'EPROTOCOL' } }],
  ] as const) {
    const { nc, socket } = await pair(t)
    arriving(socket, [shout])
    nc.socket.write(text)
    t.match(await nc.answer(), expected)
  }
})
