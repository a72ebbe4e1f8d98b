import net from 'node:net'
import t from 'tap'
import { Shadow } from '../../lib/node/shadow.ts'

t.test('what is put over a member is found there, and the member once it is taken off', async t => {
  const server = net.createServer()
  const own = () => null
  server.address = own
  const { emit } = server
  const shadow = new Shadow(server)
  const [mine, other] = [() => null, () => true]
  shadow.put('address', mine)
  shadow.put('emit', other)
  shadow.put('listening', true)
  t.equal(server.address, mine)
  t.equal(server.emit, other)
  t.equal(server.listening, true)

  shadow.remove()
  t.equal(server.address, own, 'its own again')
  t.equal(server.emit, emit)
  t.notOk(Object.hasOwn(server, 'emit'), 'that of its class')
  t.equal(server.listening, false)
})

t.test('a member that the program has put there since stays', async t => {
  const server = net.createServer()
  const shadow = new Shadow(server)
  shadow.put('close', () => server)
  const mine = () => server
  server.close = mine
  shadow.remove()
  t.equal(server.close, mine)
})

t.test('a server that moves to another thread says so first, where Node can move one', async t => {
  const server = net.createServer()
  const symbol = Object.getOwnPropertySymbols(net.Server.prototype).find(
    ({ description }) => description === 'messaging_transfer_symbol',
  )
  const shadow = new Shadow(server)
  const moved: unknown[] = []
  shadow.putTransfer(transfer => moved.push(transfer))
  if (!symbol) return t.strictSame(Object.getOwnPropertySymbols(server).filter(isTransfer), [])
  const own: unknown = Reflect.get(net.Server.prototype, symbol)
  ;(Reflect.get(server, symbol) as () => void)()
  t.strictSame(moved, [own])
  shadow.remove()
  t.equal(Reflect.get(server, symbol), own)
})

function isTransfer({ description }: symbol): boolean {
  return description === 'messaging_transfer_symbol'
}
