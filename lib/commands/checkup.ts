import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { join } from 'node:path'
import semver from 'semver'
import { isLoopback, isThisHost } from '../address.ts'
import { addressesOf, askDatagram } from '../client/ask.ts'
import type { DaemonStatus } from '../daemon/daemon.ts'
import { designatedPort } from '../settings.ts'
import type { MonikerError, Reason } from '../errors.ts'
import type { LookupHostOptions } from '../resolution.ts'
import { defaultNamespace } from '../namespace.ts'
import type { Bindable } from '../node/proc.ts'
import { VERSION } from '../wire/protocol.ts'
import { Resolver } from '../client/resolver.ts'
import { occupants } from '../node/proc.ts'
import { engines, version } from './version.ts'

/** What one check has found. */
export interface Finding {
  /** What was looked at, in a word or two. */
  readonly check: string
  /** Whether it is as it should be. */
  readonly ok: boolean
  readonly text: string
  /** What to do about it. */
  readonly hint?: string
}

/** What came of asking whoever has the designated port at an address. */
interface Visit {
  readonly address: string
  readonly port: number
  /** What the daemon there says of itself. */
  readonly status?: DaemonStatus
  /** Why it says nothing. */
  readonly error?: MonikerError
}

/** How long an answer is waited for, in ms. */
const PATIENCE = 2_000

/** Examines the daemon of a host, `''` being this one, and what is around it; tells of each check in turn. */
export async function* checkup(
  host: string,
  port: number,
  options: LookupHostOptions = {},
): AsyncGenerator<Finding, void> {
  yield versions()
  yield* environment()
  const isHere = isThisHost(host)
  const addresses = await addressesOf(host, options, { host, port, syscall: 'status' })
  const visits = await Promise.all(addresses.map(address => visit(address, port)))
  const daemons = visits.map(({ status }) => status).filter(status => status !== undefined)
  for (const one of visits) {
    yield await stream(one, { isHere, isFound: daemons.length > 0 })
    yield* await datagram(one, isHere)
  }
  yield* daemons.length > 0 ? [kind(daemons)] : []
  if (!isHere) return
  yield clock(daemons)
  if (daemons.some(({ udp }) => !udp.every(isLoopback))) yield* firewalls(port)
}

/** The versions of Node, of this package and of its protocol. */
export function versions(node = process.version): Finding {
  const text = `moniker ${version}, protocol ${VERSION}, Node ${node}`
  if (semver.satisfies(node, engines.node)) return fine('versions', text)
  return bad('versions', text, `moniker is made for Node ${engines.node}`)
}

/** The variables that are ours, and whether they say what they should. */
export function environment(env: NodeJS.ProcessEnv = process.env): Finding[] {
  const ours = Object.keys(env).filter(name => name.startsWith('MONIKER_'))
  if (ours.length === 0) return [fine('environment', 'no MONIKER_ variable is set')]
  return ours.toSorted().map(name => {
    const text = `${name}=${env[name]}`
    const hint = wrongIn(name, env[name]!)
    return hint === undefined ? fine('environment', text) : bad('environment', text, hint)
  })
}

/** What is wrong with the value of a variable; each is read as our programs do. */
function wrongIn(name: string, value: string): string | undefined {
  switch (name) {
    case 'MONIKER_PORT':
      return failure(designatedPort)
    case 'MONIKER_NAMESPACE':
      return failure(defaultNamespace)
    case 'MONIKER_HOST':
      return value.split(',').every(host => isIP(host.trim()))
        ? undefined
        : 'expected IP addresses, separated by commas'
    case 'MONIKER_POLICY':
      return existsSync(value) ? undefined : 'there is no such file'
    default:
      return 'no program of ours reads it; is it spelt right?'
  }
}

