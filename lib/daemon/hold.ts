import { clearTimeout, queueMicrotask, setTimeout } from '../clock.ts'
import type { MonikerError } from '../errors.ts'
import { isPublication, type Answer, type Publication, type Resolve } from '../wire/protocol.ts'
import type { Peer, Answering, Step } from './chain.ts'
import { clashes, suits, type Change, type Entry } from './registry.ts'
import type { Interest, Subscriptions } from './subscriptions.ts'

/** Milliseconds for which a name that is taken may be let go: its holder has just gone, maybe. */
const PARTING = 50

export interface HoldOptions {
  /** Resolves once the daemon is young no longer; `undefined` if it is not young. Never rejects. Default that. */
  settled?: () => Promise<void> | undefined
}

/**
 * Holds a question for a name that is not there until it is, or as long as the question says. While
 * the daemon is young it holds each: the name may be on its way from the daemon before. Later nothing
 * is held over UDP: a datagram cannot take its question back. A registration is held for a moment where
 * the name is taken: a program that is started again does not clash with itself.
 */
export function hold(
  subscriptions: Subscriptions,
  { settled = () => undefined }: HoldOptions = {},
): Step {
  const resolve = (question: Resolve, peer: Peer, next: () => Answering): Answering => {
    try {
      const found = next()
      if (!(found instanceof Promise)) return found
      return found.catch(refusal => wait(question, peer, { next, refusal, isLate: true }))
    } catch (refusal) {
      return wait(question, peer, { next, refusal })
    }
  }

  const wait = (
    question: Resolve,
    { owner }: Peer,
    asked: Pick<Held, 'next' | 'refusal' | 'isLate'>,
  ): Promise<Answer> => {
    const { refusal } = asked
    const ms = (owner && question.wait) ?? 0
    if ((ms <= 0 && !settled()) || !isAbsence(refusal) || owner?.isEnded) throw refusal
    const helps = (change: Change, entry: Entry) => change === 'up' && suits(entry, question)
    return held(subscriptions, owner ?? {}, question, { ...asked, helps, ms, settled })
  }

  const register = (question: Publication, { owner }: Peer, next: () => Answering) => {
    try {
      return next()
    } catch (refusal) {
      if ((refusal as MonikerError).reason !== 'ETAKEN') throw refusal
      const helps = (change: Change, entry: Entry) => change === 'down' && clashes(entry, question)
      const rest = { helps, ms: PARTING, next, refusal }
      return held(subscriptions, owner!, question, rest)
    }
  }

  return (question, peer, next) => {
    if (question.op === 'resolve') return resolve(question, peer, next)
    return isPublication(question) ? register(question, peer, next) : next()
  }
}

interface Held {
  /** True of a change that may help. It is asked of each, of many questions: to ask again costs far more. */
  readonly helps: (change: Change, entry: Entry) => boolean
  /** Milliseconds to wait for it. */
  readonly ms: number
  /** Resolves once a daemon that is young then has waited for long enough as well. */
  readonly settled?: HoldOptions['settled']
  /** Asks again. */
  readonly next: () => Answering
  /** The answer if nothing helps. */
  readonly refusal: unknown
  /** True if something may have helped since it was refused. */
  readonly isLate?: boolean
}

function held(
  subscriptions: Subscriptions,
  owner: object,
  interest: Interest,
  { helps, ms, settled, next, refusal, isLate }: Held,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let last = refusal
    let isDone = false
    // The policy withholds it, say.
    const note = (again: unknown) => void (last = again)
    /** Asks again. The answer comes later where users are to be found out first. */
    const retry = (): Promise<void> | undefined => {
      if (isDone) return undefined
      try {
        const found = next()
        if (found instanceof Promise) return found.then(answer => settle(resolve, answer), note)
        settle(resolve, found)
      } catch (again) {
        note(again)
      }
      return undefined
    }
    const stop = subscriptions.follow(owner, interest, {
      released: () => settle(reject, last),
      // The registry has to be done with its change first.
      tell: (change, entry) => helps(change, entry) && queueMicrotask(() => void retry()),
    })
    let timer: NodeJS.Timeout | undefined
    const settle = <T>(how: (with_: T) => void, what: T) => {
      if (isDone) return
      isDone = true
      stop()
      clearTimeout(timer)
      how(what)
    }
    const late = () => {
      const young = settled?.()
      if (young) return void young.then(late)
      const giveUp = () => settle(reject, last)
      // Where many wait for the name it may not have been told yet; and the reason may be another by now.
      const again = retry()
      if (again) void again.then(giveUp)
      else giveUp()
    }
    if (ms > 0) timer = setTimeout(late, ms).unref()
    else late()
    if (isLate) void retry()
  })
}

/** True if the service that was asked for may still come. */
function isAbsence(error: unknown): boolean {
  const { reason } = error as MonikerError
  return reason === 'ENOSERVICE' || reason === 'EVERSION'
}
