import { times } from './measure.ts'
import { byName, byNumber, touch, unknown, type Named, type Open } from './traffic.ts'

/** By what to call: by name, by a name of which nothing is known yet, or by number. */
export type Road = 'warm' | 'cold' | number

/** So many calls, at most `width` at once. */
export interface Calls {
  road: Road
  count: number
  width: number
}

/** Makes calls; says how long each took until it was connected, in ms. */
export async function call({ road, count, width }: Calls, named: Named): Promise<number[]> {
  const open = opener(road, named)
  const taken: number[] = []
  await times(count, width, async () => taken.push(await touch(open)))
  return taken
}

function opener(road: Road, named: Named): Open {
  if (typeof road === 'number') return byNumber(road, named.host)
  return road === 'warm' ? byName(named) : unknown(named)
}
