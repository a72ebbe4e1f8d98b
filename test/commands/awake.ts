import { test } from 'tap'
import { awake } from '../../lib/commands/awake.ts'
import { active } from '../fixtures/active.ts'

test('the process stays alive until the work is done, or has failed', async t => {
  const before = active('Timeout')
  let finish: (value: string) => void
  const done = awake(new Promise<string>(resolve => (finish = resolve)))
  t.equal(active('Timeout'), before + 1)
  finish!('done')
  t.equal(await done, 'done')
  t.equal(active('Timeout'), before)

  const error = new Error('failed')
  await t.rejects(awake(Promise.reject(error)), error)
  t.equal(active('Timeout'), before)
})
