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
export function link(ms: number, loss = 0): Promise<Link | string> {
  const command = ['sh', '-c', 'echo "$HOST_A $HOST_B $ADDR_A"; exec cat']
  return hosts(
    ['python3', program, String(ms), String(loss), '--', ...command],
    'Linux, root, ip and /dev/net/tun',
  )
}

/** A cable, which delays and loses nothing, and needs no program to carry what is sent; or why there can be none here. */
export function cable(): Promise<Link | string> {
  return hosts(['sh', '-ec', CABLE], 'Linux, root and ip')
}

const CABLE = `
near=cable-$$-a far=cable-$$-b
trap 'ip netns del $near 2>/dev/null; ip netns del $far 2>/dev/null' EXIT
trap 'exit 1' INT TERM
ip netns add $near
ip netns add $far
ip link add link0 netns $near type veth peer name link0 netns $far
ip -n $near addr add 10.89.0.2/24 dev link0
ip -n $far addr add 10.89.0.1/24 dev link0
for host in $near $far; do ip -n $host link set lo up; ip -n $host link set link0 up; done
echo "$far $near 10.89.0.1"
cat`

/** Hosts that a command sets up: it says where they are, and has them for as long as we hold its input. */
async function hosts([command, ...args]: string[], needs: string): Promise<Link | string> {
  const child = spawn(command!, args)
  const failure = text(child.stderr)
  const gone = once(child, 'exit')
  gone.catch(() => {})
  try {
    const line = once(createInterface(child.stdout), 'line') as Promise<[string]>
    const told = await Promise.race([line, gone.then(() => undefined)])
    if (!told) return reason(await failure, needs)
    const [far, near, address] = told[0].split(' ')
    const within = (name: string) => ['ip', 'netns', 'exec', name]
    const stop = async () => {
      child.stdin.end()
      await gone
    }
    return { near: within(near!), far: within(far!), address: address!, stop }
  } catch {
    return `${command} is not installed`
  }
}

/** The last line is the word of the program itself. */
function reason(failure: string, needs: string): string {
  const told = failure.trim().split('\n').at(-1)
  return `two hosts cannot be set up here, which takes ${needs} (${told})`
}
