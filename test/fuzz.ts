import { t, test } from 'tap'
import { fuzz } from './fixtures/fuzz/fuzz.ts'
import { targets } from './fixtures/fuzz/targets.ts'

t.setTimeout(120_000)

test('nothing that reads is upset by what it reads', async t => {
  const { crashes, ...summary } = await fuzz({ inputs: 20_000, seed: Date.now() % 1_000_000 })
  t.comment(summary)
  t.same(crashes, [])
  t.equal(summary.taken + summary.refused, summary.inputs)
  t.ok(summary.taken > 0 && summary.refused > 0)
})

test('everything that reads has something to read, and takes it', async t => {
  for (const { name, corpus, read } of targets) {
    t.ok(corpus.length > 0, name)
    for (const input of corpus) t.doesNotThrow(() => read(input), `${name}: ${String(input)}`)
  }
})

test('what goes wrong is told with what it was', async t => {
  const [target] = targets
  const broken = {
    ...target!,
    read: () => {
      throw new TypeError('ours')
    },
  }
  const { crashes } = await fuzz({ inputs: 3, seed: 1, targets: [broken] })
  t.equal(crashes.length, 3)
  t.match(crashes[0], /^daemon: TypeError: ours.*with "/s)
})
