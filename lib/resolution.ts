import { MonikerError } from './errors.ts'
import type { Endpoint } from './wire/protocol.ts'
import type { Resolution } from './client/resolver.ts'

/** Says which of the endpoints of a name to go to; they are best first, never none. */
export type Select = (endpoints: readonly Place[]) => Place

type Place = Endpoint & { address: string }

/** `found`, with the endpoint that `select` takes as the best. Throws if that is none of those that are there. */
export function choose(found: Resolution, select: Select | undefined): Resolution {
  if (!select) return found
  const chosen = select(found.endpoints)
  const others = found.endpoints.filter(endpoint => endpoint !== chosen)
  if (others.length < found.endpoints.length) return { ...found, endpoints: [chosen, ...others] }
  throw new MonikerError('EARGUMENT', {
    text: `options.select to give one of the endpoints, got ${JSON.stringify(chosen) ?? typeof chosen}`,
  })
}
