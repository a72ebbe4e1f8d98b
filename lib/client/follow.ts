import { isIP } from '../address.ts'
import { diagnostics } from '../diagnostics.ts'
import { awayFrom, fault, sightingIn } from '../directories/directories.ts'
import type { Directory } from '../directories/directory.ts'
import type { Details } from '../errors.ts'
import type { Roster, Watched } from './roster.ts'

const debug = diagnostics('moniker:follow')

/** The most services of one directory that are watched at a time; what is more is passed over. */
const MAX_FOLLOWED = 1_024

/** The receiver of what a directory says. */
export interface FollowOptions {
  /** The services of this directory alone. */
  readonly roster: Roster
  /** True of a service that the roster is to have. */
  readonly isWanted: (service: Watched) => boolean
  /** Called with the reason why the directory cannot be followed. */
  readonly lost: (error: unknown) => void
  /** The subject of that error, where the directory has thrown something. */
  readonly details: Details
}

/** Follows a directory until the returned function is called. What a directory says, and throws, may be anything. */
export function follow(
  directory: Directory,
  { roster, isWanted, lost, details }: FollowOptions,
): () => void {
  let isOver = false
  let stop: () => unknown = () => {}
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
  // A directory of JavaScript's may give a promise where a function is expected, and reject it.
  const begin = async () => {
    const given: unknown = directory.follow!({ up, down, lost: fail })
    if (typeof given === 'function') return void (stop = given as () => unknown)
    await given
    throw new TypeError(NO_STOP)
  }
  begin().catch(thrown => fail(fault(directory, thrown, details)))
  return () => {
    isOver = true
    const end = async () => stop()
    end().catch(thrown => debug('%s', fault(directory, thrown, details).message))
  }
}

const NO_STOP = 'its follow gave no function that ends it'

/**
 * The service in a sighting; `undefined` if that is none, or has no port, or leads to this host by the name of another.
 */
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
