import { live } from '../fixtures/live.ts'
import { EventEmitter } from 'node:events'
import { test, type Test } from 'tap'
import {
  colour,
  keepAlive,
  printJSON,
  say,
  stopSignal,
  tell,
  tellLapses,
  timeOf,
} from '../../lib/commands/terminal.ts'
import { MonikerError } from '../../lib/errors.ts'
import type { Lease } from '../../lib/registration/registrar.ts'
import { active } from '../fixtures/active.ts'
import { awake } from '../fixtures/awake.ts'

test('what is said to people does not get among the data', async t => {
  const stderr = t.capture(process.stderr, 'write', () => true)
  say('hello')
  tell('hello')
  t.same(stderr.args(), [['hello\n'], ['moniker: hello\n']])
})

test('what others have written cannot steer the terminal', async t => {
  const stderr = t.capture(process.stderr, 'write', () => true)
  const log = t.capture(console, 'log')
  tell('a\u202Eb\u009Bc')
  printJSON({ a: 'b\u202E' })
  printJSON({ a: 'b\u009B' }, 0)
  t.same(stderr.args(), [['moniker: a b c\n']])
  t.same(log.args(), [['{\n  "a": "b\\u202e"\n}'], ['{"a":"b\\u009b"}']])
})

test('a time is told as such, and what is none as the number that it is', async t => {
  t.equal(timeOf(0), '1970-01-01T00:00:00.000Z')
  t.equal(timeOf(8.64e15 + 1), '8640000000000001')
})

test('a signal stops a command, once', async t => {
  const before = process.listenerCount('SIGTERM')
  const signal = stopSignal()
  t.teardown(() => ['SIGINT', 'SIGHUP'].forEach(name => process.emit(name as NodeJS.Signals)))
  t.equal(signal.aborted, false)
  process.emit('SIGTERM')
  t.equal(signal.aborted, true)
  t.equal(process.listenerCount('SIGTERM'), before)
})

/** A variable of the environment, until the test ends. */
function set(t: Test, name: string, value?: string): void {
  const before = process.env[name]
  const put = (text?: string) => {
    if (text === undefined) delete process.env[name]
    else process.env[name] = text
  }
  put(value)
  t.teardown(() => put(before))
}

const stream = (isTTY: boolean, colours = true) =>
  ({ isTTY, hasColors: () => colours }) as unknown as NodeJS.WriteStream

test('colours are for terminals that have any, unless told otherwise', async t => {
  const RED = '\u001B[31mx\u001B[39m'
  const cases: [
    isTTY: boolean,
    has: boolean,
    forced?: string | undefined,
    none?: string | undefined,
    text?: string,
  ][] = [
    [true, true, undefined, undefined, RED],
    [true, false],
    [false, true],
    [true, true, undefined, '1'],
    [true, true, undefined, '', RED],
    [false, true, '1', undefined, RED],
    [false, true, '', undefined, RED],
    [false, true, '1', '1', RED],
    [true, true, '0'],
    [true, true, 'false'],
  ]
  for (const [isTTY, has, forced, none, text = 'x'] of cases) {
    set(t, 'FORCE_COLOR', forced)
    set(t, 'NO_COLOR', none)
    t.equal(
      colour('red', 'x', stream(isTTY, has)),
      text,
      JSON.stringify([isTTY, has, forced, none]),
    )
  }
})

test('the terminal is that of the output', async t => {
  set(t, 'FORCE_COLOR')
  t.intercept(process.stdout, 'isTTY', { value: false })
  t.equal(colour('bold', 'x'), 'x')
})

test('the process stays alive until the work is done, or has failed', async t => {
  const before = active('Timeout')
  let finish: (value: string) => void
  const done = keepAlive(new Promise<string>(resolve => (finish = resolve)))
  t.equal(active('Timeout'), before + 1)
  finish!('done')
  t.equal(await done, 'done')
  t.equal(active('Timeout'), before)

  const error = new Error('failed')
  await t.rejects(keepAlive(Promise.reject(error)), error)
  t.equal(active('Timeout'), before)
})

const [gone, taken] = (['ELOST', 'ETAKEN'] as const).map(reason => new MonikerError(reason))

/** A lease, what is told of it, and how to have no more of that. */
function lapses(moment?: number) {
  const lease = new EventEmitter() as Lease
  const told: string[] = []
  const over = tellLapses(lease, text => told.push(text), 'tie is back', moment)
  return { lease, told, over }
}

test('a name that is lost is told of, unless it is back at once', t => {
  const { lease, told } = lapses()
  lease.emit('lost', gone!)
  lease.emit('regained')
  t.same(told, [])
  lease.emit('lost', gone!)
  lease.emit('lost', taken!)
  lease.emit('regained')
  lease.emit('regained')
  t.same(told, [taken!.message, 'tie is back'])
  t.end()
})

test('a daemon that has gone is told of when no other takes its place', async t => {
  awake(t)
  const { lease, told } = lapses(1)
  lease.emit('lost', gone!)
  while (told.length === 0) await new Promise(setImmediate)
  lease.emit('regained')
  t.same(told, [gone!.message, 'tie is back'])
})

test('of a name that is let go nothing more is told', t => {
  const { lease, over } = lapses()
  const timers = t.capture(live, 'clearTimeout', live.clearTimeout)
  lease.emit('lost', gone!)
  over()
  t.equal(timers().length, 2)
  t.end()
})
