// Servers and daemons that come and go in an order drawn by lot: whoever watches knows what is up, and
// whoever waits or comes back gets there.
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import { connect, watch, type Listed } from '../../index.ts'
import type { MonikerServer } from '../../lib/sockets/server.ts'
import { awake } from '../fixtures/awake.ts'
import { daemon } from '../fixtures/daemon.ts'
import { named } from '../fixtures/services.ts'

awake(t)

const SERVICES = ['a', 'b', 'c'] as const

type Step = { does: 'toggle'; service: (typeof SERVICES)[number] } | { does: 'restart' }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc
        .constantFrom(...SERVICES)
        .map(service => ({ does: 'toggle', service }) as const),
    },
    { weight: 1, arbitrary: fc.constant({ does: 'restart' } as const) },
  ),
  { minLength: 6, maxLength: 12 },
)

async function play(t: Test, script: Step[]): Promise<void> {
  let served = await daemon(t)
  const { port: daemonPort } = served
  const watched = watch({ daemonPort, grace: 60_000 })
  t.teardown(() => watched.close())
  const log: string[] = []
  for (const event of ['up', 'down'] as const) {
    watched.on(event, ({ service }: Listed) => log.push(`${event} ${service}`))
  }
  const up = new Map<string, MonikerServer>()
  const expected: string[] = []
  const told = async () => {
    while (log.length < expected.length) await new Promise(setImmediate)
    t.same(log, expected)
  }
  await once(watched, 'ready')
  for (const step of script) {
    if (step.does === 'restart') {
      await served.stop()
      const back = [...up.values()].map(server => once(server, 'registered'))
      const ready = once(watched, 'ready')
      served = await daemon(t, { port: daemonPort })
      await Promise.all([...back, ready])
      continue
    }
    const { service } = step
    const server = up.get(service)
    if (server) {
      up.delete(service)
      expected.push(`down ${service}`)
      await once(server.close(), 'close')
    } else {
      const waiting = text(connect({ service, daemonPort, wait: 60_000 }))
      expected.push(`up ${service}`)
      up.set(service, await named(t, { service, daemonPort }, socket => socket.end(service)))
      t.equal(await waiting, service)
    }
    await told()
  }
  t.same(watched.services.map(({ service }) => service).sort(), [...up.keys()].sort())
}

t.test('a watch tells exactly what has happened, and a wait ends when it should', async t => {
  for (const [at, script] of fc.sample(steps, { numRuns: 8, seed: 6664 }).entries()) {
    await t.test(`script ${at + 1}`, t => play(t, script))
  }
})
