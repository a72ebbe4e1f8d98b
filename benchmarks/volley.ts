import { createSocket } from 'node:dgram'
import { once } from 'node:events'

/** Questions of one datagram each, and how to tell whether their answers are right. */
export interface Volley {
  port: number
  questions: Buffer[]
  /** The number of the question that an answer is to. */
  slot: (answer: Buffer) => number
  /** Throws where an answer is not the right one. */
  check: (answer: Buffer, at: number) => void
}

/** The number that are under way at once: so many fit into any socket's buffer. */
const WIDTH = 64

/** Milliseconds for which one is waited for before it is sent again. */
const PAUSE = 200

/**
 * Asks so many questions, in turn. An answer that is the same, byte by byte, as an earlier one to its
 * question is as right as that was: checking takes the asker no time to speak of.
 */
export function asker({ port, questions, slot, check }: Volley): (count: number) => Promise<void> {
  const known: Buffer[] = []
  return async count => {
    const socket = createSocket('udp4')
    socket.connect(port, '127.0.0.1')
    await once(socket, 'connect')
    const waiting = new Set<number>()
    let asked = 0
    const more = () => {
      if (asked === count) return
      const at = asked++ % questions.length
      waiting.add(at)
      socket.send(questions[at]!)
    }
    const take = (answer: Buffer) => {
      const at = slot(answer)
      // One that was sent again is answered again.
      if (!waiting.delete(at)) return
      if (!known[at]?.equals(answer)) check(answer, at)
      known[at] = answer
      more()
    }
    const lost = setInterval(() => waiting.forEach(at => socket.send(questions[at]!)), PAUSE)
    try {
      await new Promise<void>((resolve, reject) => {
        socket.on('error', reject).on('message', answer => {
          try {
            take(answer)
          } catch (error) {
            reject(error as Error)
          }
          if (asked === count && waiting.size === 0) resolve()
        })
        for (let width = 0; width < WIDTH; width++) more()
      })
    } finally {
      clearInterval(lost)
      socket.close()
    }
  }
}
