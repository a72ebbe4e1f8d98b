import { EventEmitter } from 'node:events'
import { test } from 'tap'
import { tellLapses } from '../../lib/commands/lapses.ts'
import { MonikerError } from '../../lib/errors.ts'
import type { Lease } from '../../lib/registration/lease.ts'
import { awake } from '../fixtures/awake.ts'

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
  const timers = t.capture(globalThis, 'clearTimeout', clearTimeout)
  lease.emit('lost', gone!)
  over()
  t.equal(timers().length, 2)
  t.end()
})
