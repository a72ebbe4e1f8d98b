import type { BlockList } from 'node:net'
import { isIP, withoutZone } from '../address.ts'
import { satisfies } from '../version.ts'

/** The actions that a rule can allow or deny. Programs of this host obey `connect`; the daemon enforces the others. */
export const ACTIONS = ['publish', 'resolve', 'list', 'connect'] as const

export type Action = (typeof ACTIONS)[number]

/** A name, and the program that asks for an action on it. */
export interface Subject {
  readonly namespace: string
  readonly service: string
  /** The exact version. */
  readonly version: string
  /** True if the program is on this host; for `connect`, if the service is. */
  readonly local: boolean
  /** The address of the program; for `connect`, that of the service. */
  readonly address: string
  /** The number of the user; `undefined` if it is not known, or the program is on another host. */
  readonly uid?: number | undefined
  /** The host to connect to, as the program named it; only for `connect`. */
  readonly host?: string
}

/** Addresses, and hosts by name. `local` is all of this host, `remote` all other hosts. */
export interface Places {
  readonly list: BlockList
  readonly names: readonly RegExp[]
  readonly local: boolean
  readonly remote: boolean
}

/** A rule of a policy. It matches if each of its conditions does. */
export interface Rule {
  /** The line of the rule in its file. */
  readonly line: number
  readonly allows: boolean
  readonly actions: readonly Action[]
  readonly name?: readonly RegExp[]
  readonly namespace?: readonly RegExp[]
  /** A range of versions. */
  readonly version?: string
  readonly user?: ReadonlySet<number>
  readonly from?: Places
  readonly to?: Places
}

/** The decision of a rule. */
export interface Verdict {
  readonly allowed: boolean
  /** The file of the rule, and its line there. */
  readonly file: string
  readonly line: number
}

/** The one that decides: a policy, or several together. */
export type Judge = Pick<Policy, 'trustful' | 'judge' | 'asksUser' | 'opens'>

export interface PolicyOptions {
  /** The name of the file, for messages. */
  file: string
  rules: readonly Rule[]
  /** True if a program whose user is unknown may publish in a user's namespace. Default false. */
  trustful?: boolean
}

/** Rules on publishing, resolving, listing and connecting. The first rule that matches decides. */
export class Policy {
  readonly file: string
  readonly trustful: boolean
  /** The number of rules. */
  readonly size: number
  readonly #rules: ReadonlyMap<Action, readonly Rule[]>
  /** The actions with a rule that depends on the user. */
  readonly #byUser: ReadonlySet<Action>

  constructor({ file, rules, trustful = false }: PolicyOptions) {
    this.file = file
    this.trustful = trustful
    this.size = rules.length
    const about = (action: Action) => rules.filter(rule => rule.actions.includes(action))
    this.#rules = new Map(ACTIONS.map(action => [action, about(action)]))
    this.#byUser = new Set(ACTIONS.filter(action => about(action).some(rule => rule.user)))
  }

  /** The decision of the first rule that matches; `undefined` if none does. */
  judge(action: Action, subject: Subject): Verdict | undefined {
    const rule = this.#rules.get(action)!.find(rule => matches(rule, subject))
    return rule && { allowed: rule.allows, file: this.file, line: rule.line }
  }

  /** True if a decision on `action` may depend on the user. */
  asksUser(action: Action): boolean {
    return this.#byUser.has(action)
  }

  /** True if some rule allows `action` from there, even if only for some names or users. */
  opens(action: Action, place: Pick<Subject, 'local' | 'address'>): boolean {
    return this.#rules
      .get(action)!
      .some(({ allows, from }) => allows && (!from || isAt(from, place)))
  }
}

/** Policies that are in force together. Each is judged apart: what one of them denies is denied. */
export class Policies implements Judge {
  readonly #all: readonly Policy[]

  constructor(all: readonly Policy[]) {
    this.#all = all
  }

  /** True if each of them trusts programs whose user is unknown. */
  get trustful(): boolean {
    return this.#all.every(one => one.trustful)
  }

  judge(action: Action, subject: Subject): Verdict | undefined {
    const verdicts = this.#all
      .map(one => one.judge(action, subject))
      .filter(one => one !== undefined)
    return verdicts.find(({ allowed }) => !allowed) ?? verdicts[0]
  }

  asksUser(action: Action): boolean {
    return this.#all.some(one => one.asksUser(action))
  }

  opens(action: Action, place: Pick<Subject, 'local' | 'address'>): boolean {
    return this.#all.some(one => one.opens(action, place))
  }
}

function matches(rule: Rule, subject: Subject): boolean {
  const { name, namespace, version, from, to } = rule
  return (
    (!name || like(name, subject.service)) &&
    (!namespace || like(namespace, subject.namespace)) &&
    (!version || satisfies(subject.version, version, { includePrerelease: true })) &&
    (!from || isAt(from, subject)) &&
    (!to || isAt(to, subject)) &&
    isUser(rule, subject)
  )
}

/**
 * True if the rule is for the user. If the user is not known, a rule that denies matches on this host, and one that
 * allows never does.
 */
function isUser({ user, allows }: Rule, { uid, local }: Subject): boolean {
  if (!user) return true
  return uid === undefined ? local && !allows : user.has(uid)
}

function isAt(
  { list, names, local, remote }: Places,
  { local: isLocal, address, host = '' }: Pick<Subject, 'local' | 'address' | 'host'>,
): boolean {
  const bare = withoutZone(address)
  return (
    (isLocal ? local : remote) ||
    (isIP(bare) !== 0 && list.check(bare, isIP(bare) === 4 ? 'ipv4' : 'ipv6')) ||
    like(names, host.toLowerCase())
  )
}

function like(patterns: readonly RegExp[], text: string): boolean {
  return patterns.some(pattern => pattern.test(text))
}
