import { t, test } from 'tap'
import { chaos } from './fixtures/chaos/chaos.ts'
import { Ledger, quantile, type Attempt, type Verdict } from './fixtures/chaos/ledger.ts'
import { seeded } from './fixtures/chaos/random.ts'

t.setTimeout(120_000)

test('nothing is lost, and nobody is fooled, whatever is killed', async t => {
  const { tried, verdicts, reasons, bad, violations, ...summary } = await chaos({
    ms: 4_000,
    seed: 7,
    names: [
      { service: 'alone0', instances: 1 },
      { service: 'alone1', instances: 1 },
      { service: 'alone2', instances: 1 },
      { service: 'shared', instances: 2 },
      { service: 'far', instances: 1, far: true },
    ],
    clients: 8,
    programs: 1,
  })
  t.comment({ tried, verdicts, reasons, ...summary })
  t.ok(tried > 0)
  t.same(violations, [])
  t.same(bad, [])
  t.match(verdicts, { wrong: 0, unaccounted: 0 })
})

test('the same seed makes the same choices', t => {
  const [one, other] = [seeded(3), seeded(3)]
  const numbers = Array.from({ length: 1_000 }, one)
  t.same(Array.from({ length: 1_000 }, other), numbers)
  t.ok(numbers.every(number => number >= 0 && number < 1))
  t.not(seeded(4)(), numbers[0])
  t.end()
})

test('a connection is judged by who held the name, and what was done to them, meanwhile', t => {
  const ledger = new Ledger()
  ledger.lives.push(
    { name: 'tie', pid: 1, since: 0, live: 10, until: 100, gone: 110 },
    { name: 'tie', pid: 2, since: 200, live: 210, until: 300, gone: 310 },
    { name: 'wing', pid: 3, since: 0, live: 0, until: Infinity, gone: Infinity },
  )
  ledger.faults.push(
    { what: 'frozen', name: 'wing', from: 20, to: 30 },
    { what: 'daemon dies', from: 60, to: 70 },
  )
  const by = (pid: number, name = 'tie') => ({ greeted: { name, pid } })
  const table: [from: number, to: number, how: Partial<Attempt>, verdict: Verdict][] = [
    [20, 30, by(1), 'served'],
    [90, 120, by(1), 'served'],
    [120, 130, by(1), 'wrong'],
    [20, 30, by(2), 'wrong'],
    [20, 30, by(3), 'wrong'],
    [20, 30, by(1, 'wing'), 'wrong'],
    [110, 120, { error: 'ENOSERVICE' }, 'absent'],
    [90, 105, { error: 'ENOSERVICE' }, 'absent'],
    [20, 30, { error: 'ENOSERVICE' }, 'unaccounted'],
    [50, 60, { error: 'ENOSERVICE' }, 'disturbed'],
    [71, 80, { error: 'ENOSERVICE' }, 'unaccounted'],
    [20, 30, { name: 'wing', error: 'ENOSERVICE' }, 'disturbed'],
  ]
  for (const [from, to, how, verdict] of table) {
    const attempt = { name: 'tie', from, to, ...how }
    t.equal(ledger.judge(attempt), verdict, JSON.stringify(attempt))
  }
  t.end()
})

test('what is not accounted for is told with all that was going on', t => {
  const ledger = new Ledger()
  ledger.lives.push({ name: 'tie', pid: 1, since: 0, live: 10, until: 9_000, gone: 9_000 })
  ledger.faults.push({ what: 'daemon dies', from: 400, to: 900 })
  const attempt = { name: 'tie', from: 1_000, to: 1_002 }
  t.equal(
    ledger.tell({ ...attempt, error: 'ENOSERVICE' }),
    'tie: ENOSERVICE after 2 ms; held by 1 from -990 to 8000; daemon dies from -600 to -100',
  )
  t.match(ledger.tell({ ...attempt, greeted: { name: 'wing', pid: 7 } }), /^tie: wing said 7 after/)
  t.end()
})

test('a name is missing from when the daemon dies until it is back', t => {
  const ledger = new Ledger()
  ledger.back('tie', { since: 0, lost: 10, again: 30 })
  ledger.faults.push({ what: 'daemon dies', from: 2_000, to: 2_100 })
  ledger.back('tie', { since: 30, lost: 2_010, again: 2_050 })
  ledger.back('tie', { since: 2_050, lost: 2_500, again: 2_503 })
  ledger.back('wing', { since: 0, lost: 4_000, again: 4_004 })
  ledger.back('wing', { since: 5_000, lost: 4_990, again: 5_005 })
  t.same(ledger.missing, [20, 50, 3, 4, 5])
  t.equal(quantile(ledger.missing, 0.5), 5)
  t.equal(quantile([], 0.99), 0)
  t.end()
})

test('a name is there while the daemon that is to have it next only starts', t => {
  const ledger = new Ledger()
  ledger.faults.push({ what: 'hand-over', from: 100, to: 600 })
  ledger.faults.push({ what: 'handed over', from: 400, to: 900 })
  ledger.back('tie', { since: 0, lost: 399, again: 420 })
  ledger.back('tie', { since: 0, lost: 405, again: 420 })
  t.same(ledger.missing, [21, 20])
  t.end()
})
