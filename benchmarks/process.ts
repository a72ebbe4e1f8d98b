import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(import.meta.resolve('./peer.js'))

export interface PeerOptions {
  /** The designated port. */
  port?: number
  args?: string[]
  /** The words to run it by, such as `ip netns exec NAME`. */
  by?: string[]
  /** The options of Node. */
  node?: string[]
}

/** A process of ours, of which something can be asked. It ends when it is stopped, or when we do. */
export interface Peer<Ready> {
  /** The words that it had to say once it was ready. */
  ready: Ready
  pid: number
  ask: <Answer>(question: unknown) => Promise<Answer>
  stop: () => Promise<void>
}

/** Starts `peer ROLE`, and waits until it is ready. */
export async function peer<Ready>(
  role: string,
  { port, args = [], by = [], node = [] }: PeerOptions = {},
): Promise<Peer<Ready>> {
  const env = { ...process.env, ...(port && { MONIKER_PORT: String(port) }) }
  const [command, ...rest] = [...by, process.execPath, ...node, program, role, ...args]
  const child = spawn(command!, rest, { env, stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  const ask = async <Answer>(question: unknown) => {
    child.send(question as object)
    return said<Answer>(child, role)
  }
  const stop = async () => {
    child.kill()
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
  return { ready: await said<Ready>(child, role), pid: child.pid!, ask, stop }
}

/** The next message from it. */
async function said<T>(child: ChildProcess, role: string): Promise<T> {
  const over = new AbortController()
  const gone = once(child, 'exit', over).then(([status]): never => {
    throw new Error(`the ${role} process has ended with ${status}`)
  })
  try {
    const [message] = (await Promise.race([once(child, 'message', over), gone])) as [T]
    return message
  } finally {
    gone.catch(() => {})
    over.abort()
  }
}
