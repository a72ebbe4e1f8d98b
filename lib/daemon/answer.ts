import { isAll, isIPv6, isLoopback, staysHere } from '../address.ts'
import { MonikerError } from '../errors.ts'
import {
  refusal,
  type Answer,
  type Endpoint,
  type Gateway,
  type List,
  type Offer,
  type OtherEndpoint,
  type Publication,
  type Register,
  type Reserve,
  type Resolve,
  type Watch,
} from '../wire/protocol.ts'
import { askingFor, reachable, type Visibility } from './access.ts'
import { NAMELESS } from './dialect.ts'
import {
  isOfThisHost,
  isProven,
  type Answering,
  type Owner,
  type Peer,
  type Step,
} from './chain.ts'
import { Gateways } from './gateways.ts'
import { ownAddresses, sibling } from './interfaces.ts'
import { listing } from './listing.ts'
import { claimedBefore, taken, type ClaimOptions, type Entry, type Registry } from './registry.ts'
import { Leases } from './leases.ts'
import { Subscriptions } from './subscriptions.ts'

/**
 * Milliseconds after its start in which a daemon moves a name to a server that has held it for longer. Until
 * then its names are still being sorted out. Later a holder keeps its name, as an age is but a claim.
 */
const SETTLING = 10_000

export interface LocalOptions {
  /** Tells this life of the daemon from every other. */
  generation: number
  /** Milliseconds for which a client may remember an answer. */
  ttl: number
  /** The answer to `status`. */
  status: () => Answer
  /** The age of the daemon, in ms. Default infinite. */
  age?: () => number
  /** Called before a connection gets a name; it throws where there may be none. */
  limit?: (owner: object) => void
  /** Called with each name that comes back from the daemon before. */
  returned?: () => void
  /** The number of connections that it has; a server that registers is told, if it is known. */
  connections?: () => number
  /** True of the entries that a peer may see. Default those that it can reach. */
  sees?: Visibility
  /** True if a peer may have all of the status. Default any of this host. */
  oversees?: (peer: Peer) => boolean
  /** True if a peer may be told which process holds a name that it clashes with. Default always. */
  mayResolve?: (peer: Peer, name: Offer) => boolean
  /** The watches. Default none, as nothing tells them. */
  subscriptions?: Subscriptions
  /** The leases. Default none. */
  leases?: Leases
  /** True if a peer of this host may have a lease. Default always. */
  mayFollow?: (peer: Peer) => boolean
  /** True if a peer may trust the program that holds a name. Default none. */
  trusts?: (peer: Peer, entry: Entry) => boolean
  /** Finds out the users of those who hold names, if some are not known and may be. Default as if all were. */
  findHolders?: (entries: Iterable<Entry>) => Promise<void> | undefined
  /** The gateways of this host. Default none. */
  gateways?: Gateways
  /** The user of a peer, if it is known. Default unknown. */
  userOf?: (peer: Peer) => number | undefined
  /** True of a user whose gateways any program of this host may use. Default none. */
  isTrusted?: (uid: number | undefined) => boolean
}

