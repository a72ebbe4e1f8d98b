import { spawn } from 'node:child_process'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'

/** Milliseconds that a program may take to come to listen. */
const PATIENCE = 5_000

/** A program of the system that runs for as long as it is wanted. */
export interface Program {
  pid: number
  /** False once it has ended. */
  readonly runs: boolean
  stop: () => Promise<void>
}

/** Starts a program; or says why not, and which package of Debian has it. */
export async function program(
  command: string,
  args: string[],
  debian: string,
): Promise<Program | string> {
  const child = spawn(command, args, { stdio: 'ignore' })
  try {
    await once(child, 'spawn')
  } catch {
    return `${command} is not installed (Debian: apt-get install ${debian})`
  }
  const runs = () => child.exitCode === null && child.signalCode === null
  return {
    pid: child.pid!,
    get runs() {
      return runs()
    },
    stop: async () => {
      child.kill()
      if (runs()) await once(child, 'exit')
    },
  }
}

/** A connection to a program that may not have come to listen yet; it has some seconds for that. */
export async function patiently(port: number, program: Program): Promise<net.Socket> {
  const late = AbortSignal.timeout(PATIENCE)
  for (;;) {
    const socket = net.connect(port, '127.0.0.1')
    try {
      await once(socket, 'connect')
      return socket
    } catch (error) {
      if (!program.runs || late.aborted) throw error
      await pause(10)
    }
  }
}

/** True if a program listens at a port. */
export async function answers(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** A port that nobody has just now. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  await once(server.close(), 'close')
  return port
}
