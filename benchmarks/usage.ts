import { readFileSync } from 'node:fs'
import type { Way } from './measure.ts'

/** The unit in which Linux counts a process's time, in s. */
const TICK = 0.01

/** A way, and how busy the two sides of it have been. */
export interface Metered extends Way {
  /** The usage of it; nothing where the system does not tell. */
  note: () => string[]
}

/** Measures, beside a rate of `count` to a run, how much of a processor the server and we take. */
export function metered(way: Way, count: number, server: number): Metered {
  let runs = 0
  const total = { wall: 0, server: 0, client: 0 }
  return {
    name: way.name,
    run: async () => {
      const before = { wall: performance.now(), server: used(server), client: process.cpuUsage() }
      const rate = await way.run()
      const { user, system } = process.cpuUsage(before.client)
      total.wall += (performance.now() - before.wall) / 1000
      total.server += used(server) - before.server
      total.client += (user + system) / 1e6
      runs++
      return rate
    },
    note: () => {
      const share = (seconds: number) => `${Math.round((seconds / total.wall) * 100)} %`
      const each = ((total.server / (runs * count)) * 1e6).toFixed(1)
      const told = `${way.name}: the server was busy for ${share(total.server)} of the time, the client for ${share(total.client)}; a question took the server ${each} µs.`
      return Number.isFinite(total.server) ? [told] : []
    },
  }
}

/** Seconds of processor time that a process has used; `NaN` where the system does not tell. */
function used(pid: number): number {
  try {
    // The name, in brackets, may have spaces in it.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
    return (Number(fields[11]) + Number(fields[12])) * TICK
  } catch {
    return Number.NaN
  }
}