/** Answers from the registry. */
export function local(
  registry: Registry,
  {
    generation,
    ttl,
    status,
    age = () => Infinity,
    limit = () => {},
    returned = () => {},
    connections,
    sees = reachable,
    oversees = ({ local: isLocal }) => isLocal,
    mayResolve = () => true,
    subscriptions = new Subscriptions(),
    leases = new Leases({ max: 0 }),
    mayFollow = () => true,
    trusts = () => false,
    findHolders = () => undefined,
    gateways = new Gateways(),
    userOf = () => undefined,
    isTrusted = () => false,
  }: LocalOptions,
): Step {
  const resolve = (question: Resolve, peer: Peer): Answering =>
    question.trusted
      ? resolveTrusted(question, peer)
      : resolveAmong(question, peer, entry => sees('resolve', peer, entry))

  /** Answers once the users are known who hold what the peer may see; what others hold is as if it were not there. */
  const resolveTrusted = (question: Resolve, peer: Peer): Answering => {
    const all = registry.candidates(question)
    const seen = new Set(all.filter(entry => sees('resolve', peer, entry)))
    const mayHave = (entry: Entry) => seen.has(entry) && trusts(peer, entry)
    const answer = () => resolveAmong(question, peer, mayHave)
    return findHolders(seen)?.then(answer) ?? answer()
  }

  const resolveAmong = (
    question: Resolve,
    peer: Peer,
    visible: (entry: Entry) => boolean,
  ): Answer => {
    const entries = search(registry, question, visible)
    const { namespace } = entries[0]!
    const chosen = entries.slice(0, 8)
    if (isProven(peer)) for (const entry of chosen) if (entry.guarded) announce(entry, peer, ttl)
    const mayUsePath = wantsPath(question, peer)
    const endpoints = chosen.map((entry): Endpoint => {
      const { transport, port, path, version, metadata, load, endpoints } = entry
      const instance = instanceOf(entry, generation)
      return Object.assign(
        { transport },
        addressFor(entry, peer),
        { port, version, instance },
        mayUsePath && path && { path },
        metadata && { metadata },
        load !== undefined && { load },
        endpoints && asked(reachableBy(peer, endpoints), question, peer),
      )
    })
    const answer =
      namespace === question.namespace ? { endpoints, ttl } : { endpoints, ttl, namespace }
    if (peer.visitor) Object.assign(answer, FOR)
    if (question.trusted) Object.assign(answer, TRUSTED)
    if (peer.visitor || question.trusted) return answer
    const isFollowed = question.follow && isSteady(entries) && follow(question, namespace, peer)
    return isFollowed ? Object.assign(answer, { followed: true }) : answer
  }

  /** Has the client told of the first change that may make the answer another. False if it may not be. */
  const follow = (question: Resolve, found: string, peer: Peer): boolean => {
    const { id, service, namespace, also = [] } = question
    const { connection, local: isLocal } = peer
    // A lease of a connection that has closed would be kept for ever.
    if (!isLocal || !connection?.isOpen || !mayFollow(peer)) return false
    const all = [namespace, ...also]
    const namespaces = all.slice(0, all.indexOf(found) + 1)
    const tell = () => connection.tell(id!, { event: 'stale' })
    return leases.grant(connection, { service, namespaces }, tell)
  }

  const grant = (
    peer: Peer,
    { since, ...offer }: Omit<Publication, 'op'>,
    options: ClaimOptions,
  ): Answer => {
    const owner = peer.owner!
    limit(owner)
    const elder = age() < SETTLING && since !== undefined && { since }
    const tell = ({ owner, id }: Entry, event: Answer) => (owner as Owner).tell(id!, event)
    const evict = (rival: Entry) => {
      const { registration } = rival
      const loser = rival.owner as Owner
      const isTold = mayResolve({ ...NAMELESS, ...loser.ends, owner: loser }, offer)
      tell(rival, { event: 'evicted', registration, ...refusal(taken(offer, rival, isTold)) })
    }
    const claim = (reserved: Entry) => {
      if (reserved.owner === owner) return
      tell(reserved, { event: 'claimed', registration: reserved.registration })
    }
    const all = { ...options, claim, isTold: (rival: Entry) => mayResolve(peer, rival) }
    const { registration } = registry.register(owner, { ...offer, ...elder }, evict, all)
    if (since !== undefined) returned()
    return { registration, generation, ...(connections && { connections: connections() }) }
  }

  const register = ({ op: _, reservation, instead, ...offer }: Register, peer: Peer): Answer => {
    if (instead === undefined) return grant(peer, offer, { reservation })
    const word = registry.reservationOf(peer.owner!, instead)
    if (word === undefined) throw claimedBefore(offer)
    return grant(peer, offer, { reservation: word })
  }

  const reserve = ({ op: _, force, ...offer }: Reserve, peer: Peer): Answer =>
    grant(peer, offer, { reservation: offer.reservation, force })

  function* told(entries: Iterable<Entry>, peer: Peer) {
    for (const entry of entries) {
      yield sees('list', peer, entry) ? shown(entry, generation, peer) : undefined
    }
  }

  const listed = (entries: Iterable<Entry>, peer: Peer): Answer =>
    Object.assign(listing(told(entries, peer)), peer.visitor && FOR)

  const list = ({ namespace }: List, peer: Peer) => listed(registry.list(namespace), peer)

  const watch = (question: Watch, peer: Peer, owner: Owner): Answer => {
    const { id, op: _, for: __, ...interest } = question
    subscriptions.follow(owner, interest, {
      tell(change, entry) {
        if (entry.reservation === undefined && sees('list', peer, entry))
          owner.tell(id, { event: change, ...shown(entry, generation, peer) })
      },
      released() {},
    })
    const { namespace, service, also = [] } = interest
    const namespaces = namespace === undefined ? [undefined] : new Set([namespace, ...also])
    return listed(inAll(namespaces, service), peer)
  }

  function* inAll(namespaces: Iterable<string | undefined>, service: string | undefined) {
    for (const one of namespaces) yield* registry.list(one, service)
  }

  const open = ({ address, port }: Gateway, peer: Peer, owner: Owner): Answer => {
    if (!isLoopback(address) && !isAll(address) && !ownAddresses().includes(address)) {
      throw new MonikerError('EDENIED', { text: `${address} is no address of this host` })
    }
    const uid = userOf(peer)
    gateways.add(owner, { address, port, ...(uid !== undefined && { uid }) })
    return { gateway: true }
  }

  return (question, peer, next) => {
    // The peer hears which of its leases are over before it is answered.
    if (peer.connection) leases.catchUp(peer.connection)
    switch (question.op) {
      case 'resolve':
        return resolve(question, askingFor(peer, question.for))
      case 'register':
        return register(question, peer)
      case 'reserve':
        return reserve(question, peer)
      case 'update':
        return { updated: registry.update(peer.owner!, question.registration, question.load) }
      case 'unregister':
        return { unregistered: registry.unregister(peer.owner!, question.registration) }
      case 'list':
        return list(question, askingFor(peer, question.for))
      case 'status':
        return oversees(peer) ? status() : withheld(status(), peer)
      case 'watch':
        return peer.owner ? watch(question, askingFor(peer, question.for), peer.owner) : next()
      case 'gateway':
        return peer.owner ? open(question, peer, peer.owner) : next()
      case 'gateways':
        return { gateways: gateways.for(userOf(peer), isTrusted) }
      case 'handover':
      case 'unknown':
        return next()
    }
  }
}

