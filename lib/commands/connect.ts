import { once } from 'node:events'
import { Command } from 'commander'
import { MonikerSocket } from '../sockets/socket.ts'
import { hearOut } from './hearout.ts'
import { format } from '../name.ts'
import {
  daemonPortOption,
  hostArgument,
  namespaceOption,
  type Place,
  useNamespace,
  waitOption,
} from './options.ts'
import { targetOf } from './target.ts'

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
The end of standard input is passed on, and what still comes is written. The end of what comes ends
the command, but for a file or a pipe that has more to send: not before 5 seconds of silence. For ssh:
  ssh -o ProxyCommand='moniker connect ssh %h' theforce.net`,
  )
  .action(connect)

async function connect(
  name: string,
  place: Place | undefined,
  { wait, ...options }: Options,
): Promise<void> {
  useNamespace(options.namespace)
  const target = targetOf(name, place?.host, { ...options, ...place })
  const { stdin, stdout } = process
  const socket = new MonikerSocket({ allowHalfOpen: true })
  socket.connect({ ...target.at, service: format(target.name), wait })
  stdin.pipe(socket).pipe(stdout, { end: false })
  // Whoever reads the output may have seen enough.
  stdout.on('error', () => socket.destroy())
  const end = () => {
    stdin.unpipe(socket).destroy()
    socket.end()
  }
  socket.on('end', () => hearOut(stdin, socket, end))
  await once(socket, 'close')
  stdin.destroy()
}
