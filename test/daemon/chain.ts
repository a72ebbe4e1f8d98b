import t from 'tap'
import { ORDER, chain, inOrder, refusable, type Step, type Steps } from '../../lib/daemon/chain.ts'
import { MonikerError } from '../../lib/errors.ts'
import type { Answer, Question } from '../../lib/wire/protocol.ts'
import { here as program } from '../fixtures/peers.ts'
import { want } from '../fixtures/wanting.ts'

const here = program()
const status: Question = { op: 'status' }

t.test('the steps of a chain are taken in order, until one answers', async t => {
  const taken: string[] = []
  const step =
    (name: string, answer?: Answer): Step =>
    (_question, _peer, next) => {
      taken.push(name)
      return answer ?? next()
    }
  const handle = chain(step('first'), step('second', { by: 'second' }), step('third'))

  t.strictSame(handle(status, here), { by: 'second' })
  t.strictSame(taken, ['first', 'second'])
})

t.test('a step sees who asks what', async t => {
  const seen: unknown[] = []
  const handle = chain(
    (question, peer, next) => {
      seen.push(question, peer)
      return next()
    },
    () => ({}),
  )
  void handle(status, here)

  t.strictSame(seen, [status, here])
})

t.test('what no step answers is refused', async t => {
  const handle = chain((_question, _peer, next) => next())
  const message = /the operation status is not known here/
  t.throws(() => handle(status, here), { code: 'ENOSYS', reason: 'ENOSYS', message })
})

t.test('the order of steps is that of the chain, however they are given', async t => {
  const taken: string[] = []
  const named = (name: string): Step => {
    return (_question, _peer, next) => {
      taken.push(name)
      return next()
    }
  }
  const steps = Object.fromEntries(ORDER.toReversed().map(name => [name, named(name)])) as Steps
  t.throws(() => chain(...inOrder(steps))(status, here), { code: 'ENOSYS' })
  t.strictSame(taken, ORDER)
  t.strictSame(inOrder({ limits: steps.limits }), [steps.limits])
})

t.test('what a step refuses goes no further', async t => {
  const refuse: Step = () => {
    throw new Error('no')
  }
  const handle = chain(refuse, () => t.fail('not asked') as never)
  t.throws(() => handle(status, here), { message: 'no' })
})

t.test('a fault of the daemon is refused like any other, and not told', async t => {
  const ours = new MonikerError('EDENIED', { text: 'no' })
  t.equal(refusable(ours), ours)
  const fault = new TypeError('a secret')
  t.match(refusable(fault), { reason: 'EPROTOCOL', text: /the daemon has failed/, cause: fault })
})

t.test('for want of descriptors a question is refused, and may be asked again', async t => {
  const cause = want()
  t.match(refusable(cause), { reason: 'ELIMIT', code: 'EBUSY', text: /out of descriptors/, cause })
})

t.test('a refusal has a trace only where diagnostics are read, and other errors have one', t => {
  const { stackTraceLimit } = Error
  const { DEBUG } = process.env
  const isTraced = (error: unknown) => (error as Error).stack!.includes('\n    at ')
  const refused = () => {
    const refuse = chain(() => {
      throw new MonikerError('EDENIED', { text: 'no' })
    })
    try {
      void refuse(status, here)
    } catch (error) {
      return isTraced(error)
    }
    return undefined
  }
  t.teardown(() => {
    if (DEBUG === undefined) delete process.env.DEBUG
    else process.env.DEBUG = DEBUG
  })
  delete process.env.DEBUG
  t.equal(refused(), false)
  t.ok(isTraced(new Error('other')))
  t.equal(Error.stackTraceLimit, stackTraceLimit)
  process.env.DEBUG = 'moniker:daemon'
  t.equal(refused(), true)
  t.end()
})
