import { MonikerError } from '../errors.ts'
import { format } from '../name.ts'
import { compareVersions, satisfies as isInRange } from '../version.ts'
import type { Id, Offer, Resolve } from '../wire/protocol.ts'

/** One name that is held: the offer, its owner, and its registration. */
export interface Entry extends Offer {
  readonly registration: number
  readonly owner: object
  /** The id of the question that it was asked for with. */
  readonly id?: Id
  /** The word of a name that is only reserved; of such a name no client is told. */
  readonly reservation?: string
  /** The word with which another server may still claim a name: its holder has reserved it for that. */
  readonly word?: string
}

/** The way in which a name is asked for. */
export interface ClaimOptions {
  /** The word that may have reserved it: what was reserved with the same word makes way. */
  reservation?: string | undefined
  /** Called with each reservation that has made way. */
  claim?: (reserved: Entry) => void
  /** True to take the name from whichever program holds it. Default false. */
  force?: boolean | undefined
  /** True if a refusal may name the process that holds an entry, and its port. Default always. */
  isTold?: (rival: Entry) => boolean
}

/** The entries of one service, highest version first, and whose turn it is, if there are several. */
interface Service {
  readonly entries: readonly Entry[]
  turn?: number
}

/**
 * A million of them: made by a class, so that each has room for its own fields and no more. One that
 * is alone, as most are for good, is its service as well: a look-up so goes from the map straight to it,
 * and meets with no more memory than it needs to.
 */
class RegistryEntry implements Service {
  declare readonly registration: number
  declare readonly owner: object

  constructor(offer: Offer & { id?: Id }, registration: number, owner: object) {
    Object.assign(this, offer)
    this.registration = registration
    this.owner = owner
  }

  get entries(): readonly Entry[] {
    return [this as unknown as Entry]
  }
}

/** A name has come, or gone. */
export type Change = 'up' | 'down'

/** Told of each name that comes or goes, at once; it must not throw. */
export type Observer = (change: Change, entry: Entry) => void

/**
 * The names that are held, and their owners. It knows nothing of sockets: an owner is any object. A look-up
 * is one map look-up, whatever the number of names.
 */
export class Registry {
  /** Services by namespace, then by name: no key need be put together for a look-up. */
  readonly #namespaces = new Map<string, Map<string, Service>>()
  /** Most owners hold one name or a few: a list of one takes a quarter of what a map does. */
  readonly #owners = new Map<object, Entry[]>()
  readonly #observe: Observer
  readonly #observeLoad: ((entry: Entry) => void) | undefined
  #last = 0
  #size = 0

  /** `observeLoad` is told of each service that reports a load for the first time: its answers differ from now on. */
  constructor(observe: Observer = () => {}, observeLoad?: (entry: Entry) => void) {
    this.#observe = observe
    this.#observeLoad = observeLoad
  }

  /** The number of names that are held. */
  get size(): number {
    return this.#size
  }

  /** The number of names that `owner` holds. */
  held(owner: object): number {
    return this.#owners.get(owner)?.length ?? 0
  }

  /**
   * Holds a name for `owner`; throws `EADDRINUSE` where it is held and not shared by all. An offer
   * that has a `since` is older than all that have none or a later one: they go, and `evict` is
   * called with each. An offer with a `reservation` is a name that is only reserved: others cannot have it, and no
   * client finds it.
   */
  register(
    owner: object,
    offer: Offer & { id?: Id; reservation?: string },
    evict: (rival: Entry) => void = () => {},
    options: ClaimOptions = {},
  ): Entry {
    this.#assertRoom(offer)
    const isOwn = this.#makeWay(offer, evict, options).some(reserved => reserved.owner === owner)
    const word = isOwn && offer.reservation === undefined && { word: options.reservation }
    const services = this.#namespaces.get(offer.namespace) ?? new Map<string, Service>()
    const service = services.get(offer.service)
    const entry = new RegistryEntry(
      word ? { ...offer, ...word } : offer,
      ++this.#last,
      owner,
    ) as RegistryEntry & Offer
    services.set(offer.service, service ? inserted(service, entry) : entry)
    this.#namespaces.set(offer.namespace, services)
    const held = this.#owners.get(owner)
    if (held) held.push(entry)
    else this.#owners.set(owner, [entry])
    this.#size++
    this.#observe('up', entry)
    return entry
  }

  /** The word of a name that `owner` has reserved; `undefined` if it has not, or not any more. */
  reservationOf(owner: object, registration: number): string | undefined {
    const held = this.#owners.get(owner) ?? []
    return held.find(entry => entry.registration === registration)?.reservation
  }

  /** Lets a name go; only its owner can. False if it has no such name. */
  unregister(owner: object, registration: number): boolean {
    const held = this.#owners.get(owner) ?? []
    const at = held.findIndex(entry => entry.registration === registration)
    if (at === -1) return false
    const [entry] = held.splice(at, 1)
    if (held.length === 0) this.#owners.delete(owner)
    this.#forget(entry!)
    return true
  }

