import { createRequire } from 'node:module'

interface Package {
  version: string
  /** The versions of Node that this one runs on, as a range. */
  engines: { node: string }
}

/** This package, as its `package.json` has it. */
export const { version, engines } = createRequire(import.meta.url)(
  'moniker-net/package.json',
) as Package
