import { networkInterfaces } from 'node:os'
import {
  LOOPBACK,
  isHere,
  isLoopback,
  leadsHere,
  mayLead,
  plain,
  staysHere,
  toldAt,
  withoutZone,
} from '../address.ts'
import { MonikerError, isReason, type Details } from '../errors.ts'
import { format } from '../name.ts'
import { hostPolicy } from '../policy/host.ts'
import { Policies, type Policy, type Verdict } from '../policy/policy.ts'
import type { Resolution, Select } from '../resolution.ts'
import {
  endpoints,
  refusalIn,
  type Answer,
  type Endpoint,
  type Listed,
  type OtherEndpoint,
  type Reachable,
} from '../wire/protocol.ts'

// From an answer to what may be dialled. Each answer passes once, and what a directory finds passes too:
// accept → reachable → Egress → turned → choose.

/** The answer, if it is no refusal; a refusal is thrown as the error that it is, with `details`. */
export function accept(answer: Answer, details: Details): Answer {
  const refused = refusalIn(answer)
  if (!refused) return answer
  const { code, message: text, offered } = refused
  const reason = isReason(code) ? code : 'EPROTOCOL'
  // The name by which the daemon was reached is known here, not there.
  throw new MonikerError(reason, { ...details, text, ...(offered && { offered }) })
}

/**
 * The endpoints in the answer of the daemon at `asked`, each with an address. Another host's daemon cannot lead to
 * this host's loopback addresses, nor to a Unix socket; nor can this host's own, if it was asked at an address that is
 * not one of these. Fails with `ELOOPBACK` if there is nothing else.
 */
export function reachable(
  answer: Answer,
  asked: string,
  details: Details,
): Pick<Resolution, 'endpoints' | 'ttl'> {
  // The usual addresses are told by themselves: most answers are of this host.
  const isLocal = LOOPBACK.includes(asked) || isLoopback(asked)
  const told = endpoints(answer)
  const found = told
    .map(endpoint => (isLocal ? endpoint : fromAfar(endpoint, asked)))
    .map(endpoint => {
      const { address = asked } = endpoint
      const others = endpoint.endpoints && othersOf(endpoint.endpoints, address, asked, isLocal)
      return Object.assign(endpoint, { address, source: DAEMON }, others)
    })
    .filter(({ address }) => isLocal || mayLead(asked, address))
  if (found.length === 0 && told.length > 0) throw new MonikerError('ELOOPBACK', details)
  if (found.length === 0) {
    throw new MonikerError('EPROTOCOL', {
      ...details,
      text: 'the answer has no endpoint that can be reached',
    })
  }
  const { ttl } = answer
  return { endpoints: found, ttl: typeof ttl === 'number' && ttl >= 0 ? Math.min(ttl, MAX_TTL) : 0 }
}

const DAEMON = 'daemon'

/** The longest that an answer is remembered, in ms: an hour, whatever a daemon says. */
const MAX_TTL = 3_600_000

/** An endpoint that another host has told: its words for sockets and links are for that host alone. */
function fromAfar({ path: _, ...endpoint }: Endpoint, asked: string): Endpoint {
  const { address } = endpoint
  return address === undefined ? endpoint : { ...endpoint, address: toldAt(asked, address) }
}

/** Those of the further endpoints of the service at `address` that may be gone to, each with an address. */
function othersOf(
  others: readonly OtherEndpoint[],
  address: string,
  asked: string,
  isLocal: boolean,
): Pick<Endpoint, 'endpoints'> {
  const endpoints = others
    .map(other => ({ ...other, address: other.address ?? address }))
    .map(other => (isLocal ? other : { ...other, address: toldAt(asked, other.address) }))
    .filter(other => isLocal || (!other.path && mayLead(asked, other.address)))
  return { endpoints }
}

/**
 * The services that the daemon at `asked` lists, as that of a far host may list them: none that is bound to a loopback
 * address, and none with a further endpoint there, or with a path. To what is bound to all addresses, others may go.
 */
export function elsewhere(services: readonly Listed[], asked: string): readonly Listed[] {
  if (isLoopback(asked)) return services
  const mayBe = ({ address, path }: OtherEndpoint) => !path && !(address && staysHere(address))
  return services
    .filter(({ address }) => !staysHere(address))
    .map(({ path: _, endpoints, ...service }) => ({
      ...service,
      ...(endpoints && { endpoints: endpoints.filter(mayBe) }),
    }))
}

