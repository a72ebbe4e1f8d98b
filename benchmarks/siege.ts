import { setTimeout as pause } from 'node:timers/promises'
import type { AttackName, Tally } from './besieger.ts'
import { cores } from './cores.ts'
import { KINDS, PACE, type Kind, type Taken } from './honest.ts'
import { cable } from './link.ts'
import { percentile, type Benchmark, type Findings, type Skipped } from './measure.ts'
import { monikerd } from './monikerd.ts'
import { peer, type Peer } from './process.ts'
import { freePort, program } from './program.ts'
import { figure } from './report.ts'
import { bound, isMet, targets, type TargetName } from './targets.ts'

/** Milliseconds of each measurement, and of an attack before it. */
const WINDOW = 2_000
const AHEAD = 500

/** The most measurements of each row, of which neither attackers nor burners are always first. */
const ROUNDS = 2

/** The strength of attackers where it is only to be seen that all works. */
const WEAK = 0.02

/** The user of the first of the besiegers of this host; no user of the system has such a number. */
const FIRST_USER = 54_321

const isRoot = process.getuid?.() === 0

/** A program that burns the processor for as long as we are there. */
const BURN = 'for (const { ppid } = process; process.ppid === ppid;);'

/** The attacks of one row, from two seats. */
interface Row {
  what: string
  /** Those of other users of this host, each a process. */
  here?: AttackName[]
  /** Those of another host. */
  there?: AttackName[]
}

const rows: Row[] = [
  { what: 'version ranges that all differ, another host', there: ['ranges'] },
  {
    what: '65,536 held questions, another host; registrations of their name, 300 in one packet',
    here: ['packets'],
    there: ['waits'],
  },
  {
    what: 'watches of 20,000 names on 250 connections, another host',
    here: ['names'],
    there: ['rosters'],
  },
  { what: '20,000 `shared` names of one service, let go at once', here: ['shared'] },
  { what: '12,000 names, let go at once', here: ['release'] },
  {
    what: '65,536 watches of one name, and its registrations, 300 in one packet',
    here: ['watches', 'packets'],
  },
  { what: '100 lists of 40,000 names', here: ['manyNames', 'lists'] },
  { what: "3,000 registrations in a user's namespace", here: ['identity'] },
  { what: 'pipelined questions on 30 connections', here: ['flood'] },
  { what: 'a flood of datagrams', here: ['datagrams'] },
  { what: 'lists and watches that are not read', here: ['names', 'unread'] },
  {
    what: 'all of them at once, from every seat',
    here: [
      'manyNames',
      'lists',
      'watches',
      'packets',
      'shared',
      'release',
      'identity',
      'flood',
      'datagrams',
      'unread',
    ],
    there: ['ranges', 'waits', 'rosters', 'flood', 'datagrams'],
  },
]

const TARGETS: Record<Kind, TargetName> = {
  question: 'siegeQuestion',
  registration: 'siegeRegistration',
  connect: 'siegeConnect',
}

/** Honest programs of a host whose daemon is attacked, beside those of one where the attackers only burn the processor. */
export const siege: Benchmark = async ({ pairs, smoke, progress }) => {
  const ground = await prepare()
  const more: Record<Kind, number[]> = { question: [], registration: [], connect: [] }
  const lines: string[][] = []
  const deeds: string[] = []
  try {
    for (const row of rows) {
      progress(row.what)
      const measured = measure(ground, row, smoke, Math.min(pairs, ROUNDS))
      const found = (await Promise.race([measured, ground.fallen]))!
      for (const kind of KINDS) {
        const [under, beside] = [marks(found.attacked[kind]), marks(found.burnt[kind])]
        const difference = under.p99 - beside.p99
        more[kind].push(difference)
        const verdict = isMet(targets[TARGETS[kind]], difference) ? 'met' : 'MISSED'
        lines.push([row.what, kind, told(under), told(beside), ms(difference), verdict])
      }
      deeds.push(deedOf(row, found))
    }
  } finally {
    await ground.leave()
  }
  return {
    measures:
      'What honest programs of a host wait for while its daemon is attacked, beside the same while programs in the place of the ' +
      'attackers only burn the processor (ms); lower is better.',
    comparisons: [],
    tables: [{ head: HEAD, rows: lines }],
    reached: reached(more),
    skipped: ground.skipped,
    notes: [
      `Every ${PACE} ms there is a question, a registration by a program that has just started, and a cold connect with a byte there and back, each counted from when it was due. What fails never ends.`,
      'The targets are of the row that is worst. The daemon is `monikerd --public-list`: other hosts may list.',
      ...deeds,
    ],
  }
}

