import { setTimeout as pause } from 'node:timers/promises'
import { times } from './measure.ts'
import { byName, byNumber, byPath, touch, unknown, type Open, type Touch } from './traffic.ts'

/** By what to call: by name, by a name of which nothing is known yet, by number, or by the path of a Unix socket. */
export type Road = 'warm' | 'cold' | number | { path: string }

/** So many calls, at most `width` at once. */
export interface Calls {
  road: Road
  count: number
  width: number
  /** True to pause before, so that no daemon counts as one that was asked lately. */
  rested?: boolean
}

/** The daemon, or the daemons, to call. */
export interface Callee {
  /** The designated ports of several daemons that know the name; the first is that of warm calls. */
  ports: number[]
  host?: string
  /** True to go by TCP alone. */
  tcp?: boolean
}

/** The number of daemons that are there to be called cold, each once. */
export const DAEMONS = 100

/** After so long a daemon is not one that was asked lately, in ms. */
export const FORGOTTEN = 1_100

/** Makes calls; says how long each took. */
export async function call(
  { road, count, width, rested }: Calls,
  callee: Callee,
): Promise<Touch[]> {
  if (rested) await pause(FORGOTTEN)
  const open = opener(road, callee)
  const taken: Touch[] = []
  await times(count, width, async () => taken.push(await touch(open)))
  return taken
}

function opener(road: Road, { ports, host, tcp }: Callee): Open {
  if (typeof road === 'number') return byNumber(road, host)
  if (typeof road === 'object') return byPath(road.path)
  if (road === 'cold') return unknown(ports, host)
  return byName({ port: ports[0]!, ...(host && { host }), ...(tcp && { tcp }) })
}
