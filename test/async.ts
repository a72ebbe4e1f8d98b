import { getEventListeners } from 'node:events'
import t from 'tap'
import {
  Abort,
  backoff,
  cancellable,
  deadline,
  firstOf,
  heard,
  retry,
  type Signal,
} from '../lib/async.ts'
import { active } from './fixtures/active.ts'
import { awake } from './fixtures/awake.ts'

const never = new Promise<never>(() => {})

const listeners = (signal: AbortSignal) => getEventListeners(signal, 'abort').length

t.test('a promise that is not cancelled settles as it would', async t => {
  const { signal } = new AbortController()

  t.equal(await cancellable(Promise.resolve(7), signal), 7)
  await t.rejects(cancellable(Promise.reject(new Error('its own')), signal), { message: 'its own' })
  t.equal(listeners(signal), 0, 'and leaves no listener behind')
})

t.test('a promise that is cancelled fails with the reason of the signal', async t => {
  const controller = new AbortController()
  const cancelled = cancellable(never, controller.signal)
  controller.abort(new Error('enough'))

  await t.rejects(cancelled, { message: 'enough' })
  t.equal(listeners(controller.signal), 0)
})

t.test('a signal that has already aborted cancels at once', async t => {
  await t.rejects(cancellable(never, AbortSignal.abort(new Error('before'))), { message: 'before' })
})

t.test('what fails after it was cancelled troubles nobody', async t => {
  const troubles: unknown[] = []
  const note = (reason: unknown) => troubles.push(reason)
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  const before = cancellable(Promise.reject(new Error('late')), AbortSignal.abort())

  await t.rejects(before, { name: 'AbortError' })
  // Node tells of rejections nobody took before the next turn of the loop.
  await new Promise(resolve => setImmediate(resolve))
  t.strictSame(troubles, [])
})

t.test('an abort is a signal, and aborts once', async t => {
  const abort = new Abort()
  const told: string[] = []
  const [first, second, stranger] = ['first', 'second', 'no'].map(name => () => told.push(name))
  abort.addEventListener('abort', first!)
  abort.addEventListener('abort', second!)
  abort.removeEventListener('abort', first!)
  abort.removeEventListener('abort', stranger!)
  abort.throwIfAborted()
  abort.abort(new Error('enough'))
  abort.abort(new Error('again'))
  abort.addEventListener('abort', () => t.fail('it is too late to listen'))

  t.same(told, ['second'])
  t.throws(() => abort.throwIfAborted(), { message: 'enough' })
  await t.rejects(cancellable(never, abort), { message: 'enough' })
  const silent = new Abort()
  silent.abort(undefined)
  t.throws(() => silent.throwIfAborted(), { message: 'it is done' }, 'there is a reason always')
})

t.test('a deadline that passes aborts with the reason it was given', async t => {
  const { signal, free } = deadline(1, () => new Error('late'))
  t.teardown(free)
  t.notOk(signal.aborted)
  await new Promise<void>(resolve => signal.addEventListener('abort', resolve))

  t.match(signal.reason, { message: 'late' })
})

t.test('a deadline aborts with its parent, and for the same reason', async t => {
  const parent = new AbortController()
  const { signal, free } = deadline(60_000, () => new Error('late'), parent.signal)
  t.teardown(free)
  parent.abort(new Error('enough'))

  t.match(signal.reason, { message: 'enough' })
})

t.test('a deadline that is freed lets go of its parent and its timer', async t => {
  const parent = new AbortController()
  const { signal, free } = deadline(60_000, () => t.fail('too late'), parent.signal)
  t.equal(listeners(parent.signal), 1)
  free()

  t.ok(signal.aborted, 'and of whatever still waits')
  t.equal(listeners(parent.signal), 0)
  t.notOk(process.getActiveResourcesInfo().includes('Timeout'))
})

t.test('a deadline without a parent is freed as well', async t => {
  const { signal, free } = deadline(60_000, () => t.fail('too late'))
  free()

  t.ok(signal.aborted)
})

t.test('there is no deadline for what is already cancelled', async t => {
  const over = AbortSignal.abort(new Error('before'))
  t.throws(() => deadline(60_000, () => {}, over), { message: 'before' })
})

t.test('a quiet deadline keeps nothing alive', async t => {
  const before = active('Timeout')
  const { free } = deadline(60_000, () => new Error('late'), undefined, { quiet: true })
  t.equal(active('Timeout'), before)
  free()
})

t.test('what nobody can cancel is left as it is', async t => {
  t.equal(await cancellable(Promise.resolve(1), undefined), 1)
})

