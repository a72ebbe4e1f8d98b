// run [throughput] [connect] [lookups] [registry] [--json] [--smoke] [--pairs N]
import { cpus } from 'node:os'
import { parseArgs } from 'node:util'
import { table } from '../lib/commands/table.ts'
import { connecting } from './connect.ts'
import { lookups } from './lookups.ts'
import type { Benchmark, Comparison, Findings, Spread } from './measure.ts'
import { registry } from './registry.ts'
import { throughput } from './throughput.ts'

const all: Record<string, Benchmark> = { throughput, connect: connecting, lookups, registry }

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    json: { type: 'boolean', default: false },
    smoke: { type: 'boolean', default: false },
    pairs: { type: 'string' },
  },
})
const { json, smoke } = values
const pairs = Number(values.pairs ?? (smoke ? 1 : 7))
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

const figure = (value: number) => value.toLocaleString('en', { maximumSignificantDigits: 4 })
const range = ({ min, median, max }: Spread) =>
  `${figure(min)} / ${figure(median)} / ${figure(max)}`

function row({ what, unit, names, ours, beside, ratio }: Comparison): string[] {
  const ratios = [ratio.min, ratio.median, ratio.max].map(value => value.toFixed(2)).join(' / ')
  return [what, names[0], range(ours), names[1], range(beside), unit, ratios]
}

function show(name: string, { measures, comparisons, notes }: Findings): void {
  const head = [
    'what',
    'ours',
    'min / median / max',
    'beside',
    'min / median / max',
    'unit',
    'ratio',
  ]
  console.log(`\n${name}: ${measures}\n`)
  console.log(table(comparisons.map(row), head))
  for (const note of notes) console.log(note)
}

const machine = {
  date: new Date().toISOString(),
  node: process.version,
  platform: `${process.platform} ${process.arch}`,
  cpu: `${cpus().length} × ${cpus()[0]?.model}`,
  pairs,
}
if (!json)
  console.log(
    Object.entries(machine)
      .map(([key, value]) => `${key} ${value}`)
      .join(', '),
  )

const found: Record<string, Findings> = {}
for (const name of chosen) {
  found[name] = await all[name]!({ pairs, smoke, progress: text => progress(`${name}: ${text}`) })
  progress('')
  if (!json) show(name, found[name])
}
if (json) console.log(JSON.stringify({ machine, ...found }, undefined, 2))