/** The mark of an answer that was found for another, as it was asked. */
const FOR: Answer = { for: true }

/** The mark of an answer with names of trusted programs alone. */
const TRUSTED: Answer = { trusted: true }

/**
 * True if an answer stays the same until a name of the service comes or goes: it is of one server, which is not to be
 * told of each client, and says nothing of its load.
 */
function isSteady(entries: readonly Entry[]): boolean {
  return (
    entries.every(({ guarded, load }) => !guarded && load === undefined) && entries.length === 1
  )
}

/** The fields of a status that other hosts are told. */
const PUBLIC: readonly string[] = ['protocol', 'embedded', 'port', 'started']

/** Those that only the user of the daemon, and root, are told where there is a policy. */
const GUARDED: readonly string[] = ['names', 'denied', 'shares', 'full', 'policies', 'gateways']

/**
 * The part of a status that is for everybody. Another host is told that the daemon is there, and nothing that a
 * question or a name of others changes. A program of this host is not told what tells withheld names from absent ones.
 */
function withheld(status: Answer, { local: isLocal }: Peer): Answer {
  const isTold = (field: string) => (isLocal ? !GUARDED.includes(field) : PUBLIC.includes(field))
  return Object.fromEntries(Object.entries(status).filter(([field]) => isTold(field)))
}

