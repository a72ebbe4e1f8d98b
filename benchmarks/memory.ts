// Bytes of heap that a registry of so many names takes: memory SIZE EACH, with --expose-gc
import { filled, owners } from './registry.ts'

const collect = (globalThis as { gc?: () => void }).gc!
const [size, each] = process.argv.slice(2).map(Number) as [number, number]

const holders = owners(size / each)
// Things that are only made once, such as the code, are no name's.
filled(each, owners(1))
collect()
const before = process.memoryUsage().heapUsed
const registry = filled(size, holders)
collect()
process.send?.(process.memoryUsage().heapUsed - before)
process.once('disconnect', () => process.exit(registry.size > 0 ? 0 : 1))
