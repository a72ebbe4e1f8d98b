import type { Audience } from './subscriptions.ts'
import { shown, type Sight, type Step } from './answer.ts'
import type { Registry } from './registry.ts'

/**
 * Tells what there is, and from then on what comes and goes, for as long as the connection lasts.
 * `generation` is that of the daemon; `sees` is what of it whoever asks may see.
 */
export function watching(
  registry: Registry,
  audience: Audience,
  generation: number,
  sees: Sight,
): Step {
  return (question, peer, next) => {
    if (question.op !== 'watch' || !peer.owner) return next()
    const { owner } = peer
    const { id, op: _, ...interest } = question
    audience.follow(owner, interest, {
      tell(change, entry) {
        if (sees('list', peer, entry))
          owner.tell(id, { event: change, ...shown(entry, generation) })
      },
      over() {},
    })
    const { namespace, service, also = [] } = interest
    const namespaces = namespace === undefined ? [undefined] : new Set([namespace, ...also])
    return {
      services: [...namespaces]
        .flatMap(one => [...registry.list(one, service)])
        .filter(entry => sees('list', peer, entry))
        .map(entry => shown(entry, generation)),
    }
  }
}
