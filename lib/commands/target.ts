import { connectCall } from '../options/connect.ts'
import { MonikerError } from '../errors.ts'
import type { Name } from '../name.ts'
import type { ResolveOptions } from '../resolution.ts'

/** A name on the command line, and whom to ask for it. */
export interface CommandTarget {
  readonly name: Name
  readonly at: Pick<ResolveOptions, 'host' | 'daemonPort' | 'also'>
}

export interface TargetOptions {
  daemonPort?: number | undefined
  /** That of a name which gives none. Default the host's own, or on this host that of the process. */
  namespace?: string | undefined
}

/** Reads what `connect` reads, but for ports and paths. Throws `ERR_MONIKER_NAME` on those. */
export function targetOf(
  text: string,
  host?: string,
  { daemonPort, namespace = '' }: TargetOptions = {},
): CommandTarget {
  const call = connectCall([text, host])
  if (!call) {
    const expected = 'a name such as starwars or starwars://theforce.net'
    throw new MonikerError('ENAME', { service: text, text: expected })
  }
  const { name, options } = call
  const { also } = options
  const at = { host: host ?? options.host ?? '', daemonPort: options.daemonPort ?? daemonPort }
  return {
    name: { ...name, namespace: name.namespace || namespace },
    at: { ...at, ...(also && { also }) },
  }
}