const HEAD = [
  'under attack',
  'asked',
  'p50 / p99 / worst',
  'beside burners',
  'p99 more',
  `of ${bound(targets.siegeQuestion)}`,
]

/** The place of a siege. */
interface Ground {
  /** The designated port of the daemon, and an address at which the attackers of each seat reach it. */
  port: number
  here: Seat
  there: Seat
  honest: Peer<string>
  /** Fails if the daemon ends by itself. */
  fallen: Promise<void>
  skipped: Skipped[]
  leave: () => Promise<void>
}

/** A place for attackers. */
interface Seat {
  /** The words to run a program by, so that it is there. */
  by: string[]
  /** The address at which it reaches the daemon. */
  host: string
}

/** Starts a daemon, and an honest program beside it. */
async function prepare(): Promise<Ground> {
  const skipped: Skipped[] = []
  const told = cores()
  if (typeof told === 'string')
    skipped.push({ what: 'holding attackers to a processor', why: told })
  const { ours, theirs } = typeof told === 'string' ? { ours: [], theirs: [] } : told
  const hosts = await cable()
  if (typeof hosts === 'string') {
    skipped.push({ what: 'another host, whose attacks came from this one', why: hosts })
  }
  const { near, far, address, stop } =
    typeof hosts === 'string'
      ? { near: [], far: [], address: '127.0.0.1', stop: async () => {} }
      : hosts
  const port = await freePort()
  const daemon = await monikerd({ port, args: ['--public-list'], by: [...far, ...ours] })
  const honest = await peer<string>('honest', { port, by: [...far, ...ours] })
  // To warm up.
  await honest.ask(AHEAD)
  return {
    port,
    here: { by: [...far, ...theirs], host: '127.0.0.1' },
    there: { by: [...near, ...theirs], host: address },
    honest,
    fallen: daemon.fallen,
    skipped,
    leave: async () => {
      await honest.stop()
      await daemon.stop()
      await stop()
    },
  }
}

type Work = Record<Kind, Taken>

/** The findings of one row. */
interface Measured {
  attacked: Work
  burnt: Work
  tally: Tally
  /** Seconds until the daemon was over it. */
  recovery: number
}

/** Measures beside attackers, and beside as many burners, in turn. */
async function measure(
  ground: Ground,
  row: Row,
  smoke: boolean,
  rounds: number,
): Promise<Measured> {
  const attacked = nothing()
  const burnt = nothing()
  const tally: Tally = { asked: 0, answered: 0, refused: 0, dropped: 0 }
  let recovery = 0
  const attack = async () => {
    add(attacked, await besieged(ground, row, smoke, tally))
    recovery = Math.max(recovery, await ground.honest.ask<number>(0))
  }
  const burn = async () => add(burnt, await beside(ground, row, smoke))
  for (let round = 0; round < rounds; round++) {
    for (const one of round % 2 ? [attack, burn] : [burn, attack]) await one()
  }
  if (tally.asked === 0 || tally.answered + tally.dropped === 0) {
    throw new Error(`nobody has attacked by ${row.what}`)
  }
  return { attacked, burnt, tally, recovery }
}

