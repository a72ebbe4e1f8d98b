import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Two places for programs, each a processor of its own; the words to run a program by, so that it stays there. */
export interface Cores {
  ours: string[]
  theirs: string[]
}

/** Two processors that programs can be held to; or why there are none here. */
export function cores(): Cores | string {
  const [first, second] = allowed()
  if (first === undefined || second === undefined) return 'this is not Linux with two processors'
  try {
    execFileSync('taskset', ['--version'], { stdio: 'ignore' })
  } catch {
    return 'taskset is not installed (Debian: apt-get install util-linux)'
  }
  const on = (core: number) => ['taskset', '-c', String(core)]
  return { ours: on(second), theirs: on(first) }
}

/** The processors that this process may run on; none where the system does not tell. */
function allowed(): number[] {
  try {
    const status = readFileSync('/proc/self/status', 'utf8')
    return numbersIn(/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)![1]!)
  } catch {
    return []
  }
}

/** The numbers in a list such as `0-3,8`. */
export function numbersIn(list: string): number[] {
  return list.split(',').flatMap(part => {
    const [first, last = first] = part.split('-').map(Number)
    return Array.from({ length: last! - first! + 1 }, (_, at) => first! + at)
  })
}
