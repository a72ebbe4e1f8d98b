import { isLoopback } from '../address.ts'
import { MonikerError } from '../errors.ts'
import { format } from '../name.ts'
import type { Action, Judge, Subject, Verdict } from '../policy/policy.ts'
import type { Question, Register } from '../wire/protocol.ts'
import { UserTable, type Users } from '../policy/users.ts'
import type { Owner, Peer, Reply, Step } from './chain.ts'
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
  /** Finds the user of a connection. Default as the kernel says. */
  identities?: Pick<Identities, 'of'>
}

/** True if `peer` may know of a name, or have it in a list. */
export type Visibility = (action: 'resolve' | 'list', peer: Peer, entry: Entry) => boolean

/** True if `peer` can reach what has the name. */
export const reachable: Visibility = (_action, { local: isLocal }, { address }) =>
  isLocal || !isLoopback(address)

/**
 * The one place where it is asked what a peer may do. Only a user may publish in the namespace of that user.
 * For the rest the policy decides, where there is one. A name that a peer may not know of is answered as if
 * it were not there.
 */
export class Access {
  /** The policy in force; another may take its place at any time. */
  policy: Judge | undefined
  readonly #options: AccessOptions
  readonly #table: { readonly users: Users }
  readonly #identities: Pick<Identities, 'of'>
  /** The user of each connection whose user is known. */
  readonly #uids = new WeakMap<Owner, number>()

  constructor(options: AccessOptions) {
    const { users = new UserTable(), identities = new Identities() } = options
    this.#options = options
    this.#table = users
    this.#identities = identities
  }

  /** True if `peer` may know of a name, or have it in a list. */
  readonly sees: Visibility = (action, peer, entry) => {
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

  /** Refuses what the peer may not ask. Finds out its user first, where that matters. */
  readonly step: Step = (question, peer, next) => {
    const { policy } = this
    // Refused to everybody alike, by the end of the chain.
    if (question.op === 'unknown') return next()
    this.#assertPlace(question.op, peer)
    if (!policy && !isInNamespace(question)) return next()
    const action = actionOf(question)
    if (!action) return next()
    const asksUser = policy?.asksUser(action) && peer.local
    // Only the user of a connection can be known.
    if (asksUser && !peer.owner) return { truncated: true }
    const owners = isInNamespace(question) && this.#table.users.get(question.namespace)
    if (!owners && (!asksUser || this.#uids.has(peer.owner!))) {
      return this.#pass(question, peer, next)
    }
    return this.#identify(peer).then(() => {
      if (owners) this.#assertOwner(question as Register, owners, this.#uids.get(peer.owner!))
      return this.#pass(question, peer, next)
    })
  }

  /** Any peer may resolve, and ask for the status by TCP. The rest is for this host, unless lists are open. */
  #assertPlace(op: Question['op'], peer: Peer): void {
    const { local: isLocal, owner } = peer
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
  async #identify(peer: Peer): Promise<void> {
    const owner = peer.owner!
    if (!this.#uids.has(owner)) {
      const ours = { address: peer.address, port: this.#options.port() }
      const uid = await this.#identities.of(peer.remote, ours)
      if (uid !== undefined) this.#uids.set(owner, uid)
    }
    // A name that was registered for a closed connection would be held for ever.
    if (!owner.isOpen) throw new MonikerError('EDENIED', { text: 'the connection has closed' })
  }

  #assertOwner(
    { namespace }: Register,
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

  /** Asks the policy. What has been found out by now is enough. */
  #pass(question: Question, peer: Peer, next: () => Reply): Reply {
    const { policy } = this
    if (question.op !== 'register' || !policy) return next()
    const asker = this.#askerOf(peer)
    const verdict = policy.judge('publish', { ...nameOf(question), ...asker })
    if (verdict?.allowed !== false) return next()
    this.#options.denied(denial(verdict, 'publish', question, asker))
    const text = `the policy of this host does not let you publish ${format(question)}`
    throw new MonikerError('EDENIED', { text })
  }

  #askerOf(peer: Peer): Asker {
    return { ...placeOf(peer), uid: peer.owner && this.#uids.get(peer.owner) }
  }
}

type Asker = Pick<Subject, 'local' | 'address' | 'uid'>

type Named = Pick<Subject, 'namespace' | 'service' | 'version'>

function actionOf({ op }: Question): Action | undefined {
  if (op === 'register') return 'publish'
  if (op === 'watch') return 'list'
  return op === 'resolve' || op === 'list' ? op : undefined
}

function isInNamespace(question: Question): question is Register {
  return question.op === 'register' && question.namespace !== ''
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