/**
 * The places that the policy of this host, and that of the program, let it connect to. They are read once, for the
 * first question. A program can go without this library: it is a fence, and no wall.
 */
export class Egress {
  readonly #own: string | undefined
  #policies: Policies | undefined

  /** `own` is the file with the policy of the program. */
  constructor(own?: string) {
    this.#own = own
  }

  /** The fence around a program, if there is a policy. */
  static around(own: string | undefined): Egress | undefined {
    const host = hostPolicy()
    // A program that asks for a name hears of the failure.
    host?.catch(() => {})
    return host || own !== undefined ? new Egress(own) : undefined
  }

  /** True if the policies have been read. */
  get isReady(): boolean {
    return this.#policies !== undefined
  }

  /**
   * The resolution without the endpoints that are not to be connected to. Fails with `EACCES` if none is left, and
   * with `ERR_MONIKER_POLICY` if the file is no policy.
   */
  async allow(found: Resolution, details: Details): Promise<Resolution> {
    const policies = await this.read()
    const verdictOn = (endpoint: Reachable) => judge(policies, found, endpoint)
    const judged = found.endpoints.map(endpoint => ({ endpoint, verdict: verdictOn(endpoint) }))
    const endpoints = judged
      .filter(({ verdict }) => verdict?.allowed !== false)
      .map(({ endpoint }) => withAllowed(endpoint, verdictOn))
    if (endpoints.length > 0) return { ...found, endpoints }
    const { file, line } = judged[0]!.verdict!
    const text = `the policy in ${file}:${line} does not let this program connect to ${format(found.name)} there`
    throw new MonikerError('EDENIED', { ...details, text })
  }

  /** Reads the policies. A file that could not be read may be right the next time. */
  async read(): Promise<Policies> {
    if (this.#policies) return this.#policies
    const own = this.#own === undefined ? undefined : loadOwn(this.#own)
    const all = await Promise.all([hostPolicy(), own])
    return (this.#policies ??= new Policies(all.filter(one => one !== undefined)))
  }
}

/** The endpoint with those of its further endpoints that may be connected to as well. */
function withAllowed(
  endpoint: Reachable,
  verdictOn: (endpoint: Reachable) => Verdict | undefined,
): Reachable {
  const { endpoints } = endpoint
  if (!endpoints) return endpoint
  const isAllowed = ({ address = endpoint.address }: OtherEndpoint) =>
    verdictOn({ ...endpoint, address })?.allowed !== false
  return { ...endpoint, endpoints: endpoints.filter(isAllowed) }
}

async function loadOwn(file: string): Promise<Policy> {
  const { loadPolicy } = await import('../policy/file.ts')
  return loadPolicy(file)
}

function judge(
  policies: Policies,
  { name: { namespace, service }, host }: Resolution,
  { version, address }: Reachable,
): Verdict | undefined {
  const local = isHere(host) || leadsHere(address) || isMine(address)
  const uid = process.getuid?.()
  return policies.judge('connect', { namespace, service, version, local, address, uid, host })
}

function isMine(address: string): boolean {
  const all = Object.values(networkInterfaces()).flat()
  const bare = withoutZone(address)
  return all.some(info => info && plain(info.address) === bare)
}

/** The resolution for the caller number `turn` of those who share an answer: each begins with another endpoint. */
export function turned(resolution: Resolution, turn: number): Resolution {
  const { endpoints } = resolution
  const { load } = endpoints[0]!
  // The least busy come first; those that are as busy as each other take turns.
  const rest = endpoints.findIndex(endpoint => endpoint.load !== load)
  const count = rest === -1 ? endpoints.length : rest
  const first = turn % count
  if (first === 0) return resolution
  const best = [...endpoints.slice(first, count), ...endpoints.slice(0, first)]
  return { ...resolution, endpoints: [...best, ...endpoints.slice(count)] }
}

/**
 * The resolution with the endpoint that `select` chooses as the best. Throws if that is none of those that are there.
 */
export function choose(found: Resolution, select: Select | undefined): Resolution {
  if (!select) return found
  const chosen = select(found.endpoints)
  const others = found.endpoints.filter(endpoint => endpoint !== chosen)
  if (others.length < found.endpoints.length) return { ...found, endpoints: [chosen, ...others] }
  throw new MonikerError('EARGUMENT', {
    text: `options.select to give one of the endpoints, got ${JSON.stringify(chosen) ?? typeof chosen}`,
  })
}
