// Many short programs and no monikerd, as in a test run: each that ends may have been the daemon of all others.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { nobody } from '../fixtures/services.ts'

const COUNT = 60
const AT_A_TIME = 15

const file = fileURLToPath(new URL('../fixtures/brief.ts', import.meta.url))

t.test('a program finds its own name through every change of daemon', async t => {
  const env = { ...process.env, MONIKER_PORT: String(await nobody()) }
  const outcomes: Record<string, number> = {}
  let begun = 0
  const lane = async () => {
    while (begun < COUNT) {
      const child = fork(file, [`brief${begun++}`], { env })
      const exit = once(child, 'exit')
      const [outcome] = (await once(child, 'message')) as [string]
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      await exit
    }
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, lane))
  t.strictSame(outcomes, { ok: COUNT })
})
