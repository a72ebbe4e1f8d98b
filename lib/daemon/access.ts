import { isOwn, networkOf, staysHere } from '../address.ts'
import { MonikerError } from '../errors.ts'
import { format, isWord } from '../name.ts'
import type { Action, Judge, Subject, Verdict } from '../policy/policy.ts'
import {
  isPublication,
  type Answer,
  type Publication,
  type Question,
  type Reserve,
  type Visitor,
} from '../wire/protocol.ts'
import type { ProtectedName, ProtectedNames } from '../policy/protected.ts'
import { UserTable, type Users } from '../policy/users.ts'
import {
  isOfThisHost,
  isProven,
  type Answering,
  type Owner,
  type Peer,
  type Step,
} from './chain.ts'
import { ownAddresses } from './interfaces.ts'
import type { Limits } from './limits.ts'
import type { Entry } from './registry.ts'
import { Identities } from '../node/proc.ts'

export interface AccessOptions {
  /** True if other hosts may list what the policy says nothing of. Default false. */
  publicList?: boolean
  /** The port that is asked at. */
  port: () => number
  /** Called when the policy has denied something, with a line for a log. */
  denied: (text: string) => void
  /** The users of this host. Default those in the system's table. */
  users?: { readonly users: Users }
  /** The connections that hold what a name would be taken from. Default none. */
  rivals?: (question: Reserve) => ReadonlySet<Owner>
  /** Finds the user of a connection. Default as the kernel says. */
  identities?: Pick<Identities, 'of'>
  /** The names of the host's own namespace that are not for everybody. Default none. */
  protectedNames?: Pick<ProtectedNames, 'of'> | undefined
  /** The shares of each user. Default none. */
  limits?: Pick<Limits, 'asks' | 'found'>
  /** Calls a function when all others have had their turn: many may wait for a user. Default at once. */
  later?: (work: () => void) => void
  /** The user that the daemon runs as. Default that of this process. */
  uid?: number | undefined
}

/** The most users that are looked for at once. */
const PORTION = 64

/** True if `peer` may know of a name, or have it in a list. */
export type Visibility = (action: 'resolve' | 'list', peer: Peer, entry: Entry) => boolean

/** True if `peer` can reach what has the name. */
export const reachable: Visibility = (_action, peer, { address }) =>
  isOfThisHost(peer) || !staysHere(address)

/** A peer, and the program that it asks for, if it does: that is judged as a peer at its own address would be. */
export function askingFor(peer: Peer, visitor: Visitor | undefined): Peer {
  if (!visitor) return peer
  const { address, uid } = visitor
  const local = isOwn(address, peer.address) || ownAddresses().includes(address)
  const remote = { address, port: 0 }
  // Of a program of another host no user is known, whatever is said.
  const known = local && uid !== undefined && { uid }
  return { ...peer, visitor: { local, address: peer.address, remote, ...known } }
}

/**
 * The one place where it is asked what a peer may do. Only a user may publish in the namespace of that user, and only
 * root under a name that goes with a port of root's. For the rest the policy decides, where there is one. A name that a
 * peer may not know of is answered as if it were not there.
 */
export class Access {
  /** The policy in force; another may take its place at any time. */
  policy: Judge | undefined
  readonly #options: AccessOptions
  readonly #table: { readonly users: Users }
  readonly #identities: Pick<Identities, 'of'>
  /** The user of each connection whose user is known. */
  readonly #uids = new WeakMap<Owner, number>()
  /** The connections whose users are looked for. */
  readonly #sought = new WeakMap<Owner, Promise<void>>()

  constructor(options: AccessOptions) {
    const { users = new UserTable(), later, identities = new Identities({ later }) } = options
    this.#options = options
    this.#table = users
    this.#identities = identities
  }

