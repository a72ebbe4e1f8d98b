import { existsSync } from 'node:fs'

/** The one source that a test file counts for: `test/index.ts` for `index.ts`, `test/x.ts` for `lib/x.ts`. */
export default function source(test) {
  const name = test.slice('test/'.length)
  const path = name === 'index.ts' ? name : `lib/${name}`
  return existsSync(path) ? path : null
}
