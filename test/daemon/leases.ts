import t from 'tap'
import { Leases } from '../../lib/daemon/leases.ts'

const on = (service: string, ...namespaces: string[]) => ({
  service,
  namespaces: namespaces.length > 0 ? namespaces : [''],
})

/** Leases that note which of them are over, and the turns that wait. */
function noting(limits: { max?: number; maxOwned?: number } = {}) {
  const waiting: (() => void)[] = []
  const over: string[] = []
  const leases = new Leases({ ...limits, later: work => waiting.push(work) })
  const grant = (name: string, owner: object, service: string, ...namespaces: string[]) =>
    leases.grant(owner, on(service, ...namespaces), () => over.push(name))
  /** Gives some turns. */
  const turn = (count = Infinity) => {
    while (waiting.length > 0 && count-- > 0) waiting.shift()!()
  }
  return { leases, over, waiting, grant, turn }
}

t.test(
  'a lease is over with the first change of its service, in a namespace of its own',
  async t => {
    const { leases, over, grant } = noting()
    grant('a', {}, 'a')
    grant('b', {}, 'b')
    grant('ours or a', {}, 'a', 'ours', '')
    grant('theirs', {}, 'a', 'theirs', 'theirs')
    leases.end({ namespace: 'ours', service: 'b' })
    t.strictSame(over, [])
    leases.end({ namespace: 'ours', service: 'a' })
    t.strictSame(over.splice(0), ['ours or a'])
    leases.end({ namespace: '', service: 'a' })
    leases.end({ namespace: '', service: 'a' })
    t.strictSame(over.splice(0), ['a'], 'told once')
    leases.end({ namespace: 'theirs', service: 'a' })
    t.strictSame(over.splice(0), ['theirs'])
    t.equal(leases.size, 1)
    leases.end({ namespace: '', service: 'b' })
    t.equal(leases.size, 0)
    leases.end({ namespace: '', service: 'b' })
    t.strictSame(over, ['b'])
  },
)

t.test('all leases can be ended', async t => {
  const { leases, over, grant } = noting()
  grant('a', {}, 'a', 'ours', '')
  grant('b', {}, 'b')
  leases.endAll()
  t.strictSame(over, ['a', 'b'])
  t.equal(leases.size, 0)
  leases.endAll()
  t.equal(over.length, 2)
})

t.test('an owner that goes is told nothing, and takes all its leases along', async t => {
  const { leases, over, grant } = noting()
  const owner = {}
  grant('a', owner, 'a')
  grant('b', owner, 'b', '', 'ours')
  grant('other', {}, 'a')
  leases.release(owner)
  leases.release(owner)
  t.equal(leases.size, 1)
  leases.endAll()
  t.strictSame(over, ['other'])
})

t.test('there are only so many, of one owner and of all', async t => {
  const { leases, grant } = noting({ max: 3, maxOwned: 2 })
  const owner = {}
  t.equal(grant('1', owner, 'a'), true)
  t.equal(grant('2', owner, 'b'), true)
  t.equal(grant('3', owner, 'c'), false)
  t.equal(grant('4', {}, 'c'), true)
  t.equal(grant('5', {}, 'd'), false)
  t.equal(leases.size, 3)
  leases.end({ namespace: '', service: 'a' })
  t.equal(grant('6', owner, 'd'), true)
})

t.test('many are told in turns, and few others at once meanwhile', async t => {
  const { leases, over, waiting, grant, turn } = noting()
  for (let n = 0; n < 200; n++) grant('many', {}, 'a', '', 'ours')
  grant('few', {}, 'b')
  leases.end({ namespace: '', service: 'a' })
  t.equal(over.length, 0)
  t.equal(waiting.length, 1)
  turn(1)
  t.equal(over.length, 64)
  leases.end({ namespace: '', service: 'b' })
  t.equal(over.at(-1), 'few')
  leases.end({ namespace: 'ours', service: 'a' })
  turn()
  t.equal(over.length, 201)
  t.equal(leases.size, 0)
})

t.test('a second change is told in the turns of the first', async t => {
  const { leases, over, waiting, grant, turn } = noting()
  for (let n = 0; n < 100; n++) grant('a', {}, 'a')
  for (let n = 0; n < 100; n++) grant('b', {}, 'b')
  leases.end({ namespace: '', service: 'a' })
  leases.end({ namespace: '', service: 'b' })
  t.equal(waiting.length, 1)
  turn()
  t.equal(over.length, 200)
  t.equal(waiting.length, 0)
})

t.test('a lease that is granted while a change is told does not end by that', async t => {
  const { leases, over, grant, turn } = noting()
  for (let n = 0; n < 100; n++) grant('old', {}, 'a')
  leases.end({ namespace: '', service: 'a' })
  turn(1)
  grant('new', {}, 'a')
  turn()
  t.equal(over.length, 100)
  t.notOk(over.includes('new'))
  leases.end({ namespace: '', service: 'a' })
  t.equal(over.at(-1), 'new')
})

t.test('who asks is told first, and of nothing twice', async t => {
  const { leases, over, grant, turn } = noting()
  const owner = {}
  leases.catchUp(owner)
  for (let n = 0; n < 100; n++) grant('other', {}, 'a')
  grant('mine', owner, 'a')
  grant('still mine', owner, 'b')
  leases.end({ namespace: '', service: 'a' })
  leases.catchUp({})
  t.strictSame(over, [])
  leases.catchUp(owner)
  leases.catchUp(owner)
  t.strictSame(over, ['mine'])
  turn()
  leases.catchUp(owner)
  t.equal(over.filter(name => name === 'mine').length, 1)
  t.equal(over.length, 101)
  t.equal(leases.size, 1)
})

t.test('an owner that goes while many are told is told nothing', async t => {
  const { leases, over, grant, turn } = noting()
  const owner = {}
  for (let n = 0; n < 100; n++) grant('other', {}, 'a')
  grant('mine', owner, 'a')
  leases.end({ namespace: '', service: 'a' })
  leases.release(owner)
  turn()
  t.equal(over.length, 100)
  t.notOk(over.includes('mine'))
})

t.test('without turns all are told at once', async t => {
  let over = 0
  const leases = new Leases()
  for (let n = 0; n < 1_000; n++) leases.grant({}, on('a'), () => over++)
  leases.end({ namespace: '', service: 'a' })
  t.equal(over, 1_000)
})
