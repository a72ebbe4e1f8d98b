import { diagnostics } from '../diagnostics.ts'
import { workerData } from 'node:worker_threads'
import { embedded } from './embedded.ts'
import { succeed } from './takeover.ts'

const debug = diagnostics('moniker:thread')

/** How long the program may be busy before it hands over, in ms: nobody waits for that. */
const PATIENCE = 3_600_000

// The thread of a daemon that is embedded in a program, until another daemon takes its place.
const daemon = embedded(workerData as number, { ref: true })
succeed(daemon.port, daemon, { patience: PATIENCE }).catch((error: Error) => {
  debug('the program goes on being the daemon: %s', error.message)
})