function failure(read: () => unknown): string | undefined {
  try {
    read()
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

async function visit(address: string, port: number): Promise<Visit> {
  try {
    const resolver = new Resolver({ port, timeout: PATIENCE })
    const status = (await resolver.status({ host: address })) as unknown as DaemonStatus
    return { address, port, status }
  } catch (error) {
    return { address, port, error: error as MonikerError }
  }
}

/** Who answers by TCP, there or, `isFound`, at another address of the host. */
async function stream(
  { address, port, status, error }: Visit,
  { isHere, isFound }: { isHere: boolean; isFound: boolean },
): Promise<Finding> {
  const check = `tcp ${address}`
  if (status) return fine(check, `a daemon answers on port ${port}`)
  const { reason, message } = error!
  if (isFound && (reason === 'ENODAEMON' || reason === 'EUNREACHABLE')) {
    return fine(check, 'nobody answers here, but at another address of the host')
  }
  if (reason === 'EUNREACHABLE' && isHere) return fine(check, 'this host has no such address')
  if (reason === 'ENODAEMON' && isHere) {
    return fine(check, `port ${port} is free for the first program that listens on a name`)
  }
  const says: Partial<Record<Reason, string>> = {
    EPROTOCOL: `what has port ${port} is no daemon`,
    ...(isHere && { ESILENT: `what has port ${port} is silent` }),
  }
  const hint = isHere && reason === 'ESILENT' ? HUNG : (REMEDIES[reason] ?? OTHERWISE)
  return bad(check, (says[reason] ?? message) + (isHere ? await by('tcp', port) : ''), hint)
}

const HUNG = 'if it hangs, end it: another takes its place'

const OTHERWISE = 'what the message says has to be mended first'

const REMEDIES: Partial<Record<Reason, string>> = {
  ENODAEMON: 'run monikerd there',
  EPROTOCOL: 'stop what has the port, or agree on another by MONIKER_PORT',
  ESILENT: 'is the host up, and does a firewall stop the port?',
  EUNREACHABLE: 'is the host up, and is there a way to its network?',
}

/** Whether a daemon that answers by TCP does so by UDP, or the port is free for one that is to come. */
async function datagram({ address, port, status }: Visit, isHere: boolean): Promise<Finding[]> {
  const check = `udp ${address}`
  if (!status) {
    const holders = isHere ? await by('udp', port) : ''
    return holders ? [bad(check, `port ${port} is taken${holders}`, REMEDIES.EPROTOCOL!)] : []
  }
  const question = { op: 'resolve', service: 'moniker.doctor' } as const
  const asked = askDatagram({ address, port }, question, AbortSignal.timeout(PATIENCE))
  const answers = await asked.then(
    () => true,
    () => false,
  )
  if (answers) return [fine(check, `it answers on port ${port}`)]
  const text = `it does not answer on port ${port}${isHere ? await by('udp', port) : ''}`
  return [bad(check, text, 'names are found by TCP, but later; does a firewall stop UDP?')]
}

/** Who has a port, as far as is known. */
async function by(transport: Bindable, port: number): Promise<string> {
  const all = await occupants({ transport, port })
  return all.length > 0
    ? `: process ${all.map(({ pid, name }) => `${pid} (${name})`).join(', ')}`
    : ''
}

/** What daemon it is; a host is to have one. */
function kind(daemons: readonly DaemonStatus[]): Finding {
  const pids = [...new Set(daemons.map(({ pid }) => pid))]
  if (pids.length > 1) {
    const text = `several answer on one port: processes ${pids.join(' and ')}`
    return bad('daemon', text, 'names of one are not known to the other; stop one of them')
  }
  const [{ pid, embedded, names }] = daemons as [DaemonStatus]
  const known = `${names} ${names === 1 ? 'name' : 'names'}`
  return embedded
    ? fine('daemon', `inside process ${pid}, ${known}; another takes its place when it ends`)
    : fine('daemon', `monikerd, process ${pid}, ${known}`)
}

/** The clock says who has held a name for longer, and must not run backwards. */
function clock(daemons: readonly DaemonStatus[]): Finding {
  const now = Date.now()
  const text = `it is ${new Date(now).toISOString()}`
  const late = daemons.map(({ started }) => started).find(started => started > now + PATIENCE)
  if (late === undefined) return fine('clock', text)
  const then = new Date(late).toISOString()
  return bad('clock', `${text}, but the daemon started at ${then}`, 'was the clock set back?')
}

/** Firewalls that other hosts may have to get through; whether they do, only those hosts can tell. */
export function firewalls(port: number, root = '/'): Finding[] {
  const ports = `--add-port=${port}/tcp --add-port=${port}/udp`
  const all = [
    [isOn(join(root, 'etc/ufw/ufw.conf'), /^ENABLED=yes/im), `ufw allow ${port}`],
    [isOn(join(root, 'run/firewalld.pid'), /^\d/), `firewall-cmd ${ports}`],
  ] as const
  return all
    .filter(([on]) => on)
    .map(([, command]) => fine('firewall', `there is one; to let other hosts in: ${command}`))
}

function isOn(file: string, pattern: RegExp): boolean {
  try {
    return pattern.test(readFileSync(file, 'utf8'))
  } catch {
    return false
  }
}

function fine(check: string, text: string): Finding {
  return { check, ok: true, text }
}

function bad(check: string, text: string, hint: string): Finding {
  return { check, ok: false, text, hint }
}
