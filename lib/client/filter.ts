import { networkInterfaces } from 'node:os'
import { isLoopback, isThisHost } from '../address.ts'
import { MonikerError, type Details } from '../errors.ts'
import { format, type Name } from '../name.ts'
import type { Policy, Verdict } from '../policy/policy.ts'
import type { Endpoint } from '../wire/protocol.ts'

/** Where a name was found. */
export interface Way {
  readonly name: Name
  /** The host as it was asked for. */
  readonly host: string
  readonly endpoints: readonly (Endpoint & { address: string })[]
}

/**
 * What the policy of this host lets its programs connect to. It is read once, for the first who asks;
 * a program that does not want to go by it need not: it is a fence, and no wall.
 */
export class Outgoing {
  readonly #file: string
  #policy: Promise<Policy> | undefined

  constructor(file: string) {
    this.#file = file
  }

  /**
   * `way`, without the endpoints that are not to be connected to. Fails with `EACCES` if none is left,
   * and with `ERR_MONIKER_POLICY` if the policy is none.
   */
  async allow<T extends Way>(way: T, details: Details): Promise<T> {
    const policy = await this.#read()
    const judged = way.endpoints.map(endpoint => ({
      endpoint,
      verdict: judge(policy, way, endpoint),
    }))
    const endpoints = judged
      .filter(({ verdict }) => verdict?.allowed !== false)
      .map(({ endpoint }) => endpoint)
    if (endpoints.length > 0) return { ...way, endpoints }
    const where = `${this.#file}:${judged[0]?.verdict?.line}`
    const text = `the policy of this host (${where}) does not let its programs connect to ${format(way.name)} there`
    throw new MonikerError('EDENIED', { ...details, text })
  }

  /** One that could not be read may be right the next time. */
  #read(): Promise<Policy> {
    this.#policy ??= import('../policy/file.ts')
      .then(({ loadPolicy }) => loadPolicy(this.#file))
      .catch(error => {
        this.#policy = undefined
        throw error
      })
    return this.#policy
  }
}

function judge(
  policy: Policy,
  { name: { namespace, service }, host }: Way,
  { version, address }: Endpoint & { address: string },
): Verdict | undefined {
  const local = isThisHost(host) || isLoopback(address) || isMine(address)
  const uid = process.getuid?.()
  return policy.judge('connect', { namespace, service, version, local, address, uid, host })
}

function isMine(address: string): boolean {
  const all = Object.values(networkInterfaces()).flat()
  return all.some(info => info?.address === address)
}
