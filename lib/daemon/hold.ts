import type { MonikerError } from '../errors.ts'
import type { Answer, Register, Resolve } from '../wire/protocol.ts'
import type { Audience, Interest } from './subscriptions.ts'
import type { Peer, Reply, Step } from './chain.ts'
import type { Change } from './registry.ts'

/** How often a young daemon asks itself whether it is one still, in ms. */
const STEP = 100

/** How long a name that is taken may take to be let go, in ms: its holder has just gone, maybe. */
const PARTING = 50

export interface HoldOptions {
  /** How long to hold what did not ask to be, in ms from now: the daemon is young. Default not at all. */
  grace?: () => number
}

/**
 * Holds a question for a name that is not there until it is, or as long as the question says. While
 * the daemon is young it holds each: the name may be on its way from the daemon before. Later nothing
 * is held over UDP: a datagram cannot take its question back. A registration is held for a moment where
 * the name is taken: a program that is started again clashes with nobody.
 */
export function hold(audience: Audience, { grace = () => 0 }: HoldOptions = {}): Step {
  const resolve = (question: Resolve, { owner }: Peer, next: () => Reply) => {
    try {
      return next()
    } catch (refusal) {
      const more = () => Math.min(grace(), STEP)
      const wait = Math.max((owner && question.wait) ?? 0, more())
      if (wait <= 0 || !isAbsence(refusal)) throw refusal
      return held(audience, owner ?? {}, question, { change: 'up', wait, more, next, refusal })
    }
  }

  const register = (question: Register, { owner }: Peer, next: () => Reply) => {
    try {
      return next()
    } catch (refusal) {
      if ((refusal as MonikerError).reason !== 'ETAKEN') throw refusal
      return held(audience, owner!, question, { change: 'down', wait: PARTING, next, refusal })
    }
  }

  return (question, peer, next) => {
    if (question.op === 'resolve') return resolve(question, peer, next)
    return question.op === 'register' ? register(question, peer, next) : next()
  }
}

interface Held {
  /** What may help. */
  readonly change: Change
  /** How long to wait for it, in ms. */
  readonly wait: number
  /** How much longer, once that is over. */
  readonly more?: () => number
  readonly next: () => Reply
  readonly refusal: unknown
}

function held(
  audience: Audience,
  owner: object,
  interest: Interest,
  { change: wanted, wait, more = () => 0, next, refusal }: Held,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let last = refusal
    let isOver = false
    const retry = () => {
      if (isOver) return
      try {
        settle(resolve, next())
      } catch (again) {
        // Another version, say.
        last = again
      }
    }
    const stop = audience.follow(owner, interest, {
      over: () => settle(reject, last),
      // Whatever changes the registry has to be done with it first.
      tell: change => change === wanted && queueMicrotask(retry),
    })
    const settle = <T>(how: (with_: T) => void, what: T) => {
      isOver = true
      stop()
      clearTimeout(timer)
      how(what)
    }
    const late = () => {
      const left = more()
      if (left > 0) timer = setTimeout(late, left).unref()
      else settle(reject, last)
    }
    let timer = setTimeout(late, wait).unref()
  })
}

/** Whether what was asked for may still come. */
function isAbsence(error: unknown): boolean {
  const { reason } = error as MonikerError
  return reason === 'ENOSERVICE' || reason === 'EVERSION'
}
