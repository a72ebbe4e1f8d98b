import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spread, type Comparison, type Findings, type Growth, type Spread } from './measure.ts'
import { growthPlot, ratioPlot, type Bar } from './plot.ts'
import type { Profile } from './profile.ts'
import { bound, isMet, targets, type Target, type TargetName } from './targets.ts'

/** The place and the way of a measurement, for the reader to judge by. */
export type Machine = Record<string, string | number>

/** The findings, by the name of the benchmark. */
export type Found = Record<string, Findings>

/**
 * Writes `REPORT.md` into a directory, and the plots it shows into `plots` there; and what it says of
 * the targets into the README above, in the place that is marked. If not all benchmarks have run, it writes their
 * sections and targets into the report that is there.
 */
export function write(directory: string, machine: Machine, found: Found, isWhole = true): void {
  const file = join(directory, 'REPORT.md')
  const plots = join(directory, 'plots')
  mkdirSync(plots, { recursive: true })
  for (const [name, svg] of Object.entries(drawings(found))) {
    // That of all targets is of a run of all.
    if (isWhole || name !== 'targets') writeFileSync(join(plots, `${name}.svg`), svg)
  }
  if (!isWhole) return writeFileSync(file, revised(readFileSync(file, 'utf8'), machine, found))
  writeFileSync(file, report(machine, found))
  const readme = join(directory, '..', 'README.md')
  writeFileSync(readme, headlined(readFileSync(readme, 'utf8'), machine, found))
}

const BEGIN = '<!-- begin: made by npm run bench -- --report -->'
const END = '<!-- end -->'

/** The README, with what was measured of each target where it has a place for that. */
export function headlined(readme: string, machine: Machine, found: Found): string {
  const measured = verdicts(found).filter(({ spread }) => spread)
  const rows = measured.map(({ target, spread }) => [
    target.what,
    target.beside,
    target.unit ? `${figure(spread!.median)} ${target.unit}` : `× ${spread!.median.toFixed(2)}`,
  ])
  const date = String(machine.date).slice(0, 10)
  const said = `Medians of ${machine.pairs} interleaved pairs on ${machine.processors}, Node ${machine.node}, ${date}:`
  const place = new RegExp(`${BEGIN}.*?${END}`, 's')
  return readme.replace(
    place,
    () => `${BEGIN}\n${said}\n\n${markdown(['what', 'beside', 'ours'], rows)}\n${END}`,
  )
}

/** The report, in Markdown. */
export function report(machine: Machine, found: Found): string {
  const parts = [
    '# How fast',
    'Made by `npm run bench -- --report`: do not edit. Both sides of a comparison run interleaved, in pairs,\n' +
      'of which neither is always first, after a round of each to warm up; client and server are processes of\n' +
      'their own, and each run checks its own work. A ratio is ours over the other, pair by pair. A target of several rows\n' +
      'is judged by the worst of them.',
    list(Object.entries(machine).map(([key, value]) => `${key}: ${value}`)),
    '![What was measured beside what was aimed at](plots/targets.svg)',
    '## Targets',
    markdown(['what', 'beside', 'target', 'min / median / max', ''], verdicts(found).map(judged)),
    ...Object.entries(found).flatMap(([name, findings]) => section(name, findings)),
  ]
  return `${parts.join('\n\n')}\n`
}

/** A verdict as a row of the targets. */
function judged({ target, spread, why }: Verdict): string[] {
  return [
    target.what,
    target.beside,
    bound(target),
    spread ? inTargetUnit(spread, target) : why,
    spread ? (isMet(target, spread.median) ? 'met' : '**missed**') : 'not measured',
  ]
}

