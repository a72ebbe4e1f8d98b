import type { ListenOptions as NetListenOptions } from 'node:net'
import { isBound } from '../node/adopt.ts'
import type { Name } from '../name.ts'
import { exactVersion } from '../version.ts'
import type { Transport } from '../transports/transport.ts'
import { TRANSPORT_NAMES, type TransportName } from '../transports/transports.ts'
import type { Metadata } from '../wire/protocol.ts'
import { callbackIn, hasService, homed, isName, isURI, nameIn } from './check.ts'
import { OPTIONS, bad, checkOptions, type OptionsOf } from './options.ts'

/** The options by which `listen` is known by a name, beside every option of `net`'s. */
export type ListenNameOptions = NetListenOptions & OptionsOf<'listen'>

/** The options of `listen`: a port, a path, or a name by its `service`. */
export interface ListenOptions extends NetListenOptions, Partial<OptionsOf<'listen'>> {}

/** A call to be known by a name, normalised; `options` are `net`'s. */
export interface ListenCall {
  readonly name: Name
  readonly shared: boolean | string
  readonly guarded: boolean
  readonly metadata: Metadata | undefined
  readonly load: boolean
  readonly daemonPort: number | undefined
  readonly transports: readonly (TransportName | Transport)[]
  readonly options: ListenOptions
  readonly callback: (() => void) | undefined
  /** Closes a datagram socket when it aborts. */
  readonly signal?: AbortSignal | undefined
}

/**
 * The call that `listen(...args)` is, if it is one by name; `undefined` leaves it to `net`. A name with
 * no `port` means any free one. Throws `ERR_MONIKER_NAME` on a version that is not exact.
 */
export function listenCall(args: readonly unknown[]): ListenCall | undefined {
  const [first, ...rest] = args
  const given = typeof first === 'string' ? optionsOf(first, rest) : first
  if (!hasService(given)) return undefined
  checkOptions('listen', given)
  const {
    service,
    namespace,
    version,
    shared = OPTIONS.shared.default,
    guarded = OPTIONS.guarded.default,
    metadata,
    load = OPTIONS.load.default,
    daemonPort,
    transports = TRANSPORT_NAMES,
    ...others
  } = given as ListenNameOptions
  if (!transports.every(one => typeof one === 'string' || typeof one.listen === 'function'))
    throw bad('transports', 'words, or objects with a function `listen`', transports)
  if (others.path !== undefined)
    throw bad('path', 'left out, as a name goes with a port', others.path)
  const named = nameIn({ service, namespace, version })
  const name = exact(namespace === undefined ? homed(named) : named)
  const options = isBound(others) ? others : { port: 0, ...others }
  const callback = callbackIn(rest)
  return { name, shared, guarded, metadata, load, daemonPort, transports, options, callback }
}

/** The options that a name, and the backlog behind it, stand for; `undefined` if the text is none. */
function optionsOf(text: string, [backlog]: readonly unknown[]): object | undefined {
  if (!isName(text) && !isURI(text)) return undefined
  return { service: text, ...(typeof backlog === 'number' && { backlog }) }
}

function exact(name: Name): Name {
  return { ...name, version: exactVersion(name.version) }
}
