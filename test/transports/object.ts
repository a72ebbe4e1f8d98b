import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import t from 'tap'
import type { MonikerSocket } from '../../index.ts'
import { going, kinds, options, placeOf, type Kind } from '../fixtures/kinds.ts'

const MEBIBYTES = Buffer.alloc(8 * 1_048_576, 'moniker')

for (const [what, kind] of Object.entries(kinds)) {
  t.test(`${what} that a transport made carries all bytes, and the end, both ways`, async t => {
    const place = await placeOf(t, kind, socket => void socket.pipe(socket))
    const { socket, closed, answer } = going(t, place, kind, options)
    const events: string[] = []
    for (const event of ['lookup', 'resolve', 'connect', 'ready', 'end', 'close']) {
      socket.on(event, () => events.push(event))
    }
    socket.on('connect', () => t.notOk(socket.pending))
    socket.write('hello ')
    socket.end(MEBIBYTES)
    t.equal(socket.readyState, 'opening')
    t.ok(socket.pending)
    answer()
    const all = await buffer(socket)
    t.ok(all.equals(Buffer.concat([Buffer.from('hello '), MEBIBYTES])))
    await closed
    t.strictSame(events, ['lookup', 'resolve', 'connect', 'ready', 'end', 'close'])
    t.match(socket.moniker, { service: 'tell' })
  })

  t.test(`over ${what} the server may speak first, and end`, async t => {
    const place = await placeOf(t, kind, socket => void socket.end('hello'))
    const late: Kind = {
      ...kind,
      async open(to, signal) {
        const made = await kind.open(to, signal)
        // What the server has said, and its end, is there before it is attached.
        await once(made, 'readable')
        while (!made.readableEnded && made.readable && made.readableLength === 0) {
          await new Promise(setImmediate)
        }
        await new Promise(setImmediate)
        return made
      },
    }
    const { socket, closed, answer } = going(t, place, late)
    answer()
    t.equal(await text(socket), 'hello')
    await closed
  })

  t.test(`over ${what} either side may destroy it`, async t => {
    const accepted: Socket[] = []
    const place = await placeOf(t, kind, socket => void accepted.push(socket))
    const one = going(t, place, kind)
    one.answer()
    await once(one.socket, 'connect')
    one.socket.write('hello')
    while (accepted.length < 1) await new Promise(setImmediate)
    // TLS may have told more than was read, and TCP then says that it was lost.
    const ended = new Promise(resolve =>
      accepted[0]!.resume().on('end', resolve).on('error', resolve),
    )
    one.socket.destroy()
    await one.closed
    await ended

    const other = going(t, place, kind)
    other.answer()
    await once(other.socket, 'connect')
    while (accepted.length < 2) await new Promise(setImmediate)
    other.socket.on('error', () => {})
    accepted[1]!.destroy()
    other.socket.resume()
    await other.closed
    t.ok(other.socket.destroyed)
  })

  t.test(`over ${what} an error is that of the socket, which may be used again`, async t => {
    const place = await placeOf(t, kind, socket => void socket.pipe(socket))
    let made!: Duplex
    const own: Kind = {
      ...kind,
      open: async (to, signal) => (made = await kind.open(to, signal)),
    }
    const { socket, closed, answer } = going(t, place, own)
    answer()
    await once(socket, 'connect')
    made.emit('error', new Error('broken'))
    t.match(await once(socket, 'error'), [{ message: 'broken' }])
    await closed

    const plain = await placeOf(t, kinds['a socket']!, socket => void socket.end('again'))
    const again: MonikerSocket = socket.connect(plain.port, '127.0.0.1')
    t.equal(await text(again), 'again')
  })
}
