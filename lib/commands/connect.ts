import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { Command } from 'commander'
import { clearTimeout, setTimeout } from '../clock.ts'
import { MonikerSocket } from '../sockets/socket.ts'
import { format } from '../name.ts'
import { TIMEOUT } from '../settings.ts'
import {
  daemonPortOption,
  hostArgument,
  namespaceOption,
  type HostAndPort,
  targetOf,
  tellUnused,
  useNamespace,
  waitOption,
} from './options.ts'

interface Options {
  daemonPort?: number
  namespace?: string
  wait?: number
}

export const connectCommand = new Command('connect')
  .description('Joins standard input and output to a service, as nc does.')
  .argument('<name>', 'starwars, ns:starwars@^1, or a URI such as starwars://theforce.net')
  .addArgument(hostArgument())
  .addOption(waitOption())
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addHelpText(
    'after',
    `
At the end of standard input, the command ends its side and goes on writing what the service sends. When
the service ends, so does the command; a file or pipe with more to send has until it is silent for 5
seconds. For ssh:
  ssh -o ProxyCommand='moniker connect ssh %h' theforce.net`,
  )
  .action(connect)

async function connect(
  name: string,
  at: HostAndPort | undefined,
  { wait, ...options }: Options,
): Promise<void> {
  useNamespace(options.namespace)
  const target = targetOf(name, at?.host, { ...options, ...at })
  tellUnused(target)
  const { stdin, stdout } = process
  const socket = new MonikerSocket({ allowHalfOpen: true })
  socket.connect({ ...target.at, service: format(target.name), wait })
  stdin.pipe(socket).pipe(stdout, { end: false })
  // The reader of the output, such as `head`, may close it early.
  stdout.on('error', () => socket.destroy())
  const end = () => {
    stdin.unpipe(socket).destroy()
    socket.end()
  }
  socket.on('end', () => hearOut(stdin, socket, end))
  await once(socket, 'close')
  stdin.destroy()
}

/** The part of a socket that `hearOut` needs. */
interface Half {
  readonly writableNeedDrain: boolean
  once(event: 'close', listener: () => void): unknown
  off(event: 'close', listener: () => void): unknown
}

/**
 * Calls `done` when `input`, which is piped to a socket whose other side has ended, may be cut off. A terminal may at
 * once; a file or pipe when for `pause` ms (5,000) no byte has come and none had to wait. A socket that closes, as it
 * does when the input ends, needs no call.
 */
export function hearOut(
  input: Readable & { isTTY?: boolean },
  socket: Half,
  done: () => void,
  pause = TIMEOUT,
): void {
  if (input.isTTY || input.readableEnded) return done()
  const more = () => timer.refresh()
  const stop = () => {
    clearTimeout(timer)
    input.off('data', more)
    socket.off('close', stop)
  }
  const timer: NodeJS.Timeout = setTimeout(() => {
    if (socket.writableNeedDrain) return more()
    stop()
    return done()
  }, pause)
  input.on('data', more)
  socket.once('close', stop)
}
