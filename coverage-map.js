import { dirname } from 'node:path'

/** Tests of all there is, with inputs that differ from run to run: what they happen to reach does not count. */
const chance = ['test/chaos.ts', 'test/fuzz.ts']

/**
 * The sources that a test file counts for: those of the folder in `lib/` that its own folder mirrors, and `index.ts`
 * for the tests that stand beside it. A folder that mirrors none counts for nothing.
 */
export default function sources(test) {
  if (chance.includes(test)) return null
  const folder = dirname(test).replace('test', 'lib')
  return folder === 'lib' ? ['index.ts', 'lib/*.ts'] : [`${folder}/*.ts`]
}
