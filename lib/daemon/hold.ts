import type { MonikerError } from '../errors.ts'
import type { Answer } from '../wire/protocol.ts'
import type { Audience, Interest } from './subscriptions.ts'
import type { Reply, Step } from './answer.ts'
import type { Change } from './registry.ts'

/** How often a young daemon asks itself whether it is one still, in ms. */
const STEP = 100

/** How long a name that is taken may take to be let go, in ms: its holder has just gone, maybe. */
const PARTING = 50

export interface WaitingOptions {
  /** How long to hold what did not ask to be, in ms from now: the daemon is young. Default not at all. */
  grace?: () => number
}

/**
 * Holds a question for a name that is not there until it is, or as long as the question says. While
 * the daemon is young it holds each: the name may be on its way from the daemon before. Later nothing
 * is held over UDP: a datagram cannot take its question back.
 */
export function waiting(audience: Audience, { grace = () => 0 }: WaitingOptions = {}): Step {
  return (question, { owner }, next) => {
    if (question.op !== 'resolve') return next()
    try {
      return next()
    } catch (refusal) {
      const more = () => Math.min(grace(), STEP)
      const wait = Math.max((owner && question.wait) ?? 0, more())
      if (wait <= 0 || !isAbsence(refusal)) throw refusal
      return hold(audience, owner ?? {}, question, { change: 'up', wait, more, next, refusal })
    }
  }
}

/** Holds a registration for a moment where the name is taken: who restarts a program clashes with nobody. */
export function parting(audience: Audience): Step {
  return (question, { owner }, next) => {
    if (question.op !== 'register') return next()
    try {
      return next()
    } catch (refusal) {
      if ((refusal as MonikerError).reason !== 'ETAKEN') throw refusal
      return hold(audience, owner!, question, { change: 'down', wait: PARTING, next, refusal })
    }
  }
}

interface Hold {
  /** What may help. */
  readonly change: Change
  /** How long to wait for it, in ms. */
  readonly wait: number
  /** How much longer, once that is over. */
  readonly more?: () => number
  readonly next: () => Reply
  readonly refusal: unknown
}

function hold(
  audience: Audience,
  owner: object,
  interest: Interest,
  { change: wanted, wait, more = () => 0, next, refusal }: Hold,
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
