// The main job, end to end: two programs listen on names, and this one, which knows no port, pipes data
// through both. Nothing is configured and no daemon runs: the first to listen becomes it.
// demo [MEGABYTES]
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { Resolver, connect } from '../index.ts'
import { Program } from './demo-program.ts'
import type { Ready } from './demo-service.ts'
import { bar, progress, say, settle, styled } from './demo-terminal.ts'

/** Pairs of speeds, at most, and the milliseconds after which no other is begun. */
const PAIRS = 25
const BUDGET = 5_000

/** Milliseconds that one speed is measured, at most. */
const SLICE = 500

/** Milliseconds without a byte after which a service has stalled; a name is waited for as long. */
const PATIENCE = 10_000

/** The longest that all of it may take, in ms. */
const DEADLINE = 90_000

/** Milliseconds from the error on a connection until the end of the program that caused it is known. */
const GRACE = 500

const megabytes = Number(process.argv[2] ?? 200)

/** All that is waited for ends when this does; the reason is why the demo has failed. */
const run = new AbortController()
const { signal } = run

// Two demos may run at a time: each has its names to itself.
process.env.MONIKER_NAMESPACE = `demo-${process.pid}`

const open = (service: string) => connect({ service, wait: PATIENCE })

function showSwap(): void {
  const lines = [
    ["import net from 'node:net'", "import net from 'moniker-net'"],
    ['server.listen(4181)', "server.listen('archive@1.0.0')"],
    ['net.connect(4181)', "net.connect('archive@^1')"],
  ] as const
  say(styled('bold', 'Moniker: names where the port numbers were'))
  say()
  say(`  ${'before'.padEnd(31)}after`)
  for (const [before, after] of lines) {
    say(`  ${styled('dim', before.padEnd(30))} ${styled('green', after)}`)
  }
}

/** Starts both programs, and says where they are. */
async function start(programs: Program[]): Promise<Ready> {
  progress(() => 'starting two programs')
  for (const service of ['archive', 'mirror']) {
    programs.push(new Program(service, megabytes, error => run.abort(error)))
  }
  const [archive, mirror] = await Promise.all(programs.map(program => program.ready(signal)))
  const { pid, port, embedded } = await new Resolver().status({ signal })
  heading('Two programs listen under names, on ports that the system has chosen')
  say(`  archive@1.0.0  process ${archive!.pid}, port ${archive!.port}`)
  say(`  mirror@1.0.0   process ${mirror!.pid}, port ${mirror!.port}`)
  say(
    embedded
      ? `  Nothing was set up: process ${String(pid)} tells the ports, on port ${String(port)}.`
      : `  The daemon of this host tells the ports: process ${String(pid)}, on port ${String(port)}.`,
  )
  return archive!
}

/** Pipes all of the archive through the mirror, and compares the checksums. */
async function move(sent: string): Promise<void> {
  heading(`This program knows no port, and pipes ${megabytes} MB through both`)
  say(styled('green', "  pipeline(net.connect('archive@^1'), net.connect('mirror'), here)"))
  const [archive, mirror] = [open('archive@^1'), open('mirror')]
  const hash = createHash('sha256')
  const began = performance.now()
  let size = 0
  const rate = () => `${Math.round(size / 1e3 / (performance.now() - began))} MB/s`
  const here = new Writable({
    write(chunk: Buffer, _encoding, done) {
      size += chunk.length
      hash.update(chunk)
      progress(() => `  ${bar(size / 1e6 / megabytes)} ${Math.floor(size / 1e6)} MB, ${rate()}`)
      done()
    },
  })
  mirror.setTimeout(PATIENCE, () => {
    const isStuck = mirror.writableNeedDrain || mirror.writableEnded
    run.abort(new Error(`${isStuck ? 'mirror' : 'archive'} has stalled`))
  })
  await pipeline(archive, mirror, here, { signal })
  if (size < megabytes * 1e6) throw new Error(`only ${size / 1e6} MB have come through`)
  const received = hash.digest('hex')
  say(`  ${size / 1e6} MB: archive → mirror → here, ${rate()}`)
  say(`  SHA-256 sent      ${short(sent)}`)
  say(
    `  SHA-256 received  ${short(received)}  ${sent === received ? styled('green', 'the same') : 'another'}`,
  )
  if (sent !== received) throw new Error('what archive sent through mirror has been damaged')
}

/** Megabytes a second over one connection to the archive, from the moment there is one. */
async function speed(socket: Socket): Promise<number> {
  try {
    socket.setTimeout(PATIENCE, () => run.abort(new Error('archive has stalled')))
    await once(socket, 'connect', { signal })
    const began = performance.now()
    let size = 0
    socket.on('data', chunk => {
      size += chunk.length
      if (performance.now() - began > SLICE) socket.destroy()
    })
    await once(socket, 'close', { signal })
    return size / 1e3 / (performance.now() - began)
  } finally {
    socket.destroy()
  }
}

/** Measures by name and by port in turn, and neither always first. */
async function compare(plainPort: number): Promise<void> {
  heading('It reads the archive by name, and by port with plain net, in turn')
  const names: number[] = []
  const ports: number[] = []
  const ways = [
    async () => names.push(await speed(open('archive@^1'))),
    async () => ports.push(await speed(net.connect(plainPort, '127.0.0.1'))),
  ]
  // Once for nothing: code that has never run is slow.
  for (const way of ways) await way()
  names.length = ports.length = 0
  const began = performance.now()
  const done = () => Math.max(names.length / PAIRS, (performance.now() - began) / BUDGET)
  do {
    progress(() => `  ${bar(done())} pair ${names.length + 1}`)
    for (const way of names.length % 2 ? ways.toReversed() : ways) await way()
  } while (done() < 1)
  const ratios = names.map((speed, pair) => speed / ports[pair]!)
  const [least, most] = [Math.min(...ratios), Math.max(...ratios)].map(ratio => ratio.toFixed(2))
  say(`  moniker-net, by name  ${Math.round(median(names))} MB/s`)
  say(`  plain net, by port    ${Math.round(median(ports))} MB/s`)
  say(
    `  ratio                 ${median(ratios).toFixed(2)}, the median of ${names.length} pairs (${least} to ${most})`,
  )
}

function heading(text: string): void {
  say()
  say(styled('bold', text))
}

function short(checksum: string): string {
  return `${checksum.slice(0, 32)}…`
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

/** All of it; says why it failed, if it did. */
async function demo(): Promise<unknown> {
  const programs: Program[] = []
  const deadline = setTimeout(() => run.abort(new Error('the demo takes too long')), DEADLINE)
  try {
    if (!Number.isInteger(megabytes) || megabytes < 1) throw new Error('usage: demo [MEGABYTES]')
    showSwap()
    const archive = await start(programs)
    await move(archive.checksum)
    await compare(archive.plainPort)
    return undefined
  } catch (error) {
    await pause(GRACE, undefined, { signal }).catch(() => {})
    return signal.aborted ? signal.reason : error
  } finally {
    clearTimeout(deadline)
    await Promise.all(programs.map(program => program.stop()))
    settle()
  }
}

const signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP']
for (const name of signals) process.on(name, () => run.abort(name))
process.stdout.on('error', error => run.abort(error))

const failure = await demo()
const killer = signals.find(name => name === failure)
if (killer) {
  // The default action this time, so that the caller sees the signal in the exit status.
  process.removeAllListeners(killer)
  process.kill(process.pid, killer)
} else if (failure) {
  console.error(`demo: ${(failure as Error).message}`)
  process.exit(1)
}
