import { readdir, unlink } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { wallClock } from '../clock.ts'
import { hasCode } from '../errors.ts'
import { lookAt } from './localsocket.ts'

/** The most files of a folder that are looked at in one go. */
const SOME = 16

/** Milliseconds that a file has to be old: one that is new may be about to listen. */
const OLD = 60_000

/**
 * Removes sockets from a folder behind which nobody listens any more, as those of killed programs. It looks at a few
 * files, beginning anywhere, and keeps no process alive. It never fails.
 */
export function sweep(folder: string, now = wallClock()): Promise<unknown> {
  return new Promise(resolve => {
    readdir(folder, (error, names) => {
      const all = error ? [] : names
      const start = Math.floor(Math.random() * all.length)
      const some = [...all.slice(start), ...all.slice(0, start)].slice(0, SOME)
      resolve(Promise.all(some.map(name => sweepOne(join(folder, name), now))))
    })
  })
}

function sweepOne(path: string, now: number): Promise<void> {
  const info = lookAt(path)
  if (!info?.isSocket() || now - Number(info.ctimeMs) < OLD) return Promise.resolve()
  return new Promise(resolve => {
    const socket = connect(path)
      .on('error', error => {
        if (hasCode(error, 'ECONNREFUSED')) unlink(path, () => {})
      })
      .on('connect', () => socket.destroy())
      .on('close', () => resolve())
      .unref()
  })
}
