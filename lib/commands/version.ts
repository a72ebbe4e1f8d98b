import { createRequire } from 'node:module'

interface Package {
  version: string
  /** The versions of Node that this one runs on, as a range. */
  engines: { node: string }
}

/** The version of this package, and the versions of Node that it runs on. The build makes them constants. */
export const { version, engines } = createRequire(import.meta.url)(
  'moniker-net/package.json',
) as Package