/** A report with the sections and targets of benchmarks that ran by themselves, which say so; the rest stays. */
export function revised(text: string, machine: Machine, found: Found): string {
  const { date, command, commit, node, processors, pairs } = machine
  const how =
    `Measured by itself on ${String(date).slice(0, 10)}, commit ${commit}, Node ${node}, ${processors}, ${pairs} pairs, ` +
    `load before ${machine['load before']}: \`${command}\`.`
  const [head = '', ...sections] = text.trimEnd().split(/\n\n(?=## )/)
  for (const [name, findings] of Object.entries(found)) {
    const [title = '', ...rest] = section(name, findings)
    const at = sections.findIndex(other => other.startsWith(`${title}\n`))
    sections.splice(at < 0 ? sections.length : at, 1, [title, how, ...rest].join('\n\n'))
  }
  const rows = verdicts(found).filter(({ spread, why }) => spread ?? why !== NOT_RUN)
  return `${[head, ...sections.map(one => (one.startsWith('## Targets\n') ? withRows(one, rows) : one))].join('\n\n')}\n`
}

/** The table of targets with these verdicts, each in the place of an earlier one or at the end. */
function withRows(table: string, verdicts: Verdict[]): string {
  const lines = table.split('\n')
  for (const verdict of verdicts) {
    const row = `| ${judged(verdict).join(' | ')} |`
    const { what, beside } = verdict.target
    const at = lines.findIndex(line => line.startsWith(`| ${what} | ${beside} |`))
    lines.splice(at < 0 ? lines.length : at, 1, row)
  }
  return lines.join('\n')
}

/** Why nothing was found of what was not asked for. */
export const NOT_RUN = 'was not run'

/** The finding for a target, or why there is none. */
export interface Verdict {
  target: Target
  spread?: Spread
  why: string
}

/** Each target, in the order in which they were set. */
export function verdicts(found: Found): Verdict[] {
  const all = Object.values(found)
  const comparisons = all.flatMap(findings => findings.comparisons)
  const growths = all.flatMap(findings => findings.growths ?? [])
  const skipped = all.flatMap(findings => findings.skipped ?? [])
  return (Object.entries(targets) as [TargetName, Target][]).map(([name, target]) => {
    const of = ({ target: other }: { target?: TargetName }) => other === name
    const compared = comparisons.filter(of).map(comparison => aimedAt(comparison, target))
    const growth = growths.find(of)
    const figures = all.find(({ reached }) => reached?.[name])?.reached?.[name]
    const spread = worst(compared, target) ?? (growth ? last(growth) : figures)
    const why = skipped.find(skip => skip.targets?.includes(name))?.why ?? NOT_RUN
    return { target, ...(spread && { spread }), why }
  })
}

/** By what a comparison is judged: its ratio, or how much more ours is. */
function aimedAt({ ratio, pairs }: Comparison, { unit }: Target): Spread {
  return unit ? spread(pairs.map(([ours, beside]) => ours - beside)) : ratio
}

/** The spread by which a target of several rows is judged. */
function worst(spreads: Spread[], { most }: Target): Spread | undefined {
  const [least] = spreads.toSorted((a, b) =>
    most === undefined ? a.median - b.median : b.median - a.median,
  )
  return least
}

function last({ figures }: Growth): Spread {
  const figure = figures.at(-1)!
  return { min: figure, median: figure, max: figure }
}

/** `123 / 125 / 130`, the least, the middle and the greatest. */
export function range({ min, median, max }: Spread): string {
  return [min, median, max].map(figure).join(' / ')
}

/** Such as `0.98 / 1.00 / 1.03`. */
export function ratios({ min, median, max }: Spread): string {
  return [min, median, max].map(value => value.toFixed(2)).join(' / ')
}

/** With four digits that count. */
export function figure(value: number): string {
  return value.toLocaleString('en', { maximumSignificantDigits: 4 })
}

/** A comparison as a row under `HEAD`. */
export function row({ what, unit, names, ours, beside, ratio, target }: Comparison): string[] {
  const aim = target ? bound(targets[target]) : ''
  return [what, names[0], range(ours), names[1], range(beside), unit, ratios(ratio), aim]
}

export const HEAD = [
  'what',
  'ours',
  'min / median / max',
  'beside',
  'min / median / max',
  'unit',
  'ratio',
  'target',
]

/** The growths of a benchmark as a table: a row for each, a column for each size. */
export function growthTable(growths: Growth[]): { head: string[]; rows: string[][] } {
  const sizes = [...new Set(growths.flatMap(growth => growth.sizes))].toSorted((a, b) => a - b)
  const rows = growths.map(({ what, unit, figures, sizes: own }) => [
    `${what}, ${unit}`,
    ...sizes.map(size => (own.includes(size) ? figure(figures[own.indexOf(size)]!) : '')),
  ])
  return { head: ['of', ...sizes.map(size => size.toLocaleString('en'))], rows }
}

/** Such as `0.98 / 1.00 / 1.03`, or `11 / 11.5 / 12 MB more`. */
export function inTargetUnit(spread: Spread, { unit }: Target): string {
  if (!unit) return ratios(spread)
  return `${spread.min < spread.max ? range(spread) : figure(spread.median)} ${unit}`
}

function section(
  name: string,
  {
    measures,
    comparisons,
    growths = [],
    tables = [],
    skipped = [],
    profiles = [],
    notes,
  }: Findings,
): string[] {
  const grown = growthTable(growths)
  return [
    `## ${name}`,
    measures,
    comparisons.length > 0 ? `![The ratios of ${name}](plots/${name}.svg)` : '',
    comparisons.length > 0 ? markdown(HEAD, comparisons.map(row)) : '',
    growths.length > 0 ? `![How it grows](plots/${name}-growth.svg)` : '',
    growths.length > 0 ? markdown(grown.head, grown.rows) : '',
    ...tables.map(({ head, rows }) => markdown(head, rows)),
    ...profiles.map(profileTable),
    list([...notes, ...skipped.map(skip => `Skipped: ${skip.what}, as ${skip.why}.`)]),
  ].filter(part => part !== '')
}

/** Folded away, as few want to know. */
function profileTable({ what, shares }: Profile): string {
  const rows = shares.map(([share, where]) => [`${(share * 100).toFixed(1)} %`, where])
  const head = `<details><summary>Where the time of the client goes: ${what}</summary>`
  return [head, markdown(['share', 'in'], rows), '</details>'].join('\n\n')
}

function list(items: string[]): string {
  return items.map(item => `- ${item}`).join('\n')
}

function markdown(head: string[], rows: string[][]): string {
  const line = (cells: string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

/** Every plot, by its name. */
export function drawings(found: Found): Record<string, string> {
  const all: Record<string, string> = { targets: ratioPlot(verdicts(found).flatMap(aimed)) }
  for (const [name, { comparisons, growths = [] }] of Object.entries(found)) {
    if (comparisons.length > 0) all[name] = ratioPlot(comparisons.map(bar))
    if (growths.length > 0) all[`${name}-growth`] = growthPlot(growths)
  }
  return all
}

function aimed({ target, spread }: Verdict): Bar[] {
  return spread && !target.unit ? [{ what: target.what, spread, target }] : []
}

/** Only what a ratio has to reach has a place beside it. */
function bar({ what, names, ratio, target: name }: Comparison): Bar {
  const target: Target | undefined = name && targets[name]
  const title = `${what}, beside ${names[1]}`
  return { what: title, spread: ratio, ...(target && !target.unit && { target }) }
}