  /** Notes the load that the owner of a service reports. False if it has no such name. */
  update(owner: object, registration: number, load: number): boolean {
    const held = this.#owners.get(owner) ?? []
    const entry = held.find(one => one.registration === registration)
    if (!entry) return false
    const isFirst = entry.load === undefined
    Object.assign(entry, { load })
    if (isFirst) this.#observeLoad?.(entry)
    return true
  }

  /** Forgets every name of `owner`: its connection has closed. Returns their number. */
  release(owner: object): number {
    const held = this.#owners.get(owner) ?? []
    this.#owners.delete(owner)
    for (const entry of held) this.#forget(entry)
    return held.length
  }

  /**
   * The entries of the highest version that is in range and `visible`, over the transports that
   * were asked for, whose turn it is first. Throws `ENOSERVICE` or `EVERSION` if there is none.
   */
  resolve(question: Resolve, visible: (entry: Entry) => boolean = () => true): Entry[] {
    const service = this.#namespaces.get(question.namespace)?.get(question.service)
    const { version, transports } = question
    const candidates = service?.entries.filter(
      entry => isOffered(entry, transports) && visible(entry),
    )
    if (!service || !candidates?.length) {
      throw new MonikerError('ENOSERVICE', { service: format(question), syscall: 'resolve' })
    }
    const best = candidates.find(entry => satisfies(entry.version, version))
    if (!best) {
      const offered = [...new Set(candidates.map(entry => entry.version))].slice(0, 4)
      throw new MonikerError('EVERSION', { service: format(question), offered, syscall: 'resolve' })
    }
    const equals = candidates.filter(entry => entry.version === best.version)
    if (equals.length === 1) return equals
    const turn = service.turn!++ % equals.length
    return byLoad([...equals.slice(turn), ...equals.slice(0, turn)])
  }

  /** The entries that may answer a question, in any of its namespaces and of whatever version. */
  candidates({ namespace, also = [], service, transports }: Resolve): Entry[] {
    return [...new Set([namespace, ...also])].flatMap(one => {
      const entries = this.#namespaces.get(one)?.get(service)?.entries ?? []
      return entries.filter(entry => isOffered(entry, transports))
    })
  }

  /**
   * Every entry but those that are reserved, or those of one namespace, or of one service, or both. It may be walked
   * slowly: what has gone by then is left out.
   */
  *list(namespace?: string, service?: string): Iterable<Entry> {
    for (const services of chosen(this.#namespaces, namespace)) {
      for (const { entries } of chosen(services, service)) {
        for (const entry of entries) {
          if (entry.reservation === undefined && this.#isHeld(entry)) yield entry
        }
      }
    }
  }

  #isHeld(entry: Entry): boolean {
    const service = this.#namespaces.get(entry.namespace)?.get(entry.service)
    return service?.entries.includes(entry) ?? false
  }

  /** The entries that keep an offer from being registered. */
  rivals(offer: Offer, reservation?: string): readonly Entry[] {
    const service = this.#namespaces.get(offer.namespace)?.get(offer.service)
    const entries = service?.entries ?? []
    return entries.filter(entry => clashes(entry, offer) && !isFor(entry, offer, reservation))
  }

  /** Refuses, with `ELIMIT`, one more server of a service that has too many: each look-up walks them. */
  #assertRoom({ namespace, service }: Offer): void {
    const { entries = [] } = this.#namespaces.get(namespace)?.get(service) ?? {}
    if (entries.length < MAX_SERVERS) return
    const text = `${MAX_SERVERS} servers have ${format({ namespace, service, version: '' })}`
    throw new MonikerError('ELIMIT', { text })
  }

  #makeWay(
    offer: Offer,
    evict: (rival: Entry) => void,
    { reservation, claim = () => {}, force = false, isTold = () => true }: ClaimOptions,
  ): readonly Entry[] {
    const rivals = this.rivals(offer, reservation)
    const claimed = this.#reserved(offer, reservation)
    const elder = force ? undefined : rivals.find(rival => !isOlder(offer, rival))
    if (elder) throw taken(elder, offer, isTold(elder))
    for (const reserved of claimed) {
      this.unregister(reserved.owner, reserved.registration)
      claim(reserved)
    }
    for (const rival of rivals) {
      this.unregister(rival.owner, rival.registration)
      evict(rival)
    }
    return claimed
  }

  /** The entries that were reserved for an offer, whatever its version is. */
  #reserved(offer: Offer, reservation: string | undefined): readonly Entry[] {
    if (reservation === undefined) return []
    const service = this.#namespaces.get(offer.namespace)?.get(offer.service)
    return service?.entries.filter(entry => isFor(entry, offer, reservation)) ?? []
  }

  #forget(entry: Entry): void {
    const services = this.#namespaces.get(entry.namespace)!
    const service = services.get(entry.service)!
    const left = service.entries.filter(other => other !== entry)
    if (left.length === 0) services.delete(entry.service)
    else services.set(entry.service, several(left, service.turn))
    if (services.size === 0) this.#namespaces.delete(entry.namespace)
    this.#size--
    this.#observe('down', entry)
  }
}

