// The main job, end to end: two programs listen on names, and this one, which knows no port, moves
// data through both. Nothing is configured and no daemon runs: the first to listen becomes it.
import { fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import net, { type Socket } from 'node:net'
import { Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { fileURLToPath } from 'node:url'
import { Resolver, connect } from '../index.ts'
import type { Ready } from './demo-service.ts'

const ROUNDS = 9
const program = fileURLToPath(import.meta.resolve('./demo-service.js'))

/** Starts a program, and waits until it listens. */
async function start(service: string): Promise<Ready> {
  const child = fork(program, [service])
  process.once('exit', () => child.kill())
  const early = once(child, 'exit').then(() => {
    throw new Error(`the ${service} could not be started`)
  })
  const [ready] = (await Promise.race([once(child, 'message'), early])) as [Ready]
  // From here on the connections alone keep us running.
  child.unref()
  child.channel?.unref()
  console.log(`demo:${service} is port ${ready.address.port} of process ${ready.pid}`)
  return ready
}

/** Counts what flows through, and takes its checksum only where that is asked for. */
class Sink extends Writable {
  size = 0
  readonly #hash = createHash('sha256')
  readonly #check: boolean

  constructor(check: boolean) {
    super()
    this.#check = check
  }

  get checksum(): string {
    return this.#hash.digest('hex')
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.size += chunk.length
    if (this.#check) this.#hash.update(chunk)
    done()
  }
}

/** Bytes a second over one connection, from the moment there is one. */
async function throughput(open: () => Socket): Promise<number> {
  const sink = new Sink(false)
  const socket = open()
  await once(socket, 'connect')
  const start = performance.now()
  await pipeline(socket, sink)
  return (sink.size / (performance.now() - start)) * 1000
}

function median(values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

const megabytes = (bytes: number) => `${Math.round(bytes / 1e6)} MB`

const archive = await start('archive')
await start('mirror')
const { pid, port, embedded } = await new Resolver().status()
console.log(
  `the daemon of this host is process ${String(pid)}, on port ${String(port)}${embedded ? ', started by itself' : ''}\n`,
)

const sink = new Sink(true)
await pipeline(connect('demo:archive@^1'), connect('demo:mirror'), sink)
if (sink.checksum !== archive.checksum) {
  throw new Error(
    `the data were damaged: ${megabytes(sink.size)} came through, with another checksum`,
  )
}
console.log(`archive → mirror → here: ${megabytes(sink.size * 3)} moved through pipes`)
console.log(`intact: SHA-256 ${archive.checksum.slice(0, 16)}… at both ends\n`)

const byNumber: number[] = []
const byName: number[] = []
const measure = [
  async () => byNumber.push(await throughput(() => net.connect(archive.plainPort, '127.0.0.1'))),
  async () => byName.push(await throughput(() => connect('demo:archive'))),
]
for (const run of measure) await run()
byNumber.length = byName.length = 0
// One beside the other, and neither always first.
for (let round = 0; round < ROUNDS; round++) {
  for (const run of round % 2 ? measure.toReversed() : measure) await run()
}

const ratios = byName.map((speed, round) => speed / byNumber[round]!).sort((a, b) => a - b)
const [least, most] = [ratios[0]!, ratios.at(-1)!].map(ratio => ratio.toFixed(2))
console.log(`by name   ${megabytes(median(byName))}/s`)
console.log(`by number ${megabytes(median(byNumber))}/s, plain net in the same run`)
console.log(`ratio     ${median(ratios).toFixed(2)} (${least} to ${most}, ${ROUNDS} pairs)`)