async function besieged(ground: Ground, row: Row, smoke: boolean, tally: Tally): Promise<Work> {
  const { port } = ground
  const start = (name: AttackName, { by, host }: Seat, user: number | '') =>
    peer<string>('besieger', {
      port,
      by,
      args: [name, host, String(smoke ? WEAK : 1), String(user)],
    })
  const here = (row.here ?? []).map((name, at) =>
    start(name, ground.here, isRoot ? FIRST_USER + at : ''),
  )
  const there = (row.there ?? []).map(name => start(name, ground.there, ''))
  const besiegers = await Promise.all([...here, ...there])
  try {
    await Promise.all(besiegers.map(one => one.ask('begin')))
    const work = await observe(ground, smoke)
    for (const one of besiegers) sum(tally, await one.ask<Tally>('tell'))
    return work
  } finally {
    await Promise.all(besiegers.map(one => one.stop()))
  }
}

async function beside(ground: Ground, row: Row, smoke: boolean): Promise<Work> {
  const count = (row.here ?? []).length + (row.there ?? []).length
  const [command, ...rest] = [...ground.here.by, process.execPath, '-e', BURN]
  const start = async () => {
    const burner = await program(command!, rest, 'util-linux')
    if (typeof burner === 'string') throw new Error(burner)
    return burner
  }
  const burners = await Promise.all(Array.from({ length: count }, start))
  try {
    return await observe(ground, smoke)
  } finally {
    await Promise.all(burners.map(one => one.stop()))
  }
}

/** The work of honest programs, once it has gone on for a moment. */
async function observe({ honest }: Ground, smoke: boolean): Promise<Work> {
  const part = smoke ? 0.2 : 1
  await pause(AHEAD * part)
  return honest.ask<Work>(WINDOW * part)
}

function nothing(): Work {
  const none = (): Taken => ({ times: [], failures: [] })
  return { question: none(), registration: none(), connect: none() }
}

function add(all: Work, more: Work): void {
  for (const kind of KINDS) {
    all[kind].times.push(...more[kind].times)
    all[kind].failures.push(...more[kind].failures)
  }
}

function sum(all: Tally, more: Tally): void {
  for (const key of Object.keys(all) as (keyof Tally)[]) all[key] += more[key]
}

/** Milliseconds under which the half, and 99 of 100, of all tasks stay; and the worst. */
interface Marks {
  p50: number
  p99: number
  worst: number
}

/** The marks of some tasks; one that has failed has never ended. */
export function marks({ times, failures }: Taken): Marks {
  const all = [...times, ...failures.map(() => Infinity)]
  return { p50: percentile(all, 0.5), p99: percentile(all, 0.99), worst: percentile(all, 1) }
}

function told({ p50, p99, worst }: Marks): string {
  return [p50, p99, worst].map(ms).join(' / ')
}

function ms(value: number): string {
  return Number.isFinite(value) ? value.toFixed(1) : 'never'
}

/** The differences by which the targets are judged: those of the row that is worst. */
function reached(more: Record<Kind, number[]>): NonNullable<Findings['reached']> {
  return Object.fromEntries(
    KINDS.map(kind => {
      const worst = Math.max(...more[kind])
      return [TARGETS[kind], { min: worst, median: worst, max: worst }]
    }),
  )
}

/** The deeds of attackers, what became of them, and which tasks of honest programs failed. */
function deedOf({ what }: Row, { tally, attacked, recovery }: Measured): string {
  const { asked, answered, refused, dropped } = tally
  const failures = KINDS.flatMap(kind => failuresOf(kind, attacked[kind]))
  return (
    `${what}: ${figure(asked)} times asked, ${figure(answered)} answered, of which ${figure(refused)} refusals, and ` +
    `${figure(dropped)} connections cut off; ${figure(recovery)} s until the daemon was over it.` +
    (failures.length > 0 ? ` Honest programs failed: ${failures.join(', ')}.` : '')
  )
}

/** Such as `3 of 250 times question, ETIMEDOUT`. */
function failuresOf(kind: Kind, { times, failures }: Taken): string[] {
  const all = times.length + failures.length
  return [...new Set(failures)].map(code => {
    const count = failures.filter(other => other === code).length
    return `${count} of ${all} times ${kind}, ${code}`
  })
}
