import t from 'tap'
import type { Comparison, Findings, Way } from '../../benchmarks/measure.ts'
import { compare, percentile, spread } from '../../benchmarks/measure.ts'
import { growthPlot, ratioPlot } from '../../benchmarks/plot.ts'
import { drawings, headlined, report, revised, verdicts } from '../../benchmarks/report.ts'
import { targets, type TargetName } from '../../benchmarks/targets.ts'
import { aim, aimless } from '../../benchmarks/throughput.ts'

const options = { pairs: 3, smoke: true, progress: () => {} }

/** Two ways, of which ours has one ratio to the other, pair by pair. */
const beside = (ratio: number, target?: TargetName): Promise<Comparison> => {
  const way = (name: string, figure: number) => ({ name, run: async () => figure })
  return compare('a thing', '1/s', [way('ours', ratio), way('theirs', 1)], options, target)
}

const findings = (given: Partial<Findings>): Findings => ({
  measures: 'Something; higher is better.',
  comparisons: [],
  notes: [],
  ...given,
})

const machine = { date: '2026-11-24T20:00:00.000Z', pairs: 3, processors: '2 × some', node: 'v20' }

t.test('of pairs, the least, the middle and the greatest ratio are told', async t => {
  t.strictSame((await beside(2)).ratio, { min: 2, median: 2, max: 2 })
  t.strictSame(spread([3, 1, 2]), { min: 1, median: 2, max: 3 })
  t.equal(percentile([5, 4, 3, 2, 1], 0.5), 3)
  t.equal(percentile([1, 2], 1), 2)
})

t.test('each target is met, missed, or not measured for a reason', async t => {
  const found = {
    connect: findings({
      comparisons: [await beside(1.4, 'warmTcp'), await beside(1.2, 'warmHost')],
    }),
    latency: findings({ skipped: [{ what: 'all', why: 'there is no link', targets: ['lossy'] }] }),
    registry: findings({
      growths: [
        { what: 'a name', unit: 'bytes', sizes: [1, 10], figures: [9, 290], target: 'memory' },
      ],
    }),
  }
  const text = report(machine, found)
  t.match(text, '| ≥ 0.92 | 1.40 / 1.40 / 1.40 | met |')
  t.match(text, '| ≥ 1.30 | 1.20 / 1.20 / 1.20 | **missed** |')
  t.match(text, '| ≤ 400 bytes | 290 bytes | met |')
  t.match(text, '| ≤ 1.25 | there is no link | not measured |')
  t.match(text, '| ≤ 2.10 | was not run | not measured |')
  t.match(text, '- Skipped: all, as there is no link.')
  t.match(text, '| a name, bytes | 9 | 290 |')
  t.strictSame(
    verdicts(found).map(({ target }) => target),
    Object.values(targets),
    'in the order in which they were set',
  )
})

t.test('a target of several rows is judged by the worst of them', async t => {
  const each = (target: TargetName) =>
    Promise.all([1.4, 1.2, 1.3].map(ratio => beside(ratio, target)))
  const comparisons = [...(await each('warmHost')), ...(await each('coldHost'))]
  const text = report(machine, { connect: findings({ comparisons }) })
  t.match(text, '| ≥ 1.30 | 1.20 / 1.20 / 1.20 | **missed** |')
  t.match(text, '| ≤ 1.50 | 1.40 / 1.40 / 1.40 | met |')
})

t.test('small writes are judged beside the slower of two', async t => {
  const pair = async (tcp: number, unix: number) => {
    const over = async (plain: number) => {
      const ways = [1, plain].map(figure => ({ name: 'way', run: async () => figure }))
      return compare('small', 'MB/s', ways as [Way, Way], options)
    }
    return [await over(tcp), await over(unix)] as const
  }
  const slower = await pair(1.2, 1)
  aim(...slower)
  t.strictSame(
    slower.map(({ target }) => target),
    [undefined, 'smallHostUnix'],
  )
  t.strictSame(
    aimless(slower).map(({ targets }) => targets),
    [['smallHost']],
  )
  const faster = await pair(1, 1)
  aim(...faster)
  t.strictSame(
    faster.map(({ target }) => target),
    ['smallHost', undefined],
  )
  t.strictSame(
    aimless(faster).map(({ targets }) => targets),
    [['smallHostUnix']],
  )
  t.strictSame(aimless([...slower, ...faster]), [])
})

