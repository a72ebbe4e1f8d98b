import { execFile, execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import t from 'tap'
import { clock, pause, wallClock } from '../lib/clock.ts'
import { nobody } from './fixtures/services.ts'

t.test('both clocks tell milliseconds', async t => {
  const since = [clock(), performance.now()] as const
  await pause(20)
  const passed = [clock() - since[0], performance.now() - since[1]] as const
  t.ok(passed[0] > 0 && Math.abs(passed[0] - passed[1]) < 1_000)
  t.ok(Math.abs(wallClock() - Date.now()) < 1_000)
})

t.test('names work where a test has replaced timers and clocks', async t => {
  const root = fileURLToPath(new URL('..', import.meta.url))
  const dist = join(root, '.tap', 'clock')
  const node = [process.execPath, '--import=./test/fixtures/strip.js'] as const
  execFileSync(node[0], [node[1], 'scripts/build.ts', dist], { cwd: root })

  for (const file of [join(dist, 'index.js'), join(dist, 'index.cjs')]) {
    const env = { ...process.env, MONIKER_PORT: String(await nobody()) }
    const options = { cwd: root, env, timeout: 30_000 }
    const args = [node[1], 'test/fixtures/faked.ts', file]
    const { stdout } = await promisify(execFile)(node[0], args, options)
    const worked =
      'listen, connect, connect again, absent, wait, datagrams, watch, a program goes, close'
    t.equal(stdout.trim(), worked, file)
  }
})