  /** True if `peer`, and the program that it asks for, may know of a name, or have it in a list. */
  readonly sees: Visibility = (action, peer, entry) =>
    this.#maySee(action, peer, entry) &&
    (!peer.visitor || this.#maySee(action, peer.visitor, entry))

  readonly #maySee: Visibility = (action, peer, entry) => {
    const { policy } = this
    if (!reachable(action, peer, entry)) return false
    if (!policy) return true
    const asker = this.#askerOf(peer)
    const verdict = policy.judge(action, { ...nameOf(entry), ...asker })
    if (action === 'list') {
      return verdict?.allowed ?? (peer.local || this.#options.publicList === true)
    }
    if (verdict?.allowed !== false) return true
    this.#options.denied(denial(verdict, action, entry, asker))
    return false
  }

  /** True if `peer` may resolve a name. It has not asked to, so that a denial is not counted. */
  readonly mayResolve = (peer: Peer, name: Named): boolean => {
    const verdict = this.policy?.judge('resolve', { ...nameOf(name), ...this.#askerOf(peer) })
    return verdict?.allowed !== false
  }

  /** True if what `peer` may know of stays so as long as the policy does: its user is known, or of no account. */
  readonly isSettled = ({ owner }: Peer): boolean =>
    this.policy?.asksUser('resolve') !== true || this.#uids.has(owner!)

  /**
   * True if `peer` may know of the daemon what tells of names that the policy withholds: it is on this host, and the
   * daemon's own user or root. Where there is no policy, each program of this host may.
   */
  readonly oversees = ({ local: isLocal, owner }: Peer): boolean =>
    isLocal && (!this.policy || this.isTrusted(this.#uids.get(owner!)))

  /** The user of a peer, or its host, who have their turns together; `undefined` where the user is not known. */
  readonly seatOf = ({ local: isLocal, remote, owner }: Peer): unknown =>
    isLocal ? this.#uids.get(owner!) : networkOf(remote.address)

  /**
   * True if the program that holds a name is of root, of the daemon's user, or of the same user as `peer`, or as the one
   * that it asks for. Of a user that is not known it is not.
   */
  readonly trusts = (peer: Peer, { owner }: Pick<Entry, 'owner'>): boolean => {
    const uid = this.#uids.get(owner as Owner)
    if (uid === undefined) return false
    return this.isTrusted(uid) || uid === this.userOf(peer.visitor ?? peer)
  }

  /** Finds out the users of those who hold names, if some are not known and may be. Fails for want of descriptors or memory. */
  readonly findHolders = (entries: Iterable<Entry>): Promise<void> | undefined => {
    const owners = new Set(Array.from(entries, ({ owner }) => owner as Owner))
    const unknown = [...owners].filter(owner => owner.ends && !this.#uids.has(owner))
    return unknown.length > 0 ? this.#identifyAll(unknown) : undefined
  }

  /** The user of a peer, if it is known. */
  readonly userOf = ({ uid, owner }: Peer): number | undefined => uid ?? this.#uids.get(owner!)

  /** True of the user that the daemon runs as, and of root. Of a user that is not known it is as the policy says. */
  readonly isTrusted = (uid: number | undefined): boolean => {
    const { uid: own = process.getuid?.() } = this.#options
    return uid === undefined ? this.policy?.trustful === true : uid === 0 || uid === own
  }

  /** Refuses what the peer may not ask. Finds out its user first, where that matters. */
  readonly step: Step = (question, peer, next) => {
    const { policy } = this
    // Refused to everybody alike, by the end of the chain.
    if (question.op === 'unknown') return next()
    this.#assertPlace(question, peer)
    const action = actionOf(question)
    if (!action) return this.#asksUser(question.op, peer) ? this.#identified(peer, next) : next()
    const forced = question.op === 'reserve' && question.force ? question : undefined
    const rivals = forced && this.#rivals(forced)
    const assertClaim = isPublication(question) ? this.#claimOn(question) : undefined
    const { owner } = peer
    const counted = peer.local && owner ? this.#options.limits?.asks(question, owner) : undefined
    // Nobody waits for it. One that has closed holds nothing, and for want of descriptors it is tried another time.
    if (counted === 'soon') void this.#identify(peer).catch(() => {})
    const isCounted = counted === 'first'
    const isTrusting = question.op === 'resolve' && question.trusted === true
    if (isTrusting && !owner) return { truncated: true }
    const isOwnTrust = isTrusting && !question.for
    const isOpen = !assertClaim && !rivals?.size && !isCounted && !isOwnTrust
    if (!policy && isOpen) return next()
    // Of a clash a program is told by which process, if it may resolve the name.
    const asks = (one: Action) => policy?.asksUser(one) === true
    const asksUser = peer.local && (asks(action) || (isPublication(question) && asks('resolve')))
    // Only the user of a connection can be known.
    if (asksUser && !peer.owner) return { truncated: true }
    if (policy && mayBeLocal(peer)) return { truncated: true }
    const isKnown = this.#uids.has(peer.owner!) && !rivals?.size
    if (isKnown || (isOpen && !asksUser)) {
      assertClaim?.(peer)
      return this.#pass(question, peer, next)
    }
    return this.#identify(peer).then(async () => {
      assertClaim?.(peer)
      if (rivals) await this.#identifyAll([...rivals])
      assertOpen(peer.owner!)
      // The last before it is passed on: another program may have got the name meanwhile.
      if (forced) this.#assertSame(forced, rivals!, peer)
      return this.#pass(question, peer, next)
    })
  }

  /** True if the answer to what no policy is about depends on the user. */
  #asksUser(op: Question['op'], { local: isLocal }: Peer): boolean {
    return op === 'gateway' || op === 'gateways' || (op === 'status' && isLocal && !!this.policy)
  }

  /** The check of who may have a name, if not everybody may. It throws `EDENIED`. */
  #claimOn(question: Publication): ((peer: Peer) => void) | undefined {
    const { namespace, service } = question
    if (namespace === '') {
      const kept = this.#options.protectedNames?.of(service)
      return kept && (peer => this.#assertMayHave(question, kept, peer))
    }
    const owners = this.#table.users.get(namespace)
    return owners && (peer => this.#assertOwner(question, owners, this.#uids.get(peer.owner!)))
  }

  /**
   * Any peer may resolve, and ask for the status by TCP. The rest is for this host, unless lists are open; and so is what
   * has to do with users.
   */
  #assertPlace(question: Question, peer: Peer): void {
    const { op } = question
    const { local: isLocal, owner } = peer
    const field = isLocal ? undefined : LOCAL.find(one => one in question)
    if (field !== undefined) {
      throw new MonikerError('EDENIED', { text: `"${field}" is for programs on the host itself` })
    }
    if (op === 'resolve') return
    if (!owner) throw new MonikerError('EDENIED', { text: `${op} is answered over TCP alone` })
    if (isLocal || op === 'status') return
    const isPublic = op === 'list' || op === 'watch'
    if (isPublic && this.#mayList(peer)) return
    throw new MonikerError('EDENIED', {
      text: `${op} is for programs on the host itself${isPublic ? ', unless monikerd --public-list' : ''}`,
    })
  }

  /** True if a peer of another host may list anything at all. */
  #mayList(peer: Peer): boolean {
    const { publicList = false } = this.#options
    return publicList || (this.policy?.opens('list', placeOf(peer)) ?? false)
  }

  /** Finds out the user of a connection, once, if that can be known. */
  async #identify(peer: Pick<Peer, 'address' | 'remote' | 'owner'>): Promise<void> {
    const owner = peer.owner!
    if (!this.#uids.has(owner)) await (this.#sought.get(owner) ?? this.#seek(peer, owner))
    this.#options.limits?.found(owner, this.#uids.get(owner))
    assertOpen(owner)
  }

  /** Looks for the user of a connection; all who ask meanwhile wait for the same. */
  #seek({ address, remote }: Pick<Peer, 'address' | 'remote'>, owner: Owner): Promise<void> {
    const found = (uid: number | undefined) => {
      if (uid !== undefined) this.#uids.set(owner, uid)
    }
    const seeking = this.#identities
      .of(remote, { address, port: this.#options.port() })
      .then(found)
      .finally(() => this.#sought.delete(owner))
    this.#sought.set(owner, seeking)
    return seeking
  }

  /** Passes a question on once the user is known, if that can be. */
  async #identified(peer: Peer, next: () => Answering): Promise<Answer> {
    await this.#identify(peer)
    return next()
  }

  #assertOwner(
    { namespace }: Publication,
    owners: ReadonlySet<number>,
    uid: number | undefined,
  ): void {
    if (uid === 0 || (uid !== undefined && owners.has(uid))) return
    if (uid === undefined && this.policy?.trustful) return
    const why =
      uid === undefined
        ? 'and the user of this program cannot be known; a policy that has "unproven: allow" lets any in'
        : `not of user ${uid}; take another, or none`
    throw new MonikerError('EDENIED', {
      text: `namespace ${namespace} is that of user ${namespace} of this host, ${why}`,
    })
  }

  /** A name with a port below 1024, say, is root's, the daemon's user's, and whom a rule allows it. */
  #assertMayHave(question: Publication, { port, start }: ProtectedName, peer: Peer): void {
    const asker = this.#askerOf(peer)
    const { uid } = asker
    if (this.isTrusted(uid)) return
    const verdict = this.policy?.judge('publish', { ...nameOf(question), ...asker })
    // A denial by a rule is told in its own words.
    if (verdict) return
    const { service } = question
    const user = this.#nameOf(uid)
    throw new MonikerError('EDENIED', {
      text: `${service} is the name of port ${port}, and those below ${start} are root's; take ${user ?? 'NAMESPACE'}:${service}, or have the policy say "allow: publish, name: ${service}, user: ${user ?? 'USER'}"`,
    })
  }

  /** The name of a user, if it can be a namespace. */
  #nameOf(uid: number | undefined): string | undefined {
    const found = [...this.#table.users].find(([name, uids]) => isWord(name) && uids.has(uid!))
    return found?.[0]
  }

  /** The connections from which a name is to be taken. */
  #rivals(question: Reserve): ReadonlySet<Owner> {
    return this.#options.rivals?.(question) ?? new Set()
  }

  /** Finds out the users of connections, some at a time; one that has closed meanwhile is of no account. */
  async #identifyAll(owners: readonly Owner[]): Promise<void> {
    for (let at = 0; at < owners.length; at += PORTION) {
      const some = owners.slice(at, at + PORTION)
      await Promise.all(
        some.map(owner => this.#identify({ ...owner.ends!, owner }).catch(unlessClosed)),
      )
    }
  }

  /** Refuses to take a name from programs of another user; `known` are those whose users have been looked for. */
  #assertSame(question: Reserve, known: ReadonlySet<Owner>, peer: Peer): void {
    const uid = this.#uids.get(peer.owner!)
    const isSame = (owner: Owner) =>
      known.has(owner) &&
      uid !== undefined &&
      (uid === 0 || !owner.isOpen || this.#uids.get(owner) === uid)
    if ([...this.#rivals(question)].every(isSame)) return
    const text = `${format(question)} is held by a program of another user, or of one that cannot be known`
    throw new MonikerError('EDENIED', { text })
  }

  /** Asks the policy. What has been found out by now is enough. */
  #pass(question: Question, peer: Peer, next: () => Answering): Answering {
    const { policy } = this
    if (!isPublication(question) || !policy) return next()
    const asker = this.#askerOf(peer)
    const verdict = policy.judge('publish', { ...nameOf(question), ...asker })
    if (verdict?.allowed !== false) return next()
    this.#options.denied(denial(verdict, 'publish', question, asker))
    const text = `the policy of this host does not let you publish ${format(question)}`
    throw new MonikerError('EDENIED', { text })
  }

  #askerOf(peer: Peer): Asker {
    return { ...placeOf(peer), uid: this.userOf(peer) }
  }
}

/** Throws `EDENIED` once a connection has closed: a name that was registered for it then would be held for ever. */
function assertOpen({ isOpen }: Owner): void {
  if (!isOpen) throw new MonikerError('EDENIED', { text: 'the connection has closed' })
}

/** Throws an error again, unless it is that of a connection that has closed. */
function unlessClosed(error: unknown): void {
  if (!(error instanceof MonikerError)) throw error
}

/** The fields of a question that are for programs of this host alone. */
const LOCAL = ['for', 'trusted'] as const

/** True if a datagram carries an address of this host: its sender may be here, or elsewhere. */
function mayBeLocal(peer: Peer): boolean {
  return !isProven(peer) && isOwn(peer.remote.address, peer.address)
}

type Asker = Pick<Subject, 'local' | 'address' | 'uid'>

type Named = Pick<Subject, 'namespace' | 'service' | 'version'>

function actionOf({ op }: Question): Action | undefined {
  if (op === 'register' || op === 'reserve') return 'publish'
  if (op === 'watch') return 'list'
  return op === 'resolve' || op === 'list' ? op : undefined
}

function placeOf({ local, remote: { address } }: Peer): Pick<Subject, 'local' | 'address'> {
  return { local, address }
}

function nameOf({ namespace, service, version }: Named): Named {
  return { namespace, service, version }
}

function denial(
  { file, line }: Verdict,
  action: Action,
  name: Named,
  { address, uid }: Asker,
): string {
  const user = uid === undefined ? '' : `, user ${uid}`
  return `denied ${address}${user}: ${action} ${format(name)} (${file}:${line})`
}