/** The entries in the first of the namespaces that has any. */
function search(
  registry: Registry,
  question: Resolve,
  visible: (entry: Entry) => boolean,
): Entry[] {
  const { also: [next, ...also] = [] } = question
  if (next === undefined) return registry.resolve(question, visible)
  try {
    return registry.resolve(question, visible)
  } catch (refusal) {
    try {
      return search(registry, { ...question, namespace: next, also }, visible)
    } catch {
      throw refusal
    }
  }
}

/** The fields of a name where it is listed, beside its endpoints and its instance. */
const LISTED = [
  'namespace',
  'service',
  'version',
  'transport',
  'port',
  'address',
  'path',
  'shared',
  'guarded',
  'metadata',
  'load',
  'pid',
  'pidNamespace',
] as const satisfies readonly (keyof Entry)[]

/** A name as it is listed. */
function shown(entry: Entry, generation: number, peer: Peer): Answer {
  const { endpoints } = entry
  const told = LISTED.filter(field => entry[field] !== undefined)
  return {
    ...Object.fromEntries(told.map(field => [field, entry[field]])),
    ...(endpoints && { endpoints: reachableBy(peer, endpoints) }),
    instance: instanceOf(entry, generation),
  }
}

/** Those of the further endpoints of a service that a peer can reach, as the service itself. */
function reachableBy(peer: Peer, endpoints: readonly OtherEndpoint[]): readonly OtherEndpoint[] {
  const isHere = ({ address, path }: OtherEndpoint) => path ?? (address && staysHere(address))
  return isOfThisHost(peer) ? endpoints : endpoints.filter(one => !isHere(one))
}

/** Those that a client has asked for: one of an earlier version is told of none that it does not know. */
function asked(
  endpoints: readonly OtherEndpoint[],
  { transports }: Resolve,
  peer: Peer,
): { endpoints?: readonly OtherEndpoint[] } {
  const found = endpoints
    .filter(({ transport }) => transports.includes(transport === 'local' ? 'unix' : transport))
    .map(({ address, ...other }) => ({ ...other, ...(address && addressFor({ address }, peer)) }))
  return found.length > 0 ? { endpoints: found } : {}
}

/** The abstract Unix socket of a service has the reach of the loopback addresses. */
function wantsPath({ transports }: Resolve, peer: Peer): boolean {
  return isOfThisHost(peer) && transports.includes('unix')
}

/**
 * Tells a guarded server which peer to expect. It must be a proven one, or anybody could have it expect others. A server
 * that is frozen is not told: it could let no peer in, and it is not to be dropped for what it does not read.
 */
function announce({ owner, id }: Entry, { local: isLocal, remote }: Peer, ttl: number): void {
  const { isBehind = false, tell } = owner as Owner
  const address = isLocal ? '127.0.0.1' : remote.address
  if (!isBehind) tell(id!, { event: 'expect', address, ttl })
}

/** No other registration is called so, in this life of the daemon or another. */
function instanceOf({ registration }: Entry, generation: number): string {
  return `${generation.toString(36)}-${registration.toString(36)}`
}

/**
 * The address to tell, if it is another than the one the question came to: a server bound to all
 * addresses of IPv4 cannot be reached at an address of IPv6.
 */
function addressFor(
  { address }: Pick<Entry, 'address'>,
  { local: isLocal, address: asked }: Peer,
): { address?: string } {
  if (address === '::' || (address === '0.0.0.0' && !isIPv6(asked))) return {}
  if (address !== '0.0.0.0') return { address }
  const other = isLocal ? '127.0.0.1' : sibling(asked)
  return other ? { address: other } : {}
}
