import { once } from 'node:events'
import { Socket, connect, createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import type { Handler, Owner, Peer } from '../../lib/daemon/chain.ts'
import { Arrival, peerOf, type ServeOptions } from '../../lib/daemon/dialect.ts'
import { Turns } from '../../lib/daemon/turns.ts'
import { Unread } from '../../lib/daemon/unread.ts'
import { json } from '../../lib/daemon/json.ts'
import { MonikerError } from '../../lib/errors.ts'
import { MAX_LINE } from '../../lib/wire/lines.ts'
import { type Answer } from '../../lib/wire/protocol.ts'
import { daemon } from '../fixtures/daemon.ts'
import { line, lines, type Message } from '../fixtures/lines.ts'

/** The answer to a question of `nc`, so that answers can be told apart. */
const echo: Handler = question => ({ got: question.op })

/** A server that answers lines, and what it says of them. */
async function listener(t: Test, given: Partial<ServeOptions> = {}) {
  const refused: MonikerError[] = []
  const served: Socket[] = []
  const closed: Owner[] = []
  const server = createServer({ allowHalfOpen: true }, socket => {
    served.push(socket)
    new Arrival(socket, peerOf(socket), [json], {
      answer: echo,
      turns: new Turns(),
      seatOf: () => undefined,
      unread: { note: () => {} },
      ended: () => false,
      closed: owner => closed.push(owner),
      refused: error => refused.push(error),
      isInUse: () => false,
      patience: 60_000,
      slowness: 60_000,
      idle: 60_000,
      ...given,
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    for (const socket of served) socket.destroy()
  })
  const { port } = server.address() as { port: number }
  return { port, server, refused, served, closed }
}

/** Done when a socket has closed, be it by an error. */
const gone = (socket: Socket) => new Promise(resolve => socket.once('close', resolve))

const status = { op: 'status' }

t.test('a line is answered by a line with the same id', async t => {
  const { port } = await listener(t)
  const nc = await lines(t, port)
  for (const id of [1, 'x', 0, 'ö€𝄞']) {
    nc.ask({ ...status, id })
    t.strictSame(await nc.answer(), { v: 1, id, got: 'status' })
  }
})

t.test('many questions in one write are answered in their order', async t => {
  const { port } = await listener(t)
  const nc = await lines(t, port)
  const ids = Array.from({ length: 1_000 }, (_, id) => id)
  nc.ask(...ids.map(id => ({ ...status, id })))
  nc.socket.end()

  const answers = await nc.rest()
  t.strictSame(
    answers.map(answer => answer.id),
    ids,
  )
})

t.test('a question may come in pieces, and end as on Windows', async t => {
  const { port } = await listener(t)
  const nc = await lines(t, port, { noDelay: true } as object)
  const bytes = Buffer.from(line({ ...status, id: '€' }).replace('\n', '\r\n'))
  for (const byte of bytes) {
    nc.socket.write(Buffer.from([byte]))
    await new Promise(resolve => setImmediate(resolve))
  }
  t.match(await nc.answer(), { id: '€', got: 'status' })
})

t.test('a peer that ends right after the question still gets the answer', async t => {
  const { port, closed } = await listener(t)
  const nc = await lines(t, port, { allowHalfOpen: true } as object)
  nc.socket.end(line({ ...status, id: 7 }))

  t.match(await nc.answer(), { id: 7, got: 'status' })
  t.equal(await nc.answer(), undefined, 'and the connection ends')
  t.equal(closed.length, 1)
})

t.test('a peer that ends in the middle of a line gets the end alone', async t => {
  const { port, refused } = await listener(t)
  const nc = await lines(t, port)
  nc.socket.end(line(status).slice(0, -1))

  t.strictSame(await nc.rest(), [])
  t.strictSame(refused, [])
})

t.test('the handler is told who asks', async t => {
  const peers: Peer[] = []
  const { port, served, closed } = await listener(t, {
    answer: (_question, peer) => {
      peers.push(peer)
      return {}
    },
  })
  const nc = await lines(t, port)
  nc.ask(status)
  await nc.answer()
  const { localPort } = nc.socket
  const remote = { address: '127.0.0.1', port: localPort }
  t.match(peers, [{ local: true, address: '127.0.0.1', remote }])
  t.equal(closed.length, 0)
  nc.socket.destroy()
  await gone(served[0]!)
  t.equal(closed[0], peers[0]!.owner, 'and who has gone')
})

t.test('a connection says when it will ask no more, though it is open still', async t => {
  const owners: Owner[] = []
  const { port, served } = await listener(t, {
    answer: (_question, { owner }) => {
      owners.push(owner!)
      return new Promise(() => {})
    },
  })
  const nc = await lines(t, port, { allowHalfOpen: true })
  nc.ask(status)
  while (owners.length === 0) await new Promise(setImmediate)
  const [owner] = owners as [Owner]
  t.match(owner, { isOpen: true, isEnded: false })
  const ended = once(served[0]!, 'end')
  nc.socket.end()
  await ended
  t.match(owner, { isOpen: true, isEnded: true })
  served[0]!.destroy()
  t.match(owner, { isOpen: false, isEnded: true })
})

t.test('an answer that comes later is written then, and holds the end up', async t => {
  const settle: { resolve: (answer: Answer) => void; reject: (error: unknown) => void }[] = []
  const answer: Handler = question =>
    question.op === 'list'
      ? new Promise((resolve, reject) => settle.push({ resolve, reject }))
      : { got: question.op }
  const { port, refused } = await listener(t, { answer })
  const nc = await lines(t, port, { allowHalfOpen: true } as object)
  const list = { op: 'list' }
  nc.ask({ ...list, id: 1 }, { ...list, id: 2 }, { ...status, id: 3 })
  nc.socket.end()
  t.match(await nc.answer(), { id: 3, got: 'status' })
  settle[1]!.reject(new MonikerError('EDENIED', { text: 'no' }))
  t.match(await nc.answer(), { id: 2, error: { code: 'EDENIED' } })
  settle[0]!.resolve({ got: 'at last' })
  t.match(await nc.answer(), { id: 1, got: 'at last' })
  t.equal(await nc.answer(), undefined)
  t.match(refused, [{ reason: 'EDENIED' }])
})

t.test('what came before the end is answered, whenever its turn comes', async t => {
  const waiting: (() => void)[] = []
  let isBusy = false
  const turns = {
    takeAtOnce: () => !isBusy,
    wait: (work: () => void) => waiting.push(work),
    waitAgain: (work: () => void) => setImmediate(work),
  } as unknown as Turns
  const { port, served } = await listener(t, { turns })
  for (const before of [[], [{ ...status, id: 1 }]]) {
    const nc = await lines(t, port, { allowHalfOpen: true } as object)
    nc.ask(...before)
    for (const { id } of before) t.match(await nc.answer(), { id })
    isBusy = true
    while (served.length === 0) await new Promise(setImmediate)
    let isEnded = false
    served.pop()!.once('end', () => (isEnded = true))
    nc.ask({ ...status, id: 2 })
    nc.socket.end()
    while (!isEnded) await new Promise(setImmediate)
    isBusy = false
    waiting.pop()!()
    t.match(await nc.answer(), { id: 2 })
    t.equal(await nc.answer(), undefined)
  }
})

t.test('a peer that waits is not idle, and one that has gone is not answered', async t => {
  const waiting: ((answer: Answer) => void)[] = []
  const answer = () => new Promise<Answer>(resolve => waiting.push(resolve))
  const { port, served } = await listener(t, { answer })
  const nc = await lines(t, port)
  nc.ask(status)
  while (waiting.length < 1) await new Promise(setImmediate)
  served[0]!.emit('timeout')
  waiting[0]!({ got: 'status' })
  t.match(await nc.answer(), { got: 'status' })

  nc.ask(status)
  while (waiting.length < 2) await new Promise(setImmediate)
  nc.socket.resetAndDestroy()
  await gone(served[0]!)
  waiting[1]!({ got: 'nobody' })
})

t.test('a peer that holds names and ends is gone, whatever it waits for', async t => {
  const { port, closed } = await listener(t, {
    answer: () => new Promise(() => {}),
    ended: () => true,
  })
  const nc = await lines(t, port)
  nc.ask(status)
  nc.socket.end()
  t.equal(await nc.answer(), undefined)
  while (closed.length === 0) await new Promise(setImmediate)
  t.notOk(closed[0]!.isOpen)
})

t.test('only so many questions of a connection may wait', async t => {
  let asked = 0
  const answer = () => new Promise<Answer>(() => asked++)
  const { port } = await listener(t, { answer })
  const nc = await lines(t, port)
  nc.ask(...Array.from({ length: 16_385 }, (_, id) => ({ ...status, id })))
  t.match(await nc.answer(), { id: 16_384, error: { code: 'ELIMIT' } })
  t.equal(asked, 16_384, 'the daemon does nothing for those it refuses')
})

t.test('a connection is told of what happens later, unless it does not read', async t => {
  let told!: Owner
  const { port, served } = await listener(t, {
    answer: (_question, { owner }) => {
      told = owner!
      return {}
    },
  })
  const nc = await lines(t, port)
  nc.ask(status)
  await nc.answer()
  told.tell(1, { event: 'up' })
  t.strictSame(await nc.answer(), { v: 1, id: 1, event: 'up' })

  nc.socket.pause()
  const closed = gone(served[0]!)
  t.equal(told.isBehind, false)
  while (!told.isBehind) {
    told.tell(1, { event: 'x'.repeat(100_000) })
    await new Promise(setImmediate)
  }
  while (!served[0]!.destroyed) told.tell(1, { event: 'x'.repeat(100_000) })
  await closed
  told.tell(1, { event: 'up' })
})

t.test('a refusal of the handler is an answer, and the connection stays', async t => {
  const { port, refused } = await listener(t, {
    answer: question => {
      if (question.op === 'list') throw new MonikerError('EDENIED', { text: 'not for you' })
      return { got: question.op }
    },
  })
  const nc = await lines(t, port)
  nc.ask({ id: 1, op: 'list' }, { id: 2, ...status })

  const error = { code: 'EDENIED', message: 'not for you' }
  t.strictSame(await nc.answer(), { v: 1, id: 1, error })
  t.match(await nc.answer(), { id: 2, got: 'status' })
  t.match(refused, [{ reason: 'EDENIED' }])
})

const nonsense: [what: string, text: string, id: unknown, says: RegExp][] = [
  ['no JSON', 'hello\n', null, /expected one JSON object a line, got "hello"/],
  ['an empty line', '\n', null, /expected one JSON object a line, got ""/],
  ['HTTP', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', null, /got "GET \/ HTTP\/1.1\\r"/],
  ['an array', '[]\n', null, /expected a JSON object/],
  ['another version', '{"v":2,"id":1}\n', null, /expected "v" to be 1, got "2"/],
  ['no id', '{"v":1,"op":"status"}\n', null, /expected "id" to be/],
  ['no op', '{"v":1,"id":3}\n', 3, /expected "op" to be a string, got "nothing"/],
  ['an op that is no string', '{"v":1,"id":"x","op":[]}\n', 'x', /expected "op" to be a string/],
  ['a wrong type', line({ op: 'resolve', service: 7 }), 1, /expected "service" to be/],
  ['a range to register', line({ ...registration(), version: '^1' }), 1, /exact version/],
  ['a line too long', `${'x'.repeat(MAX_LINE + 1)}\n`, null, /a line of at most 4096 bytes/],
  ['a long line without end', 'x'.repeat(MAX_LINE + 1), null, /a line of at most 4096 bytes/],
]

function registration() {
  return { op: 'register', service: 'a', transport: 'tcp', port: 1 }
}

for (const [what, text, id, says] of nonsense) {
  t.test(`${what} is refused, and the connection closed`, async t => {
    const { port, refused, closed } = await listener(t)
    const nc = await lines(t, port)
    nc.socket.write(text)

    const answer = await nc.answer()
    t.equal(answer!.id, id)
    t.match((answer!.error as Error).message, says)
    t.equal(await nc.answer(), undefined)
    t.equal(refused.length, 1)
    t.notOk(closed.length > 1)

    const other = await lines(t, port)
    other.ask(status)
    t.match(await other.answer(), { got: 'status' }, 'everyone else is still served')
  })
}

t.test('a bad question does not take the names of its connection along', async t => {
  const { port } = await daemon(t)
  const holder = await lines(t, port)
  const offer = { op: 'register', service: 'web', transport: 'tcp', port: 1 }
  holder.ask(offer)
  const { registration } = (await holder.answer())!
  const bad: [question: object, code: string, says: RegExp][] = [
    [{ op: 'update', registration, load: -1 }, 'EPROTOCOL', /"load" to be a whole number/],
    [{ ...offer, version: '^1' }, 'ENAME', /^expected a server to give an exact .*, got "\^1"$/],
    [{ op: 7 }, 'EPROTOCOL', /"op" to be a string/],
  ]
  for (const [question, code, message] of bad) {
    holder.ask({ id: 'bad', ...question })
    t.match(await holder.answer(), { id: 'bad', error: { code, message } })
  }
  holder.ask({ op: 'resolve', service: 'web' })
  t.match(await holder.answer(), { endpoints: [{ port: 1 }] })
  // From here on nobody can tell what belongs to what.
  holder.ask({ id: {}, ...status })
  t.match(await holder.answer(), { id: null, error: { code: 'EPROTOCOL' } })
  t.equal(await holder.answer(), undefined)
})

t.test('what was asked before the nonsense is answered, what comes after is not', async t => {
  const { port } = await listener(t)
  const nc = await lines(t, port)
  nc.socket.write(`${line({ id: 1, ...status })}nonsense\n${line({ id: 2, ...status })}`)

  t.match(await nc.answer(), { id: 1, got: 'status' })
  t.match(await nc.answer(), { id: null, error: { code: 'EPROTOCOL' } })
  t.equal(await nc.answer(), undefined)
})

t.test(
  'a peer that goes on sending after a refusal is heard no more, and refused but once',
  async t => {
    const { port, refused, served } = await listener(t, { patience: 500 })
    const nc = await lines(t, port, { allowHalfOpen: true } as object)
    nc.ask(status)
    await nc.answer()
    nc.socket.write('x'.repeat(MAX_LINE))
    await once(served[0]!, 'data')
    nc.socket.write('x')
    t.match(await nc.answer(), { error: { message: /a line of at most 4096 bytes/ } })
    t.equal(await nc.answer(), undefined)
    nc.ask(status)
    await gone(served[0]!)
    t.match(refused, [{ reason: 'EPROTOCOL' }])
    t.equal(refused.length, 1)
  },
)

t.test('half a line may wait for its end so long and no longer', async t => {
  const { port, refused } = await listener(t, { patience: 20 })
  const nc = await lines(t, port)
  nc.socket.write(line(status) + line(status).slice(0, 9))

  t.match(await nc.answer(), { got: 'status' })
  t.match(await nc.answer(), { id: null, error: { code: 'EPROTOCOL' } })
  t.equal(await nc.answer(), undefined)
  t.match(refused, [{ message: /expected the end of a line within 20 ms/ }])
})

t.test('a line that dribbles in is not given more time by each byte', async t => {
  const { port } = await listener(t, { patience: 50 })
  const nc = await lines(t, port)
  const dribble = setInterval(() => nc.socket.write(' '), 5)
  t.teardown(() => clearInterval(dribble))

  t.match(await nc.answer(), { error: { message: /within 50 ms/ } })
})

t.test('a connection that is silent is closed, unless it is wanted', async t => {
  let isInUse = true
  const idle = await listener(t, { idle: 20, isInUse: () => isInUse })
  const nc = await lines(t, idle.port)
  nc.ask(status)
  await nc.answer()
  await once(idle.served[0]!, 'timeout')
  nc.ask(status)
  t.match(await nc.answer(), { got: 'status' })
  isInUse = false
  t.equal(await nc.answer(), undefined)
  t.strictSame(idle.refused, [])
})

t.test('whoever has not read a long answer is answered again once that is read', async t => {
  const fat = 'x'.repeat(8_000_000)
  const { port, served } = await listener(t, { answer: () => ({ fat }) })
  const socket = connect({ host: '127.0.0.1', port })
  t.teardown(() => socket.destroy())
  socket.write(line(status))
  while (!served[0]?.isPaused()) await new Promise(setImmediate)
  socket.end(line(status))
  let bytes = 0
  for await (const chunk of socket) bytes += (chunk as Buffer).length
  t.ok(bytes > 2 * fat.length)
})

t.test('a peer that does not read has to wait, and gets every answer in the end', async t => {
  const count = 80_000
  let answered = 0
  const answer = () => ({ n: ++answered, fat: 'x'.repeat(400) })
  const { port, served } = await listener(t, { answer })
  const socket = connect({ host: '127.0.0.1', port })
  t.teardown(() => socket.destroy())
  socket.write(line(status))
  await once(socket, 'readable')
  socket.end(line(status).repeat(count - 1))
  await once(served[0]!, 'pause')
  t.ok(answered < count, 'the questions wait while the answers do')

  let got = 0
  let rest = ''
  for await (const chunk of socket.setEncoding('utf8')) {
    const texts = (rest + chunk).split('\n')
    rest = texts.pop()!
    for (const text of texts) if ((JSON.parse(text) as { n: number }).n !== ++got) t.fail(text)
  }
  t.equal(got, count)
})

/** A connection whose answers are many and are not read. It may be asked to wait, and dropped, at any time from now on. */
async function lazy(t: Test, given: Partial<ServeOptions>) {
  const answer = () => ({ fat: 'x'.repeat(3_000) })
  const { port, server, refused } = await listener(t, { answer, slowness: 30, ...given })
  const accepted = once(server, 'connection')
  const socket = connect({ host: '127.0.0.1', port })
  t.teardown(() => socket.destroy())
  socket.write(line(status).repeat(20_000))
  const [served] = (await accepted) as [Socket]
  return { socket, served, refused }
}

t.test('a peer that asks for much gets it all, and others have their turn', async t => {
  const turns: string[] = []
  const answer: Handler = question => {
    turns.push(question.op)
    return question.op === 'list' ? { fat: 'x'.repeat(400_000) } : {}
  }
  const { port } = await listener(t, { answer })
  const [greedy, other] = [await lines(t, port), await lines(t, port)]
  greedy.ask(...Array.from({ length: 12 }, (_, id) => ({ op: 'list', id })))
  other.ask(status)
  for (let id = 0; id < 12; id++) t.match(await greedy.answer(), { id })
  await other.answer()
  t.ok(turns.indexOf('status') < 12, turns.join(' '))
})

t.test('a peer that asks for lists has its turn over sooner', async t => {
  const names = Array.from({ length: 64 }, (_, n) => ({ service: `n${n}` }))
  const cases = [
    { services: () => [], asked: 16 },
    { services: () => names.slice(0, 8), asked: 6 },
    { services: () => names.values(), asked: 1 },
  ]
  for (const { services, asked } of cases) {
    let answered = 0
    const portions: number[] = []
    class NotingTurns extends Turns {
      override waitAgain(work: () => void): void {
        portions.push(answered)
        super.waitAgain(work)
      }
    }
    const answer = () => (answered++, { services: services() })
    const { port } = await listener(t, { answer, turns: new NotingTurns() })
    const nc = await lines(t, port)
    nc.ask(...Array.from({ length: 20 }, (_, id) => ({ op: 'list', id })))
    for (let last: Message | undefined; last?.id !== 19 || last.more;) last = await nc.answer()
    t.equal(portions[0], asked)
  }
})

/** Turns that everybody waits for. */
class BusyTurns extends Turns {
  override takeAtOnce(): boolean {
    return false
  }
}

t.test('what is read while others wait is served in its turn', async t => {
  const seats: unknown[] = []
  class NotingTurns extends BusyTurns {
    override wait(work: () => void, seat?: unknown): void {
      seats.push(seat)
      super.wait(work, seat)
    }
  }
  const { port } = await listener(t, { turns: new NotingTurns(), seatOf: () => 7 })
  const nc = await lines(t, port)
  for (let id = 0; id < 3; id++) {
    nc.ask({ ...status, id })
    t.match(await nc.answer(), { id, got: 'status' })
  }
  nc.socket.end(line({ ...status, id: 3 }))
  t.match(await nc.rest(), [{ id: 3 }])
  t.strictSame([...new Set(seats)], [undefined, 7], 'of what comes first nobody knows whose it is')
})

t.test('who asks for more than a turn has those before it who ask for little', async t => {
  const kinds: string[] = []
  class NotingTurns extends BusyTurns {
    override wait(work: () => void): void {
      kinds.push('little')
      super.wait(work)
    }
    override waitAgain(work: () => void): void {
      kinds.push('much')
      super.waitAgain(work)
    }
  }
  const { port } = await listener(t, { turns: new NotingTurns() })
  const nc = await lines(t, port)
  nc.ask(status)
  await nc.answer()
  kinds.length = 0
  nc.ask(...Array.from({ length: 16 }, () => status))
  for (let answers = 0; answers < 16; answers++) await nc.answer()
  t.notOk(kinds.includes('much'))
  nc.ask(...Array.from({ length: 17 }, () => status))
  for (let answers = 0; answers < 17; answers++) await nc.answer()
  t.strictSame(kinds.splice(0), ['little', 'little', 'much', 'much'])
})

t.test('what waits for its turn is dropped if the peer goes, or is refused, meanwhile', async t => {
  const waiting: (() => void)[] = []
  class StoppedTurns extends BusyTurns {
    override wait(work: () => void): void {
      waiting.push(work)
    }
  }
  const turn = async () => {
    while (waiting.length === 0) await new Promise(setImmediate)
    waiting.shift()!()
  }
  let answered = 0
  const { port, served, closed } = await listener(t, {
    answer: () => ({ answered: ++answered }),
    turns: new StoppedTurns(),
  })
  const nc = await lines(t, port)
  nc.ask(status)
  await turn()
  await turn()
  await nc.answer()
  nc.ask(status)
  while (waiting.length === 0) await new Promise(setImmediate)
  served[0]!.destroy()
  while (closed.length === 0) await new Promise(setImmediate)
  await turn()
  t.equal(answered, 1)

  const early = await lines(t, port)
  early.ask(status)
  while (waiting.length === 0) await new Promise(setImmediate)
  const gone = once(served[1]!.destroy(), 'close')
  await gone
  await turn()
  t.equal(answered, 1)
})

t.test('a long list that is answered later is told in pages as well', async t => {
  const names = Array.from({ length: 100 }, (_, n) => ({ service: `n${n}` }))
  const { port } = await listener(t, { answer: async () => ({ services: names.values() }) })
  const nc = await lines(t, port)
  nc.ask({ op: 'list' })
  t.match(await nc.answer(), { more: true, services: names.slice(0, 64) })
  const { more, services } = (await nc.answer())!
  t.notOk(more)
  t.strictSame(services, names.slice(64))
})

t.test('what is said with a long list is said on each of its pages', async t => {
  const names = Array.from({ length: 100 }, (_, n) => ({ service: `n${n}` }))
  const { port } = await listener(t, {
    answer: () => ({ services: names.values(), for: true }),
  })
  const nc = await lines(t, port)
  nc.ask({ op: 'list' })
  t.match(await nc.answer(), { more: true, for: true, services: names.slice(0, 64) })
  t.match(await nc.answer(), { more: undefined, for: true, services: names.slice(64) })
})

t.test('a list is told no further once the peer has gone', async t => {
  let told = 0
  function* endless() {
    for (;;) yield { service: `n${told++}` }
  }
  const turns = new Turns()
  const { port, closed } = await listener(t, { answer: () => ({ services: endless() }), turns })
  const nc = await lines(t, port)
  nc.ask({ op: 'list' })
  await nc.answer()
  nc.socket.resetAndDestroy()
  while (closed.length === 0) await new Promise(setImmediate)
  const before = told
  while (turns.isBusy) await new Promise(setImmediate)
  t.equal(told, before)
})

t.test('a peer that goes in the middle of its answers is answered no more', async t => {
  let answered = 0
  const { port, served, closed } = await listener(t, {
    answer: () => {
      if (++answered === 3) process.nextTick(() => served[0]!.destroy())
      return { fat: 'x'.repeat(400_000) }
    },
  })
  const nc = await lines(t, port)
  nc.ask(...Array.from({ length: 12 }, (_, id) => ({ ...status, id })))
  nc.socket.resume()
  while (closed.length === 0) await new Promise(setImmediate)
  await new Promise(setImmediate)
  t.equal(answered, 3)
})

t.test('a peer that does not read for long is dropped, also one that holds a name', async t => {
  for (const isInUse of [() => false, () => true]) {
    const { served, refused } = await lazy(t, { isInUse })
    t.ok(served.writableLength < 4_000_000, 'although 60 MB were asked for')
    await gone(served)
    t.match(refused, [{ reason: 'ELIMIT', message: /not read within 30 ms/ }])
  }
})

t.test('nor is one kept that does not read what happens', async t => {
  let told!: Owner
  const unread: number[] = []
  const { port, served, refused } = await listener(t, {
    answer: (_question, { owner }) => {
      told = owner!
      return {}
    },
    slowness: 30,
    unread: { note: (_peer, _reader, bytes) => unread.push(bytes) },
  })
  const nc = await lines(t, port)
  nc.ask(status)
  await nc.answer()
  t.strictSame(unread, [], 'who reads has no account')
  nc.socket.pause()
  const closed = gone(served[0]!)
  while (!told.isBehind) {
    told.tell(1, { event: 'x'.repeat(100_000) })
    await new Promise(setImmediate)
  }
  await closed
  t.match(refused, [{ reason: 'ELIMIT', message: /not read within 30 ms/ }])
  t.ok(Math.max(...unread) > 500_000)
  t.equal(unread.at(-1), 0, 'and what is closed has none')
})

t.test('who has not read for the longest is dropped where too much waits', async t => {
  const unread = new Unread({ here: 60_000, host: 0, remote: 0 })
  const { served, refused } = await lazy(t, { slowness: 60_000, unread })
  const other = await lazy(t, { slowness: 60_000, unread })
  await gone(served)
  t.match(refused, [{ reason: 'ELIMIT', message: /not read fast enough/ }])
  t.notOk(other.served.destroyed, 'and not who came later')
})

t.test('only so many of the refused are waited for', async t => {
  const sockets = Array.from({ length: 1_026 }, () => new Socket())
  t.teardown(() => sockets.forEach(socket => socket.destroy()))
  for (const socket of sockets) json.turnAway(socket, new MonikerError('ELIMIT', { text: 'no' }))
  t.equal(sockets.filter(socket => socket.destroyed).length, 2)
})

t.test('a connection that is refused later is told why, and heard no more', async t => {
  const served: Arrival[] = []
  const server = createServer(socket => {
    const none = () => {}
    const options = {
      answer: echo,
      ended: () => false,
      closed: none,
      refused: none,
      patience: 60_000,
    }
    t.match(peerOf(socket), { local: true, remote: { address: '127.0.0.1' } })
    served.push(
      new Arrival(socket, peerOf(socket), [json], {
        ...options,
        turns: new Turns(),
        seatOf: () => undefined,
        unread: { note: () => {} },
        isInUse: () => false,
        slowness: 1,
        idle: 60_000,
      }),
    )
  })
  t.teardown(() => server.close())
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const nc = await lines(t, (server.address() as AddressInfo).port)
  nc.ask(status)
  await nc.answer()
  served[0]!.refuse(new MonikerError('ELIMIT', { text: 'enough' }))
  nc.ask(status)
  t.match(await nc.rest(), [{ id: null, error: { code: 'ELIMIT', message: 'enough' } }])
})

t.test('a connection that is reset is gone, and everyone else is served', async t => {
  const { port, served, closed } = await listener(t)
  const nc = await lines(t, port)
  nc.ask(status)
  await nc.answer()
  nc.socket.resetAndDestroy()
  await gone(served[0]!)

  t.equal(closed.length, 1)
  const other = await lines(t, port)
  other.ask(status)
  t.match(await other.answer(), { got: 'status' })
})

t.test('a mistake of ours is told to whoever met with it, and troubles no other', async t => {
  const { port, refused } = await listener(t, {
    answer: question => {
      if (question.op === 'list') throw new TypeError('ours')
      return { got: question.op }
    },
  })
  const [nc, other] = [await lines(t, port), await lines(t, port)]
  nc.ask({ id: 1, ...status }, { id: 2, op: 'list' }, { id: 3, ...status })
  const message = 'the daemon has failed at this question'
  t.match(await nc.rest(), [
    { id: 1, got: 'status' },
    { id: 2, error: { code: 'EPROTOCOL', message } },
  ])
  t.match(refused, [{ reason: 'EPROTOCOL', cause: { message: 'ours' } }])
  other.ask(status)
  t.match(await other.answer(), { got: 'status' })
})
