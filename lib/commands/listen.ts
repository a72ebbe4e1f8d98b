import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { Command } from 'commander'
import type { Metadata } from '../wire/protocol.ts'
import type { NamedAddress } from '../sockets/listener.ts'
import { createServer, type MonikerServer } from '../sockets/server.ts'
import { hearOut } from './connect.ts'
import {
  daemonPortOption,
  metadataOption,
  meant,
  namespaceOption,
  portsOption,
  sharedOption,
  toPort,
  useNamespace,
  usePorts,
} from './options.ts'
import { tell } from './terminal.ts'

interface Options {
  keepOpen?: boolean
  exec?: string
  host?: string
  port?: number
  daemonPort?: number
  namespace?: string
  ports?: string
  metadata?: Metadata
  shared?: boolean
}

export const listenCommand = new Command('listen')
  .description('Waits under a name for a connection, and joins it to standard input and output.')
  .argument('<name>', 'such as starwars@1.2.0')
  .option('-k, --keep-open', 'accept any number of connections, not one')
  .option('-e, --exec <command>', 'join each connection to a shell command of its own instead')
  .option('--host <address>', 'the address to bind (default: all)')
  .option('--port <number>', 'the port to bind (default: any free one)', toPort)
  .addOption(portsOption().conflicts('port'))
  .addOption(sharedOption())
  .addOption(metadataOption())
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addHelpText('after', '\nAn echo service:\n  moniker listen echo --keep-open --exec cat')
  .action(listen)

async function listen(
  text: string,
  { keepOpen, exec, namespace, ports, ...options }: Options,
): Promise<void> {
  useNamespace(namespace)
  usePorts(ports)
  const service = meant(text)
  const server = createServer({ allowHalfOpen: true }, socket => {
    // Another connection came first; the name is being withdrawn.
    if (!server.listening) return socket.destroy()
    if (!keepOpen) server.close()
    socket.on('error', error => tell(error.message))
    if (exec === undefined) converse(socket)
    else execute(exec, socket)
  })
  server.listen({ service, ...options }, () => {
    const { moniker, port } = server.address() as NamedAddress
    // Before the line: a script that reads it may send a signal at once.
    stopOnSignal(server)
    tell(`listening as ${moniker} on port ${port}`)
    if (exec === undefined) share()
  })
  await once(server, 'close')
  if (exec === undefined) process.stdin.destroy()
}

/** Prepares standard input and output for any number of connections. */
function share(): void {
  process.stdin.setMaxListeners(0)
  // The reader of the output, such as `head`, may close it early.
  process.stdout.setMaxListeners(0).on('error', () => process.exit())
}

/** Joins a connection to standard input and output. Standard input, and its end, go to every open connection. */
function converse(socket: Socket): void {
  const { stdin, stdout } = process
  const end = () => socket.end()
  stdin.on('close', end).pipe(socket).pipe(stdout, { end: false })
  socket.on('end', () => hearOut(stdin, socket, () => (stdin.unpipe(socket), end())))
  socket.on('close', () => stdin.off('close', end).unpipe(socket))
}

/** Joins a connection to a shell command. */
function execute(command: string, socket: Socket): void {
  const child = spawn(command, { shell: true, stdio: ['pipe', 'pipe', 'inherit'] })
  child.on('error', error => socket.destroy(error))
  // A command that could not be started may have no pipes.
  if (child.pid === undefined) return
  // A command may end before it has read all that it is sent.
  child.stdin.on('error', () => {})
  socket.pipe(child.stdin).on('close', () => socket.resume())
  child.stdout.pipe(socket)
  socket.on('close', () => {
    child.stdin.destroy()
    child.stdout.destroy()
  })
}

/** Withdraws the name at a signal, and lets the connections finish; a second signal ends them. */
function stopOnSignal(server: MonikerServer): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      server.close()
      process.stdin.destroy()
    })
  }
}
