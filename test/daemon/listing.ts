import { join } from 'node:path'
import t, { type Test } from 'tap'
import { isLong, listing, pagesOf } from '../../lib/daemon/listing.ts'
import { encodeAnswer, encodeServices, type Answer } from '../../lib/wire/protocol.ts'
import { daemon } from '../fixtures/daemon.ts'
import { lines, type Message } from '../fixtures/lines.ts'

/** All that is written of a list. */
function written(told: (Answer | undefined)[]): string {
  const answer = listing(told.values())
  if (!isLong(answer)) return encodeAnswer(1, answer)
  return [...pagesOf(answer.services)]
    .filter(page => page !== undefined)
    .map(({ services, isLast }) => encodeServices(1, { services }, !isLast))
    .join('')
}

t.test('what is written of a list is the same, however many names of it are not told', async t => {
  for (const length of [0, 1, 34, 63, 64, 65, 128, 200]) {
    const all = Array.from({ length }, (_, port) => ({ port }))
    const alone = written(all)
    t.equal([...alone.matchAll(/"port"/g)].length, length)
    const hidden = (count: number) => Array.from({ length: count }, () => undefined)
    for (const count of [1, 30, 64, 500]) {
      const cases = [
        [...hidden(count), ...all],
        [...all, ...hidden(count)],
        [...all.slice(0, 30), ...hidden(count), ...all.slice(30)],
        all.flatMap(one => [...hidden(count), one]),
      ]
      for (const told of cases) t.equal(written(told), alone, `${length} told, ${count} not`)
    }
  }
})

/** The answers to `list` of a daemon that holds `names`, each with the names in it. */
async function listed(t: Test, policy: string, names: readonly string[]): Promise<Message[]> {
  const { port } = await daemon(t, { policy })
  const nc = await lines(t, port)
  nc.ask(...names.map(service => ({ op: 'register', service, transport: 'tcp', port: 1 })))
  for (const _ of names) await nc.answer()
  nc.ask({ op: 'list', id: 'list' })
  const answers: Message[] = []
  do {
    const { services, ...rest } = (await nc.answer())!
    answers.push({ ...rest, services: (services as Message[]).map(({ service }) => service) })
  } while (answers.at(-1)!.more)
  return answers
}

t.test('nor does a daemon tell that there are names which its policy withholds', async t => {
  const rules = [{ deny: 'list', name: 'secret-*' }]
  const policy = join(t.testdir({ 'p.yaml': JSON.stringify({ rules }) }), 'p.yaml')
  const told = Array.from({ length: 70 }, (_, n) => `told-${n}`)
  const secret = Array.from({ length: 300 }, (_, n) => `secret-${n}`)
  for (const names of [told, told.slice(0, 3)]) {
    const all = names.flatMap((name, n) => [...secret.slice(n * 4, n * 4 + 4), name])
    t.strictSame(
      await listed(t, policy, [...all, ...secret.slice(280)]),
      await listed(t, policy, names),
    )
    t.strictSame(await listed(t, policy, [...secret, ...names]), await listed(t, policy, names))
  }
})
