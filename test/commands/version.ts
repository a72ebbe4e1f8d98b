import { test } from 'tap'
import { engines, version } from '../../lib/commands/version.ts'

test('it is that of the package', async t => {
  t.match(version, /^\d+\.\d+\.\d+/)
  t.match(engines.node, /20/)
})
