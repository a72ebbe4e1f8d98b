import type { MonikerError } from '../errors.ts'
import type { Answer, Resolve } from '../protocol.ts'
import type { Audience } from './audience.ts'
import type { Reply, Step } from './handler.ts'

/**
 * Holds a question for a name that is not there until it is, or as long as the question says. Over
 * UDP nothing is held: a datagram cannot take its question back.
 */
export function waiting(audience: Audience): Step {
  return (question, { owner }, next) => {
    if (question.op !== 'resolve' || !question.wait || !owner) return next()
    try {
      return next()
    } catch (refusal) {
      if (!isAbsence(refusal)) throw refusal
      return hold(audience, owner, question, next, refusal)
    }
  }
}

function hold(
  audience: Audience,
  owner: object,
  { namespace, service, also = [], wait }: Resolve,
  next: () => Reply,
  refusal: unknown,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    let last = refusal
    const stop = audience.follow(
      owner,
      { namespace, service, also },
      {
        over: () => settle(reject, last),
        tell(change) {
          if (change === 'down') return
          try {
            settle(resolve, next())
          } catch (again) {
            // Another version, say.
            last = again
          }
        },
      },
    )
    const settle = <T>(how: (with_: T) => void, what: T) => {
      stop()
      clearTimeout(timer)
      how(what)
    }
    const timer = setTimeout(() => settle(reject, last), wait).unref()
  })
}

/** Whether what was asked for may still come. */
function isAbsence(error: unknown): boolean {
  const { reason } = error as MonikerError
  return reason === 'ENOSERVICE' || reason === 'EVERSION'
}
