// run [throughput] [connect] [latency] [lookups] [resolve] [registry] [scale] [start] [siege]
//     [--report] [--json] [--smoke] [--pairs N]
import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { table } from '../lib/commands/table.ts'
import { connecting } from './connect.ts'
import { latency } from './latency.ts'
import { lookups } from './lookups.ts'
import type { Benchmark, Findings } from './measure.ts'
import { registry } from './registry.ts'
import { resolving } from './resolve.ts'
import {
  HEAD,
  NOT_RUN,
  growthTable,
  inTargetUnit,
  row,
  verdicts,
  write,
  type Found,
  type Machine,
} from './report.ts'
import { scale } from './scale.ts'
import { siege } from './siege.ts'
import { start } from './start.ts'
import { bound, isMet } from './targets.ts'
import { throughput } from './throughput.ts'

const all: Record<string, Benchmark> = {
  throughput,
  connect: connecting,
  latency,
  lookups,
  resolve: resolving,
  registry,
  scale,
  start,
  siege,
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    report: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    pairs: { type: 'string' },
  },
})
const { json, smoke } = values
const pairs = Number(values.pairs ?? (smoke ? 1 : 9))
const chosen = positionals.length > 0 ? positionals : Object.keys(all)
const unknown = chosen.filter(name => !Object.hasOwn(all, name))
if (unknown.length > 0 || !(pairs > 0)) {
  console.error(`expected ${Object.keys(all).join(', ')}, and --pairs above 0`)
  process.exit(2)
}

/** On a terminal, one line that is written over. */
function progress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`)
}

function show(
  name: string,
  { measures, comparisons, growths = [], tables = [], skipped = [], notes }: Findings,
) {
  console.log(`\n${name}: ${measures}\n`)
  if (comparisons.length > 0) console.log(table(comparisons.map(row), HEAD))
  const { head, rows } = growthTable(growths)
  if (rows.length > 0) console.log(table(rows, head))
  for (const { head, rows } of tables) console.log(table(rows, head))
  for (const note of notes) console.log(note)
  for (const { what, why } of skipped) console.log(`skipped: ${what}, as ${why}`)
}

function showTargets(found: Found): void {
  const told = verdicts(found).filter(({ why, spread }) => spread ?? why !== NOT_RUN)
  const rows = told.map(({ target, spread, why }) => [
    target.what,
    target.beside,
    bound(target),
    spread ? inTargetUnit(spread, target) : why,
    spread ? (isMet(target, spread.median) ? 'met' : 'MISSED') : 'not measured',
  ])
  if (rows.length > 0) console.log(`\n${table(rows, ['target', 'beside', 'of', 'measured', ''])}`)
}

/** The benchmarks and their helpers; the report is neither. */
const SOURCES = ['index.ts', 'lib', 'package.json', 'package-lock.json', 'benchmarks/*.ts']

/** The state of the sources; nothing where there is no git. */
function commit(): string {
  const git = (...args: string[]) =>
    execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  try {
    return (
      git('rev-parse', '--short', 'HEAD') +
      (git('status', '--porcelain', '--', ...SOURCES) ? ', changed' : '')
    )
  } catch {
    return 'unknown'
  }
}

const machine: Machine = {
  date: new Date().toISOString(),
  command: ['npm run bench --', ...process.argv.slice(2)].join(' '),
  commit: commit(),
  node: process.version,
  system: `${process.platform} ${release()} ${process.arch}`,
  processors: `${cpus().length} × ${cpus()[0]?.model}`,
  'load before': loadavg()[0]!.toFixed(1),
  memory: `${Math.round(totalmem() / 2 ** 30)} GiB`,
  pairs,
}
if (!json) for (const [key, value] of Object.entries(machine)) console.log(`${key} ${value}`)

const found: Found = {}
for (const name of chosen) {
  found[name] = await all[name]!({ pairs, smoke, progress: text => progress(`${name}: ${text}`) })
  progress('')
  if (!json) show(name, found[name])
}
if (json) console.log(JSON.stringify({ machine, ...found }, undefined, 2))
else showTargets(found)
// Beside the sources, from where they were built to.
if (values.report) {
  const directory = fileURLToPath(new URL('../../benchmarks', import.meta.url))
  write(directory, machine, found, chosen.length === Object.keys(all).length)
}
