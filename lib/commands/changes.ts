import type { Watch } from '../client/watch.ts'
import { changeLine } from './services.ts'
import { stopSignal, tell } from './terminal.ts'

/** Prints what comes and goes, a line each, until a signal, or until nobody reads it any more. */
export async function printChanges(watch: Watch, json = false): Promise<void> {
  closeInTime(watch)
  watch.on('lost', error => tell(sought(error)))
  for await (const change of watch) console.log(json ? JSON.stringify(change) : changeLine(change))
}

/** Why nothing is known at the moment, and what is done about it. */
export function sought(error: unknown): string {
  return `${(error as Error).message} (it is looked for)`
}

/** Has a watch end with the command. */
export function closeInTime(watch: Watch): void {
  const close = () => watch.close()
  stopSignal().addEventListener('abort', close)
  process.stdout.once('error', close)
  watch.once('close', () => process.stdout.off('error', close))
}
