import type { Cluster } from 'node:cluster'

/**
 * The modules of Node that only some programs need. Each is loaded when it is first asked for: together they are a
 * sixth of what `import 'moniker-net'` costs.
 */
export const builtins = {
  get cluster() {
    return process.getBuiltinModule('node:cluster') as unknown as Cluster
  },
  get crypto() {
    return process.getBuiltinModule('node:crypto')
  },
  get dns() {
    return process.getBuiltinModule('node:dns')
  },
  get threads() {
    return process.getBuiltinModule('node:worker_threads')
  },
}
