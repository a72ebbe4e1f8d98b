import type { BlockList } from 'node:net'
import { isIP } from 'node:net'
import { satisfies } from '../version.ts'

/** What can be allowed or denied; `connect` is what the programs of this host do. */
export const ACTIONS = ['publish', 'resolve', 'list', 'connect'] as const

export type Action = (typeof ACTIONS)[number]

/** A name, and who would do something with it. */
export interface Subject {
  readonly namespace: string
  readonly service: string
  /** Exact. */
  readonly version: string
  /** Whether whoever asks is on this host. */
  readonly local: boolean
  /** Where from, or for `connect` where to. */
  readonly address: string
  /** The number of the user; `undefined` if it is not known, or of another host. */
  readonly uid?: number | undefined
  /** The host as it was asked for, where one was: for `connect`. */
  readonly host?: string
}

/** Addresses, and hosts by name; `local` and `remote` are all there are on this and on other hosts. */
export interface Places {
  readonly list: BlockList
  readonly names: readonly RegExp[]
  readonly local: boolean
  readonly remote: boolean
}

/** All that is there must be met. */
export interface Rule {
  /** Where it stands in its file. */
  readonly line: number
  readonly allows: boolean
  readonly actions: readonly Action[]
  readonly name?: readonly RegExp[]
  readonly namespace?: readonly RegExp[]
  /** A range. */
  readonly version?: string
  readonly user?: ReadonlySet<number>
  readonly from?: Places
  readonly to?: Places
}

/** What a policy says. */
export interface Verdict {
  readonly allowed: boolean
  /** The line of the rule. */
  readonly line: number
}

export interface PolicyOptions {
  /** Where the rules come from, for people. */
  file: string
  rules: readonly Rule[]
  /** Whether a user's namespace is open to whoever cannot be known. Default false. */
  trustful?: boolean
}

/** Who may publish, resolve, list and connect to what. The first rule that matches decides. */
export class Policy {
  readonly file: string
  readonly trustful: boolean
  /** How many rules there are. */
  readonly size: number
  readonly #rules: ReadonlyMap<Action, readonly Rule[]>
  /** The actions for which somebody's user must be known. */
  readonly #byUser: ReadonlySet<Action>

  constructor({ file, rules, trustful = false }: PolicyOptions) {
    this.file = file
    this.trustful = trustful
    this.size = rules.length
    const about = (action: Action) => rules.filter(rule => rule.actions.includes(action))
    this.#rules = new Map(ACTIONS.map(action => [action, about(action)]))
    this.#byUser = new Set(ACTIONS.filter(action => about(action).some(rule => rule.user)))
  }

  /** What the first rule says that matches; `undefined` if none does. */
  judge(action: Action, subject: Subject): Verdict | undefined {
    const rule = this.#rules.get(action)!.find(rule => matches(rule, subject))
    return rule && { allowed: rule.allows, line: rule.line }
  }

  /** Whether it matters for `action` which user asks. */
  asksUser(action: Action): boolean {
    return this.#byUser.has(action)
  }

  /** Whether something is allowed to whoever is at this place, be it for some names or users alone. */
  opens(action: Action, place: Pick<Subject, 'local' | 'address'>): boolean {
    return this.#rules
      .get(action)!
      .some(({ allows, from }) => allows && (!from || isAt(from, place)))
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

/** One who cannot be known is none of those who may, and any of those who may not. */
function isUser({ user, allows }: Rule, { uid, local }: Subject): boolean {
  if (!user) return true
  return uid === undefined ? local && !allows : user.has(uid)
}

function isAt(
  { list, names, local, remote }: Places,
  { local: isLocal, address, host = '' }: Pick<Subject, 'local' | 'address' | 'host'>,
): boolean {
  const bare = address.replace(/%.*/, '')
  return (
    (isLocal ? local : remote) ||
    (isIP(bare) !== 0 && list.check(bare, isIP(bare) === 4 ? 'ipv4' : 'ipv6')) ||
    like(names, host.toLowerCase())
  )
}

function like(patterns: readonly RegExp[], text: string): boolean {
  return patterns.some(pattern => pattern.test(text))
}
