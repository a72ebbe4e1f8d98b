import { test } from 'tap'
import { awake } from '../../lib/commands/awake.ts'

const timers = () => process.getActiveResourcesInfo().filter(kind => kind === 'Timeout').length

test('the process stays alive until the work is done, or has failed', async t => {
  const before = timers()
  let finish: (value: string) => void
  const done = awake(new Promise<string>(resolve => (finish = resolve)))
  t.equal(timers(), before + 1)
  finish!('done')
  t.equal(await done, 'done')
  t.equal(timers(), before)

  const error = new Error('failed')
  await t.rejects(awake(Promise.reject(error)), error)
  t.equal(timers(), before)
})
