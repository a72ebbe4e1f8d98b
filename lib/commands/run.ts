import { once } from 'node:events'
import { Command } from 'commander'
import { listenCall } from '../options/listen.ts'
import { format } from '../name.ts'
import { freePort, isFree, listening } from '../node/proc.ts'
import type { Metadata, Offer } from '../wire/protocol.ts'
import { Registrar } from '../registration/registrar.ts'
import { Resolver } from '../client/resolver.ts'
import { portsOf } from '../node/proc.ts'
import { distinct, find, neighbour } from './env.ts'
import {
  daemonPortOption,
  metadataOption,
  namespaceOption,
  sharedOption,
  useNamespace,
  toList,
  toPort,
  toVariables,
  waitOption,
} from './options.ts'
import { Program } from './program.ts'
import { keepAlive, tell, tellLapses } from './terminal.ts'

interface Options {
  port?: number
  env?: [name: string, value: string][]
  restart?: boolean
  with?: string[]
  wait: number
  daemonPort?: number
  namespace?: string
  metadata?: Metadata
  shared?: boolean
}

/** When somebody might begin to wonder why a command is not known by its name, in ms. */
const LATE = 10_000

/** What to say of a command that does not listen where it is told; `others` are where it does. */
function unheard(port: number, others: readonly number[]): string {
  const [other] = others
  const why = other
    ? `the command listens on port ${other}, not on ${port}`
    : `nobody listens on port ${port}`
  return (
    `is not registered yet: ${why}, which the command finds in $PORT; does it want {port} among ` +
    `its arguments, another variable (--env), or ${other ? `--port ${other}` : 'its own port (--port)'}?`
  )
}

export const runCommand = new Command('run')
  .description('Runs a command that serves on a port, under a name.')
  .usage('[options] <name> -- <command...>')
  .showHelpAfterError('(what comes after -- is left to the command: moniker run web -- npm start)')
  .argument('<name>', 'such as web@1.0.0')
  .argument('<command...>', 'the command, and what it is given')
  .option('--port <number>', 'the port to give it (default: a free one)', toPort)
  .option(
    '--env <name[=value]>',
    'a variable that is to have the port beside PORT, or a value with {port} in it; may be repeated',
    toVariables,
  )
  .option('--with <names>', 'what it needs, as for `moniker env`; may be repeated', toList)
  .addOption(waitOption().default(30_000, '30s'))
  .option('--restart', 'start it again when it crashes, after ever longer pauses (0.1 to 30 s)')
  .addOption(sharedOption())
  .addOption(metadataOption())
  .addOption(namespaceOption())
  .addOption(daemonPortOption())
  .addHelpText(
    'after',
    `
The command finds its port in $PORT and wherever {port} stands in its arguments. It is registered
once it listens there, and withdrawn when it ends. Signals go to it; its exit status is ours.
With db it is told DB_URL, DB_HOST, DB_PORT and DB_VERSION. For example:
  moniker run web -- python3 -m http.server {port}
  moniker run api --with db,cache -- node server.js
  moniker run site --env VITE_PORT --env ORIGIN=http://localhost:{port} -- npm start`,
  )
  .action(run)

async function run(
  text: string,
  command: string[],
  {
    port: wanted,
    env = [],
    restart = false,
    shared = false,
    with: needed = [],
    wait,
    ...options
  }: Options,
): Promise<void> {
  useNamespace(options.namespace)
  const { name, metadata } = listenCall([{ service: text, metadata: options.metadata }])!
  const neighbours = distinct(needed.map(one => neighbour(one, options)))
  // Or its holder would be taken for the command.
  if (wanted && !(await isFree(wanted))) {
    throw new Error(`port ${wanted} is taken by another program; stop it, or choose another port`)
  }
  const known = { resolver: new Resolver(), wait, tell }
  const found = await find(neighbours, known)
  const port = wanted ?? (await freePort())
  const kind = { transport: 'tcp', shared } as const
  const offer = { ...name, ...kind, port, ...(metadata && { metadata }) }
  const fill = (text: string) => text.replaceAll('{port}', String(port))
  const variables = env.map(([variable, value]) => [variable, fill(value)])
  const own = { PORT: String(port), ...Object.fromEntries(variables) }
  const environment = (found: Record<string, string>) => ({ ...process.env, ...found, ...own })
  const program = new Program(command.map(fill), environment(found), (pid, signal) =>
    hold({ ...offer, pid }, options.daemonPort, signal),
  )
  // That one of its neighbours has moved may be why it crashes.
  const renew = async (signal: AbortSignal) =>
    environment(await find(neighbours, { ...known, signal }))
  process.exitCode = await keepAlive(restart ? program.persist({ tell, renew }) : program.run())
}

/** Holds the name of a command from when it listens until `signal` aborts. */
async function hold(
  offer: Omit<Offer, 'address'> & { pid: number },
  daemonPort: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { port, pid } = offer
  const wonder = async () => {
    const others = await portsOf(pid)
    if (!signal.aborted && !address) tell(`${format(offer)} ${unheard(port, others)}`)
  }
  const late = setTimeout(() => void wonder(), LATE)
  let address: string | undefined
  address = await listening(port, signal).finally(() => clearTimeout(late))
  const lease = await Registrar.at(daemonPort).register({ ...offer, address }, { signal })
  tell(`${format(offer)} is port ${offer.port}`)
  const over = tellLapses(lease, tell, `${format(offer)} is registered again`)
  if (!signal.aborted) await once(signal, 'abort')
  over()
  await lease.withdraw()
}
