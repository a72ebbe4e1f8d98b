import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../lib/monikerd.js', import.meta.url))

export interface MonikerdOptions {
  port: number
  args?: string[]
  /** The words to run it by, such as `ip netns exec NAME`. */
  by?: string[]
}

/** A `monikerd` of its own process. */
export interface Monikerd {
  /** Resolves once it is stopped, and rejects if it ends before. */
  fallen: Promise<void>
  stop: () => Promise<void>
}

/** Starts a `monikerd`, and waits until it answers. */
export async function monikerd({ port, args = [], by = [] }: MonikerdOptions): Promise<Monikerd> {
  const [command, ...rest] = [...by, process.execPath, program, '--port', String(port), ...args]
  const child = spawn(command!, rest, { stdio: ['ignore', 'inherit', 'pipe'] })
  const kill = () => child.kill()
  process.once('exit', kill)
  const said: string[] = []
  const lines = createInterface(child.stderr).on('line', line => said.push(line))
  let isOver = false
  const gone = once(child, 'close')
  const fallen = gone.then(() => {
    if (!isOver) throw new Error(`monikerd has ended: ${said.join('\n')}`)
  })
  await Promise.race([once(lines, 'line'), fallen])
  return {
    fallen,
    stop: async () => {
      isOver = true
      process.off('exit', kill)
      child.kill()
      await gone
    },
  }
}
