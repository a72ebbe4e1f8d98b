import { live } from '../fixtures/live.ts'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Worker } from 'node:worker_threads'
import t, { type Test } from 'tap'
import { embed } from '../../lib/registration/embedded.ts'
import { Resolver } from '../../lib/client/resolver.ts'
import { awake } from '../fixtures/awake.ts'
import { named, nobody } from '../fixtures/services.ts'
import { standing } from '../fixtures/standing.ts'

awake(t)

const { execArgv, execPath } = process

/** Makes this process the daemon; the function that is returned starts its thread. */
async function embedFor(t: Test, port: number, execArgv: string[]): Promise<() => void> {
  const threadAfter = 3_600_000
  const timers = t.capture(live, 'setTimeout', live.setTimeout)
  await embed(port, { threadAfter, execArgv })
  timers.restore()
  const all: unknown[][] = timers.args()
  const [startThread] = all.find(([_, ms]) => ms === threadAfter)!
  return startThread as () => void
}

/** The thread that is started next. */
function thread(): Promise<[Worker]> {
  return once(process, 'worker') as Promise<[Worker]>
}

function path(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url))
}

t.test('the daemon of a program is not held up by it for long', async t => {
  const port = await nobody()
  const startThread = await embedFor(t, port, execArgv)
  const resolver = new Resolver({ port })
  const before = await resolver.status()
  t.match(before, { embedded: true, pid: process.pid })
  const server = await named(t, { service: 'tie', daemonPort: port })
  const moved = Promise.all([thread(), once(server, 'registered')])
  startThread()
  const [[worker]] = await moved

  const command = [...execArgv, path('../../lib/cli.ts'), 'status', '--daemon-port', String(port)]
  const after = JSON.parse(execFileSync(execPath, [...command, '--json'], { encoding: 'utf8' }))
  t.match(
    after,
    { embedded: true, pid: process.pid, names: 1 },
    'while this process waits for that',
  )
  t.not(after.started, before.started)

  const registered = once(server, 'registered')
  const exited = once(worker, 'exit')
  await standing(t, port)
  await registered
  t.match(await resolver.status(), { embedded: false, names: 1 })
  t.same(await exited, [0], 'the thread has nothing left to do')
})

t.test('where there can be no thread the program goes on being the daemon', async t => {
  const port = await nobody()
  const startThread = await embedFor(t, port, ['--no-such-option'])
  startThread()
  t.match(await new Resolver({ port }).status(), { embedded: true })

  const other = await nobody()
  const started = thread()
  const fail = await embedFor(t, other, ['--import=data:text/javascript,throw new Error("no")'])
  fail()
  const [worker] = await started
  await t.rejects(once(worker, 'exit'), { message: 'no' })
  t.match(await new Resolver({ port: other }).status(), { embedded: true })
})

t.test('nor is one started where addresses are limited, as that may end the program', async t => {
  const command = `ulimit -v "$0" && exec "$@"`
  const port = String(await nobody())
  for (const [limit, output] of Object.entries({ unlimited: 'a thread\n', 64_000_000: '' })) {
    const program = [execPath, ...execArgv, path('../fixtures/embed.ts'), port]
    t.equal(execFileSync('sh', ['-c', command, limit, ...program], { encoding: 'utf8' }), output)
  }
})

t.test('a daemon that has handed over before needs no thread', async t => {
  const port = await nobody()
  const startThread = await embedFor(t, port, execArgv)
  await standing(t, port)
  const started = () => t.fail()
  process.once('worker', started)
  startThread()
  await new Promise(setImmediate)
  process.off('worker', started)
})
