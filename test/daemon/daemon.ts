import t from 'tap'
import { daemon } from '../fixtures/daemon.ts'

t.test('stop', async t => {
  const one = await daemon(t)
  t.ok(one.port)
})
