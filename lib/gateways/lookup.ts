import { cancellable } from '../async.ts'
import { hasDaemon } from '../client/ask.ts'
import { resolver } from '../client/resolver.ts'
import { diagnostics } from '../diagnostics.ts'
import { saidIn } from '../errors.ts'
import { format, type Name } from '../name.ts'
import type { Find } from '../node/patches.ts'
import { placed } from '../options/connect.ts'
import { designatedPort } from '../settings.ts'
import type { Meaning } from './hostnames.ts'

const debug = diagnostics('moniker:lookup')

/**
 * The places of the service that a host name means. There are none if nobody offers it, or the program cannot rely on
 * who does: its host name is one and no more. A name without a dot may be meant for a host; so it is to be held by a user
 * whom this one has to trust anyway, or be in `MONIKER_NAMES`.
 */
export async function placesOf(
  { name, host, kind }: Meaning,
  { transport, signal }: Parameters<Find>[0],
): ReturnType<Find> {
  try {
    if (host === '' && !(await hasDaemon(designatedPort(), signal))) return []
    const at = placed(name, { host, transports: [transport] })
    const trusted = kind === 'bare' && !isListed(name)
    const { answer, leave } = resolver.ask(at.name, { ...at.options, trusted })
    const { endpoints } = await cancellable(answer, signal).finally(leave)
    return endpoints
  } catch (error) {
    debug('%s goes on as a host name: %s', format(name), saidIn(error))
    return []
  }
}

/** True of a name that is among those of `MONIKER_NAMES`, which anybody may hold. */
function isListed({ service }: Name): boolean {
  const listed = process.env.MONIKER_NAMES?.split(',') ?? []
  return listed.some(one => one.trim().toLowerCase() === service)
}
