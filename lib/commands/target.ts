import { connectCall } from '../args.ts'
import { MonikerError } from '../errors.ts'
import type { Name } from '../name.ts'
import type { AskOptions } from '../resolver.ts'

/** A name on the command line, and whom to ask for it. */
export interface CommandTarget {
  readonly name: Name
  readonly at: AskOptions
}

/** Reads what `connect` reads, but for ports and paths. Throws `ERR_MONIKER_NAME` on those. */
export function targetOf(name: string, host?: string, daemonPort?: number): CommandTarget {
  const call = connectCall(host === undefined ? [name] : [name, host])
  if (!call)
    throw new MonikerError('ENAME', {
      service: name,
      text: 'a name such as starwars or starwars://theforce.net',
    })
  const { options } = call
  const at = { host: host ?? options.host ?? '', daemonPort: options.daemonPort ?? daemonPort }
  return { name: call.name, at }
}
