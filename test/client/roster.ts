import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import t from 'tap'
import type { Listed } from '../../lib/wire/protocol.ts'
import { Roster } from '../../lib/client/roster.ts'

const service = (instance: string, given: Partial<Listed> = {}): Listed => ({
  namespace: '',
  service: 'web',
  version: '1.0.0',
  transport: 'tcp',
  port: 80,
  address: '::',
  shared: false,
  instance,
  ...given,
})

function roster() {
  const told: string[] = []
  return { told, roster: new Roster((event, { instance }) => told.push(`${event} ${instance}`)) }
}

t.test('what comes and goes is told, once', async t => {
  const { told, roster: known } = roster()
  known.up(service('a'))
  known.up(service('a'))
  known.up(service('b'))
  known.down(service('a'))
  known.down(service('a'))
  known.down(service('never'))
  t.strictSame(told, ['up a', 'up b', 'down a'])
  t.strictSame(known.services, [service('b')])
})

t.test('what comes back with the next daemon was never gone, and keeps its instance', async t => {
  const { told, roster: known } = roster()
  known.up(service('1-a'))
  known.up(service('1-b', { port: 81 }))
  known.doubt()
  t.equal(known.isInDoubt, true)
  t.equal(known.services.length, 2)
  known.up(service('2-a', { since: 1 }))
  known.up(service('2-c', { port: 82 }))
  t.strictSame(told, ['up 1-a', 'up 1-b', 'up 2-c'])
  known.settle()
  t.equal(known.isInDoubt, false)
  known.down(service('2-a'))
  t.strictSame(told.slice(3), ['down 1-b', 'down 1-a'])
  t.strictSame(known.services, [service('2-c', { port: 82 })])
})

t.test('of several that are the same, as many come back as come back', async t => {
  const { told, roster: known } = roster()
  const shared = { shared: true }
  for (const at of ['1-a', '1-b', '1-c']) known.up(service(at, shared))
  known.doubt()
  for (const at of ['2-a', '2-b']) known.up(service(at, shared))
  known.doubt()
  known.up(service('3-a', shared))
  known.settle()
  t.equal(told.length, 5)
  t.equal(known.services.length, 1)
})

t.test('whatever happens, what was told adds up to what is known', async () => {
  const steps = fc.array(
    fc.oneof(
      fc.tuple(fc.constantFrom('up', 'down'), fc.nat(5), fc.nat(2)),
      fc.tuple(fc.constantFrom('doubt', 'settle'), fc.constant(0), fc.constant(0)),
    ),
  )
  fc.assert(
    fc.property(steps, steps => {
      const up = new Set<Listed>()
      const known = new Roster((event, one) => {
        const isFresh = event === 'up' ? !up.has(one) : up.has(one)
        if (!isFresh) throw new Error(`${event} ${one.instance} twice`)
        if (event === 'up') up.add(one)
        else up.delete(one)
      })
      for (const [step, instance, port] of steps) {
        if (step === 'up') known.up(service(`${instance}`, { port }))
        else if (step === 'down') known.down(service(`${instance}`, { port }))
        else if (step === 'doubt') known.doubt()
        else known.settle()
      }
      deepStrictEqual(new Set(known.services), up)
    }),
  )
})

t.test('its weight is that of what is up or in doubt, however that comes and goes', async t => {
  const { roster: known } = roster()
  t.equal(known.weight, 0)
  const alike = Array.from({ length: 50_000 }, (_, at) => service(`i${at}`))
  const weight = alike.reduce((sum, one) => sum + JSON.stringify(one).length, 0)
  for (const one of alike) known.up(one)
  for (const one of alike) known.up(one)
  t.equal(known.weight, weight)
  known.doubt()
  t.equal(known.weight, weight)
  for (const one of alike) known.up({ ...one, instance: `again ${one.instance}` })
  t.equal(known.weight, weight, 'they have come back, each in the time of one')
  known.doubt()
  known.settle()
  t.equal(known.weight, 0)
})