t.test('the first result wins, and the others are given up', async t => {
  const { signal } = new AbortController()
  const signals: Signal[] = []
  const hanging = (given: Signal) => {
    signals.push(given)
    return never
  }
  const failing = async () => Promise.reject(new Error('no'))
  t.equal(await firstOf([failing, hanging, async () => 7, hanging], 1, signal), 7)
  t.strictSame(
    signals.map(({ aborted }) => aborted),
    [true],
    'and those that have not begun do not begin',
  )
  t.equal(await firstOf([hanging, async () => 8], 1, signal), 8, 'after a pause')
  t.equal(listeners(signal), 0)
})

t.test('no attempt begins once it is over', async t => {
  const { signal } = new AbortController()
  let fail!: (error: Error) => void
  const late = () => new Promise<never>((_resolve, reject) => (fail = reject))
  const third = async () => t.fail('it is over')
  t.equal(await firstOf<unknown>([late, async () => 7, third], 1, signal), 7)
  fail(new Error('late'))
  await new Promise(setImmediate)
})

t.test('without a result it fails with all errors, in order', async t => {
  const { signal } = new AbortController()
  const [one, two] = [new Error('one'), new Error('two')]
  const soon = async () => Promise.reject(two)
  const later = () => new Promise((_resolve, reject) => setTimeout(reject, 5, one))
  await t.rejects(firstOf([later, soon], 1, signal), { errors: [one, two] })
  await t.rejects(firstOf([], 1, signal), { errors: [] })
})

t.test('all attempts can be given up at any time', async t => {
  const controller = new AbortController()
  const reason = new Error('enough')
  const given = firstOf([() => never], 1, controller.signal)
  controller.abort(reason)
  await t.rejects(given, reason)
  await t.rejects(firstOf([async () => t.fail('too late')], 1, controller.signal), reason)
})

/** Fails `times` times, and notes what it was told was left. */
function failing(times: number) {
  const lefts: number[] = []
  const attempt = async (left: number) => {
    lefts.push(left)
    if (lefts.length <= times) throw new Error(`failure ${lefts.length}`)
    return 'done'
  }
  return { attempt, lefts }
}

t.test('what fails is tried again, and told how much time is left', async t => {
  const { attempt, lefts } = failing(3)
  t.equal(await retry(attempt, 60_000, { first: 1, longest: 2 }), 'done')
  t.equal(lefts.length, 4)
  t.equal(lefts[0], 60_000)
  t.ok(lefts.every((left, at) => at === 0 || left <= lefts[at - 1]!))
})

t.test('what never goes well fails with its last failure, tried at the very end', async t => {
  const { attempt, lefts } = failing(Infinity)
  const started = performance.now()
  await t.rejects(retry(attempt, 20, { first: 5 }), /failure \d/)
  t.ok(performance.now() - started >= 19)
  t.strictSame(
    lefts,
    lefts.toSorted((one, other) => other - one),
    'each has less time left',
  )
})

t.test('what another try cannot mend is not tried again', async t => {
  const { attempt, lefts } = failing(Infinity)
  const worth = (error: unknown) => (error as Error).message !== 'failure 2'
  await t.rejects(retry(attempt, 60_000, { first: 1, worth }), { message: 'failure 2' })
  t.equal(lefts.length, 2)
})

t.test('it can be given up, in a try and in a pause', async t => {
  const reason = new Error('enough')
  const controller = new AbortController()
  const { signal } = controller
  const attempt = async () => {
    controller.abort(reason)
    throw new Error('another')
  }
  await t.rejects(retry(attempt, 60_000, { signal }), reason)

  const later = new AbortController()
  const pausing = retry(
    async () => {
      setImmediate(() => later.abort(reason))
      throw new Error('another')
    },
    60_000,
    { first: 60_000, longest: 60_000, signal: later.signal },
  )
  await t.rejects(pausing, reason)
  await t.rejects(backoff(60_000, signal), reason)
  await backoff(1, undefined)
})

t.test('a quiet one keeps nothing alive in its pauses', async t => {
  awake(t)
  const before = active('Timeout')
  let tries = 0
  const attempt = () =>
    ++tries < 2 ? Promise.reject(new Error('not yet')) : Promise.resolve('made')
  const made = retry(attempt, 60_000, { first: 50, quiet: true })
  await new Promise(setImmediate)
  t.equal(active('Timeout'), before)
  t.equal(await made, 'made')
})

t.test('the loop has turned, and polled, before one goes on', async t => {
  const told: string[] = []
  setImmediate(() => setImmediate(() => told.push('a turn later')))
  await heard()
  t.strictSame(told, ['a turn later'])
})
