// The demo from its sources, with less to move: what a newcomer sees first.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { t, test, type Test } from 'tap'
import { nobody } from '../fixtures/services.ts'

// A process takes its time to start; the tests need not wait for each other.
t.jobs = 2

const file = fileURLToPath(new URL('../../examples/demo.ts', import.meta.url))
const strip = new URL('../fixtures/strip.js', import.meta.url).href

/** A demo, on a host where only those with the same port run; with 200 MB it takes seconds. */
function demo(t: Test, port: number, megabytes = 200) {
  const child = spawn(process.execPath, ['--import', strip, file, String(megabytes)], {
    env: { ...process.env, MONIKER_PORT: String(port) },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  return { child, said: text(child.stdout), warned: text(child.stderr), ended: once(child, 'exit') }
}

/** The processes that the demo says it has started. */
function programs(said: string): number[] {
  return [...said.matchAll(/@1\.0\.0 +process (\d+)/g)].map(([, pid]) => Number(pid))
}

/** The same, as soon as both are there. */
function started(stdout: Readable): Promise<number[]> {
  let said = ''
  return new Promise(resolve => {
    stdout.on('data', chunk => {
      said += String(chunk)
      if (programs(said).length === 2) resolve(programs(said))
    })
  })
}

function noneIsLeft(t: Test, said: string): void {
  t.equal(programs(said).length, 2)
  for (const pid of programs(said)) t.throws(() => process.kill(pid, 0), { code: 'ESRCH' })
}

test('two demos at a time say in plain lines that all has arrived', async t => {
  const port = await nobody()
  await Promise.all(
    [demo(t, port, 2), demo(t, port, 2)].map(async ({ said, warned, ended }) => {
      t.same(await ended, [0, null])
      t.equal(await warned, '')
      t.match(await said, / 2 MB: archive → mirror → here, \d+ MB\/s\n/)
      t.match(await said, /SHA-256 received {2}[0-9a-f]{32}… {2}the same\n/)
      t.match(await said, /ratio +\d+\.\d\d, the median of \d+ pairs \(\d+\.\d\d to \d+\.\d\d\)\n$/)
      for (const control of ['\r', '\x1b']) t.notOk((await said).includes(control))
      noneIsLeft(t, await said)
    }),
  )
})

test('one that is interrupted leaves no process behind', async t => {
  const { child, said, ended } = demo(t, await nobody())
  await started(child.stdout)
  child.kill('SIGTERM')
  t.same(await ended, [null, 'SIGTERM'])
  noneIsLeft(t, await said)
})

test('one whose program ends says which', async t => {
  const { child, said, warned, ended } = demo(t, await nobody())
  const [, mirror] = await started(child.stdout)
  process.kill(mirror!, 'SIGKILL')
  t.same(await ended, [1, null])
  t.equal(await warned, 'demo: mirror has ended (SIGKILL)\n')
  noneIsLeft(t, await said)
})
