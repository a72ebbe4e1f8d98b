import { workerData } from 'node:worker_threads'
import { diagnostics } from '../diagnostics.ts'
import { embedded } from './embedded.ts'
import { takeOver } from './takeover.ts'

const debug = diagnostics('moniker:thread')

/** Milliseconds that the program may be busy before it hands over: nothing waits for that. */
const PATIENCE = 3_600_000

// The thread of an embedded daemon, until another daemon takes its place.
const daemon = embedded(workerData as number, { ref: true })
takeOver(daemon.port, daemon, { patience: PATIENCE }).catch((error: Error) => {
  debug('the program goes on being the daemon: %s', error.message)
})
