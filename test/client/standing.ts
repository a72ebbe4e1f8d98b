import type { LookupFunction } from 'node:net'
import t, { type Test } from 'tap'
import { Resolver } from '../../lib/client/resolver.ts'
import { isDoubtful, standings } from '../../lib/client/standing.ts'
import { MonikerError } from '../../lib/errors.ts'
import type { Answer } from '../../lib/wire/protocol.ts'
import { daemon } from '../fixtures/daemon.ts'
import { nobody } from '../fixtures/services.ts'

/** Has this process hold names with the daemon at `port`, which answers as `ask` does. */
function stand(t: Test, port: number, ask: (signal: AbortSignal) => Promise<Answer>): string[] {
  const asked: string[] = []
  standings.set(port, {
    ask: async ({ op }, signal) => {
      asked.push(op)
      const answer = await ask(signal as AbortSignal)
      return { answer, daemon: { address: '127.0.0.1', port } }
    },
  })
  t.teardown(() => standings.delete(port))
  return asked
}

const lookup: LookupFunction = (_host, _options, done) => done(new Error('no such host'), '')

const endpoint = { transport: 'tcp', port: 4711, version: '1.0.0', instance: 'a-1' }
const found = async () => ({ v: 1, endpoints: [endpoint], ttl: 1_000 })

t.test('where no daemon is found, that of the names which are held is asked', async t => {
  const port = await nobody()
  const asked = stand(t, port, found)
  const { endpoints } = await new Resolver({ port }).resolve('web')
  t.match(endpoints, [{ address: '127.0.0.1', port: 4711 }])
  t.strictSame(asked, ['resolve'])
})

t.test('a daemon that does not know a name yet is asked again when it does', async t => {
  const { port } = await daemon(t)
  const asked = stand(t, port, found)
  t.match(await new Resolver({ port }).resolve('web'), { endpoints: [{ port: 4711 }] })
  t.strictSame(asked, ['resolve'])
})

t.test('its refusal is the answer, and without an answer the first failure is', async t => {
  const port = await nobody()
  stand(t, port, async () => ({
    v: 1,
    error: { code: 'EVERSION', message: 'no', offered: ['2.0.0'] },
  }))
  const details = { service: 'web', host: 'localhost', port, syscall: 'resolve' }
  const refused = { code: 'ECONNREFUSED', reason: 'EVERSION', ...details }
  await t.rejects(new Resolver({ port }).resolve('web'), refused)
  stand(t, port, async () => {
    throw new MonikerError('ELOST')
  })
  await t.rejects(new Resolver({ port }).resolve('web'), {
    code: 'ECONNREFUSED',
    reason: 'ENODAEMON',
    ...details,
  })
})

t.test('it is given up with the question', async t => {
  const port = await nobody()
  const over = new AbortController()
  stand(t, port, signal => {
    over.abort(new Error('enough'))
    return new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error))
      if (signal.aborted) reject(signal.reason as Error)
    })
  })
  await t.rejects(new Resolver({ port }).resolve('web', { signal: over.signal }), {
    message: 'enough',
  })
})

t.test(
  'of another host, or of a failure that no change of daemon makes, it is not asked',
  async t => {
    const port = await nobody()
    const asked = stand(t, port, found)
    await t.rejects(new Resolver({ port }).resolve('web', { host: 'far.test', lookup }))
    t.strictSame(asked, [])
    t.ok(isDoubtful(new MonikerError('ENODAEMON')))
    t.notOk(isDoubtful(new MonikerError('EDENIED')))
    t.notOk(isDoubtful(new Error('other')))
  },
)
