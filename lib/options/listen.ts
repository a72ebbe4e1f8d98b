import type { ListenOptions } from 'node:net'
import {
  bad,
  callbackIn,
  checkPort,
  checkTransports,
  hasService,
  homed,
  isName,
  isURI,
  nameIn,
} from './check.ts'
import { parse, type Name } from '../name.ts'
import { exactVersion } from '../version.ts'
import { MAX_GROUP, MAX_METADATA, ROADS, type Metadata, type Road } from '../wire/protocol.ts'

/** What `listen` takes to be known by a name, beside every option of `net`'s. */
export interface ListenNameOptions extends ListenOptions {
  /** A service, or a whole name such as `ns:starwars@1.2.0`. */
  service: string
  /** Default that in `service`, else `MONIKER_NAMESPACE`, else the host's own. */
  namespace?: string | undefined
  /** An exact version. Default that in `service`, else `0.0.0`. */
  version?: string | undefined
  /**
   * Whether other programs may share the name; all of them must say so. A string is a group, and
   * shares with those who say the same. Default false; between the workers of one cluster, and the
   * worker threads of one process, their own group.
   */
  shared?: boolean | string | undefined
  /**
   * Whether only those peers are let in to whom the daemon has just told the port, so that whoever may
   * not resolve the name cannot find the port by trying either. For servers alone. Default false.
   */
  guarded?: boolean | undefined
  /**
   * Whether to tell how many connections there are, so that of several servers that share the name
   * clients go to the one with the fewest. Default false.
   */
  load?: boolean | undefined
  /** Told with the endpoint; at most 1,024 bytes of JSON. */
  metadata?: Metadata | undefined
  /** The designated port of this host's daemon. Default `MONIKER_PORT`, else 6664. */
  daemonPort?: number | undefined
  /** `['tcp']` makes no abstract Unix socket beside the TCP port. Default `['unix', 'tcp']`. */
  transports?: readonly Road[] | undefined
}

/** A call to be known by a name, normalised; `options` are `net`'s. */
export interface ListenCall {
  readonly name: Name
  readonly shared: boolean | string
  readonly guarded: boolean
  readonly metadata: Metadata | undefined
  readonly load: boolean
  readonly daemonPort: number | undefined
  readonly transports: readonly Road[]
  readonly options: ListenOptions
  readonly callback: (() => void) | undefined
  /** Closes a datagram socket when it aborts. */
  readonly signal?: AbortSignal | undefined
}

/**
 * What `listen(...args)` asks for, if it is a name; `undefined` leaves the call to `net`. A name with
 * no `port` means any free one. Throws `ERR_MONIKER_NAME` on a version that is not exact.
 */
export function listenCall(args: readonly unknown[]): ListenCall | undefined {
  const [first, ...rest] = args
  const callback = callbackIn(rest)
  if (typeof first === 'string' && (isName(first) || isURI(first))) {
    const backlog = typeof rest[0] === 'number' ? { backlog: rest[0] } : {}
    const options = { port: 0, ...backlog }
    return {
      name: exact(homed(parse(first))),
      shared: false,
      guarded: false,
      metadata: undefined,
      load: false,
      daemonPort: undefined,
      transports: ROADS,
      options,
      callback,
    }
  }
  if (!hasService(first)) return undefined
  const {
    service,
    namespace,
    version,
    shared = false,
    guarded = false,
    metadata,
    load = false,
    daemonPort,
    transports = ROADS,
    ...others
  } = first as ListenNameOptions
  checkPort(daemonPort)
  checkTransports(transports)
  checkMetadata(metadata)
  if (others.path !== undefined)
    throw bad('path', 'left out, as a name goes with a port', others.path)
  checkShared(shared)
  if (typeof load !== 'boolean') throw bad('load', 'true or false', load)
  if (typeof guarded !== 'boolean') throw bad('guarded', 'true or false', guarded)
  const named = nameIn({ service, namespace, version })
  const name = exact(namespace === undefined ? homed(named) : named)
  // What is bound already has its port.
  const options = 'fd' in others || '_handle' in others ? others : { port: 0, ...others }
  return { name, shared, guarded, metadata, load, daemonPort, transports, options, callback }
}

function exact(name: Name): Name {
  return { ...name, version: exactVersion(name.version) }
}

function checkShared(shared: unknown): void {
  if (typeof shared === 'boolean') return
  if (typeof shared === 'string' && shared.length > 0 && shared.length <= MAX_GROUP) return
  throw bad('shared', `true, false or a group of at most ${MAX_GROUP} characters`, shared)
}

function checkMetadata(metadata: unknown): void {
  if (metadata === undefined) return
  const isObject = typeof metadata === 'object' && metadata !== null && !Array.isArray(metadata)
  if (isObject && Buffer.byteLength(JSON.stringify(metadata)) <= MAX_METADATA) return
  throw bad('metadata', `an object of at most ${MAX_METADATA} bytes of JSON`, metadata)
}
