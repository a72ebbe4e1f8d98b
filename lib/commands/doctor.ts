import { existsSync, readFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'
import { join, resolve } from 'node:path'
import { Command } from 'commander'
import semver from 'semver'
import { isIP, isLoopback, isThisHost } from '../address.ts'
import { timeLimit, wallClock } from '../clock.ts'
import { addressesOf, askDatagram } from '../client/ask.ts'
import type { LookupHostOptions } from '../resolution.ts'
import { Resolver } from '../client/resolver.ts'
import type { DaemonStatus } from '../daemon/daemon.ts'
import { givenGateway } from '../gateways/location.ts'
import { MonikerError, printable, type Reason } from '../errors.ts'
import { isWord, parse } from '../name.ts'
import { defaultNamespace } from '../namespace.ts'
import { descriptorsOf, reserveOf, type Usage } from '../node/descriptors.ts'
import { occupants } from '../node/proc.ts'
import { loadPolicy } from '../policy/file.ts'
import { findProject, project, type PassedOver, type Project } from '../project.ts'
import { hostPolicyFile } from '../policy/host.ts'
import { portRange } from '../ports.ts'
import { HOST_POLICY, designatedPort } from '../settings.ts'
import { VERSION } from '../wire/protocol.ts'
import { PASS_ON, dropped } from './dropped.ts'
import { daemonPortOption, hostArgument, jsonOption, type HostAndPort } from './options.ts'
import { end, orphans, wordsFor } from './orphans.ts'
import { bad, fine, holders, type Finding, type ToldStatus } from './findings.ts'
import { checkGateway } from './gateways.ts'
import { PATIENCE, QUESTION, checkRoad, checkSockets } from './roads.ts'
import { isGateway, isShare } from './status.ts'
import { colour, printJSON, tell, timeOf } from './terminal.ts'
import { engines, version } from './version.ts'

/** The part of a bound from which on it is near. */
const NEAR = 0.9

/** The answer, or the error, from the designated port at one address. */
interface Visit {
  readonly address: string
  readonly port: number
  /** The status of the daemon there. */
  readonly status?: ToldStatus
  /** The reason that there is no status. */
  readonly error?: MonikerError
}

interface Options {
  daemonPort?: number
  json?: boolean
  prune?: boolean
}

export const doctorCommand = new Command('doctor')
  .description('Looks for faults in the daemon of a host, and around it.')
  .addArgument(hostArgument())
  .option('--prune', 'end what a `moniker run` that has ended has left running')
  .addOption(daemonPortOption())
  .addOption(jsonOption())
  .addHelpText('after', '\nEnds with 0 if all is well, and with 1 if it gives a hint.')
  .action(doctor)

async function doctor(
  at: HostAndPort | undefined,
  { json, prune, ...options }: Options,
): Promise<void> {
  const ended = prune ? await end(orphans) : []
  if (ended.length > 0) tell(`ended ${wordsFor(ended)}`)
  const { host = '', daemonPort = designatedPort() } = { ...options, ...at }
  const findings: Finding[] = []
  for await (const finding of checkup(host, daemonPort)) {
    findings.push(finding)
    if (!json) console.log(shown(finding))
  }
  if (json) printJSON(findings)
  process.exitCode = findings.every(({ ok }) => ok) ? 0 : 1
}

function shown({ check, ok, text, hint }: Finding): string {
  const verdict = ok ? colour('green', 'ok  ') : colour('yellow', 'hint')
  const line = `${verdict}  ${check.padEnd(14)}  ${printable(text)}`
  return hint ? `${line}\n${' '.repeat(22)}${printable(hint)}` : line
}

/** Checks the daemon of a host, `''` being this one, and its surroundings; yields each finding as it is made. */
export async function* checkup(
  host: string,
  port: number,
  options: LookupHostOptions = {},
): AsyncGenerator<Finding, void> {
  yield versions()
  yield* environment()
  yield* projectFindings()
  for (const text of await dropped(settings())) yield bad('environment', text, PASS_ON)
  const isHere = isThisHost(host)
  if (isHere) {
    yield* await hostPolicy()
    yield* loopback()
  }
  const addresses = await addressesOf(host, options, { host, port, syscall: 'status' })
  const visits = await Promise.all(addresses.map(address => visit(address, port)))
  const daemons = visits.map(({ status }) => status).filter(status => status !== undefined)
  for (const one of visits) {
    yield await checkTCP(one, { isHere, isFound: daemons.length > 0 })
    yield* await checkUDP(one, isHere, daemons)
  }
  yield* daemons.length > 0 ? [checkDaemons(daemons)] : []
  if (!isHere) return
  const all = distinct(daemons)
  yield* await checkLost(all, addresses, port)
  yield* await checkSockets(all, port)
  yield checkRoad()
  yield* await checkGateway(all)
  yield* all.flatMap(checkShares)
  yield* await checkDescriptors(all, port)
  yield* await checkPolicies(all)
  yield checkClock(daemons)
  yield* await checkRuns()
  if (daemons.some(({ udp = [] }) => !udp.every(isLoopback))) yield* firewalls(port)
}

/** The versions of Node, of this package and of its protocol. */
export function versions(node = process.version): Finding {
  const text = `moniker ${version}, protocol ${VERSION}, Node ${node}`
  if (semver.satisfies(node, engines.node)) return fine('versions', text)
  return bad('versions', text, `moniker is made for Node ${engines.node}`)
}

/** The findings for the file with settings of the project that `directory` is in. */
export function projectFindings(directory: string = process.cwd()): Finding[] {
  const over: PassedOver[] = []
  try {
    const { file, namespace, port } = findProject(directory, one => over.push(one))
    const all = [namespace !== undefined && `namespace ${namespace}`, port && `port ${port}`]
    const text = `${all.filter(Boolean).join(', ') || 'nothing'}, by ${file}`
    const unsafe = over.map(({ file, why }) =>
      bad('project', `${file} is passed over: ${why}`, 'let nobody else write there'),
    )
    return file === undefined ? unsafe : [...unsafe, fine('project', text)]
  } catch (error) {
    return [bad('project', (error as Error).message, OTHERWISE)]
  }
}

/** The settings of the project, or none where they are wrong. */
function settings(): Project {
  try {
    return project()
  } catch {
    return {}
  }
}

/** The variables of the environment that begin with MONIKER_, each with what is wrong with it. */
export function environment(env: NodeJS.ProcessEnv = process.env): Finding[] {
  // MONIKER_APP is set by the library itself, for the workers of a cluster.
  const ours = Object.keys(env).filter(name => /^MONIKER_(?!APP$)/.test(name))
  if (ours.length === 0) return [fine('environment', 'no MONIKER_ variable is set')]
  return ours.toSorted().map(name => {
    // The word of a reservation gives its name to whoever knows it.
    const text = name === 'MONIKER_RESERVATION' ? `${name} is set` : `${name}=${env[name]}`
    const hint = faultIn(name, env[name]!)
    return hint === undefined ? fine('environment', text) : bad('environment', text, hint)
  })
}

/** The fault in the value of a variable, read as our programs read it; `undefined` if there is none. */
function faultIn(name: string, value: string): string | undefined {
  switch (name) {
    case 'MONIKER_PORT':
      return failure(designatedPort)
    case 'MONIKER_PORTS':
      return failure(portRange)
    case 'MONIKER_NAMESPACE':
      return failure(defaultNamespace)
    case 'MONIKER_LISTEN':
      return failure(() => parse(value))
    case 'MONIKER_NAMES':
      return value.split(',').every(name => isWord(name.trim()))
        ? undefined
        : 'expected names without a namespace, separated by commas'
    case 'MONIKER_GATEWAY':
      return failure(givenGateway)
    case 'MONIKER_URL':
    case 'MONIKER_RUN':
    case 'MONIKER_RESERVATION':
      return undefined
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

/** The finding for the policy of this host, if it has one. */
export async function hostPolicy(file = hostPolicyFile()): Promise<Finding[]> {
  if (file === undefined) return []
  try {
    const { size } = await loadPolicy(file, true)
    return [fine('policy', `all programs of this host obey the ${rules(size)} of ${file}`)]
  } catch (error) {
    const hint = 'no program of this host uses a name until it is mended'
    return [bad('policy', (error as Error).message, hint)]
  }
}

/** The finding for the interface by which programs of this host meet; none if it is up, with whatever family. */
export function loopback(): Finding[] {
  const all = Object.values(networkInterfaces()).flatMap(addresses => addresses ?? [])
  if (all.some(({ address }) => isLoopback(address))) return []
  const text = 'the loopback interface is down, so programs of this host cannot meet by name'
  return [bad('loopback', text, 'bring it up: ip link set lo up')]
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
    const status: unknown = await resolver.status({ host: address })
    if (isStatus(status)) return { address, port, status }
    return { address, port, error: new MonikerError('EPROTOCOL', { host: address, port }) }
  } catch (error) {
    return { address, port, error: error as MonikerError }
  }
}

/** True if an answer has the fields of a daemon's that are looked at here. */
function isStatus(answer: unknown): answer is ToldStatus {
  const { started, pid = 0, names = 0, uid = 0, socket = '' } = answer as Partial<DaemonStatus>
  const { udp = [], lost = [], full = [], policies = [] } = answer as ToldStatus
  const { shares = [], gateways = [] } = answer as ToldStatus
  const isCounted = [pid, names, uid, started].every(Number.isInteger)
  const isWorded = [udp, lost, full, policies, [socket]].every(areTexts)
  return isCounted && isWorded && areAll(shares, isShare) && areAll(gateways, isGateway)
}

function areTexts(value: unknown): boolean {
  return areAll(value, text => typeof text === 'string')
}

function areAll(value: unknown, is: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(is)
}

/** The finding for TCP at one address; `isFound` if a daemon answers at some address of the host. */
async function checkTCP(
  { address, port, status, error }: Visit,
  { isHere, isFound }: { isHere: boolean; isFound: boolean },
): Promise<Finding> {
  const check = `tcp ${address}`
  if (status) return fine(check, `a daemon answers on port ${port}`)
  const { reason, message } = error!
  if (isFound && (reason === 'ENODAEMON' || reason === 'EUNREACHABLE')) {
    return fine(check, 'no daemon answers here, but one does at another address of the host')
  }
  if (reason === 'EUNREACHABLE' && isHere) return fine(check, 'this host has no such address')
  if (reason === 'ENODAEMON' && isHere) {
    return fine(check, `port ${port} is free for the first program that listens on a name`)
  }
  const says: Partial<Record<Reason, string>> = {
    EPROTOCOL: `the program on port ${port} is not a daemon`,
    ...(isHere && { ESILENT: `the program on port ${port} does not answer` }),
  }
  const hint = isHere && reason === 'ESILENT' ? HUNG : (REMEDIES[reason] ?? OTHERWISE)
  return bad(check, (says[reason] ?? message) + (isHere ? await holders('tcp', port) : ''), hint)
}

const HUNG = 'if it hangs, end it: another program takes its place'

const OTHERWISE = 'mend first what the message says'

const REMEDIES: Partial<Record<Reason, string>> = {
  ENODAEMON: 'run monikerd there',
  EPROTOCOL: 'stop that program, or set MONIKER_PORT to another port for all programs',
  ESILENT: 'is the host up, and does a firewall stop TCP there?',
  EUNREACHABLE: 'is the host up, and is there a route to its network?',
}

/** The finding for UDP: a daemon that answers by TCP must answer by UDP, and without a daemon the port must be free. */
async function checkUDP(
  { address, port, status, error }: Visit,
  isHere: boolean,
  daemons: readonly ToldStatus[],
): Promise<Finding[]> {
  const check = `udp ${address}`
  if (!status) {
    const isThere = isHere && error!.reason !== 'EUNREACHABLE'
    const known = daemons.flatMap(({ pid = [] }) => pid)
    const processes = isThere ? await holders('udp', port, known) : ''
    return processes ? [bad(check, `port ${port} is taken${processes}`, REMEDIES.EPROTOCOL!)] : []
  }
  // Another program answers there, if any does.
  const { pid = [], udp = [address] } = status
  if (isHere && !udp.includes(address)) {
    const text = `the daemon has no UDP on port ${port}${await holders('udp', port, [pid].flat())}`
    return [bad(check, text, UDP_TAKEN)]
  }
  const asked = askDatagram({ address, port }, QUESTION, timeLimit(PATIENCE))
  const answers = await asked.then(
    () => true,
    () => false,
  )
  if (answers) return [fine(check, `it answers on port ${port}`)]
  const text = `it does not answer on port ${port}${isHere ? await holders('udp', port) : ''}`
  return [bad(check, text, 'names are found over TCP, but more slowly; does a firewall stop UDP?')]
}

const UDP_TAKEN = 'stop what has it: other hosts find names more slowly until then'

/** The finding for the daemons that answer: a host must have one only. */
function checkDaemons(daemons: readonly ToldStatus[]): Finding {
  const all = distinct(daemons)
  if (all.length > 1) {
    const pids = all.flatMap(({ pid = [] }) => pid).join(' and ')
    const text = `several answer on one port${pids && `: processes ${pids}`}`
    return bad('daemon', text, 'neither knows the names of the other; stop one of them')
  }
  const [{ pid, embedded, names }] = all as [ToldStatus]
  const where = pid === undefined ? '' : `process ${pid}`
  const known = names === undefined ? '' : `, ${names} ${names === 1 ? 'name' : 'names'}`
  return embedded
    ? fine(
        'daemon',
        `inside ${where || 'a program'}${known}; another program takes its place when it ends`,
      )
    : fine('daemon', `monikerd${where && `, ${where}`}${known}`)
}

/** The finding for what runs that have ended have left, if there is such. */
async function checkRuns(): Promise<Finding[]> {
  const left = await orphans()
  if (left.length === 0) return []
  const text = `a moniker run that has ended has left ${wordsFor(left)}`
  return [bad('runs', text, 'moniker doctor --prune ends it')]
}

/** Each daemon once, at however many addresses it answers. */
function distinct(daemons: readonly ToldStatus[]): ToldStatus[] {
  // No two of them have started in the same ms.
  return [...new Map(daemons.map(one => [one.started, one])).values()]
}

/** The findings for the addresses of this host at which a daemon has lost UDP, beside those that were visited. */
async function checkLost(
  daemons: readonly ToldStatus[],
  visited: readonly string[],
  port: number,
): Promise<Finding[]> {
  const lost = daemons.flatMap(({ lost = [] }) => lost)
  const others = lost.filter(address => !visited.includes(address))
  if (others.length === 0) return []
  const text = `the daemon has no UDP on port ${port}`
  const processes = await holders('udp', port, pidsOf(daemons))
  return others.map(address => bad(`udp ${address}`, `${text}${processes}`, UDP_TAKEN))
}

function pidsOf(daemons: readonly ToldStatus[]): number[] {
  return daemons.flatMap(({ pid = [] }) => pid)
}

/** The findings for what is used of the bounds of a daemon, if it tells that. */
function checkShares({ shares, full = [] }: ToldStatus): Finding[] {
  if (!shares) return []
  const scarce = shares.filter(({ used, most }) => used >= most * NEAR)
  const texts = [
    ...scarce.map(({ of, used, most }) => `${used} of ${most} ${of}`),
    ...full.map(text => `in the last minute the daemon has refused something: ${text}`),
  ]
  if (texts.length === 0) return [fine('limits', 'no bound of the daemon is near')]
  return texts.map(text => bad('limits', text, MORE))
}

const MORE = 'end the programs that use it up, or run monikerd with a higher bound'

/** The findings for the descriptors of the daemons, where this user may know. */
async function checkDescriptors(daemons: readonly ToldStatus[], port: number): Promise<Finding[]> {
  // A number may be that of a process elsewhere, as that of a daemon in a container.
  const here = (await occupants({ transport: 'tcp', port })).map(({ pid }) => pid)
  return pidsOf(daemons)
    .filter(pid => here.includes(pid))
    .map(pid => descriptorsOf(pid))
    .filter(usage => usage !== undefined)
    .map(checkUsage)
}

function checkUsage({ open, most }: Usage): Finding {
  const text = `the daemon has ${open} of ${most} open`
  // Connections may not have the rest.
  if (open < (most - reserveOf(most)) * NEAR) return fine('descriptors', text)
  const hint = 'let it have more (ulimit -n, LimitNOFILE=), or end the programs that have so many'
  return bad('descriptors', text, hint)
}

/** The findings for the policies beside that of this host, each as the user reads it whose daemon goes by it. */
async function checkPolicies(daemons: readonly ToldStatus[]): Promise<Finding[]> {
  const { MONIKER_POLICY: ours } = process.env
  const files = new Map(ours && existsSync(ours) ? [[resolve(ours), process.getuid?.()]] : [])
  for (const { policies = [], uid } of daemons) for (const file of policies) files.set(file, uid)
  files.delete(HOST_POLICY)
  return Promise.all([...files].map(([file, uid]) => checkPolicy(file, uid)))
}

async function checkPolicy(file: string, uid: number | undefined): Promise<Finding> {
  try {
    const { size } = await loadPolicy(file, false, uid)
    return fine('policy', `daemons go by the ${rules(size)} of ${file}`)
  } catch (error) {
    const hint = 'no daemon starts with it, and one that runs goes by what it has read before'
    return bad('policy', (error as Error).message, hint)
  }
}

/** The finding for the clock: it decides which program has held a name for longer, so it must not run backwards. */
function checkClock(daemons: readonly ToldStatus[]): Finding {
  const now = wallClock()
  const text = `it is ${timeOf(now)}`
  const late = daemons.map(({ started }) => started).find(started => started > now + PATIENCE)
  if (late === undefined) return fine('clock', text)
  return bad('clock', `${text}, but the daemon started at ${timeOf(late)}`, CLOCK)
}

const CLOCK = 'was the clock set back?'

/** The firewalls of this host. Only another host can tell if they let it through. */
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

function rules(count: number): string {
  return `${count} ${count === 1 ? 'rule' : 'rules'}`
}

function isOn(file: string, pattern: RegExp): boolean {
  try {
    return pattern.test(readFileSync(file, 'utf8'))
  } catch {
    return false
  }
}
