import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Registry } from '../lib/daemon/registry.ts'
import { compare, type Benchmark, type Comparison } from './measure.ts'

const LOOKUPS = 1_000_000
const HOT = 1_000

/** One look-up in a registry, whatever it holds, and the bytes a name costs. */
export const registry: Benchmark = async options => {
  const sizes = options.smoke ? [1_000, 10_000] : [1_000, 10_000, 100_000, 1_000_000]
  const small = filled(sizes[0]!)
  const comparisons: Comparison[] = []
  const notes = [
    '"hot" asks for the same 1,000 names in both: the algorithm alone. "any" asks for names all over, so that a large registry is also measured by the caches of the processor.',
  ]
  for (const size of sizes.slice(1)) {
    const large = filled(size)
    for (const [kind, range] of [
      ['hot', () => HOT],
      ['any', (held: Registry) => held.size],
    ] as const) {
      const way = (held: Registry) => ({
        name: `${held.size.toLocaleString('en')} names`,
        run: async () => lookUp(held, range(held), options.smoke ? 20_000 : LOOKUPS),
      })
      comparisons.push(await compare(kind, 'ns', [way(large), way(small)], options))
    }
  }
  options.progress('memory')
  return {
    measures: 'The time of one look-up in the registry alone, without any I/O; lower is better.',
    comparisons,
    growths: [
      {
        what: 'heap a name, 100 held by each',
        unit: 'bytes',
        sizes,
        figures: await bytes(sizes, 100),
        target: 'memory',
      },
      {
        what: 'heap a name, one held by each',
        unit: 'bytes',
        sizes,
        figures: await bytes(sizes, 1),
      },
    ],
    notes,
  }
}

function nameOf(at: number): string {
  return `service-${at}`
}

/** So many who can hold names. */
export function owners(count: number): object[] {
  return Array.from({ length: count }, () => ({}))
}

/** A registry with so many names, of which each owner holds as many as the others. */
export function filled(size: number, holders: object[] = owners(size / 100)): Registry {
  const held = new Registry()
  const each = size / holders.length
  for (let at = 0; at < size; at++) {
    held.register(holders[Math.floor(at / each)]!, {
      namespace: '',
      service: nameOf(at),
      version: '1.0.0',
      transport: 'tcp',
      port: (at % 65_535) + 1,
      address: '::',
      shared: false,
    })
  }
  return held
}

/** Names are made before the clock starts: a string that is a key for the first time must be hashed. */
function lookUp(held: Registry, range: number, count: number): number {
  const asked = Array.from({ length: Math.min(count, 100_000) }, () =>
    Math.floor(Math.random() * range),
  )
  const questions = asked.map(at => ({
    op: 'resolve' as const,
    namespace: '',
    service: nameOf(at),
    version: '^1',
    transports: ['tcp'] as const,
  }))
  let wrong = 0
  const start = performance.now()
  for (let at = 0; at < count; at++) {
    const index = at % asked.length
    const [entry] = held.resolve(questions[index]!)
    if (entry!.port !== (asked[index]! % 65_535) + 1) wrong++
  }
  const taken = performance.now() - start
  if (wrong > 0) throw new Error(`${wrong} of ${count} answers were wrong`)
  return (taken * 1e6) / count
}

/** The bytes of heap for each name, in registries of those sizes. */
async function bytes(sizes: number[], each: number): Promise<number[]> {
  const found: number[] = []
  for (const size of sizes) found.push((await heap(size, each)) / size)
  return found
}

/** The bytes of heap, measured in a process of its own with the collector at hand. */
async function heap(size: number, each: number): Promise<number> {
  const program = fileURLToPath(import.meta.resolve('./memory.js'))
  const child = fork(program, [String(size), String(each)], { execArgv: ['--expose-gc'] })
  const [bytes] = (await once(child, 'message')) as [number]
  child.disconnect()
  return bytes
}
