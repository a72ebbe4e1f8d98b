import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'

/** Beside the sources, from where they were built to. */
const program = fileURLToPath(new URL('../../benchmarks/delaylink.py', import.meta.url))

/** Two hosts, each a network namespace of this machine, and a link between them. */
export interface Link {
  /** The words to run a program by, so that it is there. */
  near: string[]
  far: string[]
  /** The address of the far host. */
  address: string
  stop: () => Promise<void>
}

/** A link that delays by `ms` each way and loses the share `loss`; or why there can be none here. */
export async function link(ms: number, loss = 0): Promise<Link | string> {
  // It lasts for as long as its command does, which is as long as we hold its input.
  const command = ['sh', '-c', 'echo "$HOST_A $HOST_B $ADDR_A"; exec cat']
  const child = spawn('python3', [program, String(ms), String(loss), '--', ...command])
  const failure = text(child.stderr)
  const gone = once(child, 'exit')
  gone.catch(() => {})
  try {
    const line = once(createInterface(child.stdout), 'line') as Promise<[string]>
    const told = await Promise.race([line, gone.then(() => undefined)])
    if (!told) return reason(await failure)
    const [far, near, address] = told[0].split(' ')
    const within = (name: string) => ['ip', 'netns', 'exec', name]
    const stop = async () => {
      child.stdin.end()
      await gone
    }
    return { near: within(near!), far: within(far!), address: address!, stop }
  } catch {
    return 'python3 is not installed'
  }
}

/** The last line is the word of the program itself. */
function reason(failure: string): string {
  const told = failure.trim().split('\n').at(-1)
  return `two hosts cannot be set up here, which takes Linux, root, ip and /dev/net/tun (${told})`
}
