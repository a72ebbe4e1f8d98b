import { diagnostics } from '../diagnostics.ts'
import { MonikerError, isWant } from '../errors.ts'
import type { Answer, Id, Question } from '../wire/protocol.ts'

const debug = diagnostics('moniker:daemon')

/**
 * The steps that a question passes, in this order. The order is what makes them safe: limits come before any
 * work is done for the peer, and access before anything is told.
 */
export const ORDER = [
  /** Counts what is asked. */
  'count',
  /** Refuses what is too much. */
  'limits',
  /** Refuses what the peer may not ask. */
  'access',
  /** Holds a question until its name comes, or goes. */
  'hold',
  /** Answers from the registry of this host. */
  'registry',
  /** Gives the port to another daemon. */
  'handover',
] as const

/** The steps of a daemon by their names. */
export type Steps = Readonly<Record<(typeof ORDER)[number], Step>>

/** A connection. Names are held by it, and it can be told more than answers. */
export interface Owner {
  /** False once it has closed: it can hold nothing any more. */
  readonly isOpen: boolean
  /** True once it will ask no more: nothing is held for it. Default false. */
  readonly isEnded?: boolean
  /** The address of ours that it came to, and the end that it came from: by these its user is known. */
  readonly ends?: Pick<Peer, 'address' | 'remote'>
  /** True if so much is unread that what is not needed is better left out. */
  readonly isBehind?: boolean
  /** Tells of what has happened since the question `id` was answered. */
  tell(id: Id, event: Answer): void
  /** Cuts it off, and counts that as a refusal. Its program comes back, and asks anew. */
  drop?(refusal: MonikerError): void
}

/** A bound, and how much of it is used. */
export interface Share {
  /** The things that are counted, in words. */
  readonly of: string
  readonly used: number
  readonly most: number
}

/** The program at the other end. */
export interface Peer {
  /** True if it is known to be on this host: never over UDP, where a sender may write any address. */
  readonly local: boolean
  /** The address of ours that the question came to. */
  readonly address: string
  /** The address and port that it came from. */
  readonly remote: { readonly address: string; readonly port: number }
  /** The connection that holds its names; none over UDP, nor of a peer that is `nameless`. */
  readonly owner?: Owner
  /** The connection, which is told of leases that are over, of one that is `nameless` too; none over UDP. */
  readonly connection?: Owner
  /** True if nobody can tell its user, so that it may resolve and no more: it has come by the Unix socket. */
  readonly nameless?: boolean
  /** The program that it asks for, if it does: what it is told is what both may have. */
  readonly visitor?: Peer
  /** Its user, in the words of the peer that asks for it. */
  readonly uid?: number
}

/** True if what is for this host alone is for a peer, and for the one that it asks for. */
export function isOfThisHost({ local: isLocal, visitor }: Peer): boolean {
  return isLocal && visitor?.local !== false
}

/** True if a peer is where its address says: a connection proves that, and a datagram does not. */
export function isProven({ owner, nameless }: Peer): boolean {
  return owner !== undefined || nameless === true
}

/** An answer, now or later; it is later only where something has to happen first. */
export type Answering = Answer | Promise<Answer>

/** A step answers, or passes on by calling `next`. It refuses with a `MonikerError`, thrown or rejected. */
export type Step = (question: Question, peer: Peer, next: () => Answering) => Answering

/** Answers a question. It refuses as a step does. */
export type Handler = (question: Question, peer: Peer) => Answering

/** Steps that are given by their names, in their order. */
export function inOrder(steps: Partial<Steps>): Step[] {
  return ORDER.flatMap(name => steps[name] ?? [])
}

/** Several steps as one. A question that none of them answers is refused with `ENOSYS`. */
export function chain(...steps: Step[]): Handler {
  const answer = steps.reduceRight<Handler>(
    (next, step) => (question, peer) => step(question, peer, () => next(question, peer)),
    question => {
      const what = question.op === 'unknown' ? question.what : `the operation ${question.op}`
      throw new MonikerError('ENOSYS', { text: `${what} is not known here` })
    },
  )
  // The stack is kept where a fault of ours is looked for.
  return debug.enabled ? answer : (question, peer) => untraced(() => answer(question, peer))
}

/**
 * Does something whose errors have no trace of the stack: most of ours are refusals, of which the peer is told none, and
 * to take one costs more than to answer.
 */
function untraced<T>(work: () => T): T {
  const { stackTraceLimit } = Error
  // A program may have frozen it.
  Reflect.set(Error, 'stackTraceLimit', 0)
  try {
    return work()
  } finally {
    Reflect.set(Error, 'stackTraceLimit', stackTraceLimit)
  }
}

/** The refusal that `error` is. A fault of our own is one too: the peer is told, and the others are served on. */
export function refusable(error: unknown): MonikerError {
  if (error instanceof MonikerError) return error
  if (isWant(error)) {
    const text = 'the daemon is out of descriptors or memory; ask again in a moment'
    return new MonikerError('ELIMIT', { text, cause: error })
  }
  debug('a fault of the daemon: %O', error)
  return new MonikerError('EPROTOCOL', {
    text: 'the daemon has failed at this question',
    cause: error,
  })
}
