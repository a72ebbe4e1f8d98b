import type { Lease } from '../registration/lease.ts'

/** How long a daemon that has gone is no news, in ms: mostly another takes its place in no time. */
const MOMENT = 2_000

/** Tells why a name is lost, and that it is `back`, until it is called off. */
export function tellLapses(
  lease: Lease,
  tell: (text: string) => void,
  back: string,
  moment: number = MOMENT,
): () => void {
  let isTold = false
  let late: NodeJS.Timeout | undefined
  const lost = (text: string) => {
    isTold = true
    tell(text)
  }
  lease
    .on('lost', ({ reason, message }) => {
      clearTimeout(late)
      if (reason === 'ELOST') late = setTimeout(lost, moment, message).unref()
      else lost(message)
    })
    .on('regained', () => {
      clearTimeout(late)
      if (isTold) tell(back)
      isTold = false
    })
  return () => clearTimeout(late)
}
