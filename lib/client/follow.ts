import { isIP } from '../address.ts'
import { diagnostics } from '../diagnostics.ts'
import { awayFrom, sightingIn } from '../directories/directories.ts'
import type { Directory } from '../directories/directory.ts'
import type { Roster, Watched } from './roster.ts'

const debug = diagnostics('moniker:follow')

/** The most services of one directory that are watched at a time; what is more is passed over. */
const MAX_FOLLOWED = 1_024

/**
 * Follows a directory until the returned function is called. `roster` is told what comes and goes of what `isWanted`, and
 * `lost` why the directory cannot be followed. What a directory says, and throws, may be anything.
 */
export function follow(
  directory: Directory,
  roster: Roster,
  isWanted: (service: Watched) => boolean,
  lost: (error: unknown) => void,
): () => void {
  let isOver = false
  let stop: () => void = () => {}
  const up = (value: unknown) => {
    const service = isOver || roster.size >= MAX_FOLLOWED ? undefined : watchedIn(directory, value)
    if (service && isWanted(service)) roster.up(service)
  }
  const down = (id: string) => {
    if (!isOver) roster.down({ instance: instanceOf(directory, id) })
  }
  const fail = (error: unknown) => {
    if (!isOver) lost(error)
  }
  try {
    stop = directory.follow!({ up, down, lost: fail })
  } catch (error) {
    fail(error)
  }
  return () => {
    isOver = true
    try {
      stop()
    } catch (error) {
      debug('%s: %s', directory.name, error)
    }
  }
}

/** The service in a sighting; `undefined` if that is none, or has no port, or leads to this host by the name of another. */
function watchedIn(directory: Directory, value: unknown): Watched | undefined {
  const seen = sightingIn(value)
  if (seen?.port === undefined) return undefined
  const { id, host, service, namespace = '', version = '', transport = 'tcp', port } = seen
  const { metadata } = seen
  const address = seen.address ?? (isIP(host) ? host : '')
  if (address !== '' && awayFrom(host, [address]).length === 0) return undefined
  return {
    namespace: namespace.toLowerCase(),
    service: service.toLowerCase(),
    version,
    transport,
    port,
    address,
    shared: false,
    ...(metadata && { metadata }),
    instance: instanceOf(directory, id),
    host,
    source: directory.name,
  }
}

function instanceOf({ name }: Directory, id: string): string {
  return `${name} ${id}`
}
