// How many bytes of heap a registry of so many names takes: memory SIZE, with --expose-gc
import { filled } from './registry.ts'

const collect = (globalThis as { gc?: () => void }).gc!

collect()
const before = process.memoryUsage().heapUsed
const registry = filled(Number(process.argv[2]))
collect()
process.send?.(process.memoryUsage().heapUsed - before)
process.once('disconnect', () => process.exit(registry.size > 0 ? 0 : 1))
