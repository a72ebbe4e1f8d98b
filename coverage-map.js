import { existsSync } from 'node:fs'

/** The one source that a test file counts for: its mirror in `lib/`, or `index.ts`. */
export default function source(test) {
  const name = test.slice('test/'.length)
  const path = name === 'index.ts' ? name : `lib/${name}`
  return existsSync(path) ? path : null
}
