// The clocks and timers of Node, taken when this library is loaded, and the only ones that it uses: a test that
// replaces them, to have its program wait for nothing, does not stop ours. An import alone would not do, as `node:test`
// replaces the properties of the module.
import timers from 'node:timers'
import promises from 'node:timers/promises'

export const {
  setTimeout,
  clearTimeout,
  setInterval,
  clearInterval,
  setImmediate,
  clearImmediate,
} = timers

/** Waits for so many milliseconds, as a promise. */
export const { setTimeout: pause } = promises

export const { nextTick } = process

export const { queueMicrotask } = globalThis

/** Seconds since this process began, on a clock that never goes back. */
export const uptime: () => number = process.uptime.bind(process)

/** Milliseconds on the same clock. `performance` tells them too, but takes long to load. */
export function clock(): number {
  return uptime() * 1e3
}

/** Milliseconds since 1970. */
export const { now: wallClock } = Date

/** A signal that aborts after so many milliseconds, and does not keep the process alive. */
export const timeLimit: (ms: number) => AbortSignal = AbortSignal.timeout.bind(AbortSignal)