t.test('the README has the measured figures in its marked place, and nowhere else', async t => {
  const begin = '<!-- begin: made by npm run bench -- --report -->'
  const found = { connect: findings({ comparisons: [await beside(1.4, 'warmTcp')] }) }
  const once = headlined(`before\n${begin}\n<!-- end -->\nafter\n`, machine, found)
  t.match(once, /^before\n<!-- begin.*× 1\.40 \|\n<!-- end -->\nafter\n$/s)
  t.equal(headlined(once, machine, found), once, 'writing it again changes nothing')
  t.equal(headlined('no place\n', machine, found), 'no place\n')
})

t.test('where a target has a unit, it is judged by how much more ours is', async t => {
  const comparison = await beside(12, 'startMemory')
  const found = { start: findings({ comparisons: [comparison] }) }
  t.match(report(machine, found), '| ≤ 12 MB more | 11 MB more | met |')
  const [more] = verdicts(found).filter(({ spread }) => spread)
  t.strictSame(more?.spread, { min: 11, median: 11, max: 11 })
  const given = { ...comparison, pairs: [9, 14, 20].map((ours): [number, number] => [ours, 1]) }
  const text = report(machine, { start: findings({ comparisons: [given] }) })
  t.match(text, '| ≤ 12 MB more | 8 / 13 / 19 MB more | **missed** |')
  const { start, targets: all } = drawings(found)
  t.match(start, '12.00<', 'the ratio is drawn')
  t.notMatch(start, '≤ 12', 'beside nothing that it has to reach')
  t.notMatch(all, targets.startMemory.what, 'and not among those of the targets')
})

t.test('a benchmark that ran by itself revises its section and its targets alone', async t => {
  const before = report(machine, {
    connect: findings({ comparisons: [await beside(1.4, 'warmTcp')] }),
    siege: findings({ notes: ['Old.'] }),
    start: findings({ notes: ['Last.'] }),
  })
  const more = { min: 60, median: 60, max: 60 }
  const tables = [{ head: ['attack', 'more'], rows: [['flood', '60.0']] }]
  const siege = findings({ tables, reached: { siegeQuestion: more }, notes: ['New.'] })
  const by = { ...machine, command: 'npm run bench -- siege', commit: 'abc', 'load before': '0.1' }
  const after = revised(before, by, { siege })
  t.match(after, '| ≥ 0.92 | 1.40 / 1.40 / 1.40 | met |')
  t.match(after, '| ≤ 50 ms more | 60 ms more | **missed** |')
  t.match(
    after,
    /## siege\n\nMeasured by itself on 2026-11-24, commit abc, .*npm run bench -- siege/,
  )
  t.match(after, '| attack | more |\n| --- | --- |\n| flood | 60.0 |')
  t.notMatch(after, 'Old.')
  t.match(after, /- New\.\n\n## start\n/)
  t.equal(revised(after, by, { siege }), after, 'writing it again changes nothing')
  const skipped = [{ what: 'all', why: 'this is not root', targets: ['siegeQuestion' as const] }]
  t.match(
    revised(after, by, { siege: findings({ skipped }) }),
    '| ≤ 50 ms more | this is not root | not measured |',
    'a figure that could not be measured again is no longer told',
  )
  const { siege: _, ...others } = { connect: findings({}), siege }
  t.match(revised(report(machine, others), by, { siege }), /## siege\n[^#]*- New\.\n$/)
})

t.test('plots are drawings that need nothing else', async t => {
  const { ratio } = await beside(1.4)
  const ratios = ratioPlot([{ what: 'a thing', spread: ratio, target: targets.warmTcp }])
  const growth = growthPlot([{ what: 'a name', unit: 'bytes', sizes: [1, 10], figures: [9, 290] }])
  for (const svg of [ratios, growth]) t.match(svg, /^<svg .*<\/svg>$/s)
  t.match(ratios, '1.40 (≥ 0.92)')
})