/** The most servers of one service, of all versions together. */
const MAX_SERVERS = 512

/** The most judgements that are remembered; then all are forgotten. */
const JUDGEMENTS = 4_096
const judgements = new Map<string, boolean>()

/** True if a version is in range. Reading a range takes longer than all else in a look-up. */
function satisfies(version: string, range: string): boolean {
  if (range === '') return true
  const pair = `${range} ${version}`
  let judgement = judgements.get(pair)
  if (judgement === undefined) {
    judgement = isInRange(version, range)
    if (judgements.size >= JUDGEMENTS) judgements.clear()
    judgements.set(pair, judgement)
  }
  return judgement
}

/** A service with one entry more. */
function inserted({ entries, turn }: Service, entry: Entry): Service {
  const below = entries.findIndex(other => compareVersions(other.version, entry.version) < 0)
  return several(entries.toSpliced(below === -1 ? entries.length : below, 0, entry), turn)
}

function several(entries: readonly Entry[], turn = 0): Service {
  return entries.length === 1 ? (entries[0] as RegistryEntry & Offer) : { entries, turn }
}

/** The value under `key`, if there is one; with no key, every value. */
function chosen<T>(map: Map<string, T>, key: string | undefined): Iterable<T> {
  if (key === undefined) return map.values()
  const value = map.get(key)
  return value === undefined ? [] : [value]
}

/** True if an entry of the service that was asked for is an answer. */
export function suits(entry: Entry, { version, transports }: Resolve): boolean {
  return isOffered(entry, transports) && satisfies(entry.version, version)
}

function isOffered(entry: Entry, transports: readonly string[]): boolean {
  return entry.reservation === undefined && isReachedBy(transports, entry)
}

/** True if an entry has one of these transports, be it for a further endpoint. */
function isReachedBy(transports: readonly string[], { transport, endpoints }: Entry): boolean {
  if (transports.includes(transport)) return true
  return endpoints?.some(other => transports.includes(other.transport)) ?? false
}

/** The least busy first; those that are as busy, or do not tell, as they were. */
function byLoad(entries: Entry[]): Entry[] {
  const isTold = entries.some(({ load }) => load !== undefined)
  return isTold ? entries.sort((a, b) => (a.load ?? 0) - (b.load ?? 0)) : entries
}

/** True if an entry keeps an offer of its service from being registered. */
export function clashes(entry: Entry, offer: Offer): boolean {
  return (
    entry.version === offer.version &&
    entry.transport === offer.transport &&
    !(entry.shared && entry.shared === offer.shared)
  )
}

/** True if an offer goes before the entry that holds its name. If both are of one age, the lower port does. */
function isOlder({ since, port }: Offer, rival: Entry): boolean {
  if (since === undefined || rival.since === undefined) return since !== undefined
  return since === rival.since ? port < rival.port : since < rival.since
}

/** The words for a process whose number means another process, or none, to the program that is told of it. */
const ELSEWHERE = ' of another PID namespace (a container, say)'

/** The words for a holder of which the asker may not know. */
const UNTOLD = 'held by another program'

/** The refusal of a name that the server which it was reserved for has claimed. */
export function claimedBefore(offer: Offer): MonikerError {
  const text = 'held by the program that it was reserved for'
  return new MonikerError('ETAKEN', { service: format(offer), text, syscall: 'register' })
}

/** True if an entry was reserved for the server that makes this offer. */
function isFor(entry: Entry, { transport }: Offer, reservation: string | undefined): boolean {
  const { reservation: word = entry.word } = entry
  return reservation !== undefined && word === reservation && entry.transport === transport
}

/** The error that tells `asker` that a name is held, and by which process, if it may know that. */
export function taken(rival: Offer, asker: Offer, isTold: boolean): MonikerError {
  const service = format(rival)
  if (!isTold) {
    return new MonikerError('ETAKEN', { service, text: UNTOLD, syscall: 'register' })
  }
  const { pid, pidNamespace, port } = rival
  const { pidNamespace: ours = pidNamespace } = asker
  const where = pidNamespace !== undefined && pidNamespace !== ours ? ELSEWHERE : ''
  const holder = pid ? `by process ${pid}${where} ` : ''
  const text = port === 0 ? `reserved ${holder}`.trim() : `held ${holder}on port ${port}`
  return new MonikerError('ETAKEN', { service, text, syscall: 'register' })
}
